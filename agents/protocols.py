"""What an agent is, and the records it lives on. Plans import this module, so there is no torch here.

An agent is a *fold* over the records of a run: it ingests a :class:`Pool`, then :class:`Observation`,
:class:`Exclusion` and :class:`Answer` records in the order in which they happened, and at any time it can be asked
where to measure next. One that learns from earlier runs ingests a :class:`Past` of each before. The same records
always lead to the same suggestion; that is what makes replay evidence.
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
    """The places where a spectrum may be taken, and what the image looks like around each.

    Attributes
    ----------
    positions : (N, 2) float64
        x and y of each candidate in nm.
    patches : (N, C, h, w) float32
        The image around each candidate, in the units of its channels.
    grid : (rows, columns)
        The candidates form this regular grid in C order, so ``map.reshape(grid)`` is a picture; rows × columns = N.
    """

    positions: NDArray[np.float64]
    patches: NDArray[np.float32]
    grid: tuple[int, int]

    def __len__(self) -> int:
        return len(self.positions)


@dataclass(frozen=True, eq=False)
class Observation:
    """One measured spectrum.

    Attributes
    ----------
    index : int
        Which candidate of the pool was measured.
    requested, position : (2,) float64
        x and y in nm: asked for, and read back from the scanner.
    spectrum : (K,) float64
        The measured spectrum, in its own unit.
    time : float
        Instrument time in s.
    axis : (K,) float64, optional
        What the spectrum is a function of, e.g. the bias in V of each step, where it is known.
    """

    index: int
    requested: NDArray[np.float64]
    position: NDArray[np.float64]
    spectrum: NDArray[np.float64]
    time: float
    axis: NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False)
class Past:
    """What an earlier run saw and measured, perhaps elsewhere on the sample; it comes before the first pool.

    Attributes
    ----------
    uid : str
        Of that run.
    pool : Pool
        Its candidates. Their positions are not comparable with those of the present pool, their patches are.
    observations : tuple of Observation
        What was measured there, in order; the indices are those of its pool.
    """

    uid: str
    pool: Pool
    observations: tuple[Observation, ...]


@dataclass(frozen=True)
class Exclusion:
    """A candidate that was tried and is not usable; it is never suggested again."""

    index: int
    reason: str


@dataclass(frozen=True)
class Answer:
    """What a human answered to a :class:`Question`."""

    question: str
    answer: str


Record = Past | Pool | Observation | Exclusion | Answer


@dataclass(frozen=True)
class Context:
    """What the plan knows at the moment of a decision; all of it can be read from the run's documents.

    Attributes
    ----------
    budget : int
        Points of the whole run, initial points included.
    pending : tuple of int
        Candidates that were decided but are not measured yet; they are not available.
    avoid : tuple of int
        Candidates that whoever asks does not want now; they are not available either.
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
        ``"initial"`` while the agent collects what it starts from, afterwards its way of choosing
        (``"curious"``, ``"random"``, ``"grid"`` …).
    score : float
        The acquisition value that won; NaN where the agent does not score.
    parts : mapping of str to float
        The score's ingredients at this candidate. The keys are the agent's :attr:`Agent.parts`.
    """

    index: int
    phase: str
    score: float = float("nan")
    parts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Question:
    """What the agent must know from a human before it can go on."""

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
        Pictures over the pool (score, predicted error …); empty before the first training. ``predicted_error`` is
        relative to what its agent knows. Where ``error_low`` and ``error_high`` stand beside it, these three are mean
        squared errors against a spectrum to be measured, noise included, and ``reducible_error`` is without; all in
        the square of the spectrum's unit.
    prediction : (N, K) float32 or None
        The predicted spectrum at every candidate in the unit of the spectra; None for an agent that predicts none
        and before the first training.
    """

    losses: Mapping[str, float]
    maps: Mapping[str, NDArray[np.float32]]
    prediction: NDArray[np.float32] | None


@dataclass(frozen=True)
class Estimate:
    """What an agent believes of its own error, without knowing the truth.

    Errors are mean squared errors of predicted spectra over the candidates that were not measured, relative to the
    variance of spectra over the pool: 1 is no better than the mean spectrum.

    Attributes
    ----------
    error : float
        The present error, noise included: against a spectrum that would be measured there.
    low, high : float
        Its 90 % interval.
    noise : float
        The part of it that is noise, which no further point removes.
    gain : float
        By how much the next point is expected to lower it.
    checks : int
        Number of random validation points of this run on which it rests; under three, it ends no run.
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

    - it never suggests a candidate that was measured, excluded, is pending or to be avoided, nor one outside the pool;
    - the same config and the same records give the same suggestion, bit for bit on the same machine, torch build and
      thread count, whatever was asked in between and however the records were grouped into calls;
    - :attr:`config` is JSON-able and rebuilds the agent;
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
    """What an agent may offer beside :class:`Agent`: where it places the candidates in a space of its own."""

    def latent(self) -> NDArray[np.float32] | None:
        """Return the latent coordinates (N, L) of all candidates; None if there are none, or none yet."""
        ...


@runtime_checkable
class EstimatesError(Protocol):
    """What an agent may offer beside :class:`Agent`: it knows how well it knows."""

    def estimate(self) -> Estimate | None:
        """Return how well everything ingested so far is known; None before the agent can tell."""
        ...


class RecordError(ValueError):
    """A record that an agent cannot take; the agent is unchanged."""


class ExhaustedError(ValueError):
    """More places were asked for than the pool still has."""
