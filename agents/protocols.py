"""What an agent is, and the records that it takes. Plans import this module, so it does not import torch.

An agent is a *fold* over the records of a run: it ingests a :class:`Pool`, then :class:`Observation`,
:class:`Exclusion`, :class:`Answer` and, if it wants them, :class:`Steering` records in the order in which they
happened, and can be asked at any time where to measure next. One that learns from prior runs first ingests a
:class:`Past` of each. The same records always lead to the same suggestion; this makes a replay evidence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Config = Mapping[str, Any]
"""A JSON-able description from which an agent can be rebuilt: ``{"agent": name, **options}``."""


@dataclass(frozen=True, eq=False)
class Pool:
    """The places where a spectrum may be taken, and the image around each.

    Attributes
    ----------
    positions : (N, 2) float64
        x and y of each candidate in nm.
    patches : (N, C, h, w) float32
        The image around each candidate, in the units of its channels.
    grid : (rows, columns) or None
        The candidates form this regular grid in C order, so ``map.reshape(grid)`` is an image; rows × columns = N. None
        where they form none: spectra exist only at some places.
    """

    positions: NDArray[np.float64]
    patches: NDArray[np.float32]
    grid: tuple[int, int] | None

    def __len__(self) -> int:
        return len(self.positions)


@dataclass(frozen=True, eq=False)
class Observation:
    """One measured spectrum.

    Attributes
    ----------
    index : int
        The measured candidate of the pool.
    requested, position : (2,) float64
        x and y in nm: requested, and read back from the scanner.
    spectrum : (K,) float64
        The measured spectrum, in its own unit.
    time : float
        Instrument time in s.
    axis : (K,) float64, optional
        The spectral axis, e.g. the bias in V of each step, where it is known.
    """

    index: int
    requested: NDArray[np.float64]
    position: NDArray[np.float64]
    spectrum: NDArray[np.float64]
    time: float
    axis: NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False)
class Past:
    """What a prior run saw and measured, perhaps elsewhere on the sample; ingested before the first pool.

    Attributes
    ----------
    uid : str
        Of that run.
    pool : Pool
        Its candidates. Their patches are comparable with those of the present pool, their positions are not.
    observations : tuple of Observation
        What was measured there, in order; the indices refer to its pool.
    """

    uid: str
    pool: Pool
    observations: tuple[Observation, ...]


@dataclass(frozen=True)
class Exclusion:
    """A candidate that was tried and cannot be used; it is never suggested again."""

    index: int
    reason: str


@dataclass(frozen=True)
class Answer:
    """What a human answered to a :class:`Question`."""

    question: str
    answer: str


@dataclass(frozen=True)
class Steering:
    """What a human asked of the run; only for agents with :attr:`TakesSteering.takes_steering`.

    What it changes – the budget, candidates to be avoided – every agent learns from its :class:`Context`, and what was
    measured because of it from an :class:`Observation`.

    Attributes
    ----------
    act : str
        What kind of act, e.g. ``"pick"``.
    candidates : tuple of int
        The candidates that it is about: the one that was picked, those in an area.
    values : str
        All that was said, as JSON.
    """

    act: str
    candidates: tuple[int, ...]
    values: str


Record = Past | Pool | Observation | Exclusion | Answer | Steering


@dataclass(frozen=True)
class Context:
    """What the plan knows when it asks for a decision; all of it can be read from the run's documents.

    Attributes
    ----------
    budget : int
        Points of the whole run, initial points included.
    pending : tuple of int
        Candidates that were decided but not measured yet; they are not available.
    avoid : tuple of int
        Candidates not wanted at present, e.g. by a human who excluded an area; they are not available either.
    """

    budget: int
    pending: tuple[int, ...] = ()
    avoid: tuple[int, ...] = ()


@dataclass(frozen=True)
class Suggestion:
    """Where to measure next, and why.

    Attributes
    ----------
    index : int
        A candidate of the pool.
    phase : str
        ``"initial"`` until the agent has what it starts from, then how it chose (``"curious"``, ``"random"``,
        ``"grid"`` …).
    score : float
        The acquisition value of this candidate; NaN where the agent does not score.
    parts : mapping of str to float
        The score's ingredients at this candidate. The keys are the agent's :attr:`Agent.parts`.
    """

    index: int
    phase: str
    score: float = float("nan")
    parts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Question:
    """What the agent must ask a human before it can continue."""

    text: str
    choices: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Report:
    """What the agent believes now.

    Attributes
    ----------
    losses : mapping of str to float
        Training losses; the keys are the agent's :attr:`Agent.losses`, NaN before the first training.
    maps : mapping of str to (N,) float32
        Maps over the pool (score, predicted error …); empty before the first training. ``predicted_error`` is in a
        unit of the agent's own. If there are ``error_low`` and ``error_high`` too, these three are mean squared errors
        against a spectrum to be measured, noise included, and ``reducible_error`` is without noise; all in the square
        of the spectrum's unit.
    prediction : (N, K) float32 or None
        The predicted spectrum at every candidate in the unit of the spectra; None for an agent that predicts none
        and before the first training.
    model : str
        What the agent found the spectra to support, in words; empty for one that does not choose.
    """

    losses: Mapping[str, float]
    maps: Mapping[str, NDArray[np.float32]]
    prediction: NDArray[np.float32] | None
    model: str = ""


@dataclass(frozen=True)
class Estimate:
    """An agent's estimate of its own error, without knowledge of the truth.

    Errors are mean squared errors of predicted spectra over the unmeasured candidates, relative to the variance of
    spectra over the pool: 1 is no better than the mean spectrum.

    Attributes
    ----------
    error : float
        The present error against spectra that would be measured there, noise included.
    low, high : float
        Its 90 % interval.
    noise : float
        The part of the error that is noise, which no further point removes.
    gain : float
        By how much the next point should lower the error.
    checks : int
        Number of random validation points of this run that the estimate rests on; with fewer than three it ends no run.
    """

    error: float
    low: float
    high: float
    noise: float
    gain: float
    checks: int

    def __str__(self) -> str:
        """Return the error with its interval."""
        return f"{self.error:.3g} ({self.low:.3g} … {self.high:.3g})"


@runtime_checkable
class Agent(Protocol):
    """Decides where to measure next.

    Laws, tested for every registered agent:

    - it never suggests a candidate that is measured, excluded, pending or to be avoided, nor one outside the pool;
    - the same config and records give the same suggestion, bit for bit on the same machine, torch build and thread
      count, whatever was asked in between and however the records were grouped into calls;
    - :attr:`config` can be written as JSON and rebuilds the agent;
    - a malformed record raises :class:`RecordError` and leaves the agent as it was;
    - ``load_state(state())`` restores it.
    """

    @property
    def config(self) -> Config:
        """Everything needed to rebuild this agent, defaults included."""
        ...

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the score's ingredients in every :class:`Suggestion`."""
        ...

    @property
    def losses(self) -> tuple[str, ...]:
        """Names of the losses in every :class:`Report`."""
        ...

    def ingest(self, *records: Record) -> None:
        """Take records in the order in which they happened; all of them or, if one is malformed, none."""
        ...

    def suggest(self, n: int = 1, context: Context | None = None) -> Sequence[Suggestion] | Question:
        """Return the next `n` distinct places, best first, or a question for the human."""
        ...

    def report(self, context: Context | None = None) -> Report:
        """Return losses, maps and prediction for what was ingested so far; with a `context` also a map of the score."""
        ...

    def state(self) -> Mapping[str, Any]:
        """Return a snapshot (nested mappings of arrays, records and JSON values) for :meth:`load_state`."""
        ...

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot of an agent with the same config."""
        ...


@runtime_checkable
class HasLatent(Protocol):
    """An optional ability of an :class:`Agent`: it places the candidates in a latent space."""

    def latent(self) -> NDArray[np.float32] | None:
        """Return the latent coordinates (N, L) of all candidates; None if there are none, or none yet."""
        ...


@runtime_checkable
class EstimatesError(Protocol):
    """An optional ability of an :class:`Agent`: it estimates its own error."""

    def estimate(self) -> Estimate | None:
        """Return how well everything ingested so far is known; None before the agent can tell."""
        ...


@runtime_checkable
class LearnsFromPast(Protocol):
    """An optional ability of an :class:`Agent`: it takes a :class:`Past` of each prior run, before the first pool."""

    @property
    def learns_from_past(self) -> bool:
        """Whether it does, with its present config."""
        ...


@runtime_checkable
class TakesSteering(Protocol):
    """An optional ability of an :class:`Agent`: it takes :class:`Steering` records."""

    @property
    def takes_steering(self) -> bool:
        """Whether it does, with its present config."""
        ...


@runtime_checkable
class ThinksElsewhere(Protocol):
    """An optional property of an :class:`Agent`: it thinks in another process, perhaps on another machine.

    Where that does not answer in time, its methods raise :class:`PlaceError` and leave it unchanged.
    """

    @property
    def place(self) -> Mapping[str, Any]:
        """Where it thought last, see :func:`agents.place.describe_place`; empty before the first answer."""
        ...

    def close(self) -> None:
        """Stop waiting for an answer."""
        ...


def for_agent(agent: Agent, records: Sequence[Record]) -> tuple[Record, ...]:
    """Return the records that an agent takes: one that knows nothing of steering gets the others."""
    if isinstance(agent, TakesSteering) and agent.takes_steering:
        return tuple(records)
    return tuple(record for record in records if not isinstance(record, Steering))


def learns_from_past(agent: Agent) -> bool:
    """Return whether an agent takes records of prior runs, see :class:`LearnsFromPast`."""
    return isinstance(agent, LearnsFromPast) and agent.learns_from_past


class RecordError(ValueError):
    """A record that an agent cannot take; the agent is unchanged."""


class PlaceError(ConnectionError):
    """The place where an agent thinks does not answer in time, or refuses. The agent is unchanged: ask it again."""


class ExhaustedError(ValueError):
    """More places were asked for than the pool still has."""
