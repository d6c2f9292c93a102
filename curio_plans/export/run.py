"""The documents of a run as columns, from which every kind of file is written."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import event_model
import numpy as np
from numpy.typing import NDArray

from curio_plans.documents.events import Document, Events
from curio_plans.documents.history import History
from curio_plans.documents.streams import IMAGE, POINT, Point

_KINDS = ("start", "descriptor", "event", "event_page", "stop")
"""Kinds of documents whose data are in the documents."""


class ExportError(ValueError):
    """A run that cannot become this kind of file."""


class Stream:
    """The events of one stream as columns.

    Parameters
    ----------
    descriptor : mapping
        The last descriptor of the stream.
    events : list of mapping
        Its event documents, in order.

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
        The last configuration of the run.
    """

    def __init__(self, descriptor: Mapping[str, Any], events: list[Mapping[str, Any]]) -> None:
        self.name = str(descriptor["name"])
        self.data_keys: Mapping[str, Mapping[str, Any]] = descriptor["data_keys"]
        self.columns = {key: _column(self.name, key, events, self.data_keys[key]) for key in self.data_keys}
        self.timestamps = {key: np.array([event["timestamps"][key] for event in events]) for key in self.data_keys}
        self.time = np.array([event["time"] for event in events], np.float64)
        self.seq_num = np.array([event["seq_num"] for event in events], np.int64)
        self.uids = [str(event["uid"]) for event in events]
        self.configuration: dict[str, tuple[Any, Mapping[str, Any]]] = {
            key: (value, device["data_keys"].get(key, {}))
            for device in descriptor.get("configuration", {}).values()
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
        What the documents mean: images, spectra, pool, beliefs.

    Raises
    ------
    ExportError
        If these are not the documents of one run, or they refer to other files.
    FormatError
        If a later version wrote them.
    """

    def __init__(self, documents: Iterable[Document]) -> None:
        documents = list(documents)
        if not documents or documents[0][0] != "start":
            found = documents[0][0] if documents else "nothing"
            raise ExportError(f"expected the documents of one run, a start document first, got {found}")
        self.history = History()
        reader, found_in = Events(), dict[str, list[Mapping[str, Any]]]()
        for name, doc in documents:
            if name not in _KINDS:
                raise ExportError(f"this run has data in other files (a {name} document); only its own can be exported")
            self.history(name, doc)
            if name == "descriptor":
                found_in.setdefault(doc["name"], [])
            for event in reader(name, doc):
                found_in[event.stream].append(event.doc)
        self.start, self.stop = mapping(self.history.start), mapping(self.history.stop)
        self.descriptors = list(reader.descriptors.values())
        last = {doc["name"]: doc for doc in self.descriptors}
        self.streams = {name: Stream(last[name], events) for name, events in found_in.items()}

    @property
    def microscope(self) -> str:
        """Prefix of the microscope's data keys; empty for a run without one."""
        return self.history.microscope

    @property
    def version(self) -> str:
        """The version of curio-plans that measured it."""
        return str(self.told("versions").get("curio-plans", "unknown"))

    def told(self, key: str) -> Mapping[str, Any]:
        """Return a block of the start document, e.g. ``experiment``; empty where it is missing or no block."""
        return mapping(self.start.get(key))

    @property
    def frame(self) -> NDArray[Any]:
        """The last image (C, ny, nx) of a run that has one."""
        frames = self.streams[IMAGE].columns[f"{self.microscope}_imager_frame"]
        return np.asarray(frames[-1])

    @property
    def channels(self) -> list[tuple[str, str]]:
        """Names and units of the channels of the last image."""
        units = self.configured(IMAGE, "imager_channel_units")
        return [(name, str(unit)) for name, unit in zip(self.history.images[-1].channels, units, strict=True)]

    @property
    def has_spectra(self) -> bool:
        """Whether the microscope took spectra, and the scanner was read with each."""
        points = self.history.of(Point)
        return bool(points) and all(point.position is not None for point in points)

    def point(self, part: str) -> NDArray[Any]:
        """Return a column of the points, e.g. ``scanner_x``."""
        return self.streams[POINT].columns[f"{self.microscope}_{part}"]

    def configured(self, stream: str, part: str) -> Any:
        """Return a configuration value of the microscope, e.g. ``spectrometer_dwell``; None where the run has none."""
        if stream not in self.streams:
            return None
        return self.streams[stream].configuration.get(f"{self.microscope}_{part}", (None,))[0]

    def unit(self, part: str) -> str:
        """Return the unit of a column of the points, e.g. ``spectrometer_height``."""
        return str(self.streams[POINT].data_keys[f"{self.microscope}_{part}"].get("units") or "")


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


def mapping(value: Any) -> Mapping[str, Any]:
    """Return `value` if it is a mapping, else an empty one; plans of a user's own may keep anything in a document."""
    return value if isinstance(value, Mapping) else {}


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
