"""What another agent would have done on the sample of a stored run.

Where the run recorded the true spectra over its pool – on a recorded sample, on the twin – the other agent measures
wherever it wants: it gets the true spectrum there. On an instrument the spectra that were not measured are unknown;
there the other agent can only choose the order of the measured points.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.protocols import Agent, Config, Context, Observation, Pool, Question, Suggestion, for_agent
from curio_plans.documents.agent_run import AgentRun
from curio_plans.documents.events import Document, Stored
from curio_plans.documents.prior_runs import learns_from_prior_runs
from curio_plans.study import floors
from curio_plans.study.common import Build, Progress, ReplayError, as_lines, describe_config
from curio_plans.study.evaluation import Curve, learning_curve

LEAST = 6
"""A run with fewer points is not compared."""


@dataclass(frozen=True, eq=False)
class Course:
    """Which candidates an agent measured, and what could be learned from them.

    Attributes
    ----------
    label : str
        The agent with its options.
    candidates : (n,) int
        In order.
    own : Curve or None
        Error of the agent's own predictions relative to the mean spectrum; None for an agent without a model.
    common : Curve
        The same of one kernel ridge regression on the points that it chose: this compares the choices alone.
    """

    label: str
    candidates: NDArray[np.int64]
    own: Curve | None
    common: Curve


@dataclass(frozen=True, eq=False)
class Counterfactual:
    """Another agent on a stored run.

    Attributes
    ----------
    history : AgentRun
        The stored run.
    continues : bool
        Whether the other agent could measure anywhere; else it chose the order of the measured points.
    stored, other : Course
        The two agents.
    wished : (n,) bool
        Whether the run measured the candidate that the other agent wanted most, for each of its decisions.
    distances : (n,) float64
        From that candidate to the nearest measured place in nm.
    """

    history: AgentRun
    continues: bool
    stored: Course
    other: Course
    wished: NDArray[np.bool_]
    distances: NDArray[np.float64]

    @property
    def chance(self) -> float:
        """The fraction of random candidates that the run measured."""
        return len(self.stored.candidates) / len(self.history.pool)

    @property
    def all_equal(self) -> bool:
        """Whether all known spectra are equal, so that no error relative to the mean spectrum is defined."""
        return bool(np.isnan(self.stored.common.mse).all())

    def rows(self) -> list[tuple[str, str]]:
        """Return the result as labelled text."""
        n = len(self.other.candidates)
        how = (
            f"the other agent really continued: it measured {n} true spectra where it wanted"
            if self.continues
            else f"spectra that were not measured are unknown: the other agent ordered the {n} measured points"
        )
        wishes = f"{int(self.wished.sum())} of {len(self.wished)} ({self.wished.mean():.0%}"
        return [
            ("stored", self.stored.label),
            ("other", self.other.label),
            ("how", how),
            ("wishes measured", f"{wishes}; of random candidates {self.chance:.0%})"),
            ("distance", f"{np.median(self.distances):.1f} nm from a wish to the nearest measured place (median)"),
            *self._error_rows(),
        ]

    def _error_rows(self) -> list[tuple[str, str]]:
        if self.all_equal:
            return [("error", "all spectra are equal, so no error relative to the mean spectrum (NMSE) is defined")]
        where = "over the whole pool" if self.continues else "at the measured points that were not yet taken"
        rows = [("error", f"mean squared, {where}, relative to the mean spectrum (NMSE)")]
        courses = (self.stored, self.other)
        named = [(course, "kernel ridge on its points", course.common) for course in courses]
        named += [(course, "its own predictions", course.own) for course in courses if course.own is not None]
        return rows + [(f"  {course.label.split(',')[0]}", f"{what}: {_along(curve)}") for course, what, curve in named]

    def __str__(self) -> str:
        """Return the result in lines."""
        return as_lines(self.rows())


def counterfactual(
    documents: Iterable[Document],
    build: Build,
    config: Config,
    progress: Progress | None = None,
    looks: int = 12,
    *,
    stored: Stored | None = None,
) -> Counterfactual:
    """Let another agent, or the same with other settings, decide on the sample of a stored run.

    It makes as many decisions as points were measured. On the twin the true spectra have no noise, so there its task is
    a little easier than that of the stored agent.

    Parameters
    ----------
    documents : iterable of (name, document)
        A run of an agent; where it resumes another one, after the documents of that.
    build : callable
        Makes an agent from its config.
    config : dict
        The other agent's.
    progress : callable, optional
        Called with (decisions done, decisions in all).
    looks : int
        Number of points of the learning curves.
    stored : callable, optional
        Gives the documents of prior runs, where the stored agent learned from some. The other agent learns from them,
        too, if it can.

    Raises
    ------
    ReplayError
        If too little was measured, or the other agent cannot decide on it.
    DocumentError
        If no agent decided in this run, or a prior run is missing or was changed.
    """
    history = AgentRun.read(documents, stored)
    pool, measured = history.pool, np.array(history.measured(), dtype=np.int64)
    if len(measured) < LEAST:
        raise ReplayError(f"expected a run of at least {LEAST} measured points to compare with, got {len(measured)}")
    continues, truth = history.reference is not None, _known_spectra(history)
    counts = np.unique(np.geomspace(5, len(measured) - (not continues), looks).astype(np.int64))
    walk = _Walk(history, build(config), truth, counts)
    for number in range(len(measured)):
        walk.step(number)
        if progress is not None:
            progress(number + 1, len(measured))
    yardstick = _Yardstick(pool, truth, counts)
    own = learning_curve(history) if continues else None
    places, wishes = pool.positions[measured], pool.positions[walk.wishes]
    distances = np.hypot(*(wishes[:, None] - places[None]).transpose(2, 0, 1)).min(axis=1)
    return Counterfactual(
        history=history,
        continues=continues,
        stored=Course(
            describe_config(history.config),
            measured,
            None if own is None else own.relative(yardstick.floor),
            yardstick.curve(measured),
        ),
        other=Course(walk.label, np.array(walk.chosen), walk.curve(), yardstick.curve(walk.chosen)),
        wished=np.isin(walk.wishes, measured),
        distances=distances,
    )


def _known_spectra(history: AgentRun) -> NDArray[np.float64]:
    """Return the true spectra (N, K) over the pool; where they are unknown the measured ones, NaN elsewhere."""
    if history.reference is not None:
        return history.reference
    known = np.full((len(history.pool), len(history.observations[0].spectrum)), np.nan)
    for observation in history.observations:
        known[observation.index] = observation.spectrum
    return known


class _Walk:
    """The other agent, decision by decision: what it wants, what it measures, and what it then predicts."""

    def __init__(self, history: AgentRun, agent: Agent, truth: NDArray[np.float64], counts: NDArray[np.int64]) -> None:
        self.agent, self.chosen, self.wishes = agent, list[int](), list[int]()
        self._history = history
        self._pool, self._truth, self._counts, self._budget = history.pool, truth, counts, history.budget
        self._known, self._axis = _known(truth), history.observations[0].axis
        self._errors: list[float] = []
        self.label = describe_config(agent.config)
        begin = 0
        if history.past and not learns_from_prior_runs(agent):
            begin = len(history.past)
            self.label += ", without the prior runs"
        # Prior runs, the pool, and what is out of reach.
        agent.ingest(*for_agent(agent, history.records[begin : history.decisions[0].records]))

    def step(self, number: int) -> None:
        """Decide, measure there, and learn."""
        avoid = self._avoided(number)
        wish = self._suggest((), avoid)
        unknown = np.flatnonzero(~self._known)
        index = wish.index if self._known[wish.index] else self._suggest(tuple(unknown.tolist()), avoid).index
        self.wishes.append(wish.index)
        self.chosen.append(index)
        place = self._pool.positions[index]
        self.agent.ingest(Observation(index, place, place, self._truth[index], float(number), self._axis))
        if number + 1 in self._counts:
            prediction = self.agent.report(Context(self._budget)).prediction
            self._errors.append(np.nan if prediction is None else _mse(prediction, self._truth, self.chosen))

    def curve(self) -> Curve | None:
        """Return the error of its own predictions relative to the mean spectrum; None for an agent without a model."""
        errors = np.array(self._errors)
        known = ~np.isnan(errors)
        curve = Curve(self._counts[known], errors[known], np.zeros(int(known.sum())))
        return curve.relative(_floor(self._truth)) if known.any() else None

    def _avoided(self, number: int) -> tuple[int, ...]:
        """Return what a human did not want at a stored decision; nothing where the other agent has all the rest."""
        decisions = self._history.decisions
        if number >= len(decisions):
            return ()
        avoid = self._history.context(decisions[number].records, number).avoid
        left = self._known.copy()
        left[[*avoid, *self.chosen]] = False
        return avoid if left.any() else ()

    def _suggest(self, pending: tuple[int, ...], avoid: tuple[int, ...]) -> Suggestion:
        try:
            answer = self.agent.suggest(1, Context(self._budget, pending, avoid))
        except ValueError as error:
            raise ReplayError(f"the other agent cannot decide on this run: {error}") from error
        if isinstance(answer, Question):
            raise ReplayError(f"the other agent asks {answer.text!r}, and a stored run cannot answer; choose another")
        return answer[0]


@dataclass(frozen=True, eq=False)
class _Yardstick:
    """One regression for both agents: what can be learned from the first points of a course."""

    pool: Pool
    truth: NDArray[np.float64]
    counts: NDArray[np.int64]

    @property
    def floor(self) -> float:
        return _floor(self.truth)

    def curve(self, candidates: Sequence[int] | NDArray[np.int64]) -> Curve:
        errors = []
        for count in self.counts:
            taken = np.asarray(candidates[:count])
            prediction = floors.ridge_prediction(self.pool, self.truth[taken], taken)
            errors.append(_mse(prediction, self.truth, taken))
        return Curve(self.counts, np.array(errors), np.zeros(len(errors))).relative(self.floor)


def _mse(prediction: NDArray[Any], truth: NDArray[np.float64], taken: Sequence[int] | NDArray[np.int64]) -> float:
    """Return the mean squared error over the whole pool; where only some spectra are known, over those not taken."""
    rows = _known(truth)
    if not rows.all():
        rows[np.asarray(taken)] = False
    return float(((prediction[rows].astype(np.float64) - truth[rows]) ** 2).mean())


def _known(truth: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.array([not np.isnan(spectrum).any() for spectrum in truth], dtype=bool)


def _floor(truth: NDArray[np.float64]) -> float:
    """Return the error of the mean of the known spectra."""
    return floors.mean_spectrum_mse(truth[_known(truth)])


def _along(curve: Curve) -> str:
    shown = sorted({0, len(curve.points) // 2, len(curve.points) - 1})
    return ", ".join(f"{curve.mse[place]:.3f} after {curve.points[place]}" for place in shown)
