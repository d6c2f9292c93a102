"""The shape of a waveform: a way there and back, its straight segments, and values measured along it."""

import numpy as np
from numpy.typing import NDArray


def there_and_back(distance: float, points: int) -> NDArray[np.float64]:
    """Return the heights of a spectrum over the height: 0 → distance → 0.

    Parameters
    ----------
    distance : float
        How far the tip is lifted, nm.
    points : int
        Points of each way.

    Returns
    -------
    (2 · points,) float64
        The height of each step in nm.
    """
    up = np.linspace(0.0, distance, points)
    return np.concatenate([up, up[::-1]])


def corners(bias: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the steps at which a waveform begins, ends, or changes its slope.

    Parameters
    ----------
    bias : (K,) float64
        The value of each step.

    Returns
    -------
    (S + 1,) int
        Between two of them the waveform is straight: it has S segments.
    """
    bend = np.abs(np.diff(bias, n=2)) > 1e-9 * max(float(np.abs(bias).max(initial=0.0)), 1e-12)  # rounding of steps
    return np.concatenate([[0], np.flatnonzero(bend) + 1, [max(len(bias) - 1, 0)]]).astype(np.intp)


def along(
    wanted: NDArray[np.float64], swept: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """Return `values` (M,), measured while the bias was `swept` (M,), at the steps `wanted` (K,) of it.

    Both are followed by the distance that the bias has gone, Σ|ΔV|, so that the branches of a loop stay apart.
    A waveform that never changes is followed by its steps.

    Returns
    -------
    (K,) float64 or None
        None if `swept` is another waveform: it ends after another distance, or is elsewhere at one of the steps.
    """
    path, measured = _distance(wanted), _distance(swept)
    step = max(float(np.abs(np.diff(wanted)).max(initial=0.0)), 1e-6)
    if abs(path[-1] - measured[-1]) > step or np.abs(np.interp(path, measured, swept) - wanted).max() > step:
        return None
    if path[-1] == 0 or measured[-1] == 0:
        path, measured = np.linspace(0, 1, len(wanted)), np.linspace(0, 1, len(swept))
    return np.interp(path, measured, values)


def _distance(bias: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([[0.0], np.cumsum(np.abs(np.diff(bias)))])
