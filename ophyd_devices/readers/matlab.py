"""MATLAB files: arrays with the names that npz files use. Objects, cells, structures and functions are not loaded."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophyd_devices.readers.archive import Archive
from ophyd_devices.readers.hdf5 import numbers, open_file
from ophyd_devices.readers.measurement import Measurement, SampleError
from ophyd_devices.readers.npz import KEYS, contents
from ophyd_devices.readers.registry import Reader, refuse_large

_NUMBERS = {
    "double",
    "single",
    "logical",
    "char",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
}
_MATRIX, _COMPRESSED = 14, 15
"""Kinds of parts."""

_MOST_COMPRESSED = 1100
"""Bytes that a compressed byte can stand for, at most."""

_HEAD = 2**16
"""Bytes of a matrix that are looked at: its name is shorter."""


def read(path: Path) -> Measurement:
    """Return the arrays of a MATLAB file.

    Arrays are found by name, as in an npz file. Without an array ``spectra``, the only one of three dimensions is that,
    and the only one of its first two the image.
    """
    arrays = _hdf5(path) if _is_hdf5(path) else _classic(path)
    if "spectra" not in arrays:
        deep = [name for name, values in arrays.items() if values.ndim == 3 and values.dtype.kind in "iufc"]
        if len(deep) != 1:
            found = ", ".join(f"{name} {'×'.join(map(str, values.shape))}" for name, values in arrays.items())
            raise SampleError(
                f"{path}: expected an array 'spectra' (rows, columns, steps), found {found or 'no arrays of numbers'}; "
                "rename it in MATLAB"
            )
        arrays["spectra"] = arrays.pop(deep[0])
        flat = [name for name, values in arrays.items() if values.shape == arrays["spectra"].shape[:2]]
        if "image" not in arrays and len(flat) == 1:
            arrays["image"] = arrays.pop(flat[0])
    for name in KEYS & set(arrays):  # MATLAB has no vectors, and texts are arrays of letters
        if name not in ("image", "spectra", "measured", "positions_nm"):
            arrays[name] = np.squeeze(arrays[name])
    return contents(Archive(path, arrays))


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as file:
        return b"MATLAB 7.3" in file.read(64)


def _classic(path: Path) -> dict[str, NDArray[Any]]:
    from scipy.io import loadmat, whosmat
    from scipy.io.matlab import MatReadError

    _check_parts(path)

    try:
        listed = whosmat(str(path))
        wanted = [name for name, _, kind in listed if kind in _NUMBERS]
        promised = sum(int(np.prod(shape, dtype=object)) for _, shape, _ in listed)
        refuse_large(path, 8 * promised, "the header")
        if promised > _MOST_COMPRESSED * path.stat().st_size:
            raise SampleError(f"{path}: the header promises {promised} numbers, more than fit; the file is damaged")
        loaded = loadmat(str(path), variable_names=wanted, chars_as_strings=True) if wanted else {}
    except (MatReadError, ValueError, TypeError, OSError, EOFError, NotImplementedError) as error:
        raise SampleError(f"{path}: cannot be read as a MATLAB file ({error}); save it again") from error
    return {name: loaded[name] for name in wanted}


def _check_parts(path: Path) -> None:
    """Raise SampleError if a matrix of a version 5 file has not the parts that its flags promise.

    scipy ends the process if a matrix is flagged as complex and has no imaginary part. A matrix has the parts flags,
    dimensions, name, real and imaginary part, each after a tag of its kind and size (MathWorks, "MAT-File Format").
    """
    with path.open("rb") as file:
        start = file.read(128)
        order = {b"IM": "<", b"MI": ">"}.get(start[126:128])
        while order is not None and len(tag := file.read(8)) == 8:
            kind, size = struct.unpack(f"{order}II", tag)
            begin = file.tell()
            if begin + size > path.stat().st_size:
                raise SampleError(f"{path}: a matrix ends beyond the end of the file; it is truncated or damaged")
            head = file.read(min(size, _HEAD))
            if kind == _COMPRESSED:
                try:
                    head = zlib.decompressobj().decompress(head, _HEAD)
                except zlib.error as error:
                    raise SampleError(f"{path}: a compressed part is damaged ({error}); save it again") from error
            else:
                head = tag + head
            if not _parts_fit(head, order):
                raise SampleError(f"{path}: the parts of a matrix do not fit its flags; the file is damaged")
            file.seek(begin + size)


def _parts_fit(head: bytes, order: str) -> bool:
    """Tell whether a matrix, of which the `head` is given, has an imaginary part just if its flags say so."""
    if len(head) < 24 or int(struct.unpack(f"{order}I", head[:4])[0]) != _MATRIX:
        return True  # scipy says what is wrong
    whole, flags = (int(struct.unpack(f"{order}I", head[at : at + 4])[0]) for at in (4, 16))
    place = 24
    for part in ("dimensions", "name", "real part"):
        if part == "real part" and flags & 0xFF not in range(6, 16):
            return True  # not numeric: not loaded
        if place + 8 > len(head):
            return place - 8 <= whole
        kind, size = (int(number) for number in struct.unpack(f"{order}II", head[place : place + 8]))
        place += 8 if kind >> 16 else 8 + (size + 7) // 8 * 8  # small parts lie in their tag
    left = whole + 8 - place
    return left >= 8 if flags & 0x800 else left <= 0


def _hdf5(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a MATLAB 7.3 file, which is HDF5 with all dimensions in reverse order."""
    arrays = {}
    with open_file(path) as file:
        for name, node in file.items():
            kind = node.attrs.get("MATLAB_class", b"").decode()
            if hasattr(node, "keys") or kind not in _NUMBERS or node.dtype.kind not in "iufb":
                continue
            values = numbers(path, node).T
            arrays[name] = np.array("".join(map(chr, values.ravel()))) if kind == "char" else values
    return arrays


READER = Reader("MATLAB", (".mat",), read, extra="'curio-plans[readers]'")
