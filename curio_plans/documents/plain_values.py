"""What metadata may hold: values that come back from the journal and from Tiled as they were."""

import math
from collections.abc import Mapping
from datetime import date, time
from pathlib import PurePath
from typing import Any

import numpy as np

DEPTH = 20
"""Lists and mappings may be nested this deep."""

LARGEST = 2**53 - 1
"""The largest whole number that every reader of JSON knows exactly."""

_HINTS = {
    "MaskedArray": "fill it with array.filled(…), and keep the mask as an array of its own",
    "Quantity": "give its number, and its unit as text",
    "Decimal": "give a float, or text",
    "Fraction": "give a float, or text",
    "complex": "give real and imaginary part",
    "bytes": "give text, e.g. value.hex()",
    "bytearray": "give text, e.g. value.hex()",
    "set": "give a sorted list",
    "frozenset": "give a sorted list",
    "timedelta": "give its seconds",
    "Timedelta": "give its seconds",
    "DataFrame": "give value.to_dict('list')",
    "Series": "give value.to_list()",
    "DataArray": "give value.values",
    "Dataset": "give the values of its variables",
    "range": "give a list",
}


class ValueRefused(ValueError):
    """A value that could not be read back as it is."""


def plain(value: Any, path: str = "", depth: int = 0) -> Any:
    """Return a value of metadata as the documents keep it.

    Text, bools, None, finite numbers, NumPy arrays of them, and lists, tuples and mappings of all that stay what they
    are. A NumPy scalar becomes Python's number or text, a mapping a dict, an array of another class or an
    ``np.matrix`` a plain array, a date or time its ISO 8601 text, a path its text.

    Parameters
    ----------
    value : object
        The value.
    path : str
        Its key, for errors; ``a.b.2`` is item 2 of key b of key a.
    depth : int
        How deep it is nested.

    Raises
    ------
    ValueRefused
        If it could not be read back. It names the key and says what to give instead.
    """
    if depth > DEPTH:
        raise ValueRefused(
            f"metadata {path[:60]}…: expected lists and mappings nested at most {DEPTH} deep, got deeper"
        )
    if isinstance(value, np.ndarray):
        return _array(value, path)
    if isinstance(value, np.generic):
        return plain(_array(np.asarray(value), path).item(), path, depth)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value, path)
    if isinstance(value, int | float):
        return _number(value, path)
    if isinstance(value, Mapping):
        return {_key(key, path): plain(item, f"{path}.{key}".lstrip("."), depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = (plain(item, f"{path}.{number}", depth + 1) for number, item in enumerate(value))
        return tuple(items) if isinstance(value, tuple) else list(items)
    if isinstance(value, date | time) and value == value:
        return _text(value.isoformat(), path)
    if isinstance(value, PurePath):
        return _text(str(value), path)
    raise _refused(value, path)


def _array(value: Any, path: str) -> Any:
    if type(value) not in (np.ndarray, np.memmap, np.matrix):
        raise _refused(value, path)
    array = np.array(value)  # a copy: nobody changes it any more
    kind = array.dtype.kind
    if kind == "U":
        for text in array.flat:
            _text(str(text), path)
    elif kind in "iu":
        if array.size and max(abs(int(array.max())), abs(int(array.min()))) > LARGEST:
            raise ValueRefused(f"metadata {path}: expected whole numbers up to ±{LARGEST}, got larger ones; give text")
    elif kind == "f" and array.dtype.itemsize <= 8:
        if not np.isfinite(array).all():
            raise ValueRefused(f"metadata {path}: expected finite numbers, got NaN or infinity; leave them out")
    elif kind != "b":
        raise ValueRefused(
            f"metadata {path}: expected an array of numbers, bools or text, got one of {array.dtype}; convert it, e.g. "
            "with array.astype(str) or array.tolist()"
        )
    return array


def _number(value: float, path: str) -> float:
    number = int(value) if isinstance(value, int) else float(value)
    if isinstance(number, float) and not math.isfinite(number):
        raise ValueRefused(f"metadata {path}: expected a finite number, got {number}; leave it out, or give None")
    if isinstance(number, int) and abs(number) > LARGEST:
        raise ValueRefused(f"metadata {path}: expected a whole number up to ±{LARGEST}, got a larger one; give text")
    return number


def _text(value: str, path: str) -> str:
    text = str.__str__(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueRefused(f"metadata {path}: expected text, got {text!r:.60}, which UTF-8 does not have") from None
    if "\0" in text:
        raise ValueRefused(f"metadata {path}: expected text, got {text!r:.60} with a zero byte; leave that out")
    return text


def _key(key: Any, path: str) -> str:
    if not isinstance(key, str) or not key or set("./") & set(key):
        raise ValueRefused(f"metadata {path}: expected text without . and / as a key, got {key!r:.60}; rename it")
    return _text(key, path)


def _refused(value: Any, path: str) -> ValueRefused:
    kind = type(value)
    if hasattr(kind, "__dataclass_fields__"):
        hint = "give dataclasses.asdict(value)"
    elif hasattr(kind, "model_dump"):
        hint = "give value.model_dump()"
    elif hasattr(kind, "__members__"):
        hint = "give its value"
    else:
        hint = next((_HINTS[base.__name__] for base in kind.__mro__ if base.__name__ in _HINTS), "give one of these")
    return ValueRefused(
        f"metadata {path}: expected numbers, text, lists, mappings or NumPy arrays, got a {kind.__name__}; {hint}"
    )
