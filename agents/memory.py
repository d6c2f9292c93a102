"""Memory that the C library keeps while networks are trained."""

import ctypes
import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager

MAPPED = 4 * 2**20
"""Bytes from which on a buffer is mapped by itself, and goes back to the system as soon as it is freed."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Of mallopt(3)."""


@contextmanager
def sparing() -> Iterator[None]:
    """Give memory that is free back to the system before and after this block; numbers do not change.

    Training allocates large buffers of many sizes. glibc keeps what is freed between smaller blocks, so that a run of
    200 points would grow to more than 2 GB. Where the C library is another one, nothing is done.
    """
    give_back()
    try:
        yield
    finally:
        give_back()


def give_back() -> None:
    """Give memory that is free, but kept by the C library, back to the system."""
    trim = _trim()
    if trim is not None:
        trim(0)


@functools.cache
def _trim() -> Callable[[int], int] | None:
    """Return what trims, once the C library is told not to keep the largest buffers; None without glibc."""
    try:
        library = ctypes.CDLL(None)
        trim, tune = library.malloc_trim, library.mallopt
    except (AttributeError, OSError, TypeError):  # no glibc; no C library that can be named
        return None
    tune(_MMAP_THRESHOLD, MAPPED)
    tune(_TRIM_THRESHOLD, 8 * MAPPED)
    return trim
