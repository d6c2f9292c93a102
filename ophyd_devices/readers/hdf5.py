"""What readers of HDF5 files share: h5py, and arrays that are looked at before they are read."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophyd_devices.readers.measurement import SampleError
from ophyd_devices.readers.registry import refuse_large

Node = Any
"""A file, group or dataset; h5py has no types."""


def open_file(path: Path) -> Node:
    """Open an HDF5 file for reading.

    Raises
    ------
    SampleError
        If it is damaged.
    """
    import h5py

    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise SampleError(
            f"{path}: cannot be opened as HDF5 ({error}); it is damaged, or still being written"
        ) from error


def looks(path: Path, *names: str) -> bool:
    """Tell whether an HDF5 file has all the nodes of these names; False if it cannot be opened."""
    try:
        with open_file(path) as file:
            return all(name in file for name in names)
    except (SampleError, ImportError):
        return False


def numbers(path: Path, dataset: Node) -> NDArray[Any]:
    """Return a dataset of numbers.

    Raises
    ------
    SampleError
        If it does not hold numbers, or more than are read.
    """
    if dataset.dtype.kind not in "iufcb":
        raise SampleError(f"{path}: expected numbers in {dataset.name}, got {dataset.dtype}; convert them")
    refuse_large(path, int(dataset.size) * dataset.dtype.itemsize, f"the dataset {dataset.name}")
    return np.asarray(dataset[()])


def attribute(node: Node, name: str, default: str = "") -> str:
    """Return a text attribute, or `default`."""
    value = node.attrs.get(name, default)
    if isinstance(value, np.ndarray):
        value = value.ravel()[0] if value.size else default
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
