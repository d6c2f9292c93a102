"""The Nanonis TCP protocol: a message of named fields as bytes, and back.

A request and a response are a header of 40 bytes and a body, big-endian, without padding. The header has the name of
the command (32 bytes, ASCII, padded with zeros) and the length of the body (int32). A request goes on with a uint16, 1
to ask for a response, and two zero bytes; a response with four zero bytes. The body of a response ends with the error
block: a uint32 status (1 is an error), then the length (int32) and the bytes of a text.

A layout such as ``"i32 n, f32[n] start, f32[r,c] data"`` describes the fields of a body:

========== =========================================================== =================
kind       encoding                                                    value
========== =========================================================== =================
u16 u32    unsigned integer                                            int
i32        signed integer                                              int
f32 f64    IEEE 754                                                    float
str        i32 length in bytes, then the bytes                         str
strs       i32 bytes that follow the count, i32 count, count × str     list of str
i32[]      i32 count, then the elements; also f32[]                    (n,) array
f32[n]     as many elements as the field n before it says              (n,) array
f32[r,c]   i32 rows, i32 columns, then the elements row by row         (r, c) array
strs[r,c]  i32 rows, i32 columns, then r·c × str                       list of lists
========== =========================================================== =================

No length is trusted: it is compared with the bytes that are there before anything is allocated.
"""

import functools
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

HEADER = 40
NAME_MAX = 32
REQUEST_MAX = 1 << 20
"""Longest body of a request, bytes. The longest that is used has 16 segments and 128 names."""
RESPONSE_MAX = 1 << 27
"""Longest body of a response, bytes: a frame of 4096 × 4096 px has half of it."""

_NUMBERS = {"u16": ">u2", "u32": ">u4", "i32": ">i4", "f32": ">f4", "f64": ">f8"}
_CODES = {"u16": ">H", "u32": ">I", "i32": ">i", "f32": ">f", "f64": ">d"}


class WireError(ValueError):
    """Bytes that are no message of the protocol, or values that do not fit into one."""


class RefusedError(Exception):
    """The error block of a response: the controller did not do what it was asked to. The text is the controller's."""


@functools.cache
def fields(layout: str) -> tuple[tuple[str, str], ...]:
    """Return kind and name of each field of a layout."""
    parts = [part for part in layout.replace("[r,c]", "[r;c]").split(", ") if part]
    return tuple((kind.replace(";", ","), name) for kind, name in (part.split(" ", 1) for part in parts))


def request(name: str, layout: str, values: Sequence[Any]) -> bytes:
    """Return the bytes of a request that asks for a response.

    Raises
    ------
    WireError
        If a value does not fit its field.
    """
    body = encode(layout, values)
    return struct.pack(">32siHH", name.encode("ascii"), len(body), 1, 0) + body


def response(name: str, layout: str, values: Sequence[Any], error: str = "") -> bytes:
    """Return the bytes of a response; with `error` its block says that, and there are no fields without `values`."""
    text = error.encode("ascii", "replace")
    body = encode(layout, values) if values or not error else b""
    body += struct.pack(">Ii", bool(error), len(text)) + text
    return struct.pack(">32sii", name.encode("ascii"), len(body), 0) + body


def header(data: bytes, longest: int) -> tuple[str, int, bool]:
    """Return the name, the length of the body and whether a response is wanted, from a header of 40 bytes.

    Raises
    ------
    WireError
        If the name is no ASCII text, or the length is negative or more than `longest`.
    """
    name, length, wanted, _ = struct.unpack(">32siHH", data)
    text = name.rstrip(b"\0")
    if not text or not text.isascii() or not text.decode("ascii").isprintable():
        raise WireError(f"expected the name of a command in a header, got {bytes(text)!r:.60}")
    if not 0 <= length <= longest:
        raise WireError(f"{text.decode('ascii')}: expected a body of 0 … {longest} bytes, got {length}")
    return text.decode("ascii"), length, wanted != 0


def encode(layout: str, values: Sequence[Any]) -> bytes:
    """Return the body of these values.

    Raises
    ------
    WireError
        If a value does not fit its field, or there are too many or too few.
    """
    known = fields(layout)
    if len(values) != len(known):
        raise WireError(f"expected {len(known)} values ({layout}), got {len(values)}")
    sizes = {name: value for (kind, name), value in zip(known, values, strict=True) if kind in _CODES}
    try:
        return b"".join(_encoded(kind, value, sizes) for (kind, _), value in zip(known, values, strict=True))
    except (struct.error, OverflowError, TypeError, ValueError) as error:
        raise WireError(f"{list(values)!r:.200} does not fit ({layout}): {error}") from error


def decode(layout: str, body: bytes) -> list[Any]:
    """Return the values of a whole body of a request.

    Raises
    ------
    WireError
        If the body is no such message.
    """
    values, end = _decoded(layout, body)
    if end != len(body):
        raise WireError(f"expected a body of {end} bytes ({layout}), got {len(body)}")
    return values


def decode_response(layout: str, body: bytes) -> list[Any]:
    """Return the values of a response, without its error block.

    No source says whether the fields come before the block of an error, so both are read.

    Raises
    ------
    RefusedError
        If the block reports an error.
    WireError
        If the body is no such message.
    """
    try:
        values, end = _decoded(layout, body)
        status, text = _block(body, end)
    except WireError:
        status, text = _block(body, 0)  # raises if this is none either
        if not status:
            raise
        values = []
    if status or text:
        raise RefusedError(text or f"error {status} without a text")
    return values


def _block(body: bytes, at: int) -> tuple[int, str]:
    if len(body) < at + 8:
        raise WireError(f"expected fields and an error block, got {len(body)} bytes")
    status, length = struct.unpack_from(">Ii", body, at)
    if at + 8 + length != len(body) or length < 0:
        raise WireError(f"expected an error block at the end, got {len(body) - at} bytes with a text of {length}")
    return status, body[at + 8 :].decode("latin-1")


def _encoded(kind: str, value: Any, sizes: dict[str, Any]) -> bytes:
    if kind in _CODES:
        return struct.pack(_CODES[kind], value)
    if kind == "str":
        return _text(value)
    if kind == "strs":
        texts = b"".join(map(_text, value))
        return struct.pack(">ii", len(texts), len(value)) + texts
    element, _, shape = kind[:-1].partition("[")
    if shape == "r,c":
        rows, columns = len(value), len(value[0]) if len(value) else 0
        if element == "strs":
            return struct.pack(">ii", rows, columns) + b"".join(_text(text) for row in value for text in row)
        return struct.pack(">ii", rows, columns) + _elements(element, value)
    if shape:
        if len(value) != sizes[shape]:
            raise WireError(f"expected {sizes[shape]} elements, got {len(value)}")
        return _elements(element, value)
    return struct.pack(">i", len(value)) + _elements(element, value)


def _text(value: str) -> bytes:
    data = value.encode("utf-8")
    return struct.pack(">i", len(data)) + data


def _elements(kind: str, value: Any) -> bytes:
    array = np.asarray(value)
    if kind != "f32":
        limits = np.iinfo(_NUMBERS[kind])
        if array.size and not (limits.min <= array.min() and array.max() <= limits.max):
            raise WireError(f"expected elements of {limits.min} … {limits.max}, got {array.min()} … {array.max()}")
    return array.astype(_NUMBERS[kind]).tobytes()


def _decoded(layout: str, body: bytes) -> tuple[list[Any], int]:
    at, values = 0, []
    sizes: dict[str, Any] = {}
    for kind, name in fields(layout):
        value, at = _value(kind, body, at, sizes)
        values.append(value)
        if kind in _CODES:
            sizes[name] = value
    return values, at


def _value(kind: str, body: bytes, at: int, sizes: dict[str, Any]) -> tuple[Any, int]:
    if kind in _CODES:
        _check(body, at, struct.calcsize(_CODES[kind]))
        return struct.unpack_from(_CODES[kind], body, at)[0], at + struct.calcsize(_CODES[kind])
    if kind == "str":
        return _string(body, at)
    if kind == "strs":
        _check(body, at, 8)
        (count,) = struct.unpack_from(">i", body, at + 4)  # the size before it is not trusted: clients send others
        return _strings(body, at + 8, count)
    element, _, shape = kind[:-1].partition("[")
    if shape == "r,c":
        _check(body, at, 8)
        rows, columns = struct.unpack_from(">ii", body, at)
        if rows < 0 or columns < 0:
            raise WireError(f"expected a table, got {rows} rows and {columns} columns")
        if element == "strs":
            texts, at = _strings(body, at + 8, rows * columns)
            return [texts[row * columns : (row + 1) * columns] for row in range(rows if columns else 0)], at
        array, at = _array(element, body, at + 8, rows * columns)
        return array.reshape(rows, columns), at
    if shape:
        return _array(element, body, at, sizes[shape])
    _check(body, at, 4)
    (count,) = struct.unpack_from(">i", body, at)
    return _array(element, body, at + 4, count)


def _string(body: bytes, at: int) -> tuple[str, int]:
    _check(body, at, 4)
    (length,) = struct.unpack_from(">i", body, at)
    _check(body, at + 4, length)
    data = body[at + 4 : at + 4 + length]
    try:
        return data.decode("utf-8"), at + 4 + length
    except UnicodeDecodeError:
        return data.decode("latin-1"), at + 4 + length


def _strings(body: bytes, at: int, count: int) -> tuple[list[str], int]:
    _check(body, at, 4 * count)
    texts = []
    for _ in range(count):
        text, at = _string(body, at)
        texts.append(text)
    return texts, at


def _array(kind: str, body: bytes, at: int, count: int) -> tuple[NDArray[Any], int]:
    dtype = np.dtype(_NUMBERS[kind])
    _check(body, at, count * dtype.itemsize)
    return np.frombuffer(body, dtype, count, at).astype(dtype.newbyteorder("=")), at + count * dtype.itemsize


def _check(body: bytes, at: int, length: int) -> None:
    if length < 0 or at + length > len(body):
        raise WireError(f"expected {length} bytes at {at}, the body has {len(body)}")
