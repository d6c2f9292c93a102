"""Going on with a run that ended early: what it must agree on, where it stopped, and the instrument as it was."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from bluesky import plan_stubs as bps
from bluesky.utils import MsgGenerator

from agents.protocols import Answer, Past
from curio_plans import stubs
from curio_plans.documents import (
    ATTEMPT,
    DECISION,
    ESCALATION,
    IMAGE,
    POINT,
    REJECTED,
    REJECTED_IMAGE,
    DocumentError,
    Documents,
    History,
)
from curio_plans.microscope import Microscope
from curio_plans.past import PastError, check_past

_FREE = frozenset({"think_timeout", "map_every"})
"""Arguments that change no decision; a resumed run may have others."""

_WAVEFORM = ("amplitude", "steps_per_cycle", "cycles", "dwell")
_SETTINGS = (*_WAVEFORM, "area", "pixels", "line_rate", "velocity", "settle", "setpoint")
"""What is set on a microscope before a run; the rest of its configuration follows, or is fixed."""


class ResumeError(ValueError):
    """A run that cannot be resumed, or not like this."""


@dataclass(frozen=True, eq=False)
class Earlier:
    """A stored run that is to be resumed.

    Attributes
    ----------
    documents : sequence of (name, document)
        Its own, after those of the runs that it resumes itself.
    history : History
        What they say.
    """

    documents: Documents
    history: History

    @classmethod
    def of(cls, documents: Documents, past: Sequence[Past] = ()) -> "Earlier":
        """Read a stored run; `past` are the runs that its agent learned from.

        Raises
        ------
        ResumeError
            If it is not one of the plan curiosity, or was completed.
        """
        try:
            history = History(documents, past)
        except DocumentError as error:
            raise ResumeError(str(error)) from error
        start = history.start
        if start is None or start.get("plan_name") != "curiosity":
            plan = "no plan at all" if start is None else f"the plan {start.get('plan_name')!r}"
            raise ResumeError(f"only runs of the plan curiosity can be resumed, this is one of {plan}; start a new run")
        if history.stop is not None and history.stop["exit_status"] == "success":
            why = f" ({history.ending.reason})" if history.ending is not None else ""
            raise ResumeError(f"run {start['uid']} was completed{why}; there is nothing to resume")
        return cls(documents, history)

    @property
    def uid(self) -> str:
        """The run that a new one resumes."""
        return str(self.history.start["uid"]) if self.history.start is not None else ""

    @property
    def arguments(self) -> dict[str, Any]:
        """The JSON-able arguments of the plan, the agent's config in full."""
        start = self.history.start
        return {} if start is None else {**start["plan_args"], "agent": dict(start["agent"])}

    @property
    def experiment(self) -> dict[str, Any]:
        """What people said of the experiment, as metadata; empty if nothing."""
        start = self.history.start
        return {"experiment": start["experiment"]} if start is not None and "experiment" in start else {}

    @property
    def escalated(self) -> list[int]:
        """Candidates that were escalated, in order."""
        return [int(event["data"]["candidate"]) for stream, event in events(self.documents) if stream == ESCALATION]

    @property
    def points_since_image(self) -> int:
        """How many points were measured since the last image."""
        decisions = first = 0
        for stream, _ in events(self.documents):
            decisions += stream == DECISION
            if stream == IMAGE:
                first = max(decisions - 1, 0)  # it was taken after the decision for that point
        return len(self.history.outcomes) - first

    def check(self, arguments: Mapping[str, Any], afm: Microscope) -> None:
        """Raise ResumeError unless plan, earlier runs, sample and settings are those of the stored run."""
        differences = _differences(self.arguments, arguments, _FREE)
        if differences:
            raise ResumeError(f"run {self.uid} cannot be resumed with other arguments: {differences}; give the same")
        try:
            check_past(self.history)
        except PastError as error:
            raise ResumeError(f"run {self.uid} cannot be resumed: {error}") from error
        start = self.history.start
        stored, present = start["sample"] if start is not None else {}, afm.describe_sample()
        differences = _differences(stored.get("sample", {}), present.get("sample", {}))
        if differences:
            raise ResumeError(f"run {self.uid} was measured on another sample: {differences}; mount that one")
        now = {key: entry["value"] for device in _devices(afm) for key, entry in device.read_configuration().items()}
        known = {key: value for key, value in self._settings.items() if key in now}
        differences = _differences(known, {key: now[key] for key in known})
        if differences:
            raise ResumeError(f"run {self.uid} was measured with other settings: {differences}; set them back")

    def restore(self, afm: Microscope) -> None:
        """Set a microscope as it was set for the stored run."""
        for device in _devices(afm):
            for key in device.read_configuration():
                name = key.removeprefix(f"{device.name}_")
                if name in _SETTINGS and key in self._settings:
                    getattr(device, name).put(self._settings[key])

    def looked_ahead(self) -> int | None:
        """Return how many records the next decision rests on, if it was begun while the last point was measured.

        None if it rests on all: a human has answered since.
        """
        history = self.history
        if not history.decisions:
            return None
        upto = history.records.index(history.outcomes[-1])
        return None if any(isinstance(record, Answer) for record in history.records[upto:]) else upto

    @property
    def _settings(self) -> dict[str, Any]:
        """What the baseline, and for the streams that there are their descriptors, say of the configuration."""
        baseline = [event["data"] for stream, event in events(self.documents) if stream == "baseline"]
        settings = dict(baseline[0]) if baseline else {}
        for stream in (IMAGE, POINT):
            settings |= self.history.configuration.get(stream, {})
        return settings


def _devices(afm: Microscope) -> list[Any]:
    return [afm.imager, afm.spectrometer, afm.scanner, afm.tip]


def is_fresh(afm: Microscope) -> bool:
    """Tell whether this is a simulated instrument with which nothing was measured yet."""
    times = [afm.imager.read()[f"{afm.imager.name}_time"], afm.spectrometer.read()[f"{afm.spectrometer.name}_time"]]
    return afm.reference.available and all(np.isnan(entry["value"]) for entry in times)


def rebuild(afm: Microscope, documents: Documents) -> MsgGenerator[None]:
    """Bring a fresh simulated instrument into the state in which a stored run left it.

    What the stored events imply is done again in order: images, moves, spectra, those that were rejected, too. So
    clock, noise, wear and memory of the sample are as they were. Nothing is emitted, and what is measured is compared
    with what is stored. The dose log does not count these spectra again.

    Raises
    ------
    ResumeError
        That names the first event for which the two differ.
    """
    yield from bps.clear_checkpoint()  # rewound, this would be done twice
    for stream, event in events(documents):
        if stream in (IMAGE, REJECTED_IMAGE, POINT, REJECTED, ESCALATION):
            loops = event["data"].get(f"{afm.tip.name}_loops")
            with afm.replaying(None if loops is None else int(loops) - 1):
                yield from _measure_again(afm, stream, event)


def _measure_again(afm: Microscope, stream: str, event: Mapping[str, Any]) -> MsgGenerator[None]:
    """Measure what is stored in `event`, and compare."""
    if stream in (IMAGE, REJECTED_IMAGE):
        devices: list[Any] = [afm.imager]
    else:
        devices = [afm.spectrometer, afm.scanner, afm.tip]
        data, scanner = event["data"], afm.scanner.name
        if data.get(ATTEMPT, 1) > 1:
            yield from stubs.withdraw(afm)
        yield from bps.mv(afm.scanner, (data[f"{scanner}_x_setpoint"], data[f"{scanner}_y_setpoint"]))
    before = yield from _shape(afm.spectrometer, event["waveform"])
    yield from bps.mv(afm.tip, "engaged")
    yield from stubs.measure_once(devices[0])
    for device in devices:
        reading = yield from bps.read(device)
        _compare(event, stream, reading or {})
    yield from _shape(afm.spectrometer, before)


def events(documents: Documents) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield stream and document of each event; the document has the settings of the waveform as ``waveform``."""
    descriptors: dict[str, Mapping[str, Any]] = {}
    for name, doc in documents:
        if name == "descriptor":
            descriptors[doc["uid"]] = doc
        elif name == "event":
            descriptor = descriptors[doc["descriptor"]]
            devices = descriptor["configuration"].values()
            settings = {key: value for device in devices for key, value in device["data"].items()}
            waveform = {key: value for key, value in settings.items() if key.endswith(_WAVEFORM)}
            yield descriptor["name"], {**doc, "waveform": waveform}


def _shape(spectrometer: Any, waveform: Mapping[str, Any]) -> MsgGenerator[dict[str, Any]]:
    """Set the waveform where it is another one; return what it was."""
    now = {key: entry["value"] for key, entry in spectrometer.read_configuration().items()}
    changed = {key: value for key, value in waveform.items() if key in now and now[key] != value}
    for key, value in changed.items():
        yield from bps.mv(getattr(spectrometer, key.removeprefix(f"{spectrometer.name}_")), value)
    return {key: now[key] for key in changed}


def _compare(event: Mapping[str, Any], stream: str, reading: Mapping[str, Any]) -> None:
    for key, entry in reading.items():
        stored, present = event["data"].get(key), entry["value"]
        if not _same(stored, present):
            raise ResumeError(
                f"the instrument cannot be brought into the state of the stored run: at event {event['seq_num']} of "
                f"the stream {stream!r} ({event['uid']}) {key} was {_short(stored)}, and is {_short(present)} now. Was "
                "the run paused, or is this another sample, seed or version? rebuild=False goes on with the instrument "
                "as it is"
            )


def _differences(stored: Mapping[str, Any], present: Mapping[str, Any], free: frozenset[str] = frozenset()) -> str:
    """Name what differs; lists and tuples are the same."""
    keys = [key for key in (*stored, *(key for key in present if key not in stored)) if key not in free]
    return ", ".join(
        f"{key} was {_short(stored.get(key))}, is {_short(present.get(key))}"
        for key in keys
        if not _same(stored.get(key), present.get(key))
    )


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        one, other = np.asarray(one), np.asarray(other)
        numbers = one.dtype.kind == other.dtype.kind == "f"
        return bool(np.array_equal(one, other, equal_nan=numbers))
    plain = [
        json.dumps(value, sort_keys=True, default=lambda item: np.asarray(item).tolist()) for value in (one, other)
    ]
    return plain[0] == plain[1]


def _short(value: Any) -> str:
    return np.array2string(value, threshold=6, edgeitems=2) if isinstance(value, np.ndarray) else repr(value)
