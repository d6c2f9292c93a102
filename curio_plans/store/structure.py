"""What the documents of one run must be like to be read as such, whatever is in a file."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from curio_plans.store.errors import JournalError

_NAMES = frozenset((
    "start", "stop", "descriptor", "event", "event_page", "resource", "datum", "datum_page",
    "stream_resource", "stream_datum", "bulk_events", "bulk_datum",
))  # fmt: skip


class Structure:
    """Checks the documents of run `uid`, one after the other."""

    def __init__(self, uid: str) -> None:
        self._uid = uid
        self._keys: dict[str, set[str]] = {}  # data keys by descriptor
        self._started = self._stopped = False

    def check(self, name: str, doc: Any) -> None:
        """Check the next document.

        Raises
        ------
        JournalError
            That says what was expected, and what came.
        """
        if name not in _NAMES or not isinstance(doc, dict):
            raise JournalError(f"expected a document of the event model, got {name!r:.40} with {doc!r:.60}")
        if name == "start":
            self._start(doc)
        elif not self._started:
            raise JournalError(f"expected the start document first, got {name!r}")
        elif self._stopped:
            raise JournalError(f"expected nothing after the stop document, got {name!r}")
        elif name == "descriptor":
            self._descriptor(doc)
        elif name == "event":
            self._event(doc)
        elif name == "event_page":
            self._page(doc)
        elif name == "stop":
            self._stop(doc)

    def _start(self, doc: Mapping[str, Any]) -> None:
        if self._started:
            raise JournalError("expected one start document, got another one")
        if doc.get("uid") != self._uid:
            raise JournalError(f"expected the start document of run {self._uid}, got that of {doc.get('uid')!r:.60}")
        _check_time(doc)
        _expect(str, doc, "resumes", required=False)
        self._started = True

    def _descriptor(self, doc: Mapping[str, Any]) -> None:
        self._check_run(doc)
        _expect(str, doc, "uid")
        _expect(str, doc, "name")
        keys = _expect(dict, doc, "data_keys")
        if not all(isinstance(declared, dict) for declared in keys.values()):
            raise JournalError("expected data keys that are described, got others")
        configuration = _expect(dict, doc, "configuration", required=False) or {}
        for device in configuration.values():
            if not (isinstance(device, dict) and isinstance(device.get("data"), dict)):
                raise JournalError(f"expected the configuration of a device, got {device!r:.60}")
        self._keys[doc["uid"]] = set(keys)

    def _event(self, doc: Mapping[str, Any]) -> None:
        _expect(str, doc, "uid")
        _check_time(doc)
        if type(doc.get("seq_num")) is not int:
            raise JournalError(f"expected a number as seq_num, got {doc.get('seq_num')!r:.60}")
        self._check_data(doc)

    def _page(self, doc: Mapping[str, Any]) -> None:
        numbers = _expect(list, doc, "seq_num")
        if not all(type(number) is int for number in numbers):
            raise JournalError(f"expected numbers as seq_num, got {numbers!r:.60}")
        self._check_data(doc)

    def _stop(self, doc: Mapping[str, Any]) -> None:
        self._check_run(doc)
        _check_time(doc)
        _expect(str, doc, "exit_status")
        self._stopped = True

    def _check_run(self, doc: Mapping[str, Any]) -> None:
        if doc.get("run_start") != self._uid:
            raise JournalError(f"expected a document of run {self._uid}, got one of {doc.get('run_start')!r:.60}")

    def _check_data(self, doc: Mapping[str, Any]) -> None:
        declared = self._keys.get(str(doc.get("descriptor")))
        if declared is None:
            raise JournalError(f"its descriptor {doc.get('descriptor')!r:.60} is missing")
        found = set(_expect(dict, doc, "data"))
        if found != declared:
            raise JournalError(f"expected data of {sorted(declared)}, as its descriptor says, got {sorted(found)}")


def _expect(kind: type, doc: Mapping[str, Any], key: str, *, required: bool = True) -> Any:
    value = doc.get(key)
    if not (isinstance(value, kind) or (value is None and not required)):
        raise JournalError(f"expected {key} as {kind.__name__}, got {value!r:.60}")
    return value


def _check_time(doc: Mapping[str, Any]) -> None:
    time = doc.get("time")
    try:
        if isinstance(time, bool) or not isinstance(time, int | float) or not math.isfinite(time):
            raise ValueError
        datetime.fromtimestamp(time).astimezone()
    except (ValueError, OverflowError, OSError):
        raise JournalError(f"expected a time in s since 1970, got {time!r:.60}") from None
