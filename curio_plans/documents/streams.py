"""The streams of a run: what one event of each says, and how to read it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.protocols import Estimate, Observation

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
        ``"error"``, ``"gain"``, ``"minutes"`` or ``"loops"``; see :class:`curio_plans.rules.stopping.StoppingRule`.
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
