"""Switching as an ensemble of hysterons: the remanent state after each step of any bias waveform."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

HYSTERONS = 64
"""Number of hysterons at each position. It resolves the state to 2/64, well below the noise of a loop."""

STABLE_BIAS = 0.3
"""No hysteron switches below this bias, V, so that zero bias never changes the state (engineering guess)."""

HARD_TAIL = 2.0
"""The thresholds of the harder half are spread wider by this factor: a loop switches fast and saturates slowly (chosen
by eye beside measured loops)."""

GOLDEN_RATIO = 0.6180339887
"""Multiples of this, modulo 1, are evenly spread (a low-discrepancy sequence)."""

_ORDER = np.arange(HYSTERONS)
# The hysterons that start up are spread evenly over soft and hard ones.
_RANK = np.argsort(np.argsort(_ORDER * GOLDEN_RATIO % 1.0))


def remanent_state(
    bias: NDArray[np.float64],
    imprint: NDArray[np.float64],
    half_width: NDArray[np.float64],
    spread: NDArray[np.float64],
    start: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the remanent state after each step of a bias waveform.

    Each position is an ensemble of bistable hysterons: a Preisach model (Preisach, Z. Phys. 94, 277 (1935)) in which
    hysterons differ in hardness only. Hysteron m switches up at ``imprint + c_m`` and down at ``imprint - c_m``, where
    ``c_m = half_width + spread · w · ln(q_m / (1 - q_m))`` are the quantiles ``q_m = (m + ½) / M`` of a logistic
    distribution whose harder half is stretched: w = 2 above the median and 1 below. The state is the share that is up
    minus the share that is down.

    Parameters
    ----------
    bias : (K,) float64
        The waveform in V.
    imprint : (N,) float64
        Centre of the loop on the bias axis in V.
    half_width : (N,) float64
        Half the distance between the coercive voltages in V.
    spread : (N,) float64
        Scale of the distribution of thresholds in V; it rounds the loop.
    start : (N,) float64
        State before the first step, -1 … 1.

    Returns
    -------
    (N, K) float64
        The state, -1 … 1.
    """
    up = HYSTERONS * (1 + start[:, None]) / 2 >= _RANK + 0.5  # (N, M), the softest first
    # A step switches all hysterons of the share that it reaches, the softest.
    switched = np.floor(HYSTERONS * _reached(bias, imprint, half_width, spread) + 0.5).astype(np.intp)
    sign = bias > 0
    count, rows = np.empty(switched.shape), np.arange(len(up))[:, None]
    turns = np.flatnonzero(sign[1:] != sign[:-1]) + 1
    for first, last in zip([0, *turns], [*turns, len(bias)], strict=True):
        # While the bias keeps its sign, the hysterons that the largest step so far has reached agree; the others stay.
        agree = np.maximum.accumulate(switched[:, first:last], axis=1)
        harder = np.zeros((len(up), HYSTERONS + 1), dtype=np.intp)
        np.cumsum(up[:, ::-1], axis=1, out=harder[:, 1:])  # how many of the hardest 0, 1, … M are up
        count[:, first:last] = harder[rows, HYSTERONS - agree] + agree * sign[first]
        up = np.where(agree[:, -1:] > _ORDER, sign[first], up)
    return 2 * count / HYSTERONS - 1


def final_state(
    bias: NDArray[np.float64],
    imprint: NDArray[np.float64],
    half_width: NDArray[np.float64],
    spread: NDArray[np.float64],
    start: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the state after a whole waveform, as :func:`remanent_state` with infinitely many hysterons.

    Only the extreme of each half cycle counts, and of what it reaches only the part that no later extreme reaches: the
    wiping-out property of the Preisach model.

    Parameters
    ----------
    bias, imprint, half_width, spread, start
        As for :func:`remanent_state`.

    Returns
    -------
    (N,) float64
        The state, -1 … 1; exactly `start` where nothing switches.
    """
    half_cycles = np.split(bias, np.flatnonzero(np.diff(bias > 0)) + 1)
    extremes = np.array([half_cycle[np.abs(half_cycle).argmax()] for half_cycle in half_cycles])
    reached = _reached(extremes, imprint, half_width, spread)
    decided, state = np.zeros(len(imprint)), np.zeros(len(imprint))
    for extreme, reach in zip(extremes[::-1], reached.T[::-1], strict=True):
        state += np.sign(extreme) * np.maximum(reach - decided, 0)
        decided = np.maximum(decided, reach)
    after: NDArray[np.float64] = state + (1 - decided) * start
    return after


def _reached(
    bias: NDArray[np.float64],
    imprint: NDArray[np.float64],
    half_width: NDArray[np.float64],
    spread: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the share of hysterons (N, K) whose threshold a bias reaches: those with c ≤ ±(bias - imprint)."""
    excess = np.where(bias > 0, bias - imprint[:, None], imprint[:, None] - bias) - half_width[:, None]
    excess = np.where(excess > 0, excess / HARD_TAIL, excess)
    share: NDArray[np.float64] = expit(excess / spread[:, None])
    # Far below the thresholds nothing switches at all, and zero bias never changes the state.
    share[(share < 0.5 / HYSTERONS) | (np.abs(bias) < STABLE_BIAS)] = 0
    return share
