"""Documents as plain JSON values, with large arrays in ``.npy`` files beside them; and back, type for type."""

import io
import math
import os
import re
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from curio_plans.store.errors import JournalError

Array = np.ndarray[Any, Any]

INLINE = 16
"""Arrays of at most this many elements stand in the line itself; larger ones in a file of their own."""

DEPTH = 50
"""Lists and mappings may be nested this deep; Python's own recursion ends at about 1000."""

FILE = "__npy__"
"""The key of a reference to an array: the name of its file."""

CHECK = "__check__"
"""The key in a document under which its line keeps a checksum; see :mod:`curio_plans.store.lines`."""

_ARRAY, _SCALAR, _TUPLE, _DICT = "__array__", "__scalar__", "__tuple__", "__dict__"
TAGS = frozenset((FILE, CHECK, _ARRAY, _SCALAR, _TUPLE, _DICT))
"""Keys of a mapping that stands for something else."""

_DIGEST = "xxh3"
_NAME = re.compile(r"[0-9]{6,9}\.npy")
_DTYPE = re.compile(r"[<>|][biufU][0-9]{1,9}|\|O")
_MOST_BYTES = 2**26
_SAME_AS_PLAIN = (np.ndarray, np.memmap, np.matrix)


class Arrays:
    """The ``.npy`` files in the folder of a run.

    Attributes
    ----------
    number : int
        Of the next file.
    """

    def __init__(self, folder: Path, number: int = 0) -> None:
        self.folder, self.number = folder, number

    def save(self, array: Array) -> tuple[dict[str, str], memoryview]:
        """Put an array on the disk.

        Returns
        -------
        dict
            The reference that stands for the array: name and XXH3 (64 bit, hexadecimal) of the file.
        memoryview
            The content of the file.

        Raises
        ------
        OSError
            If there is no room.
        """
        file = io.BytesIO()
        np.save(file, array, allow_pickle=False)
        content = file.getbuffer()
        name = f"{self.number:06}.npy"
        self.write(name, content)
        self.number += 1
        return {FILE: name, _DIGEST: xxhash.xxh3_64_hexdigest(content)}, content

    def write(self, name: str, content: memoryview) -> None:
        """Put a file on the disk."""
        with (self.folder / name).open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def load(self, reference: Mapping[str, Any]) -> Array:
        """Return the array that a reference stands for.

        Raises
        ------
        JournalError
            If it names no file of this folder, there is none, it was changed, or holds less than it promises.
        """
        path, digest = self.folder / file_name(reference), reference.get(_DIGEST)
        try:
            content = _read(path)
            if digest is not None and digest != xxhash.xxh3_64_hexdigest(content):
                raise ValueError("the file was changed after it was written")
            return _array_in(content)
        except Exception as error:
            # Of a damaged header, NumPy's parser may raise anything.
            raise JournalError(
                f"expected an array in {path}, but it cannot be read: {error or type(error).__name__}; take the file "
                "from a backup of the data directory, or what Tiled has of the run: "
                f"read_documents(storage.catalog[{self.folder.name!r}])"
            ) from error


def file_name(reference: Mapping[str, Any]) -> str:
    """Return the name of the file to which a reference points.

    Raises
    ------
    JournalError
        If it may lie outside the folder of the run.
    """
    name = reference[FILE]
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise JournalError(f"expected the name of an array in the folder of the run, like 000000.npy, got {name!r:.60}")
    return name


def encode(value: Any, save: Callable[[Array], dict[str, str]], path: str = "", depth: int = 0) -> Any:
    """Return `value` as JSON can hold it.

    Parameters
    ----------
    value : object
        Numbers, text, None, lists, tuples, mappings, NumPy scalars and arrays, nested up to `DEPTH`.
    save : callable
        Keeps a large array; returns the reference that stands for it: `Arrays.save`.
    path : str
        Where the value stands, for errors.
    depth : int
        How deep that is.

    Raises
    ------
    TypeError, ValueError
        If it would not come back as it is.
    """
    if depth > DEPTH:
        raise ValueError(f"{path[:40]}… is nested deeper than {DEPTH}")
    if isinstance(value, np.ndarray):
        return _encode_array(value, save, path, depth)
    if isinstance(value, np.generic):
        return {_SCALAR: _encode_array(np.asarray(value), save, path, depth)}
    if isinstance(value, list | tuple):
        items = [encode(item, save, f"{path}.{number}", depth + 1) for number, item in enumerate(value)]
        return {_TUPLE: items} if isinstance(value, tuple) else items
    if isinstance(value, Mapping):
        if all(type(key) is str for key in value) and TAGS.isdisjoint(value):
            return {key: encode(item, save, f"{path}.{key}".lstrip("."), depth + 1) for key, item in value.items()}
        return {_DICT: [encode([*pair], save, f"{path}.{pair[0]}", depth + 1) for pair in value.items()]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{path} of type {type(value).__name__}")


def decode(value: Any, load: Callable[[Mapping[str, Any]], Array], depth: int = 0) -> Any:
    """Return what `encode` made this of.

    Raises
    ------
    JournalError
        If it is nothing that `encode` makes, or an array cannot be loaded.
    """
    if depth > 3 * DEPTH:  # a tag counts as one or two
        raise JournalError(f"expected values nested up to {DEPTH} deep, got deeper ones")
    if isinstance(value, list):
        return [decode(item, load, depth + 1) for item in value]
    if not isinstance(value, dict):
        return value
    tag = next((tag for tag in value if tag in TAGS), None)
    if tag is None:
        return {key: decode(item, load, depth + 1) for key, item in value.items()}
    try:
        if tag == FILE:
            return load(value)
        content = decode(value[tag], load, depth + 1)
        if tag == _ARRAY:
            return _decode_array(content, value["dtype"], value["shape"])
        if tag == _SCALAR and content.shape == () and len(value) == 1:
            return content[()]
        if tag == _TUPLE and isinstance(content, list) and len(value) == 1:
            return tuple(content)
        if tag == _DICT and isinstance(content, list) and len(value) == 1:
            return dict(content)
    except (TypeError, KeyError, AttributeError, OverflowError, ValueError) as error:
        if isinstance(error, JournalError):
            raise
        raise JournalError(f"what stands under {tag} makes no sense: {error!r:.200}") from error
    raise JournalError(f"what stands under {tag} makes no sense: {value!r:.60}")


def _encode_array(array: Array, save: Callable[[Array], dict[str, str]], path: str, depth: int) -> dict[str, Any]:
    if type(array) not in _SAME_AS_PLAIN:
        raise TypeError(f"{path} of type {type(array).__name__}, of which only plain numbers would be kept")
    array = np.asarray(array)
    plain = array.dtype.kind in "biuU" or (array.dtype.kind == "f" and array.dtype.itemsize <= 8)
    if array.dtype.kind == "O" or (plain and array.size <= INLINE and array.nbytes <= _MOST_BYTES):
        items = encode(array.ravel().tolist(), save, path, depth + 1)
        return {_ARRAY: items, "dtype": array.dtype.str, "shape": array.shape}
    return save(array)


def _decode_array(items: Any, dtype: Any, shape: Any) -> Array:
    if not (isinstance(dtype, str) and _DTYPE.fullmatch(dtype)):
        raise ValueError(f"dtype {dtype!r:.60}")
    kind = np.dtype(dtype)
    if not (isinstance(items, list) and math.prod(shape) == len(items) and len(items) * kind.itemsize <= _MOST_BYTES):
        raise ValueError(f"shape {shape!r:.60} of {dtype}")
    array = np.empty(len(items), kind)
    # Element by element, as NumPy would make an array of objects that are lists into one of more dimensions.
    for place, item in enumerate(items):
        array[place] = item
    return array.reshape(shape)


def _read(path: Path) -> bytes:
    """Return the content of a regular file; what a link points at is nobody's array, and a pipe would block."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is no regular file")
        return file.read()


def _array_in(content: bytes) -> Array:
    """Return the array in the content of an ``.npy`` file; no more memory is taken than the file is long."""
    file = io.BytesIO(content)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(file)
    if version in read_header:
        shape, _, dtype = read_header[version](file)
        promised, found = math.prod(shape) * dtype.itemsize, len(content) - file.tell()
        if promised != found:
            raise ValueError(f"its header promises {promised} bytes of data, and there are {found}")
    file.seek(0)
    array: Array = np.lib.format.read_array(file, allow_pickle=False)
    return array
