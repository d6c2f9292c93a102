"""The agent beside the RunEngine: it thinks in a thread of its own, and every thought has the number of its decision.

``thinker.set(number)`` starts a thought. It is idempotent: asked again for the same number – because a plan looks
ahead, or because the RunEngine repeats messages after a pause – it returns the thought it already has.
"""

import functools
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.place import describe_place
from agents.protocols import (
    Agent,
    Answer,
    Context,
    Estimate,
    EstimatesError,
    PlaceError,
    Question,
    Report,
    Suggestion,
    ThinksElsewhere,
    for_agent,
)
from curio_plans.documents.history import History
from curio_plans.documents.streams import DECISION, HUMAN, NOT_YET, BeliefMap, Decision
from curio_plans.run.status import FutureStatus, Worker


class ThinkingError(RuntimeError):
    """The agent could not decide."""


@dataclass(frozen=True, eq=False)
class Thought:
    """What came out of thinking once.

    Attributes
    ----------
    suggestion, question
        Where to measure next, or what must be answered first; neither, of a thought that was not to decide.
    trouble : str
        Why there is neither suggestion nor belief: the place where the agent thinks did not answer. Usually empty.
    place : mapping or None
        Where it was thought, of an agent that thinks elsewhere or has done so.
    report, estimate
        What the agent believes, and how well it knows; None where it cannot tell, or cannot tell yet.
    records, observations, last_observation, map_mse, unmeasured_mse
        As in :class:`~curio_plans.documents.streams.Decision`.
    seconds : float
        How long it took.
    timestamp : float
        When it was done, in seconds since 1970.
    """

    suggestion: Suggestion | None
    question: Question | None
    report: Report
    estimate: Estimate | None
    records: int
    observations: int
    last_observation: str
    map_mse: float
    unmeasured_mse: float
    seconds: float
    timestamp: float
    trouble: str = ""
    place: Mapping[str, Any] | None = None

    @property
    def believes(self) -> bool:
        """Whether the agent believes anything over the pool: one with a model does once it was trained."""
        return bool(self.report.maps) or self.report.prediction is not None


class Thinker:
    """Asks an agent for decisions, off the RunEngine's loop.

    Parameters
    ----------
    agent : Agent
        Used only in the thinking thread.
    budget : int
        Points that the run is asked for; a human may change that.
    history : History
        What the documents say; all that the agent sees.
    local : callable, optional
        Makes the same agent in this process, for :meth:`think_here`; only where it thinks elsewhere.
    """

    name = DECISION
    parent = None

    def __init__(self, agent: Agent, budget: int, history: History, local: Callable[[], Agent] | None = None) -> None:
        self.agent = agent
        self._local = local
        self.history = history
        self._requested = budget
        self._ingested = 0
        self._thread: Worker | None = None
        self._thoughts: dict[int, Future[Thought]] = {}
        self._last: Future[Thought] | None = None

    def stage(self) -> list[Any]:
        """Start the thinking thread."""
        self._thread = Worker("thinking")
        return [self]

    def unstage(self) -> list[Any]:
        """End the thinking thread; a thought in progress is not waited for."""
        if isinstance(self.agent, ThinksElsewhere):
            self.agent.close()
        if self._thread is not None:
            self._thread.close()
            self._thread = None
        return [self]

    def check_value(self, number: int) -> None:
        """Raise ValueError if `number` is not that of a decision of this run."""
        budget = self._requested if self.history.standing.points is None else self.history.standing.points
        if not 0 <= number < budget:
            raise ValueError(f"{self.name}: expected a decision number 0 … {budget - 1}, got {number}")

    def set(self, number: int, records: int | None = None, *, decide: bool = True) -> FutureStatus:
        """Start to think about decision `number`, unless that has begun already.

        It rests on everything observed so far or, where a resumed run had begun this thought earlier, on the first
        `records`. A thought that ended in a question is thought again when the answer has come. Where a human has
        decided (not `decide`), the agent learns and estimates only.
        """
        self.check_value(number)
        answered = any(isinstance(record, Answer) for record in self.history.records[self._ingested :])
        again = self.trouble(number) or (answered and self.question(number) is not None)
        if number not in self._thoughts or again:
            self._thoughts[number] = self._submit(number, decide=decide, records=records)
            for old in [known for known in self._thoughts if known < number - 1]:
                del self._thoughts[old]
        return FutureStatus(self._thoughts[number])

    def think_here(self) -> None:
        """Let the same agent think in this process from now on; it is given all records.

        Raises
        ------
        ThinkingError
            If it cannot be made here.
        """
        if self._local is None:
            raise ThinkingError("the agent thinks here already")
        try:
            agent = self._local()
        except (ValueError, ImportError) as error:
            raise ThinkingError(f"the agent cannot think here: {error}") from error
        if isinstance(self.agent, ThinksElsewhere):
            self.agent.close()
        self.agent, self._ingested, self._thoughts, self._last = agent, 0, {}, None

    def trouble(self, number: int | None = None) -> str:
        """Return why decision `number`, or the last trigger, has no outcome: the place did not answer; else nothing."""
        thought = None if self._failed(number) else self.thought(number)
        return "" if thought is None else thought.trouble

    def reconsider(self, number: int) -> None:
        """Forget what was thought about decision `number` and later ones: something was told that matters."""
        self._thoughts = {known: thought for known, thought in self._thoughts.items() if known < number}

    def trigger(self) -> FutureStatus:
        """Start to learn from everything observed so far, without deciding: the run ends. It is idempotent."""
        if self._last is None or self.trouble():
            self._last = self._submit(len(self.history.decisions), decide=False)
        return FutureStatus(self._last)

    def thought(self, number: int | None = None) -> Thought | None:
        """Return what came out of thinking about decision `number`, or of the last trigger.

        None while it is not done and where it was never begun, as in a simulator. Raises what the agent raised.
        """
        future = self._last if number is None else self._thoughts.get(number)
        return future.result() if future is not None and future.done() else None

    def question(self, number: int) -> Question | None:
        """Return what the agent asked in place of decision `number`; None if nothing."""
        thought = None if self._failed(number) else self.thought(number)
        return None if thought is None else thought.question

    def _failed(self, number: int | None) -> bool:
        """Tell whether the agent raised, or was not asked any more."""
        future = self._last if number is None else self._thoughts.get(number)
        return future is not None and future.done() and (future.cancelled() or future.exception() is not None)

    def decision(self, number: int, *, escalates: bool = False, picked: int | None = None) -> Decision:
        """Return decision `number`; with `escalates` with the errors that the agent expects.

        Where a human `picked` a candidate, it is that.

        Raises
        ------
        ThinkingError
            If it was not made.
        """
        thought = self.thought(number)
        pool = self.history.pool
        chosen = None if thought is None else thought.suggestion
        if picked is not None:
            chosen = Suggestion(picked, HUMAN)
        if thought is None or chosen is None or pool is None:
            raise ThinkingError(f"expected decision {number}; none was made")
        expected = median = None
        if escalates:
            errors = thought.report.maps.get("predicted_error")
            expected = float("nan") if errors is None else float(errors[chosen.index])
            median = float("nan") if errors is None else float(np.median(errors))
        return Decision(
            number=number,
            candidate=int(chosen.index),
            position=(float(pool.positions[chosen.index, 0]), float(pool.positions[chosen.index, 1])),
            phase=str(chosen.phase),
            score=float(chosen.score),
            parts={name: float(chosen.parts.get(name, np.nan)) for name in self.agent.parts},
            records=thought.records,
            observations=thought.observations,
            last_observation=thought.last_observation,
            think_time=thought.seconds,
            losses={name: float(thought.report.losses.get(name, np.nan)) for name in self.agent.losses},
            map_mse=thought.map_mse,
            unmeasured_mse=thought.unmeasured_mse,
            estimate=self._written(thought.estimate),
            expected_error=expected,
            median_error=median,
            place=thought.place,
            model=thought.report.model,
        )

    def belief(self, thought: Thought) -> BeliefMap:
        """Return what the agent believed in a thought."""
        return BeliefMap(
            observations=thought.observations,
            maps=thought.report.maps,
            prediction=thought.report.prediction,
            estimate=self._written(thought.estimate),
            mse=thought.map_mse,
            unmeasured_mse=thought.unmeasured_mse,
        )

    def _written(self, estimate: Estimate | None) -> Estimate | None:
        return estimate or NOT_YET if isinstance(self.agent, EstimatesError) else None

    def _submit(self, number: int, *, decide: bool, records: int | None = None) -> "Future[Thought]":
        if self._thread is None:
            raise ThinkingError("the thinker is not staged; use stage_decorator([thinker]) around the plan")
        records = len(self.history.records) if records is None else records
        measured = self.history.measured(records)
        last = self.history.observation_uids[len(measured) - 1] if measured else ""
        context = self.history.context(records, number)
        return self._thread.submit(
            functools.partial(self._think, self.agent, context, records, measured, last, decide=decide)
        )

    def _think(
        self, agent: Agent, context: Context, records: int, measured: list[int], last: str, *, decide: bool
    ) -> Thought:
        started = time.perf_counter()
        suggestion = question = estimate = None
        report, trouble = Report({}, {}, None), ""
        try:
            agent.ingest(*for_agent(agent, self.history.records[self._ingested : records]))
            self._ingested = max(self._ingested, records)
            if decide:
                answer = agent.suggest(1, context)
                if isinstance(answer, Question):
                    question = answer
                else:
                    suggestion = answer[0]
            report = agent.report(context)
            estimate = agent.estimate() if isinstance(agent, EstimatesError) else None
        except PlaceError as error:
            trouble = str(error)
        seconds = time.perf_counter() - started
        over_pool, unmeasured = map_errors(report.prediction, self.history.reference, measured)
        return Thought(
            suggestion=suggestion,
            question=question,
            report=report,
            estimate=estimate,
            records=records,
            observations=len(measured),
            last_observation=last,
            map_mse=over_pool,
            unmeasured_mse=unmeasured,
            seconds=seconds,
            timestamp=time.time(),
            trouble=trouble,
            place=self._place(agent),
        )

    def _place(self, agent: Agent) -> Mapping[str, Any] | None:
        """Return where an agent thinks; nothing in a run whose agent was never to think elsewhere."""
        if self._local is None:
            return None
        return agent.place if isinstance(agent, ThinksElsewhere) else describe_place(agent.config)


def map_errors(
    prediction: NDArray[np.float32] | None, truth: NDArray[np.float64] | None, measured: list[int]
) -> tuple[float, float]:
    """Return the mean squared error of a prediction over the pool, and over its unmeasured part; NaN where unknown.

    Parameters
    ----------
    prediction, truth : (N, K) or None
        Predicted and true spectra.
    measured : list of int
        Candidates that were measured.
    """
    if truth is None or prediction is None:
        return float("nan"), float("nan")
    mse = np.mean((prediction.astype(np.float64) - truth) ** 2, axis=1)
    unmeasured = np.delete(mse, measured)
    return float(mse.mean()), float(unmeasured.mean()) if unmeasured.size else float("nan")
