"""Curves that differ in length and range, on one axis."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ophyd_devices.readers.measurement import SampleError

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]
"""An ascending axis (n,) and the values along it (n,)."""


def resampled(parts: Sequence[Sequence[Curve]]) -> tuple[NDArray[np.float64], list[NDArray[np.float64]]]:
    """Return one axis (K,), and the values (M, K) of each of the `parts` of M curves.

    All curves are interpolated linearly on equal steps, as wide as those of the median curve, over the range that any
    of them covers. Where a curve does not reach it is NaN.

    Raises
    ------
    SampleError
        If no curve has two points.
    """
    there = [axis for part in parts for axis, _ in part if len(axis) > 1 and axis[-1] > axis[0]]
    if not there:
        raise SampleError("expected curves of at least two points, and there is none")
    low, high = float(min(axis[0] for axis in there)), float(max(axis[-1] for axis in there))
    step = float(np.median([(axis[-1] - axis[0]) / (len(axis) - 1) for axis in there]))
    axis = low + step * np.arange(int((high - low) / step * (1 + 1e-9)) + 1, dtype=np.float64)
    return axis, [np.stack([_along(axis, *curve) for curve in part]) for part in parts]


def _along(axis: NDArray[np.float64], own: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    if len(own) < 2:
        return np.full(len(axis), np.nan)
    slack = 1e-6 * (axis[1] - axis[0]) if len(axis) > 1 else 0.0
    inside = (axis >= own[0] - slack) & (axis <= own[-1] + slack)
    return np.where(inside, np.interp(axis, own, values), np.nan)
