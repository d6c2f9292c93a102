"""The agent as a Bluesky device: it thinks in a thread of its own, and its decision is an event.

Thinking inside a plan would block the RunEngine's loop: no pause, no progress, no Ctrl-C. ``set(number)`` therefore
starts the decision of that number and returns a Status. It is idempotent: asked again for the same number – because a
plan looks ahead, or because the RunEngine repeats messages after a pause – it returns the thought it already has.
"""

import functools
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.protocols import (
    Agent,
    Answer,
    Context,
    Estimate,
    EstimatesError,
    Observation,
    Past,
    Question,
    Record,
    Report,
    Suggestion,
)
from curio_plans.documents.history import History
from curio_plans.documents.streams import DECISION, MAP
from curio_plans.run.notes import Readings
from curio_plans.run.status import FutureStatus, Worker


class ThinkingError(RuntimeError):
    """The agent could not decide."""


@dataclass(frozen=True, eq=False)
class Thought:
    """What came out of thinking once: a suggestion, or a question that comes before it."""

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


class Thinker:
    """Asks an agent for decisions, off the RunEngine's loop.

    It is a document callback too: what the run emits is folded by a :class:`History`, and that is all the agent sees.

    Parameters
    ----------
    agent : Agent
        Touched only in the thinking thread.
    budget : int
        Points of the whole run.
    past : sequence of Past
        Earlier runs, which the agent ingests before anything else.
    """

    name = DECISION
    parent = None

    def __init__(self, agent: Agent, budget: int, past: Sequence[Past] = ()) -> None:
        self.agent = agent
        self.history = History(past=past)
        self.maps = Maps(self)
        self._budget = budget
        self._ingested = 0
        self._thread: Worker | None = None
        self._thoughts: dict[int, Future[Thought]] = {}
        self._number = -1

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Take the next document of the run."""
        self.history(name, doc)

    def stage(self) -> list[Any]:
        """Start the thinking thread."""
        self._thread = Worker("thinking")
        return [self]

    def unstage(self) -> list[Any]:
        """End the thinking thread; a thought that is under way is not waited for."""
        if self._thread is not None:
            self._thread.close()
            self._thread = None
        return [self]

    def check_value(self, number: int) -> None:
        """Raise ValueError if `number` is not that of a decision of this run."""
        if not 0 <= number < self._budget:
            raise ValueError(f"{self.name}: expected a decision number 0 … {self._budget - 1}, got {number}")

    def set(self, number: int, records: int | None = None) -> FutureStatus:
        """Start thinking about decision `number` with everything observed so far, unless that has begun already.

        Where an earlier run, that the present one resumes, had begun this thought before its last point was measured,
        `records` says how many there were then. A thought that ended in a question is thought again when the answer has
        come.
        """
        self.check_value(number)
        self._number = number
        answered = any(isinstance(record, Answer) for record in self.history.records[self._ingested :])
        if number not in self._thoughts or (answered and self.question is not None):
            self._remember(number, self.think(decide=True, records=records))
        return FutureStatus(self._thoughts[number])

    @property
    def question(self) -> Question | None:
        """What the agent asked in place of the decision asked for last; None if nothing, or while it thinks."""
        thought = self._thoughts.get(self._number)
        return thought.result().question if thought is not None and thought.done() and not thought.exception() else None

    def think(self, *, decide: bool, records: int | None = None) -> "Future[Thought]":
        """Ingest what is new, the first `records` of them all, believe and perhaps decide; in the thinking thread."""
        if self._thread is None:
            raise ThinkingError("the thinker is not staged; use stage_decorator([thinker]) around the plan")
        records = len(self.history.records) if records is None else records
        new = tuple(self.history.records[self._ingested : records])
        self._ingested = records
        measured = [record.index for record in self.history.records[:records] if isinstance(record, Observation)]
        last = self.history.observation_uids[len(measured) - 1] if measured else ""
        context = self.history.context(records, len(self.history.decisions))
        return self._thread.submit(functools.partial(self._think, new, context, records, measured, last, decide=decide))

    def predicted_error(self) -> NDArray[np.float32] | None:
        """Return the error that the agent expected over the pool at its last decision, if it has such a map."""
        thought = self._thoughts.get(self._number)
        return None if thought is None or not thought.done() else thought.result().report.maps.get("predicted_error")

    @property
    def has_thought(self) -> bool:
        """Whether there is a decision asked for last; none, in a simulator."""
        return self._number in self._thoughts

    @property
    def thought(self) -> Thought:
        """The decision asked for last; it must be done."""
        return self._thoughts[self._number].result(timeout=0)

    def read(self) -> Readings:
        """Return the decision asked for last."""
        thought = self.thought
        suggestion = thought.suggestion
        pool = self.history.pool
        if suggestion is None or pool is None:
            raise ThinkingError("expected a decision; none was made")
        values: dict[str, Any] = {
            "candidate": suggestion.index,
            "x": float(pool.positions[suggestion.index, 0]),
            "y": float(pool.positions[suggestion.index, 1]),
            "phase": suggestion.phase,
            "score": float(suggestion.score),
            **{f"part_{name}": float(suggestion.parts.get(name, np.nan)) for name in self.agent.parts},
            "records": thought.records,
            "observations": thought.observations,
            "last_observation": thought.last_observation,
            "think_time": thought.seconds,
            **{f"loss_{name}": float(thought.report.losses.get(name, np.nan)) for name in self.agent.losses},
            "map_mse": thought.map_mse,
            "unmeasured_mse": thought.unmeasured_mse,
            **_columns(self.agent, thought.estimate),
        }
        return _readings(self.name, values, thought.timestamp)

    def describe(self) -> dict[str, dict[str, Any]]:
        """Return the data keys of a decision."""
        number, integer, text = ("number", "<f8"), ("integer", "<i8"), ("string", "")
        kinds = {
            "candidate": integer,
            "x": number,
            "y": number,
            "phase": text,
            "score": number,
            **{f"part_{name}": number for name in self.agent.parts},
            "records": integer,
            "observations": integer,
            "last_observation": text,
            "think_time": number,
            **{f"loss_{name}": number for name in self.agent.losses},
            "map_mse": number,
            "unmeasured_mse": number,
            **{name: integer if isinstance(value, int) else number for name, value in _columns(self.agent).items()},
        }
        units = {"x": "nm", "y": "nm", "think_time": "s", "map_mse": self.mse_unit, "unmeasured_mse": self.mse_unit}
        keys = {}
        for name, (dtype, dtype_numpy) in kinds.items():
            key: dict[str, Any] = {"source": f"agent:{name}", "dtype": dtype, "shape": []}
            if dtype_numpy:
                key |= {"dtype_numpy": dtype_numpy, "units": units.get(name, "")}
            keys[f"{self.name}_{name}"] = key
        return keys

    @property
    def mse_unit(self) -> str:
        """Unit of a mean squared error of spectra."""
        unit = self.history.spectrum_unit
        return f"({unit})²" if unit else ""

    @property
    def hints(self) -> dict[str, Any]:
        """Return what to show of a decision."""
        return {"fields": [f"{self.name}_score"]}

    def _think(
        self, new: tuple[Record, ...], context: Context, records: int, measured: list[int], last: str, *, decide: bool
    ) -> Thought:
        started = time.perf_counter()
        self.agent.ingest(*new)
        suggestion = question = None
        if decide:
            answer = self.agent.suggest(1, context)
            if isinstance(answer, Question):
                question = answer
            else:
                suggestion = answer[0]
        report = self.agent.report(context)
        estimate = self.agent.estimate() if isinstance(self.agent, EstimatesError) else None
        seconds = time.perf_counter() - started
        errors = map_errors(report.prediction, self.history.reference, measured)
        rests = (records, len(measured), last)
        return Thought(suggestion, question, report, estimate, *rests, *errors, seconds, time.time())

    def _remember(self, number: int, thought: "Future[Thought]") -> None:
        self._thoughts[number] = thought
        for old in [known for known in self._thoughts if known < number - 1]:
            del self._thoughts[old]


class Maps:
    """What the agent believes over the whole pool; read now and then.

    Reading gives the maps of the last decision; ``trigger()`` thinks once more, with everything observed so far.
    """

    name = MAP

    def __init__(self, thinker: Thinker) -> None:
        self.parent = thinker
        self._final: Future[Thought] | None = None

    def trigger(self) -> FutureStatus:
        """Bring the maps up to date without deciding; asked again, the same thought is returned."""
        if self._final is None:
            self._final = self.parent.think(decide=False)
        return FutureStatus(self._final)

    @property
    def ready(self) -> bool:
        """Whether there is something to read: an agent with a model has maps once it was trained."""
        if self._final is None and not self.parent.has_thought:
            return False
        report = self._thought.report
        return bool(report.maps) or report.prediction is not None

    def read(self) -> Readings:
        """Return the maps, the predicted spectra and their errors, and what the agent believes of these."""
        thought = self._thought
        values = {
            "observations": thought.observations,
            **self._arrays(thought.report),
            "mse": thought.map_mse,
            "unmeasured_mse": thought.unmeasured_mse,
            **_columns(self.parent.agent, thought.estimate),
        }
        return _readings(self.name, values, thought.timestamp)

    def describe(self) -> dict[str, dict[str, Any]]:
        """Return the data keys; the pool and the spectra give the shapes."""
        unit, squared = self.parent.history.spectrum_unit, self.parent.mse_unit
        units = {"prediction": unit, "mse": squared, "unmeasured_mse": squared}

        def key(name: str, dtype: str, dtype_numpy: str, shape: tuple[int, ...] = ()) -> dict[str, Any]:
            form = {"dtype": dtype, "dtype_numpy": dtype_numpy, "shape": list(shape)}
            return {"source": f"agent:{name}", "units": units.get(name, ""), **form}

        arrays = self._arrays(self._thought.report)
        keys = {
            "observations": key("observations", "integer", "<i8"),
            **{name: key(name, "array", "<f4", array.shape) for name, array in arrays.items()},
            "mse": key("mse", "number", "<f8"),
            "unmeasured_mse": key("unmeasured_mse", "number", "<f8"),
            **{
                name: key(name, "integer", "<i8") if isinstance(value, int) else key(name, "number", "<f8")
                for name, value in _columns(self.parent.agent).items()
            },
        }
        return {f"{self.name}_{name}": value for name, value in keys.items()}

    @property
    def hints(self) -> dict[str, Any]:
        """Return that nothing of it is worth a table or a plot over time."""
        return {"fields": []}

    @property
    def _thought(self) -> Thought:
        return self._final.result(timeout=0) if self._final is not None else self.parent.thought

    @staticmethod
    def _arrays(report: Report) -> dict[str, NDArray[np.float32]]:
        arrays = {f"of_{name}": np.asarray(values, np.float32) for name, values in report.maps.items()}
        if report.prediction is not None:
            arrays["prediction"] = np.asarray(report.prediction, np.float32)
        return arrays


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


def _columns(agent: Agent, estimate: Estimate | None = None) -> dict[str, float | int]:
    """Return the estimate of an agent by data key: NaN and no checks before it can tell, nothing if it never can."""
    if not isinstance(agent, EstimatesError):
        return {}
    nan = float("nan")
    known = estimate or Estimate(error=nan, low=nan, high=nan, noise=nan, gain=nan, checks=0)
    return {
        "error": float(known.error),
        "error_low": float(known.low),
        "error_high": float(known.high),
        "noise": float(known.noise),
        "gain": float(known.gain),
        "checks": int(known.checks),
    }


def _readings(prefix: str, values: Mapping[str, Any], timestamp: float) -> Readings:
    return {f"{prefix}_{name}": {"value": value, "timestamp": timestamp} for name, value in values.items()}
