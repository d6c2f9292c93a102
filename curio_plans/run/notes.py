"""What the plan itself has to say about a point or a run: Bluesky readables that hold values."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from curio_plans.documents.streams import Written

Readings = dict[str, dict[str, Any]]

_KINDS: dict[type, tuple[str, str]] = {
    bool: ("boolean", "|b1"),
    int: ("integer", "<i8"),
    float: ("number", "<f8"),
    str: ("string", ""),
}


class Note:
    """A readable of fixed values. The RunEngine takes notes of the same name for the same device.

    It wants the same devices in each event of a stream; so each event may have a note of its own.

    Parameters
    ----------
    name : str
        Of the note and, where it has one, of its stream.
    values : mapping
        By data key: numbers, text, booleans or arrays.
    units : mapping, optional
        Units by data key; the others are pure numbers.
    source : str
        Who says it.
    shown : sequence of str
        Data keys worth a column in a live table.
    timestamp : float, optional
        Seconds since 1970; by default now.
    """

    parent = None

    def __init__(
        self,
        name: str,
        values: Mapping[str, Any],
        units: Mapping[str, str] | None = None,
        *,
        source: str = "plan",
        shown: Sequence[str] = (),
        timestamp: float | None = None,
    ) -> None:
        self.name = name
        self._values = dict(values)
        self._units = dict(units) if units is not None else {}
        self._source, self._shown = source, list(shown)
        self._timestamp = time.time() if timestamp is None else timestamp

    @classmethod
    def of(cls, entry: Written, spectrum_unit: str = "", timestamp: float | None = None) -> "Note":
        """Return the note that becomes an event of the entry's stream."""
        return cls(
            entry.stream,
            entry.values(),
            entry.units(spectrum_unit),
            source=entry.source,
            shown=entry.shown,
            timestamp=timestamp,
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Note | LateNote) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def read(self) -> Readings:
        """Return the values."""
        return {key: {"value": value, "timestamp": self._timestamp} for key, value in self._values.items()}

    def describe(self) -> dict[str, dict[str, Any]]:
        """Return the data keys."""
        return {key: self._describe(key, value) for key, value in self._values.items()}

    @property
    def hints(self) -> dict[str, Any]:
        """Return what is worth a column in a table."""
        return {"fields": self._shown}

    def _describe(self, key: str, value: Any) -> dict[str, Any]:
        short = key.removeprefix(f"{self.name}_") if self._source != "plan" else key
        described: dict[str, Any] = {"source": f"{self._source}:{short}", "shape": []}
        if isinstance(value, np.ndarray):
            described |= {"dtype": "array", "dtype_numpy": value.dtype.str, "shape": list(value.shape)}
        else:
            dtype, dtype_numpy = _KINDS[type(value)]
            described |= {"dtype": dtype} | ({"dtype_numpy": dtype_numpy} if dtype_numpy else {})
        if described["dtype"] != "string":
            described["units"] = self._units.get(key, "")
        return described


class LateNote:
    """A note that is made when it is read: in a simulator, which reads nothing, it never is.

    Parameters
    ----------
    name : str
        Of the note and its stream.
    make : callable
        Makes it.
    """

    parent = None

    def __init__(self, name: str, make: Callable[[], Note]) -> None:
        self.name = name
        self._make = make

    __eq__ = Note.__eq__

    def __hash__(self) -> int:
        return hash(self.name)

    @cached_property
    def _note(self) -> Note:
        return self._make()

    def read(self) -> Readings:
        """Return the values."""
        return self._note.read()

    def describe(self) -> dict[str, dict[str, Any]]:
        """Return the data keys."""
        return self._note.describe()

    @property
    def hints(self) -> dict[str, Any]:
        """Return what is worth a column in a table."""
        return self._note.hints
