"""Switching as an ensemble of hysterons: the remanent state follows whatever bias waveform was asked for."""

import numpy as np
from numpy.typing import NDArray

HYSTERONS = 64
"""Hysterons a position; the state is resolved to 2/64 (engineering guess: well below the noise of a loop)."""

STABLE_BIAS = 0.3
"""V below which no hysteron switches, so that zero bias never changes the state (engineering guess)."""

_ORDER = np.arange(HYSTERONS)
# A golden-ratio sequence spreads the hysterons that start up over soft and hard ones alike.
_RANK = np.argsort(np.argsort(_ORDER * 0.6180339887 % 1.0))


def remanent_state(
    bias: NDArray[np.float64],
    imprint: NDArray[np.float64],
    half_width: NDArray[np.float64],
    spread: NDArray[np.float64],
    start: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the remanent state after each step of a bias waveform.

    Each position is an ensemble of bistable hysterons, a Preisach model (Preisach, Z. Phys. 94, 277 (1935)) with one
    hardness a hysteron. Hysteron m switches up at ``imprint + c_m`` and down at ``imprint - c_m``, where
    ``c_m = half_width + spread · ln(q_m / (1 - q_m))`` are the quantiles of a logistic distribution,
    ``q_m = (m + ½) / M``. The state is the share that is up less the share that is down.

    Parameters
    ----------
    bias : (K,) float64
        The waveform in V.
    imprint : (N,) float64
        Centre of the loop on the bias axis in V.
    half_width : (N,) float64
        Half the distance between the coercive voltages in V.
    spread : (N,) float64
        Scale of the distribution of thresholds in V; how rounded the loop is.
    start : (N,) float64
        State before the first step, -1 … 1.

    Returns
    -------
    (N, K) float64
        The state, -1 … 1.
    """
    up = HYSTERONS * (1 + start[:, None]) / 2 >= _RANK + 0.5  # (N, M), the softest first
    sign = np.where(bias > 0, 1.0, -1.0)
    # Hysterons are sorted by hardness, so a step switches the first ones: as many as have c_m ≤ ±(bias - imprint).
    excess = (sign * (bias - imprint[:, None]) - half_width[:, None]) / spread[:, None]
    switched = np.floor(HYSTERONS / (1 + np.exp(-np.clip(excess, -50, 50))) + 0.5).astype(np.intp)
    switched[:, np.abs(bias) < STABLE_BIAS] = 0

    count = np.empty(switched.shape)
    turns = np.flatnonzero(np.diff(sign)) + 1
    for first, last in zip([0, *turns], [*turns, len(bias)], strict=True):
        # While the bias keeps its sign, the first hysterons of the largest step so far agree, the others stay.
        agree = np.maximum.accumulate(switched[:, first:last], axis=1)
        harder = np.zeros((len(up), HYSTERONS + 1), dtype=np.intp)
        harder[:, :-1] = np.cumsum(up[:, ::-1], axis=1)[:, ::-1]  # how many of [m, M) are up
        is_up = sign[first] > 0
        count[:, first:last] = np.take_along_axis(harder, agree, axis=1) + (agree if is_up else 0)
        up = np.where(agree[:, -1:] > _ORDER, is_up, up)
    return 2 * count / HYSTERONS - 1


def resolved(state: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the state that hysterons take for `state`: the nearest multiple of 2/64."""
    count = np.clip(np.floor(HYSTERONS * (1 + state) / 2 + 0.5), 0, HYSTERONS)
    nearest: NDArray[np.float64] = 2 * count / HYSTERONS - 1
    return nearest


def lasting(bias: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the few steps of a waveform that decide its final state.

    A larger step of the same sign undoes what an earlier one did (the wiping-out property of the Preisach model), so
    only those count that no later one of their sign reaches.

    Parameters
    ----------
    bias : (K,) float64

    Returns
    -------
    (≤ K,) float64
        For a triangle wave the two extremes of its last cycle; empty where the bias is zero.
    """
    runs = np.split(bias, np.flatnonzero(np.diff(bias > 0)) + 1)
    extremes = np.array([run[np.abs(run).argmax()] for run in runs])
    counts = np.zeros(len(extremes), dtype=bool)
    for swing in (np.maximum(extremes, 0), np.maximum(-extremes, 0)):
        later = np.append(np.maximum.accumulate(swing[::-1])[::-1][1:], 0.0)
        counts |= swing > later
    return extremes[counts]
