"""What goes over the wire between a run and the place where its agent thinks: msgpack, never pickle.

Records are numbered by their order. :class:`Chain` names the first so many of them by a digest, which both sides
compute from the bytes of the records: equal digests mean equal records in equal order.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

from agents.protocols import (
    Answer,
    Config,
    Context,
    Estimate,
    Exclusion,
    Observation,
    Past,
    Pool,
    Question,
    Record,
    Report,
    Steering,
    Suggestion,
)

VERSION = 1
"""Of this format; both sides must have the same."""

MEDIA_TYPE = "application/vnd.curio.think"
"""The content type of requests. No form and no plain script of a web page can send it."""

_KINDS: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        Past, Pool, Observation, Exclusion, Answer, Steering, Context, Suggestion, Question, Report, Estimate,
    )
}  # fmt: skip
_ARRAY = 1
_NUMBERS = frozenset(f"{order}{kind}" for order in "<|" for kind in ("f4", "f8", "i4", "i8", "b1", "u1"))
"""The arrays that are taken: little-endian numbers; never objects."""


class WireError(ValueError):
    """Bytes that are no message of this format."""


def pack(message: Any) -> bytes:
    """Return a message as bytes: JSON values, arrays of numbers, and the values of :mod:`agents.protocols`."""
    return bytes(msgpack.packb(_plain(message), default=_extension, use_bin_type=True))


def unpack(data: bytes) -> Any:
    """Return the message in `data`.

    Raises
    ------
    WireError
        If it is none.
    """
    try:
        return _values(msgpack.unpackb(data, ext_hook=_array, raw=False, strict_map_key=True))
    except (ValueError, TypeError, KeyError, RecursionError) as error:  # msgpack's own errors are ValueErrors
        raise WireError(f"expected a message of format {VERSION} of curio think, got {error!r:.200}") from error


class Chain:
    """Names a config and any number of first records of a run by a digest each.

    Parameters
    ----------
    config : mapping
        The agent's.

    Attributes
    ----------
    digests : list of str
        That of the config alone, then one with each further record: SHA-256 of the digest before and the record, in
        hexadecimal digits.
    """

    def __init__(self, config: Config) -> None:
        self.digests = [hashlib.sha256(json.dumps(dict(config), sort_keys=True).encode()).hexdigest()]

    def __len__(self) -> int:
        return len(self.digests) - 1

    @property
    def last(self) -> str:
        """The digest of all records so far."""
        return self.digests[-1]

    def after(self, start: int, records: Iterable[bytes]) -> list[str]:
        """Return the digests that `records`, as :func:`pack` writes them, give after the first `start` ones."""
        digests, value = [], self.digests[start]
        for record in records:
            value = hashlib.sha256(value.encode() + record).hexdigest()
            digests.append(value)
        return digests


def read_record(data: bytes) -> Record:
    """Return the record that :func:`pack` wrote.

    Raises
    ------
    WireError
        If it is none.
    """
    record = unpack(data)
    if not isinstance(record, Past | Pool | Observation | Exclusion | Answer | Steering):
        raise WireError(f"expected a record, got {type(record).__name__}")
    return record


def _plain(value: Any) -> Any:
    """Return a value whose parts msgpack knows, or are arrays."""
    if type(value).__name__ in _KINDS and isinstance(value, _KINDS[type(value).__name__]):
        parts = {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
        return {"kind": type(value).__name__, "parts": parts}
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    return value.item() if isinstance(value, np.generic) else value


def _values(value: Any) -> Any:
    """Undo `_plain`."""
    if isinstance(value, list):
        return [_values(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.keys() != {"kind", "parts"}:
        return {key: _values(each) for key, each in value.items()}
    kind = _KINDS[value["kind"]]
    return kind(**{name: _part(_values(each)) for name, each in value["parts"].items()})


def _part(value: Any) -> Any:
    """Return a part of a record: its sequences are tuples."""
    return tuple(value) if isinstance(value, list) else value


def _extension(value: Any) -> msgpack.ExtType:
    if not isinstance(value, np.ndarray) or value.dtype.newbyteorder("<").str not in _NUMBERS:
        raise TypeError(f"expected numbers, text and arrays of numbers, got {type(value).__name__}")
    little = value.astype(value.dtype.newbyteorder("<"), copy=False)
    return msgpack.ExtType(_ARRAY, msgpack.packb((little.dtype.str, list(little.shape), little.tobytes())))


def _array(code: int, data: bytes) -> NDArray[Any]:
    if code != _ARRAY:
        raise ValueError(f"extension {code} is unknown")
    dtype, shape, values = msgpack.unpackb(data)
    if dtype not in _NUMBERS:
        raise ValueError(f"arrays of {dtype!r:.20} are not taken")
    return np.frombuffer(values, dtype=np.dtype(dtype)).reshape(shape).copy()  # raises if there are more or fewer
