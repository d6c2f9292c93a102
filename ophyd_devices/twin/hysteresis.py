"""Switching as an ensemble of hysterons: the remanent state follows whatever bias waveform was asked for."""

import numpy as np
from numpy.typing import NDArray

HYSTERONS = 64
"""Hysterons a position; the state is resolved to 2/64 (engineering guess: well below the noise of a loop)."""

STABLE_BIAS = 0.3
"""V below which no hysteron switches, so that zero bias never changes the state (engineering guess)."""

# A golden-ratio sequence spreads the hysterons that start up over soft and hard ones alike.
_RANK = np.argsort(np.argsort(np.arange(HYSTERONS) * 0.6180339887 % 1.0))


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
    quantile = (np.arange(HYSTERONS) + 0.5) / HYSTERONS
    hardness = half_width[:, None] + spread[:, None] * np.log(quantile / (1 - quantile))  # (N, M)
    up_at = np.maximum(imprint[:, None] + hardness, STABLE_BIAS)
    down_at = np.minimum(imprint[:, None] - hardness, -STABLE_BIAS)
    up = HYSTERONS * (1 + start[:, None]) / 2 >= _RANK + 0.5  # (N, M)
    share = np.empty((len(imprint), len(bias)))
    for step, voltage in enumerate(bias):
        if voltage > 0:
            up |= up_at <= voltage
        else:
            up &= down_at < voltage
        share[:, step] = np.count_nonzero(up, axis=1)
    return 2 * share / HYSTERONS - 1
