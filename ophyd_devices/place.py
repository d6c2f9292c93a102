"""Positions of the tip: what counts as one."""

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np

Place = tuple[float, float]
"""(x, y) in nm."""


def as_place(value: Any) -> Place:
    """Return (x, y) as two floats.

    Raises
    ------
    ValueError
        If `value` is not a sequence or an array of two finite numbers. Sets, dicts, text and iterators are none.
    """
    if hasattr(value, "__array__"):
        array = np.ma.asarray(value)
        value = array.tolist() if array.shape == (2,) else array  # a masked element becomes None
    ordered = isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview)
    if ordered and len(value) == 2 and all(map(_is_finite, value)):
        return float(value[0]), float(value[1])
    raise ValueError(f"expected a position (x, y), a sequence of two finite numbers in nm, got {value!r:.200}")


def _is_finite(number: Any) -> bool:
    if isinstance(number, bool | np.bool_) or not isinstance(number, Real):
        return False
    try:
        return math.isfinite(number)
    except OverflowError:  # an integer beyond the largest float
        return False
