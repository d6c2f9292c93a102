"""Going on with a run that ended early: what it must agree on, where it stopped, and the instrument as it was."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from bluesky import plan_stubs as bps
from bluesky.utils import MsgGenerator

from agents.protocols import Answer, Past, Steering
from curio_plans.documents.events import DocumentError, Documents, Event, events
from curio_plans.documents.history import History
from curio_plans.documents.prior_runs import PriorRunError, check_prior_runs
from curio_plans.documents.streams import ATTEMPT, ESCALATION, IMAGE, POINT, REJECTED, REJECTED_IMAGE
from curio_plans.rules.request import RunRequest
from curio_plans.run import stubs
from curio_plans.run.microscope import Microscope

_WAVEFORM = ("amplitude", "steps_per_cycle", "cycles", "distance", "points", "dwell", "quantity")
_SETTINGS = (*_WAVEFORM, "area", "pixels", "line_rate", "velocity", "settle", "setpoint")
"""What is set on a microscope before a run; the rest of its configuration follows, or is fixed."""


class ResumeError(ValueError):
    """A run that cannot be resumed, or not like this."""


@dataclass(frozen=True, eq=False)
class ResumedRun:
    """A stored run that is to be resumed.

    Attributes
    ----------
    documents : sequence of (name, document)
        Its own, after those of the runs that it resumes itself.
    history : History
        What they say.
    start : mapping
        Its start document.
    points : int or None
        Spectra to measure in total; None for as many as it was asked for.
    """

    documents: Documents
    history: History
    start: Mapping[str, Any]
    points: int | None = None

    @classmethod
    def of(cls, documents: Documents, past: Sequence[Past] = (), points: int | None = None) -> "ResumedRun":
        """Read a stored run.

        Parameters
        ----------
        documents : sequence of (name, document)
            Its own, after those of the runs that it resumes itself.
        past : sequence of Past
            The prior runs of its agent.
        points : int, optional
            Spectra to measure in total; by default as many as it was asked for.

        Raises
        ------
        ResumeError
            If it is not one of the plan curiosity, was completed and no more points are asked for, or has more already.
        """
        try:
            history = History(documents, past)
        except DocumentError as error:
            raise ResumeError(str(error)) from error
        start = history.start
        if start is None or start.get("plan_name") != "curiosity":
            plan = "no plan at all" if start is None else f"the plan {start.get('plan_name')!r}"
            raise ResumeError(f"only runs of the plan curiosity can be resumed, this is one of {plan}; start a new run")
        done = len(history.decisions)
        if points is not None and points < max(done, 1):
            raise ResumeError(f"expected at least {max(done, 1)} points, as many as are decided already; got {points}")
        completed = history.stop is not None and history.stop["exit_status"] == "success"
        if completed and (points is None or points <= done):
            why = f" ({history.ending.reason})" if history.ending is not None else ""
            raise ResumeError(
                f"run {start['uid']} was completed{why}; there is nothing to resume, unless you ask for more than its "
                f"{done} points"
            )
        return cls(documents, history, start, points)

    @property
    def uid(self) -> str:
        """The run that a new one resumes."""
        return str(self.start["uid"])

    @cached_property
    def request(self) -> RunRequest:
        """What the run was asked to do.

        Raises
        ------
        ResumeError
            If its start document does not say so in a form that this version knows.
        """
        try:
            stored = RunRequest.of_start(self.start)
            return stored.replace(points=self.history.budget if self.points is None else self.points)
        except (KeyError, TypeError, ValueError) as error:
            raise ResumeError(
                f"run {self.uid} cannot be resumed: its start document does not hold the arguments of a run ({error}); "
                "start a new run, which may learn from it"
            ) from error

    @property
    def experiment(self) -> dict[str, Any]:
        """What people said of the experiment, as metadata; empty if nothing."""
        return {"experiment": self.start["experiment"]} if "experiment" in self.start else {}

    @property
    def envelope(self) -> dict[str, Any]:
        """The limits that the instrument had, as the baseline says; empty where it does not."""
        stored = self._settings.get(f"{self.start.get('microscope', 'afm')}_envelope", "")
        return dict(json.loads(stored)) if stored else {}

    def check(self, afm: Microscope) -> None:
        """Raise ResumeError unless prior runs, sample and settings are those of the stored run."""
        try:
            check_prior_runs(self.start, self.history.past)
        except PriorRunError as error:
            raise ResumeError(f"run {self.uid} cannot be resumed: {error}") from error
        stored, present = self.start["sample"], afm.describe_sample()
        differences = _differences(*(_without_words(one.get("sample", {})) for one in (stored, present)))
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

        None if it rests on all: a human has answered or asked for something since.
        """
        history = self.history
        if not history.decisions:
            return None
        upto = history.records.index(history.outcomes[-1])
        return None if any(isinstance(record, Answer | Steering) for record in history.records[upto:]) else upto

    @cached_property
    def _settings(self) -> dict[str, Any]:
        """What the baseline, and for the streams that there are their descriptors, say of the configuration."""
        baseline = next((event.data for event in events(self.documents) if event.stream == "baseline"), {})
        settings = dict(baseline)
        for stream in (IMAGE, POINT):
            settings |= self.history.configuration.get(stream, {})
        return settings


def _devices(afm: Microscope) -> list[Any]:
    return [afm.imager, afm.spectrometer, afm.scanner, afm.tip]


def is_fresh(afm: Microscope) -> bool:
    """Tell whether this is a simulated instrument with which nothing was measured yet."""
    devices: list[Any] = [afm.imager, afm.spectrometer]
    times = [device.read()[f"{device.name}_time"] for device in devices]
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
    for event in events(documents):
        if event.stream in (IMAGE, REJECTED_IMAGE, POINT, REJECTED, ESCALATION):
            loops = event.data.get(f"{afm.tip.name}_loops")
            with afm.replaying(None if loops is None else int(loops) - 1):
                yield from _measure_again(afm, event)


def _measure_again(afm: Microscope, event: Event) -> MsgGenerator[None]:
    """Measure what is stored in `event`, and compare."""
    if event.stream in (IMAGE, REJECTED_IMAGE):
        devices: list[Any] = [afm.imager]
    else:
        devices = [afm.spectrometer, afm.scanner, afm.tip]
        if event.data.get(ATTEMPT, 1) > 1:
            yield from stubs.withdraw(afm)
        scanner = afm.scanner.name
        yield from bps.mv(afm.scanner, (event.data[f"{scanner}_x_setpoint"], event.data[f"{scanner}_y_setpoint"]))
    waveform = {key: value for key, value in event.configuration.items() if key.endswith(_WAVEFORM)}
    before = yield from _shape(afm.spectrometer, waveform)
    yield from bps.mv(afm.tip, "engaged")
    yield from stubs.measure_once(devices[0])
    for device in devices:
        reading = yield from bps.read(device)
        _compare(event, reading or {})
    yield from _shape(afm.spectrometer, before)


def _shape(spectrometer: Any, waveform: Mapping[str, Any]) -> MsgGenerator[dict[str, Any]]:
    """Set the waveform where it is another one; return what it was."""
    now = {key: entry["value"] for key, entry in spectrometer.read_configuration().items()}
    changed = {key: value for key, value in waveform.items() if key in now and now[key] != value}
    for key, value in changed.items():
        yield from bps.mv(getattr(spectrometer, key.removeprefix(f"{spectrometer.name}_")), value)
    return {key: now[key] for key in changed}


def _compare(event: Event, reading: Mapping[str, Any]) -> None:
    for key in reading.keys() & event.data.keys():  # an earlier version recorded fewer
        stored, present = event.data[key], reading[key]["value"]
        if not _same(stored, present):
            raise ResumeError(
                f"the instrument cannot be brought into the state of the stored run: at event {event.doc['seq_num']} "
                f"of the stream {event.stream!r} ({event.doc['uid']}) {key} was {_short(stored)}, and is "
                f"{_short(present)} now. Was the run paused, or is this another sample, seed or version? rebuild=False "
                "goes on with the instrument as it is"
            )


_WORDS = ("notes", "format", "unused_keys", "possible_axes")
"""What is said of a sample and may be said otherwise; checksum, shapes and choices tell which it is."""


def _without_words(described: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in described.items() if key not in _WORDS}


def _differences(stored: Mapping[str, Any], present: Mapping[str, Any]) -> str:
    """Name what differs; lists and tuples are the same."""
    keys = [*stored, *(key for key in present if key not in stored)]
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
