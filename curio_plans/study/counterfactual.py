"""What would another agent have done on the same sample? A stored run, asked once more.

Where the run recorded the true spectra over its pool – on a recorded sample, on the twin – the other agent really goes
on: whatever it asks for is answered with the true spectrum there. On an instrument nobody knows what was not measured;
there the other agent can only say in which order it would have taken the measured points.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.protocols import Agent, Config, Context, Observation, Pool, Question, Suggestion
from curio_plans.documents.agent_run import AgentRun
from curio_plans.documents.events import Stored
from curio_plans.documents.prior_runs import learns
from curio_plans.study import floors
from curio_plans.study.common import ReplayError
from curio_plans.study.evaluation import Curve, learning_curve

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Course:
    """Where an agent went, and what could be learned from it.

    Attributes
    ----------
    label : str
        The agent with its options.
    candidates : (n,) int
        In order.
    own : Curve or None
        Error of the agent's own predictions; None for an agent without a model.
    common : Curve
        Error of one and the same kernel ridge regression on the points that it chose: this compares the choices alone.
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
        Whether the other agent was answered wherever it went; else it put the measured points in order.
    stored, other : Course
        The two agents.
    wished : (n,) bool
        For each decision of the other agent, whether what it wanted most of the whole pool was measured in the run.
    distances : (n,) float64
        From what it wanted most to the nearest measured place in nm.
    """

    history: AgentRun
    continues: bool
    stored: Course
    other: Course
    wished: NDArray[np.bool_]
    distances: NDArray[np.float64]

    @property
    def chance(self) -> float:
        """The fraction of random wishes that the run would have measured."""
        return len(self.stored.candidates) / len(self.history.pool)

    def rows(self) -> list[tuple[str, str]]:
        """Return the result as labelled text."""
        n = len(self.other.candidates)
        how = (
            f"the other agent really continued: {n} true spectra answered it wherever it went"
            if self.continues
            else f"this instrument does not know what was not measured: the other agent ordered the {n} measured points"
        )
        wishes = f"{int(self.wished.sum())} of {len(self.wished)} ({self.wished.mean():.0%}"
        rows = [
            ("stored", self.stored.label),
            ("other", self.other.label),
            ("how", how),
            ("wishes measured", f"{wishes}; of random wishes {self.chance:.0%} would be)"),
            ("distance", f"{np.median(self.distances):.1f} nm from a wish to the nearest measured place (median)"),
        ]
        where = "over the whole pool" if self.continues else "at the measured points that were not yet taken"
        rows.append(("error", f"mean squared, {where}, relative to the mean spectrum (NMSE)"))
        for name in ("common", "own"):
            for course in (self.stored, self.other):
                curve: Curve | None = getattr(course, name)
                if curve is not None:
                    what = "kernel ridge on its points" if name == "common" else "its own predictions"
                    rows.append((f"  {course.label.split(',')[0]}", f"{what}: {_along(curve)}"))
        return rows

    def __str__(self) -> str:
        """Return the result in lines."""
        rows = self.rows()
        width = max(len(label) for label, _ in rows)
        return "\n".join(f"{label:<{width}}  {text}" for label, text in rows)


def counterfactual(
    documents: Iterable[tuple[str, Mapping[str, Any]]],
    build: Callable[[Config], Agent],
    config: Config,
    progress: Progress | None = None,
    looks: int = 12,
    *,
    stored: Stored | None = None,
) -> Counterfactual:
    """Let another agent, or the same with other settings, decide on the sample of a stored run.

    It makes as many decisions as points were measured. On the twin the true spectra are free of noise, so there the
    other agent has it a little easier than the stored one had.

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
        At so many numbers of points the learning curves are looked at.
    stored : callable, optional
        Gives the documents of earlier runs, where the stored agent learned from some. The other agent learns from them,
        too, if it is one that does.

    Raises
    ------
    ReplayError
        If too little was measured, or the other agent cannot decide on it.
    DocumentError
        If this is not a run of an agent.
    """
    history = AgentRun.read(documents, stored)
    pool, measured = history.pool, _indices(history.observations)
    if len(measured) < 6:
        raise ReplayError(f"expected a run of at least 6 measured points to compare with, got {len(measured)}")
    continues = history.reference is not None
    truth = history.reference
    if truth is None:
        truth = np.full((len(pool), len(history.observations[0].spectrum)), np.nan)
        truth[measured] = [observation.spectrum for observation in history.observations]
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
            _label(history.config),
            measured,
            None if own is None else Curve(own.points, own.mse / yardstick.floor, own.spread),
            yardstick.curve(measured),
        ),
        other=Course(walk.label, np.array(walk.chosen), walk.curve(), yardstick.curve(walk.chosen)),
        wished=np.isin(walk.wishes, measured),
        distances=distances,
    )


class _Walk:
    """Another agent going its way: what it wants, where it goes, and what it then predicts."""

    def __init__(self, history: AgentRun, agent: Agent, truth: NDArray[np.float64], counts: NDArray[np.int64]) -> None:
        self.agent, self.chosen, self.wishes = agent, list[int](), list[int]()
        self._pool, self._truth, self._counts, self._budget = history.pool, truth, counts, history.budget
        self._known, self._axis = _known(truth), history.observations[0].axis
        self._errors: list[float] = []
        self.label = _label(agent.config)
        begin = 0
        if history.past and not learns(agent):
            begin = len(history.past)
            self.label += ", without the earlier runs"
        # Earlier runs, the pool, and what is out of reach.
        agent.ingest(*history.records[begin : history.decisions[0].records])

    def step(self, number: int) -> None:
        """Decide, go there, and learn."""
        wish = self._suggest(())
        unknown = np.flatnonzero(~self._known)
        index = wish.index if self._known[wish.index] else self._suggest(tuple(unknown.tolist())).index
        self.wishes.append(wish.index)
        self.chosen.append(index)
        place = self._pool.positions[index]
        self.agent.ingest(Observation(index, place, place, self._truth[index], float(number), self._axis))
        if number + 1 in self._counts:
            prediction = self.agent.report(Context(self._budget)).prediction
            self._errors.append(np.nan if prediction is None else _mse(prediction, self._truth, self.chosen))

    def curve(self) -> Curve | None:
        """Return the error of its own predictions relative to the mean spectrum."""
        errors = np.array(self._errors) / _floor(self._truth)
        known = ~np.isnan(errors)
        return Curve(self._counts[known], errors[known], np.zeros(int(known.sum()))) if known.any() else None

    def _suggest(self, pending: tuple[int, ...]) -> Suggestion:
        try:
            answer = self.agent.suggest(1, Context(self._budget, pending))
        except ValueError as error:
            raise ReplayError(f"the other agent cannot decide on this run: {error}") from error
        if isinstance(answer, Question):
            raise ReplayError(f"the other agent asks {answer.text!r}, and a stored run cannot answer; choose another")
        return answer[0]


@dataclass(frozen=True, eq=False)
class _Yardstick:
    """One regression for all: what can be learned from the first points of a course."""

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
            errors.append(_mse(prediction, self.truth, taken) / self.floor)
        return Curve(self.counts, np.array(errors), np.zeros(len(errors)))


def _indices(observations: Iterable[Observation]) -> NDArray[np.int64]:
    return np.array([observation.index for observation in observations], dtype=np.int64)


def _mse(prediction: NDArray[Any], truth: NDArray[np.float64], taken: Sequence[int] | NDArray[np.int64]) -> float:
    """Return the mean squared error over the whole pool; where only some spectra are known, over those not taken."""
    rows = _known(truth)
    if not rows.all():
        rows[np.asarray(taken)] = False
    return float(((prediction[rows].astype(np.float64) - truth[rows]) ** 2).mean())


def _known(truth: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.array([not np.isnan(spectrum).any() for spectrum in truth], dtype=bool)


def _floor(truth: NDArray[np.float64]) -> float:
    """Return the error of the mean spectrum: the floor of doing nothing."""
    return floors.mean_spectrum_mse(truth[_known(truth)])


def _along(curve: Curve) -> str:
    shown = sorted({0, len(curve.points) // 2, len(curve.points) - 1})
    return ", ".join(f"{curve.mse[place]:.3f} after {curve.points[place]}" for place in shown)


def _label(config: Config) -> str:
    return ", ".join(str(value) if key == "agent" else f"{key}={value}" for key, value in config.items())
