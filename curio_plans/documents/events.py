"""The events of a run, each once, with the descriptor that explains them."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import event_model
from event_model import EventPage

Document = tuple[str, Mapping[str, Any]]
"""Name and content of an event document."""

Documents = Sequence[Document]

Stored = Callable[[str], Documents]
"""Takes the uid of a stored run; returns its documents after those of the runs that it resumes.

It raises LookupError if there is no such run.
"""

_MARKS = ("_imager_frame", "_spectrometer_spectrum", "_reference_spectra")
"""How data keys of a microscope end; what precedes is its name."""


class DocumentError(ValueError):
    """Documents that are not those of a run an agent can learn from."""


@dataclass(frozen=True, eq=False)
class Event:
    """One event.

    Attributes
    ----------
    stream : str
        The name of its stream.
    doc, descriptor : mapping
        The event document and its descriptor.
    microscope : str
        The name of the microscope, the prefix of its data keys; empty if the run has none.
    number : int
        0 for the first event of the stream. The events of a run that resumes another are counted on.
    """

    stream: str
    doc: Mapping[str, Any]
    descriptor: Mapping[str, Any]
    microscope: str
    number: int

    @property
    def data(self) -> Mapping[str, Any]:
        """Values by data key."""
        return self.doc["data"]  # type: ignore[no-any-return]

    @property
    def configuration(self) -> dict[str, Any]:
        """Configuration of all devices by key."""
        return settings_of(self.descriptor)

    def value(self, part: str, default: Any = None) -> Any:
        """Return a value of the microscope, e.g. ``imager_frame``."""
        return self.data.get(f"{self.microscope}_{part}", default)

    def setting(self, part: str) -> Any:
        """Return a configuration value of the microscope, e.g. ``imager_area``; None where there is none."""
        return self.configuration.get(f"{self.microscope}_{part}")


class Events:
    """Finds the events in a sequence of documents; call it with each document in turn.

    After a pause the RunEngine may repeat what followed the last checkpoint, with the same sequence numbers. A repeated
    event counts once: the first that completed.

    Attributes
    ----------
    start : mapping or None
        The last start document.
    descriptors : dict of str to mapping
        All descriptors so far by uid, in order.
    """

    def __init__(self) -> None:
        self.start: Mapping[str, Any] | None = None
        self.descriptors: dict[str, Mapping[str, Any]] = {}
        self._seen: set[tuple[str, str, int]] = set()
        self._counts: Counter[str] = Counter()
        self._microscope = ""

    def __call__(self, name: str, doc: Mapping[str, Any]) -> list[Event]:
        """Take the next document; return the events in it that are new.

        Raises
        ------
        DocumentError
            If an event comes before its descriptor.
        """
        if name == "start":
            self.start = doc
            self._microscope = str(doc.get("microscope", ""))
        elif name == "descriptor":
            self.descriptors[doc["uid"]] = doc
            self._microscope = _microscope_of(doc) or self._microscope
        elif name == "event":
            return self._new(doc)
        elif name == "event_page":
            unpacked = event_model.unpack_event_page(cast("EventPage", doc))
            return [found for event in unpacked for found in self._new(event)]
        return []

    @property
    def microscope(self) -> str:
        """The name of the microscope, from the data keys, before them from the start document; empty without both."""
        return self._microscope

    def _new(self, doc: Mapping[str, Any]) -> list[Event]:
        if self.start is None:
            raise DocumentError("expected the start document of a run first, got an event")
        descriptor = self.descriptors.get(doc["descriptor"])
        if descriptor is None:
            raise DocumentError(
                f"event {doc['uid']} comes before its descriptor, or that is missing: the documents are not in order; "
                "read the run from its journal, or repair it with curio recover"
            )
        place = (descriptor["run_start"], descriptor["name"], doc["seq_num"])
        if place in self._seen:
            return []
        self._seen.add(place)
        stream = str(descriptor["name"])
        self._counts[stream] += 1
        return [Event(stream, doc, descriptor, self.microscope, self._counts[stream] - 1)]


def events(documents: Iterable[Document]) -> Iterator[Event]:
    """Yield the events in `documents`, each once; raises as :class:`Events`."""
    reader = Events()
    for name, doc in documents:
        yield from reader(name, doc)


def settings_of(descriptor: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration of all devices of a descriptor by key."""
    return {
        key: value for device in descriptor.get("configuration", {}).values() for key, value in device["data"].items()
    }


def _microscope_of(descriptor: Mapping[str, Any]) -> str:
    found = (key.removesuffix(mark) for key in descriptor["data_keys"] for mark in _MARKS if key.endswith(mark))
    return next(found, "")
