"""Why a point was measured where it was: one decision of a run, explained from its documents alone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.protocols import Exclusion, Observation, for_agent
from curio_plans.documents.agent_run import AgentRun
from curio_plans.documents.events import Document, Stored
from curio_plans.documents.streams import HUMAN, BeliefMap, Decision, Steered
from curio_plans.study.common import Build, ReplayError, as_lines, describe_config

SCORE = "score"
"""The acquisition value, as a map over the pool."""


class ExplainError(ValueError):
    """A decision that cannot be explained."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """What the documents say about one decision.

    Attributes
    ----------
    history : AgentRun
        The whole run.
    decision : Decision
        What was decided: candidate, phase, score and its parts, and what it rests on.
    belief : BeliefMap or None
        The belief map at that moment: rebuilt, or the last one recorded that rests on no more observations than the
        decision.
    available : (N,) bool
        The candidates that were neither measured, nor excluded, nor about to be measured.
    nearest : float
        Distance in nm to the nearest place measured before; NaN for the first decision.
    outcome : Observation, Exclusion or None
        What was measured, or why the candidate was excluded; None if the run ended before.
    attempts : tuple of str
        Why spectra of the candidate were rejected.
    rebuilt : bool
        Whether the belief is that of an agent rebuilt from the records that the decision rests on.
    """

    history: AgentRun
    decision: Decision
    belief: BeliefMap | None
    available: NDArray[np.bool_]
    nearest: float
    outcome: Observation | Exclusion | None
    attempts: tuple[str, ...]
    rebuilt: bool = False

    @property
    def measured(self) -> list[int]:
        """The candidates that had been measured, in order."""
        return [observation.index for observation in self.history.observations[: self.decision.observations]]

    def rank(self, name: str = SCORE) -> tuple[int, int] | None:
        """Return the rank of the candidate on a map, 1 for the largest value, and the number of available candidates.

        None where there is no such map.
        """
        values = self.maps.get(name)
        if values is None:
            return None
        others = values[self.available]
        return 1 + int((others > values[self.decision.candidate]).sum()), int(self.available.sum())

    @property
    def maps(self) -> Mapping[str, NDArray[np.float32]]:
        """The values (N,) over the pool in the belief map at that moment, by name; none where there is no such map."""
        return {} if self.belief is None else self.belief.maps

    @property
    def errors(self) -> tuple[float, float] | None:
        """Root-mean-square error of the prediction for the place, and its median over the places measured before.

        From the belief map at that moment and the measured spectra, in the unit of the spectra; None without both.
        """
        if self.belief is None or self.belief.prediction is None or not isinstance(self.outcome, Observation):
            return None
        known = self.history.observations[: self.decision.observations]
        before = [_rms(self.belief.prediction[one.index], one.spectrum) for one in known]
        here = _rms(self.belief.prediction[self.outcome.index], self.outcome.spectrum)
        return here, float(np.median(before)) if before else float("nan")

    @property
    def _picks(self) -> list[Steered]:
        """The act of the human who decided this; empty where the agent did."""
        if self.decision.phase != HUMAN:
            return []
        acts = self.history.of(Steered)
        return [act for act in acts if act.act == "pick" and act.candidate == self.decision.candidate][-1:]

    def rows(self) -> list[tuple[str, str]]:
        """Return the explanation as labelled text."""
        decision = self.decision
        x, y = decision.position
        budget = self.history.context(decision.records, decision.number).budget
        excluded = sum(isinstance(record, Exclusion) for record in self.history.records[: decision.records])
        known = f"{decision.observations} of {budget} spectra"
        if self.history.past:
            before = sum(len(past.observations) for past in self.history.past)
            known += f", and {before} in {len(self.history.past)} prior run(s)"
        where = f"candidate {decision.candidate} at ({x:.1f}, {y:.1f}) nm, phase {decision.phase}"
        rows = [
            ("decision", f"{decision.number + 1} of {budget}: {where}"),
            *[("picked by", act.by) for act in self._picks],
            ("agent", describe_config(self.history.config)),
            ("score", _number(decision.score)),
        ]
        rows += [(f"  {name}", self._part(name, value)) for name, value in decision.parts.items()]
        rows.append(("belief map", self._map()))
        if rank := self.rank():
            rows.append(("rank", f"{rank[0]} of {rank[1]} available candidates by the score on that map"))
        rows.append(("known then", f"{known}, {excluded} candidates excluded" if excluded else known))
        rows += [("model", part) for part in decision.model.split("; ") if part]
        rows += [(f"  loss {name}", _number(value)) for name, value in decision.losses.items()]
        if (estimate := decision.estimate) is not None:
            rows.append(("error", f"estimated {estimate}, of which noise {estimate.noise:.3g}"))
        near = f"{self.nearest:.1f} nm to the nearest place measured before"
        rows.append(("distance", "the first place" if np.isnan(self.nearest) else near))
        rows += [(f"attempt {number}", f"rejected: {why}") for number, why in enumerate(self.attempts, start=1)]
        rows += [("outcome", self._outcome()), ("thinking", f"{decision.think_time:.2f} s")]
        if self.history.ending is not None and decision is self.history.decisions[-1]:
            rows.append(("then", f"the run ended: {self.history.ending.reason}"))
        return rows

    def __str__(self) -> str:
        """Return the explanation in lines."""
        return as_lines(self.rows())

    def _map(self) -> str:
        if self.belief is None:
            return "none was recorded before this decision"
        then = self.decision.observations
        if self.rebuilt:
            return f"of the agent, rebuilt from the {then} observations that the decision rests on"
        return f"the one after {self.belief.observations} observations; the decision rests on {then}"

    def _part(self, name: str, value: float) -> str:
        rank = self.rank(name)
        return _number(value) if rank is None else f"{_number(value)}, rank {rank[0]} of {rank[1]} on that map"

    def _outcome(self) -> str:
        if self.outcome is None:
            return "nothing: the run ended before it was measured"
        if isinstance(self.outcome, Exclusion):
            return f"excluded: {self.outcome.reason}"
        unit = self.history.spectroscopy.unit or "a.u."
        text = f"a spectrum of height {np.ptp(self.outcome.spectrum):.3g} {unit}"
        if self.errors is None:
            return text
        here, before = self.errors
        return f"{text}; that map predicted it with an rms error of {here:.3g} {unit} ({before:.3g} where measured)"


def explain(
    documents: Iterable[Document], number: int, *, stored: Stored | None = None, build: Build | None = None
) -> Explanation:
    """Explain decision `number` of a run, 1 for the first.

    Parameters
    ----------
    documents : iterable of (name, document)
        A run of an agent; where it resumes another one, after the documents of that.
    number : int
        1 … the number of decisions.
    stored : callable, optional
        Gives the documents of prior runs, for an agent that learned from some.
    build : callable, optional
        Makes an agent from its config; with it the belief is that of the decision, where it was not recorded then.

    Raises
    ------
    DocumentError
        If no agent decided in this run, or its documents are damaged.
    ReplayError
        If the agent cannot be rebuilt.
    ExplainError
        If the run has no such decision.
    """
    history = AgentRun.read(documents, stored)
    if not 1 <= number <= len(history.decisions):
        raise ExplainError(
            f"expected a point from 1 to {len(history.decisions)}, the number of decisions of this run, got {number}"
        )
    decision = history.decisions[number - 1]
    before = [belief for belief in history.maps if belief.observations <= decision.observations]
    known = history.records[: decision.records]
    available = np.ones(len(history.pool), dtype=bool)
    available[[record.index for record in known if isinstance(record, Observation | Exclusion)]] = False
    context = history.context(decision.records, decision.number)
    available[[*context.pending, *context.avoid]] = False
    places = [record.position for record in known if isinstance(record, Observation)]
    recorded = before[-1] if before else None
    missing = recorded is None or recorded.observations < decision.observations or SCORE not in recorded.maps
    again = _believe_again(history, decision, build) if missing and build is not None else None
    distances = np.hypot(*(np.array(places) - decision.position).T) if places else np.array([np.nan])
    return Explanation(
        history=history,
        decision=decision,
        belief=recorded if again is None else again,
        available=available,
        nearest=float(distances.min()),
        outcome=history.outcomes[decision.number] if decision.number < len(history.outcomes) else None,
        attempts=tuple(old.reason for old in history.rejected if old.candidate == decision.candidate),
        rebuilt=again is not None,
    )


def _believe_again(history: AgentRun, decision: Decision, build: Build) -> BeliefMap | None:
    """Return what the agent believes after the records of a decision; None if it has no maps then."""
    try:
        agent = build(history.config)
        agent.ingest(*for_agent(agent, history.records[: decision.records]))
    except (ValueError, TypeError) as error:
        raise ReplayError(
            f"the agent cannot be rebuilt from the documents: {error}; curio explain --recorded builds none"
        ) from error
    report = agent.report(history.context(decision.records, decision.number))
    if not report.maps:
        return None
    return BeliefMap(
        observations=decision.observations, maps=report.maps, prediction=report.prediction, estimate=decision.estimate
    )


def _rms(one: NDArray[Any], other: NDArray[Any]) -> float:
    return float(np.sqrt(((one.astype(np.float64) - other) ** 2).mean()))


def _number(value: float) -> str:
    return "none" if np.isnan(value) else f"{value:.4g}"
