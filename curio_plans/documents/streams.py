"""The streams of a run. Each says here, and only here, what one of its events means and how it is written and read.

To add a stream, add a class: a subclass of :class:`Entry` for what devices record, of :class:`Written` for what the
plan itself has to say. :class:`~curio_plans.documents.history.History` finds it by the name of its stream, and keeps
its events under ``history.of(TheClass)``.
"""

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from agents.pool import Candidates, find_candidates, make_pool
from agents.protocols import Answer, Estimate, Exclusion, Observation, Pool, Steering
from curio_plans.documents.events import DocumentError, Event
from curio_plans.documents.start import is_of_agent
from curio_plans.documents.steering import candidates_of

if TYPE_CHECKING:
    from curio_plans.documents.history import History

IMAGE, POINT, DECISION, MAP, REFERENCE = "image", "primary", "agent", "agent_map", "reference"
REJECTED, REJECTED_IMAGE, EXCLUSION, DRIFT, ANSWER, ESCALATION, ENDING, STEERING, ELSEWHERE = (
    "rejected", "rejected_image", "exclusion", "drift", "answer", "escalation", "ending", "steering", "elsewhere",
)  # fmt: skip
"""Names of the streams; those of the second line exist only where something rare happened."""

STREAMS: "dict[str, type[Entry]]" = {}
"""The class of each stream by its name."""

HUMAN = "human"
"""The phase of a decision that a human made in the agent's place."""

CANDIDATE, ATTEMPT = "candidate", "attempt"
"""Data keys of a point: its pool index, and the attempt number, from 1."""

_AIMED = {CANDIDATE, "target_x", "target_y", "drift_x", "drift_y"}
"""Data keys of a spectrum of a candidate."""


class Entry(ABC):
    """What one event of a stream says. A subclass sets `stream`, reads itself, and may change a history.

    Attributes
    ----------
    stream : str
        The name of the stream.
    """

    stream: ClassVar[str]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "stream" in cls.__dict__:
            STREAMS[cls.stream] = cls

    @classmethod
    def belongs(cls, event: Event) -> bool:  # noqa: ARG003  for streams whose names other plans use, too
        """Tell whether an event of the stream is one of ours; another plan may use the same name for its own."""
        return True

    @classmethod
    @abstractmethod
    def read(cls, event: Event) -> Self:
        """Return what an event of the stream says."""

    def fold(self, history: "History") -> None:  # noqa: B027  most entries change nothing else
        """Change what `history` says of the run; it has kept this entry already."""


class Written(Entry):
    """An event that the plan writes itself.

    Attributes
    ----------
    source : str
        Who says it, the first part of each data key's ``source``.
    shown : tuple of str
        Data keys worth a column in a live table.
    keys : tuple of str
        What each event has, whatever the agent and the version: data keys without the name of the stream.
    """

    source: ClassVar[str] = "plan"
    shown: ClassVar[tuple[str, ...]] = ()
    keys: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def belongs(cls, event: Event) -> bool:
        """Tell whether an event has the data keys of ours; another plan may use the name of the stream for its own."""
        return all(f"{cls.stream}_{key}" in event.data for key in cls.keys)

    def values(self) -> dict[str, Any]:
        """Return numbers, text, booleans and arrays by data key: by default all fields.

        Keys and types are the same for a whole run.
        """
        return _prefix(self.stream, _fields(self))

    def units(self, spectrum_unit: str) -> Mapping[str, str]:  # noqa: ARG002  for those that say something of spectra
        """Return units by data key; a number that is missing here has none."""
        return {}


@dataclass(frozen=True, eq=False)
class Image(Entry):
    """One image.

    Attributes
    ----------
    frame : (C, ny, nx) float32
        Row 0 at y_min.
    channels : tuple of str
        C names.
    area : (x_min, x_max, y_min, y_max)
        In nm, to the outer edges of the pixels.
    time : float
        Instrument time at its end in s.
    places : (M, 2) float64 or None
        Where spectra can be taken, in nm; None for everywhere.
    channel_units : tuple of str
        C units; empty where they were not recorded.
    """

    stream = IMAGE
    frame: NDArray[np.float32]
    channels: tuple[str, ...]
    area: tuple[float, float, float, float]
    time: float
    places: NDArray[np.float64] | None = None
    channel_units: tuple[str, ...] = ()

    @classmethod
    def belongs(cls, event: Event) -> bool:
        """Tell whether the microscope took an image."""
        values = (event.value("imager_frame"), event.value("imager_time"))
        settings = (event.setting("imager_area"), event.setting("imager_channels"))
        return all(found is not None for found in (*values, *settings))

    @classmethod
    def read(cls, event: Event) -> Self:
        """Return the image in an event."""
        x_min, x_max, y_min, y_max = (float(edge) for edge in event.setting("imager_area"))
        places, units = event.setting("imager_places"), event.setting("imager_channel_units")
        return cls(
            frame=np.asarray(event.value("imager_frame"), dtype=np.float32),
            channels=tuple(str(name) for name in event.setting("imager_channels")),
            area=(x_min, x_max, y_min, y_max),
            time=float(event.value("imager_time")),
            places=None if places is None else np.asarray(places, dtype=np.float64),
            channel_units=() if units is None else tuple(str(unit) for unit in units),
        )

    def pool(self, recipe: Mapping[str, Any]) -> Pool:
        """Return the candidates that a recipe makes of this image.

        Raises
        ------
        DocumentError
            If it has not the channels that the recipe names.
        ValueError
            If window and stride do not fit the image.
        """
        unknown = set(recipe["channels"]) - set(self.channels)
        if unknown:
            raise DocumentError(f"the pool needs the channels {sorted(unknown)}, the image has {list(self.channels)}")
        frame = self.frame[[self.channels.index(name) for name in recipe["channels"]]]
        return make_pool(
            frame, self.area, recipe["window"], recipe["stride"], edge=recipe.get("edge", "inside"), places=self.places
        )

    def candidates(self, recipe: Mapping[str, Any]) -> Candidates:
        """Return where the candidates of a recipe lie on this image."""
        shape = (self.frame.shape[1], self.frame.shape[2])
        return find_candidates(
            shape, self.area, recipe["window"], recipe["stride"],
            edge=recipe.get("edge", "inside"), places=self.places,
        )  # fmt: skip

    def fold(self, history: "History") -> None:
        """Make the pool of the first image."""
        history.tell_time(self.time)
        history.stand(replace(history.standing, image=False))
        history.points_before_image = len(history.outcomes)
        if history.pool is not None or history.start is None or not is_of_agent(history.start):
            return
        history.set_pool(self.pool(history.start["pool"]))


@dataclass(frozen=True)
class RejectedImage(Entry):
    """An image with missing pixels.

    Attributes
    ----------
    time : float
        Instrument time at its end in s.
    reason : str
        What is wrong with it.
    """

    stream = REJECTED_IMAGE
    time: float
    reason: str

    @classmethod
    def belongs(cls, event: Event) -> bool:
        """Tell whether the plan rejected an image of the microscope."""
        return event.value("imager_time") is not None and "rejected_image_reason" in event.data

    @classmethod
    def read(cls, event: Event) -> Self:
        """Return what an event says."""
        return cls(float(event.value("imager_time")), str(event.data["rejected_image_reason"]))

    def fold(self, history: "History") -> None:
        """Count its time."""
        history.tell_time(self.time)


@dataclass(frozen=True)
class Aim:
    """The candidate that a spectrum belongs to, and its place; recorded with each spectrum.

    Attributes
    ----------
    candidate : int
        The pool index.
    target : (x, y)
        Its place in the first image in nm.
    drift : (x, y)
        The drift since then in nm; the scanner is sent to target + drift.
    """

    name: ClassVar[str] = "target"
    candidate: int
    target: tuple[float, float]
    drift: tuple[float, float] = (0.0, 0.0)

    def values(self) -> dict[str, Any]:
        """Return the values by data key."""
        (x, y), (dx, dy) = self.target, self.drift
        return {CANDIDATE: self.candidate, "target_x": x, "target_y": y, "drift_x": dx, "drift_y": dy}

    units: ClassVar[Mapping[str, str]] = dict.fromkeys(("target_x", "target_y", "drift_x", "drift_y"), "nm")


@dataclass(frozen=True, eq=False)
class Spectrum(Entry):
    """A measured spectrum, good or bad.

    Attributes
    ----------
    uid : str
        Of the event.
    position : (x, y) or None
        Where it was measured in nm, as the first image shows the place: the drift since then is subtracted from what
        the scanner read back. None where the scanner was not read.
    spectrum : (K,) float64
        What was measured.
    observation : Observation or None
        What an agent can learn from it, at the same place; None where no candidate of a pool was measured.
    attempt : int
        Attempt number, from 1.
    time : float or None
        Instrument time in s; None where the event does not say.
    starts : int
        How many spectra were begun for it: a pause may have interrupted some.
    drift : (x, y)
        The correction in nm with which the scanner was sent there.
    recorded : float
        When the event was recorded, by the clock of the computer, in s since 1970.
    """

    uid: str
    position: tuple[float, float] | None
    spectrum: NDArray[np.float64]
    observation: Observation | None
    attempt: int
    time: float | None
    starts: int
    drift: tuple[float, float]
    recorded: float

    @property
    def candidate(self) -> int | None:
        """The pool index; None where no candidate of a pool was measured."""
        return None if self.observation is None else self.observation.index

    @classmethod
    def belongs(cls, event: Event) -> bool:
        """Tell whether the microscope took a spectrum."""
        return event.value("spectrometer_spectrum") is not None

    @classmethod
    def read(cls, event: Event) -> Self:
        """Return the spectrum in an event."""
        return cls(**cls._parts(event))

    @classmethod
    def _parts(cls, event: Event) -> dict[str, Any]:
        time = event.value("spectrometer_time")
        return {
            "uid": str(event.doc["uid"]),
            "position": _position(event),
            "spectrum": np.asarray(event.value("spectrometer_spectrum"), dtype=np.float64),
            "observation": read_observation(event) if event.data.keys() >= _AIMED else None,
            "attempt": int(event.data.get(ATTEMPT, 1)),
            "time": None if time is None else float(time),
            "starts": int(event.value("spectrometer_starts", 1)),
            "drift": (float(event.data.get("drift_x", 0.0)), float(event.data.get("drift_y", 0.0))),
            "recorded": float(event.doc["time"]),
        }

    def fold(self, history: "History") -> None:
        """Count it and its time."""
        history.tell_time(history.time if self.time is None else self.time)
        history.loops += self.starts


@dataclass(frozen=True, eq=False)
class Point(Spectrum):
    """A good spectrum: an agent learns from it."""

    stream = POINT

    def fold(self, history: "History") -> None:
        """Tell the agent."""
        super().fold(history)
        if self.observation is not None:
            history.observations.append(self.observation)
            history.observation_uids.append(self.uid)
            history.end_decision(self.observation)
            history.append(self.observation)


@dataclass(frozen=True, eq=False)
class Rejected(Spectrum):
    """A spectrum that was not good enough; no agent sees it.

    Attributes
    ----------
    reason : str
        What is wrong with it.
    """

    stream = REJECTED
    reason: str

    @classmethod
    def belongs(cls, event: Event) -> bool:
        """Tell whether the plan rejected a spectrum of the microscope."""
        return super().belongs(event) and "rejected_reason" in event.data

    @classmethod
    def read(cls, event: Event) -> Self:
        """Return the spectrum in an event, and what is wrong with it."""
        return cls(**cls._parts(event), reason=str(event.data["rejected_reason"]))


@dataclass(frozen=True, eq=False)
class Escalated(Spectrum):
    """A more advanced spectrum where the error stayed high."""

    stream = ESCALATION


@dataclass(frozen=True)
class Decision(Written):
    """One decision.

    Attributes
    ----------
    number : int
        0 for the first decision of the run.
    candidate : int
        The pool index decided for.
    position : (x, y)
        Its place in nm.
    phase : str
        The agent's way of choosing.
    score : float
        The acquisition value that won.
    parts : mapping of str to float
        The score's ingredients.
    records : int
        How many records the agent had ingested: prior runs, the pool, observations, exclusions and answers.
    observations : int
        How many of them were observations.
    last_observation : str
        The uid of the last event among them; empty if there was none.
    think_time : float
        Seconds of thinking.
    losses : mapping of str to float
        Training losses.
    map_mse, unmeasured_mse : float
        Mean squared error of the predicted spectra over the pool and over its unmeasured part, where the truth is
        known; else NaN.
    estimate : Estimate or None
        What the agent believed of its error; None where it cannot tell, or could not yet.
    expected_error, median_error : float or None
        The error that the agent expected at the candidate, and its median over the pool; only in runs that escalate,
        NaN where the agent predicts no error.
    place : mapping or None
        Where it was thought, see :func:`agents.place.describe_place`; only in runs whose agent thinks elsewhere.
    model : str
        What the agent found the spectra to support, in words; empty for one that does not choose.
    """

    stream = DECISION
    source = "agent"
    shown = ("agent_score",)
    keys = (
        "candidate", "x", "y", "phase", "score", "records", "observations", "last_observation", "think_time", "map_mse",
        "unmeasured_mse",
    )  # fmt: skip
    number: int
    candidate: int
    position: tuple[float, float]
    phase: str
    score: float
    parts: Mapping[str, float]
    records: int
    observations: int
    last_observation: str
    think_time: float
    losses: Mapping[str, float]
    map_mse: float
    unmeasured_mse: float
    estimate: Estimate | None
    expected_error: float | None = None
    median_error: float | None = None
    place: Mapping[str, Any] | None = None
    model: str = ""

    def values(self) -> dict[str, Any]:
        """Return the values by data key."""
        x, y = self.position
        expected = {} if self.expected_error is None else {"expected_error": self.expected_error}
        median = {} if self.median_error is None else {"median_error": self.median_error}
        place = {} if self.place is None else {"place_json": json.dumps(dict(self.place))}
        return _prefix(
            DECISION,
            {
                "candidate": self.candidate, "x": x, "y": y, "phase": self.phase, "score": self.score,
                **_prefix("part", self.parts),
                "records": self.records, "observations": self.observations, "last_observation": self.last_observation,
                "think_time": self.think_time,
                **_prefix("loss", self.losses),
                "map_mse": self.map_mse, "unmeasured_mse": self.unmeasured_mse, "model": self.model,
                **write_estimate(self.estimate), **expected, **median, **place,
            },
        )  # fmt: skip

    def units(self, spectrum_unit: str) -> Mapping[str, str]:
        """Return the units by data key."""
        squared = squared_unit(spectrum_unit)
        units = {"x": "nm", "y": "nm", "think_time": "s", "map_mse": squared, "unmeasured_mse": squared}
        return _prefix(DECISION, units)

    @classmethod
    def read(cls, event: Event) -> Self:
        """Return the decision in an event."""
        value = _unprefix(DECISION, event.data)
        return cls(
            number=event.number,
            candidate=int(value["candidate"]),
            position=(float(value["x"]), float(value["y"])),
            phase=str(value["phase"]),
            score=float(value["score"]),
            parts={name: float(number) for name, number in _unprefix("part", value).items()},
            records=int(value["records"]),
            observations=int(value["observations"]),
            last_observation=str(value["last_observation"]),
            think_time=float(value["think_time"]),
            losses={name: float(number) for name, number in _unprefix("loss", value).items()},
            map_mse=float(value["map_mse"]),
            unmeasured_mse=float(value["unmeasured_mse"]),
            estimate=read_estimate(value),
            expected_error=value.get("expected_error"),
            median_error=value.get("median_error"),
            place=json.loads(value["place_json"]) if "place_json" in value else None,
            model=str(value.get("model", "")),  # runs of version 0.1 have none
        )

    def fold(self, history: "History") -> None:
        """Take over the estimate; a pick is served with it."""
        history.estimate = self.estimate or history.estimate
        history.serve_pick(by_human=self.phase == HUMAN)


@dataclass(frozen=True, eq=False)
class BeliefMap(Written):
    """What the agent believed at some moment.

    Attributes
    ----------
    observations : int
        How many observations it rests on.
    maps : mapping of str to (N,)
        Score, predicted error … over the pool.
    prediction : (N, K) or None
        Predicted spectra, for an agent with a model.
    estimate : Estimate or None
        What the agent believed of its error; None where it cannot tell, or could not yet.
    mse, unmeasured_mse : float
        As in :class:`Decision`.
    """

    stream = MAP
    source = "agent"
    keys = ("observations", "mse", "unmeasured_mse")
    observations: int
    maps: Mapping[str, NDArray[np.float32]]
    prediction: NDArray[np.float32] | None
    estimate: Estimate | None
    mse: float = math.nan
    unmeasured_mse: float = math.nan

    def values(self) -> dict[str, Any]:
        """Return the values by data key."""
        maps = {name: np.asarray(values, np.float32) for name, values in self.maps.items()}
        prediction = {} if self.prediction is None else {"prediction": np.asarray(self.prediction, np.float32)}
        return _prefix(
            MAP,
            {
                "observations": self.observations, **_prefix("of", maps), **prediction,
                "mse": self.mse, "unmeasured_mse": self.unmeasured_mse, **write_estimate(self.estimate),
            },
        )  # fmt: skip

    def units(self, spectrum_unit: str) -> Mapping[str, str]:
        """Return the units by data key."""
        squared = squared_unit(spectrum_unit)
        return _prefix(MAP, {"prediction": spectrum_unit, "mse": squared, "unmeasured_mse": squared})

    @classmethod
    def read(cls, event: Event) -> Self:
        """Return the maps in an event."""
        value = _unprefix(MAP, event.data)
        prediction = value.get("prediction")
        return cls(
            observations=int(value["observations"]),
            maps={name: np.asarray(array, np.float32) for name, array in _unprefix("of", value).items()},
            prediction=None if prediction is None else np.asarray(prediction, np.float32),
            estimate=read_estimate(value),
            mse=float(value["mse"]),
            unmeasured_mse=float(value["unmeasured_mse"]),
        )

    def fold(self, history: "History") -> None:
        """Take over the estimate."""
        history.observations_mapped = len(history.observations)
        history.estimate = self.estimate or history.estimate


@dataclass(frozen=True, eq=False)
class Reference(Entry):
    """The true spectra over the pool, where they are known: `spectra` (N, K) float64."""

    stream = REFERENCE
    spectra: NDArray[np.float64]

    @classmethod
    def belongs(cls, event: Event) -> bool:
        """Tell whether the microscope knows the spectra."""
        return event.value("reference_spectra") is not None

    @classmethod
    def read(cls, event: Event) -> Self:
        """Return the spectra in an event."""
        return cls(np.asarray(event.value("reference_spectra"), dtype=np.float64))


@dataclass(frozen=True, eq=False)
class Exclusions(Written):
    """Candidates that are not usable.

    Attributes
    ----------
    candidates : (N,) bool
        Which of the pool.
    reason : str
        Why.
    decided : bool
        Whether the agent had decided for the candidate, whose decision ends with this.
    """

    stream = EXCLUSION
    keys = ("candidates", "reason", "decided")
    candidates: NDArray[np.bool_]
    reason: str
    decided: bool

    @classmethod
    def read(cls, event: Event) -> Self:
        """Return what an event says."""
        value = _unprefix(EXCLUSION, event.data)
        return cls(np.asarray(value["candidates"], bool), str(value["reason"]), bool(value["decided"]))

    def fold(self, history: "History") -> None:
        """Tell the agent, one candidate after the other."""
        for index in np.flatnonzero(self.candidates):
            exclusion = Exclusion(int(index), self.reason)
            if self.decided:
                history.end_decision(exclusion)
            history.append(exclusion)


@dataclass(frozen=True)
class Answered(Written):
    """What a human answered to an agent's question."""

    stream = ANSWER
    keys = ("question", "text")
    question: str
    text: str

    @classmethod
    def read(cls, event: Event) -> Self:
        """Return what an event says."""
        value = _unprefix(ANSWER, event.data)
        return cls(str(value["question"]), str(value["text"]))

    def fold(self, history: "History") -> None:
        """Tell the agent."""
        history.append(Answer(self.question, self.text))


@dataclass(frozen=True)
class DriftEstimate(Written):
    """One look at the drift.

    Attributes
    ----------
    time : float
        Instrument time of the image in s.
    shift : (x, y)
        In nm since the first image.
    confidence : float
        Correlation of the two images, −1…1.
    accepted : bool
        Whether the correction follows it.
    """

    stream = DRIFT
    shown = ("drift_measured_x", "drift_measured_y", "drift_confidence")
    keys = ("measured_x", "measured_y", "confidence", "accepted", "time")
    time: float
    shift: tuple[float, float]
    confidence: float
    accepted: bool

    def values(self) -> dict[str, Any]:
        """Return the values by data key."""
        x, y = self.shift
        return _prefix(
            DRIFT,
            {
                "measured_x": x, "measured_y": y, "confidence": self.confidence, "accepted": self.accepted,
                "time": self.time,
            },
        )  # fmt: skip

    def units(self, spectrum_unit: str) -> Mapping[str, str]:  # noqa: ARG002
        """Return the units by data key."""
        return _prefix(DRIFT, {"measured_x": "nm", "measured_y": "nm", "time": "s"})

    @classmethod
    def read(cls, event: Event) -> Self:
        """Return the estimate in an event."""
        value = _unprefix(DRIFT, event.data)
        shift = (float(value["measured_x"]), float(value["measured_y"]))
        return cls(float(value["time"]), shift, float(value["confidence"]), bool(value["accepted"]))


@dataclass(frozen=True)
class Ending(Written):
    """Why a run ended before its last point.

    Attributes
    ----------
    rule : str
        ``"error"``, ``"gain"``, ``"minutes"`` or ``"loops"``, see :class:`curio_plans.rules.StoppingRule`; ``"human"``
        where somebody ended it, ``"candidates"`` where what people excluded leaves none.
    reason : str
        The same for people, limit and value included.
    value : float
        What was compared with the limit.
    records : int
        How many records that rests on.
    """

    stream = ENDING
    keys = ("rule", "reason", "value", "records")
    rule: str
    reason: str
    value: float
    records: int

    def units(self, spectrum_unit: str) -> Mapping[str, str]:  # noqa: ARG002
        """Return the units by data key."""
        return {f"{ENDING}_value": "min"} if self.rule == "minutes" else {}

    @classmethod
    def read(cls, event: Event) -> Self:
        """Return the ending in an event."""
        value = _unprefix(ENDING, event.data)
        return cls(str(value["rule"]), str(value["reason"]), float(value["value"]), int(value["records"]))

    def fold(self, history: "History") -> None:
        """End the run, unless somebody extends it."""
        history.ending = self


@dataclass(frozen=True)
class Steered(Written):
    """One act of a human during the run; see :mod:`curio_plans.documents.acts`.

    Attributes
    ----------
    name : str
        Unique name of the act, under which it is answered.
    act : str
        Its kind.
    values_json : str
        All that was said, as JSON.
    by : str
        Who.
    asked : float
        When, in seconds since 1970.
    decision : int
        The number of the decision before which it counts.
    candidate : int
        The candidate that is meant; −1 for none.
    """

    stream = STEERING
    source = "human"
    name: str
    act: str
    values_json: str
    by: str
    asked: float
    decision: int
    candidate: int = -1

    def units(self, spectrum_unit: str) -> Mapping[str, str]:  # noqa: ARG002
        """Return the units by data key."""
        return {f"{STEERING}_asked": "s"}

    @classmethod
    def read(cls, event: Event) -> Self:
        """Return what an event says."""
        value = _unprefix(STEERING, event.data)
        return cls(
            name=str(value["name"]),
            act=str(value["act"]),
            values_json=str(value["values_json"]),
            by=str(value["by"]),
            asked=float(value["asked"]),
            decision=int(value["decision"]),
            candidate=int(value["candidate"]),
        )

    @classmethod
    def belongs(cls, event: Event) -> bool:
        """Tell whether it is an act of ours."""
        return "steering_values_json" in event.data

    @property
    def said(self) -> dict[str, Any]:
        """All that was said, by name."""
        return dict(json.loads(self.values_json))

    def fold(self, history: "History") -> None:
        """Let it stand, and tell the agent."""
        said, pool = self.said, history.pool
        history.stand(history.standing.after(self.act, said, self.candidate, pool))
        if self.act in ("points", "until"):
            history.ending = None
        history.append(Steering(self.act, candidates_of(self.act, said, self.candidate, pool), self.values_json))


@dataclass(frozen=True)
class Distant(Written):
    """What happened while the place where the agent thinks did not answer, or not yet.

    Attributes
    ----------
    decision : int
        The number of the decision that the run waits for.
    what : str
        ``"waits"`` – the tip is withdrawn, the run goes on waiting; ``"answers"`` – after that, the place has answered;
        ``"again"`` – a human lets the run go on waiting; ``"here"`` – the agent thinks in the run's process from now
        on; ``"ends"`` – the run ends; ``"skipped"`` – the last belief is not recorded.
    reason : str
        Why, in words.
    seconds : float
        How long the run had waited.
    """

    stream = ELSEWHERE
    keys = ("decision", "what", "reason", "seconds")
    decision: int
    what: str
    reason: str
    seconds: float

    def units(self, spectrum_unit: str) -> Mapping[str, str]:  # noqa: ARG002
        """Return the units by data key."""
        return {f"{ELSEWHERE}_seconds": "s"}

    @classmethod
    def read(cls, event: Event) -> Self:
        """Return what an event says."""
        value = _unprefix(ELSEWHERE, event.data)
        return cls(int(value["decision"]), str(value["what"]), str(value["reason"]), float(value["seconds"]))


NOT_YET = Estimate(error=math.nan, low=math.nan, high=math.nan, noise=math.nan, gain=math.nan, checks=0)
"""Written where an agent that estimates its error cannot tell yet; read as None."""


def write_estimate(estimate: Estimate | None) -> dict[str, float | int]:
    """Return an estimate by data key; nothing for an agent that never makes one."""
    if estimate is None:
        return {}
    return {
        "error": float(estimate.error),
        "error_low": float(estimate.low),
        "error_high": float(estimate.high),
        "noise": float(estimate.noise),
        "gain": float(estimate.gain),
        "checks": int(estimate.checks),
    }


def read_estimate(value: Mapping[str, Any]) -> Estimate | None:
    """Return the estimate among values by data key; None if there is none, or none yet."""
    if math.isnan(value.get("error", math.nan)):
        return None
    return Estimate(
        error=float(value["error"]),
        low=float(value["error_low"]),
        high=float(value["error_high"]),
        noise=float(value["noise"]),
        gain=float(value["gain"]),
        checks=int(value["checks"]),
    )


def read_observation(event: Event) -> Observation:
    """Return what an agent can learn from an event with a spectrum of a candidate."""
    data, axis = event.data, event.setting("spectrometer_axis")
    return Observation(
        index=int(data[CANDIDATE]),
        requested=np.array([data["target_x"], data["target_y"]], dtype=np.float64),
        position=np.array([event.value(f"scanner_{name}") - data[f"drift_{name}"] for name in "xy"], dtype=np.float64),
        spectrum=np.asarray(event.value("spectrometer_spectrum"), dtype=np.float64),
        time=float(event.value("spectrometer_time")),
        axis=None if axis is None else np.asarray(axis, dtype=np.float64),
    )


def _position(event: Event) -> tuple[float, float] | None:
    x, y = event.value("scanner_x"), event.value("scanner_y")
    if x is None or y is None:
        return None
    return float(x - event.data.get("drift_x", 0.0)), float(y - event.data.get("drift_y", 0.0))


def squared_unit(unit: str) -> str:
    """Return the unit of a mean squared error of spectra with this unit."""
    return f"({unit})²" if unit else ""


def _fields(entry: Any) -> dict[str, Any]:
    return {field.name: getattr(entry, field.name) for field in fields(entry)}


def _prefix(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{prefix}_{name}": value for name, value in values.items()}


def _unprefix(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    start = f"{prefix}_"
    return {key.removeprefix(start): value for key, value in values.items() if key.startswith(start)}
