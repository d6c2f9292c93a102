"""What a plan itself has to say about a point or a run: soft Bluesky readables that the plan writes."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from curio_plans.run.status import FutureStatus

Readings = dict[str, dict[str, Any]]

_KINDS: dict[type, tuple[str, str]] = {
    bool: ("boolean", "|b1"),
    int: ("integer", "<i8"),
    float: ("number", "<f8"),
    str: ("string", ""),
}


class Note:
    """A readable and movable of fixed keys; ``set({key: value, …})`` writes all or some of them.

    The RunEngine wants the same devices in each event of a stream; notes of one name are the same to it.

    Parameters
    ----------
    name : str
        Of the note and, where it has one, of its stream.
    values : mapping
        Initial values by data key: numbers, text, booleans or arrays. Their types stay for ever.
    units : mapping, optional
        Units by data key; the others are pure numbers.
    """

    parent = None

    def __init__(self, name: str, values: Mapping[str, Any], units: Mapping[str, str] | None = None) -> None:
        self.name = name
        self._values = dict(values)
        self._units = dict(units) if units is not None else {}
        self._timestamp = 0.0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Note) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def check_value(self, values: Mapping[str, Any]) -> None:
        """Raise ValueError if there is no such key, or a value is of another type than the present one."""
        for key, value in values.items():
            if key not in self._values:
                raise ValueError(f"{self.name}: expected one of the keys {sorted(self._values)}, got {key!r}")
            if type(value) is not type(self._values[key]):
                raise ValueError(
                    f"{self.name}: expected {key} to be a {type(self._values[key]).__name__}, got {value!r}"
                )

    def set(self, values: Mapping[str, Any]) -> FutureStatus:
        """Write values by key; raises like :meth:`check_value`. The status is done at once."""
        self.check_value(values)
        self._values.update(values)
        self._timestamp = time.time()
        return FutureStatus.finished()

    def read(self) -> Readings:
        """Return the present values."""
        return {key: {"value": value, "timestamp": self._timestamp} for key, value in self._values.items()}

    def describe(self) -> dict[str, dict[str, Any]]:
        """Return the data keys."""
        return {key: self._describe(key, value) for key, value in self._values.items()}

    @property
    def hints(self) -> dict[str, Any]:
        """Return that nothing of it is worth a table or a plot."""
        return {"fields": []}

    def _describe(self, key: str, value: Any) -> dict[str, Any]:
        described: dict[str, Any] = {"source": f"plan:{key}", "shape": []}
        if isinstance(value, np.ndarray):
            described |= {"dtype": "array", "dtype_numpy": value.dtype.str, "shape": list(value.shape)}
        else:
            dtype, dtype_numpy = _KINDS[type(value)]
            described |= {"dtype": dtype} | ({"dtype_numpy": dtype_numpy} if dtype_numpy else {})
        if described["dtype"] != "string":
            described["units"] = self._units.get(key, "")
        return described


class Target(Note):
    """Which candidate a point belongs to, and where it is meant to be.

    ``target_x`` and ``target_y`` are the candidate's place in the image; the scanner is sent there plus the drift
    ``drift_x`` and ``drift_y`` since that image.
    """

    def __init__(self) -> None:
        places = ("target_x", "target_y", "drift_x", "drift_y")
        super().__init__("target", {"candidate": -1, **dict.fromkeys(places, 0.0)}, dict.fromkeys(places, "nm"))
