"""From event documents to what an agent lives on. A live run, a replay and a report all read documents here.

That the live agent sees the world only through :class:`History` is what makes a replay evidence.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.pool import make_pool
from agents.protocols import Answer, Context, Estimate, Exclusion, Observation, Past, Pool, Record
from curio_plans.metadata import check_format

IMAGE, POINT, DECISION, MAP, REFERENCE = "image", "primary", "agent", "agent_map", "reference"
REJECTED, REJECTED_IMAGE, EXCLUSION, DRIFT, ANSWER, ESCALATION, ENDING = (
    "rejected", "rejected_image", "exclusion", "drift", "answer", "escalation", "ending",
)  # fmt: skip
"""The streams of a run; those of the second line only where something rare happened."""

CANDIDATE, ATTEMPT = "candidate", "attempt"
"""Data keys of a point: its pool index, and the how manyth attempt at it this is."""

Documents = Sequence[tuple[str, Mapping[str, Any]]]

Stored = Callable[[str], Documents]
"""Takes the uid of a stored run; returns its documents after those of the runs that it resumes itself.

It raises LookupError if there is no such run.
"""


class DocumentError(ValueError):
    """Documents that are not those of a run an agent can learn from."""


@dataclass(frozen=True)
class Decision:
    """One decision as the ``agent`` stream keeps it.

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
        How many records the agent had ingested: earlier runs, the pool, observations, exclusions and answers.
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
    """

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


@dataclass(frozen=True, eq=False)
class BeliefMap:
    """What the agent believed at some moment: one event of the ``agent_map`` stream.

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
    """

    observations: int
    maps: Mapping[str, NDArray[np.float32]]
    prediction: NDArray[np.float32] | None
    estimate: Estimate | None


@dataclass(frozen=True, eq=False)
class Image:
    """One image: an event of the ``image`` stream.

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
    """

    frame: NDArray[np.float32]
    channels: tuple[str, ...]
    area: tuple[float, float, float, float]
    time: float


@dataclass(frozen=True, eq=False)
class Rejected:
    """A spectrum that was not good enough: an event of the ``rejected`` stream."""

    observation: Observation
    attempt: int
    reason: str


@dataclass(frozen=True)
class DriftEstimate:
    """One look at the drift: an event of the ``drift`` stream; `shift` (x, y) in nm since the first image."""

    time: float
    shift: tuple[float, float]
    confidence: float
    accepted: bool


@dataclass(frozen=True)
class Ending:
    """Why a run ended before its last point: an event of the ``ending`` stream.

    Attributes
    ----------
    rule : str
        ``"error"``, ``"gain"``, ``"minutes"`` or ``"loops"``; see :class:`curio_plans.until.StoppingRule`.
    reason : str
        The same for people, limit and value included.
    value : float
        What was compared with the limit.
    records : int
        How many records that rests on.
    """

    rule: str
    reason: str
    value: float
    records: int


class History:
    """A fold over the documents of one run; itself a document callback ``history(name, doc)``.

    The documents of a run that resumes another come after those of the other, and the two count as one.

    Parameters
    ----------
    documents : iterable of (name, document)
        The first of them; others may follow by calls.
    past : sequence of Past
        The runs that the agent learned from before; see :mod:`curio_plans.past`.

    Attributes
    ----------
    start, stop : dict or None
        The start and stop documents.
    images : list of Image
        In order. The first one makes the pool: candidates are places on the sample.
    pool : Pool or None
        The candidates, once an image was taken.
    records : list of Record
        What an agent ingests, in order; first the earlier runs that it learns from.
    time : float
        The latest instrument time in s that an event of this run told.
    spans : list of (first, last)
        The first and the last instrument time in s that events told, of the run and of each that it resumes; of two
        with a clock that went on, as that of a simulated instrument that was rebuilt, together.
    loops : int
        How many spectra were begun: rejected ones, escalations, and what a pause interrupted included.
    observations : list of Observation
        In the order in which they were measured.
    observation_uids : list of str
        The uid of the event each came from.
    decisions : list of Decision
        In order.
    outcomes : list of Observation or Exclusion
        How each decision ended, in the same order; shorter where some have not ended.
    maps : list of BeliefMap
        In order.
    estimate : Estimate or None
        What the agent last believed of its error, with a decision or a map; None where it never told.
    rejected : list of Rejected
        Spectra that no agent saw, in order.
    drifts : list of DriftEstimate
        In order.
    ending : Ending or None
        Why the run ended before its last point, where a rule has ended it.
    reference : (N, K) float64 or None
        The true spectra over the pool, where they are known.
    """

    def __init__(self, documents: Iterable[tuple[str, Mapping[str, Any]]] = (), past: Sequence[Past] = ()) -> None:
        self.start: Mapping[str, Any] | None = None
        self.stop: Mapping[str, Any] | None = None
        self.images: list[Image] = []
        self.pool: Pool | None = None
        self.past = tuple(past)
        self.records: list[Record] = [*past]
        self.observations: list[Observation] = []
        self.observation_uids: list[str] = []
        self.decisions: list[Decision] = []
        self.maps: list[BeliefMap] = []
        self.estimate: Estimate | None = None
        self.rejected: list[Rejected] = []
        self.drifts: list[DriftEstimate] = []
        self.time = 0.0
        self.spans: list[tuple[float, float]] = []
        self.loops = 0
        self.ending: Ending | None = None
        self.reference: NDArray[np.float64] | None = None
        self.outcomes: list[Observation | Exclusion] = []
        self._clock_went_on = False
        self._ended = [0] * len(self.past)  # for each record, how many decisions had ended with it
        self._descriptors: dict[str, Mapping[str, Any]] = {}
        self._seen: set[tuple[str, int]] = set()
        for name, doc in documents:
            self(name, doc)

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Take the next document; those of other streams and kinds are passed over.

        Raises
        ------
        FormatError
            If a later version wrote it.
        """
        if name == "start":
            check_format(doc)
            self.start, self.stop = doc, None
            self._clock_went_on = bool(self.spans) and bool(doc.get("rebuilt"))
        elif name == "stop":
            self.stop = doc
        elif name == "descriptor":
            self._descriptors[doc["uid"]] = doc
        elif name == "event":
            self._event(doc)

    @property
    def frame(self) -> NDArray[np.float32] | None:
        """The first image (C, ny, nx), which made the pool; None if there is none."""
        return self.images[0].frame if self.images else None

    @property
    def configuration(self) -> Mapping[str, Mapping[str, Any]]:
        """Configuration values by stream, from the last descriptor of each."""
        return {
            descriptor["name"]: {
                key: value for device in descriptor["configuration"].values() for key, value in device["data"].items()
            }
            for descriptor in self._descriptors.values()
        }

    @property
    def data_keys(self) -> Mapping[str, Mapping[str, Any]]:
        """Data keys by stream: units, shapes, dtypes."""
        return {descriptor["name"]: descriptor["data_keys"] for descriptor in self._descriptors.values()}

    def stream(self, event: Mapping[str, Any]) -> str:
        """Return the name of the stream that `event` belongs to."""
        descriptor = self._descriptors.get(event["descriptor"])
        if descriptor is None:
            raise DocumentError(
                f"event {event['uid']} comes before its descriptor, or that is missing: the documents are not in "
                "order; read the run from its journal, or put that in order with curio recover"
            )
        return str(descriptor["name"])

    def descriptor(self, stream: str) -> Mapping[str, Any]:
        """Return the last descriptor of `stream`; empty if it has none."""
        found: Mapping[str, Any] = {}
        for descriptor in self._descriptors.values():
            if descriptor["name"] == stream:
                found = descriptor
        return found

    @property
    def budget(self) -> int:
        """Points of the whole run, from the start document."""
        return int(self._start()["points"])

    @property
    def microscope(self) -> str:
        """Name of the microscope, the prefix of its data keys."""
        return str(self._start()["microscope"])

    def context(self, records: int, decisions: int) -> Context:
        """Return what the plan knew when `records` were in and `decisions` had been made."""
        ended = self._ended[records - 1] if records else 0
        pending = tuple(decision.candidate for decision in self.decisions[ended:decisions])
        return Context(budget=self.budget, pending=pending)

    def _start(self) -> Mapping[str, Any]:
        if self.start is None:
            raise DocumentError("expected the start document of a run first")
        return self.start

    def _event(self, doc: Mapping[str, Any]) -> None:
        # After a pause the RunEngine may repeat what followed the last checkpoint; what completed first counts.
        if (doc["descriptor"], doc["seq_num"]) in self._seen:
            return
        self._seen.add((doc["descriptor"], doc["seq_num"]))
        stream, data = self.stream(doc), doc["data"]
        if stream == IMAGE:
            self._image(data)
        elif stream == REJECTED_IMAGE:
            self._tell_time(data[f"{self.microscope}_imager_time"])
        elif stream in (POINT, REJECTED, ESCALATION):
            # A step of somebody else, or an earlier version, may tell less.
            self._tell_time(data.get(f"{self.microscope}_spectrometer_time", self.time))
            self.loops += int(data.get(f"{self.microscope}_spectrometer_starts", 1))
        if stream == POINT and CANDIDATE in data:
            observation = read_observation(data, self.microscope, self.configuration[stream])
            self.observations.append(observation)
            self.observation_uids.append(doc["uid"])
            self.outcomes.append(observation)
            self._append(observation)
        elif stream == REJECTED and CANDIDATE in data:
            observation = read_observation(data, self.microscope, self.configuration[stream])
            self.rejected.append(Rejected(observation, int(data[ATTEMPT]), str(data["rejected_reason"])))
        elif stream == EXCLUSION:
            for index in np.flatnonzero(data["exclusion_candidates"]):
                exclusion = Exclusion(int(index), str(data["exclusion_reason"]))
                if data["exclusion_decided"]:
                    self.outcomes.append(exclusion)
                self._append(exclusion)
        elif stream == ANSWER:
            self._append(Answer(str(data["answer_question"]), str(data["answer_text"])))
        elif stream == DRIFT:
            self.drifts.append(read_drift(data))
        elif stream == DECISION:
            self.decisions.append(read_decision(data, len(self.decisions)))
            self.estimate = self.decisions[-1].estimate or self.estimate
        elif stream == MAP:
            self.maps.append(read_map(data))
            self.estimate = self.maps[-1].estimate or self.estimate
        elif stream == ENDING:
            self.ending = read_ending(data)
        elif stream == REFERENCE:
            self.reference = np.asarray(data[f"{self.microscope}_reference_spectra"], dtype=np.float64)

    def _image(self, data: Mapping[str, Any]) -> None:
        imager = f"{self.microscope}_imager"
        configuration = self.configuration[IMAGE]
        x_min, x_max, y_min, y_max = (float(edge) for edge in configuration[f"{imager}_area"])
        image = Image(
            frame=np.asarray(data[f"{imager}_frame"], dtype=np.float32),
            channels=tuple(str(name) for name in configuration[f"{imager}_channels"]),
            area=(x_min, x_max, y_min, y_max),
            time=float(data[f"{imager}_time"]),
        )
        self.images.append(image)
        self._tell_time(image.time)
        recipe = self._start().get("pool")
        if recipe is None or self.pool is not None:
            return
        unknown = set(recipe["channels"]) - set(image.channels)
        if unknown:
            raise DocumentError(f"the pool wants channels {sorted(unknown)}, the image has {list(image.channels)}")
        self.pool = make_pool(
            image.frame[[image.channels.index(name) for name in recipe["channels"]]],
            image.area,
            window=recipe["window"],
            stride=recipe["stride"],
        )
        self._append(self.pool)

    def _tell_time(self, told: Any) -> None:
        time = float(told)
        self.time = max(self.time, time)
        first = self.spans.pop()[0] if self._clock_went_on else time
        self.spans.append((first, time))
        self._clock_went_on = True

    def _append(self, record: Record) -> None:
        self.records.append(record)
        self._ended.append(len(self.outcomes))


def read_observation(
    data: Mapping[str, Any], microscope: str, configuration: Mapping[str, Any] = MappingProxyType({})
) -> Observation:
    """Return the observation in data and configuration of one event of the ``primary`` or ``rejected`` stream.

    Both its places are where the first image shows them: what was read back from the scanner, less the drift since.
    """
    scanner = f"{microscope}_scanner"
    bias = configuration.get(f"{microscope}_spectrometer_axis")
    return Observation(
        index=int(data[CANDIDATE]),
        requested=np.array([data["target_x"], data["target_y"]], dtype=np.float64),
        position=np.array([data[f"{scanner}_{axis}"] - data[f"drift_{axis}"] for axis in "xy"], dtype=np.float64),
        spectrum=np.asarray(data[f"{microscope}_spectrometer_spectrum"], dtype=np.float64),
        time=float(data[f"{microscope}_spectrometer_time"]),
        axis=None if bias is None else np.asarray(bias, dtype=np.float64),
    )


def read_decision(data: Mapping[str, Any], number: int) -> Decision:
    """Return the decision in the data of one event of the ``agent`` stream."""
    return Decision(
        number=number,
        candidate=int(data["agent_candidate"]),
        position=(float(data["agent_x"]), float(data["agent_y"])),
        phase=str(data["agent_phase"]),
        score=float(data["agent_score"]),
        parts=_prefixed(data, "agent_part_"),
        records=int(data["agent_records"]),
        observations=int(data["agent_observations"]),
        last_observation=str(data["agent_last_observation"]),
        think_time=float(data["agent_think_time"]),
        losses=_prefixed(data, "agent_loss_"),
        map_mse=float(data["agent_map_mse"]),
        unmeasured_mse=float(data["agent_unmeasured_mse"]),
        estimate=read_estimate(data, DECISION),
    )


def read_estimate(data: Mapping[str, Any], stream: str) -> Estimate | None:
    """Return what the data of one event of the stream ``agent`` or ``agent_map`` say of the agent's error, or None."""
    if math.isnan(data.get(f"{stream}_error", math.nan)):
        return None
    return Estimate(
        error=float(data[f"{stream}_error"]),
        low=float(data[f"{stream}_error_low"]),
        high=float(data[f"{stream}_error_high"]),
        noise=float(data[f"{stream}_noise"]),
        gain=float(data[f"{stream}_gain"]),
        checks=int(data[f"{stream}_checks"]),
    )


def read_ending(data: Mapping[str, Any]) -> Ending:
    """Return what is in the data of one event of the ``ending`` stream."""
    return Ending(
        rule=str(data["ending_rule"]),
        reason=str(data["ending_reason"]),
        value=float(data["ending_value"]),
        records=int(data["ending_records"]),
    )


def read_map(data: Mapping[str, Any]) -> BeliefMap:
    """Return what is in the data of one event of the ``agent_map`` stream."""
    maps = {key.removeprefix("agent_map_of_"): value for key, value in data.items() if key.startswith("agent_map_of_")}
    prediction = data.get("agent_map_prediction")
    return BeliefMap(
        observations=int(data["agent_map_observations"]),
        maps={key: np.asarray(value, dtype=np.float32) for key, value in maps.items()},
        prediction=None if prediction is None else np.asarray(prediction, dtype=np.float32),
        estimate=read_estimate(data, MAP),
    )


def read_drift(data: Mapping[str, Any]) -> DriftEstimate:
    """Return what is in the data of one event of the ``drift`` stream."""
    return DriftEstimate(
        time=float(data["drift_time"]),
        shift=(float(data["drift_measured_x"]), float(data["drift_measured_y"])),
        confidence=float(data["drift_confidence"]),
        accepted=bool(data["drift_accepted"]),
    )


def _prefixed(data: Mapping[str, Any], prefix: str) -> dict[str, float]:
    return {key.removeprefix(prefix): float(value) for key, value in data.items() if key.startswith(prefix)}
