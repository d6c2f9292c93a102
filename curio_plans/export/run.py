"""The documents of a run as columns: what every kind of file is written from."""

import json
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

import event_model
import numpy as np
from numpy.typing import NDArray

from curio_plans.documents.events import Events
from curio_plans.documents.history import History
from curio_plans.documents.start import check_format
from curio_plans.documents.streams import IMAGE, POINT


class ExportError(ValueError):
    """A run that cannot become this kind of file."""


class Stream:
    """The events of one stream as columns.

    Attributes
    ----------
    name : str
        Its name.
    data_keys : mapping
        Units, shapes and types of the columns.
    columns, timestamps : mapping of str to (n, …) and (n,) float64
        Values and their timestamps by data key.
    time : (n,) float64
        Seconds since 1970.
    seq_num : (n,) int64
        From 1.
    uids : list of str
        Of the events.
    configuration : mapping of str to (value, data key)
        The last of the run.
    """

    def __init__(self, name: str, descriptors: list[Mapping[str, Any]], events: list[Mapping[str, Any]]) -> None:
        self.name = name
        self.data_keys: Mapping[str, Mapping[str, Any]] = descriptors[-1]["data_keys"]
        self.columns = {key: _column(name, key, events, self.data_keys[key]) for key in self.data_keys}
        self.timestamps = {key: np.array([event["timestamps"][key] for event in events]) for key in self.data_keys}
        self.time = np.array([event["time"] for event in events], np.float64)
        self.seq_num = np.array([event["seq_num"] for event in events], np.int64)
        self.uids = [str(event["uid"]) for event in events]
        self.configuration: dict[str, tuple[Any, Mapping[str, Any]]] = {
            key: (value, device["data_keys"].get(key, {}))
            for device in descriptors[-1].get("configuration", {}).values()
            for key, value in device["data"].items()
        }

    def __len__(self) -> int:
        return len(self.time)


class Run:
    """One run, read from its documents, which may follow those of the runs that it resumes.

    Attributes
    ----------
    start, stop : mapping
        The start document, and the stop document; the latter is empty for a run that was killed. Where it resumes
        others, its own.
    descriptors : list of mapping
        In order.
    streams : mapping of str to Stream
        By name.
    history : History
        The same documents, as agents see them.

    Raises
    ------
    ExportError
        If these are not the documents of one run, or they refer to other files.
    FormatError
        If a later version wrote them.
    """

    def __init__(self, documents: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        documents = list(documents)
        if not documents or documents[0][0] != "start":
            found = documents[0][0] if documents else "nothing"
            raise ExportError(f"expected the documents of one run, a start document first, got {found}")
        self.start: Mapping[str, Any] = {}
        self.stop: Mapping[str, Any] = {}
        self.descriptors: list[Mapping[str, Any]] = []
        self._documents = documents
        reader = Events()
        events: dict[str, list[Mapping[str, Any]]] = {}
        for name, doc in documents:
            if name == "start":
                check_format(doc)
                self.start, self.stop = doc, {}
            elif name == "stop":
                self.stop = doc
            elif name == "descriptor":
                self.descriptors.append(doc)
                events.setdefault(doc["name"], [])
            elif name not in ("event", "event_page"):
                raise ExportError(f"this run has data in other files (a {name} document); only its own can be exported")
            for event in reader(name, doc):
                events[event.stream].append(event.doc)
        self.streams = {
            name: Stream(name, [doc for doc in self.descriptors if doc["name"] == name], found)
            for name, found in events.items()
        }

    @cached_property
    def history(self) -> History:
        """The documents as agents see them."""
        return History(self._documents)

    @property
    def microscope(self) -> str:
        """Prefix of the microscope's data keys; empty for a run of another plan."""
        return str(self.start.get("microscope", ""))

    @property
    def version(self) -> str:
        """Our version, with which it was measured."""
        return str(self.start.get("versions", {}).get("curio-plans", "unknown"))

    def configured(self, stream: str, part: str) -> Any:
        """Return a configuration value of the microscope, e.g. ``imager_area``; None where the run has none."""
        if stream not in self.streams:
            return None
        return self.streams[stream].configuration.get(f"{self.microscope}_{part}", (None,))[0]

    @property
    def channels(self) -> tuple[list[str], list[str]]:
        """Names and units of the image's channels."""
        names, units = (self.configured(IMAGE, f"imager_{part}") for part in ("channels", "channel_units"))
        return [str(name) for name in names], [str(unit) for unit in units]

    @property
    def has_frame(self) -> bool:
        """Whether the microscope took an image."""
        return self._has(IMAGE, "imager_frame")

    @property
    def has_spectra(self) -> bool:
        """Whether the microscope took spectra."""
        return self._has(POINT, "spectrometer_spectrum")

    def point(self, part: str) -> NDArray[Any]:
        """Return a column of the points, e.g. ``scanner_x``."""
        return self.streams[POINT].columns[f"{self.microscope}_{part}"]

    def unit(self, stream: str, part: str) -> str:
        """Return the unit of a data key, or configuration key, of the microscope."""
        key = f"{self.microscope}_{part}"
        found = self.streams[stream]
        declared = found.data_keys.get(key) or found.configuration.get(key, (None, {}))[1]
        return str(declared.get("units") or "")

    def _has(self, stream: str, part: str) -> bool:
        return stream in self.streams and bool(len(self.streams[stream].columns.get(f"{self.microscope}_{part}", ())))


def _column(stream: str, key: str, events: list[Mapping[str, Any]], declared: Mapping[str, Any]) -> NDArray[Any]:
    kind = declared.get("dtype_numpy")
    values = [np.asarray(event["data"][key], kind if isinstance(kind, str) else None) for event in events]
    shapes = {value.shape for value in values}
    if len(shapes) > 1:
        raise ExportError(
            f"{key} changes its shape during the stream {stream} ({sorted(shapes)}); no column holds that"
        )
    if values:
        return np.stack(values)
    return np.empty((0, *(length or 0 for length in declared["shape"])), kind if isinstance(kind, str) else None)


TAKEN = ("x", "y", "point", "spectrum", "spectra", "on_field")
"""Names in our files that no channel or axis may have."""


def field_names(names: Iterable[str]) -> list[str]:
    """Return names that HDF5 and NeXus accept, none twice and none of :data:`TAKEN`."""
    fields: list[str] = []
    for name in names:
        field = re.sub(r"\W", "_", name, flags=re.ASCII) or "_"
        fields.append(f"{field}_{len(fields) + 1}" if field in (*fields, *TAKEN) else field)
    return fields


def to_json(value: Any) -> str:
    """Return a document as JSON, arrays as lists."""
    return json.dumps(value, cls=event_model.NumpyEncoder)
