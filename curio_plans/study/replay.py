"""Let the stored agent decide again from the stored events, and compare with what the run says it decided."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from agents.protocols import Agent, Config, Context, Estimate, EstimatesError, Question, RecordError, Suggestion
from curio_plans.documents.agent_run import AgentRun
from curio_plans.documents.events import Stored
from curio_plans.documents.start import versions
from curio_plans.documents.streams import Decision
from curio_plans.rules.stopping import StoppingRule
from curio_plans.study.common import ReplayError


@dataclass(frozen=True)
class Difference:
    """Where a replay first left the stored run.

    Attributes
    ----------
    number : int
        The decision, 0 for the first of the run; their number where the agent would not have ended the run there.
    stored, replayed : str
        What each says.
    """

    number: int
    stored: str
    replayed: str


@dataclass(frozen=True)
class Verdict:
    """The outcome of a replay.

    Attributes
    ----------
    initial, initial_identical : int
        Decisions of the agent's initial phase, and how many of them came out the same.
    chosen, chosen_identical : int
        The same for all later decisions.
    first : Difference or None
        The first difference; None if there is none.
    versions : mapping of str to (stored, present)
        Packages whose version differs.
    """

    initial: int
    initial_identical: int
    chosen: int
    chosen_identical: int
    first: Difference | None
    versions: Mapping[str, tuple[str, str]]

    @property
    def identical(self) -> bool:
        """Whether every decision came out the same, bit for bit."""
        return self.first is None

    def __str__(self) -> str:
        """Return the verdict in a few lines."""
        summary = f"{self.chosen_identical}/{self.chosen} decisions identical"
        if self.initial:
            summary += f" (and {self.initial_identical}/{self.initial} initial points)"
        if self.first is None:
            return summary
        lines = [
            summary,
            f"first difference at {self._where(self.first.number)}",
            f"  stored:   {self.first.stored}",
            f"  replayed: {self.first.replayed}",
        ]
        if self.versions:
            lines.append("these versions differ, and any of them may be the reason:")
            lines += [f"  {name}: stored {old}, present {new}" for name, (old, new) in self.versions.items()]
        else:
            lines.append(
                "all package versions agree; the reason is another machine or thread count, an agent that breaks its "
                "laws, or documents that were changed after the run"
            )
        return "\n".join(lines)

    def _where(self, number: int) -> str:
        total = self.initial + self.chosen
        return "the end of the run" if number == total else f"decision {number + 1} of {total}"


def verify(
    documents: Iterable[tuple[str, Mapping[str, Any]]],
    build: Callable[[Config], Agent],
    progress: Callable[[int, int], None] | None = None,
    *,
    stored: Stored | None = None,
) -> Verdict:
    """Rebuild the agent from the start document, feed it the stored events and compare each decision, bit for bit.

    Parameters
    ----------
    documents : iterable of (name, document)
        One run; where it resumes another one, after the documents of that.
    build : callable
        Makes an agent from its config.
    progress : callable, optional
        Called with (decisions done, decisions in all).
    stored : callable, optional
        Gives the documents of earlier runs, for an agent that learned from some.

    Raises
    ------
    ReplayError
        If the agent cannot be rebuilt from its start document.
    DocumentError
        If this is not a run of an agent, or a prior run that it learned from is missing or changed.
    """
    history = AgentRun.read(documents, stored)
    try:
        agent = build(history.config)
    except (ValueError, TypeError) as error:
        raise ReplayError(f"the agent cannot be rebuilt from the start document: {error}") from error

    # Tiled gives events names of its own; then no uid that a decision tells is known, and none is compared.
    known = set(history.observation_uids)
    uids = any(decision.last_observation in known for decision in history.decisions)
    differences: list[Difference] = []
    different: set[int] = set()
    ingested = 0
    failure = ""
    total = len(history.decisions)
    for decision in history.decisions:
        upto = decision.records
        replayed: Suggestion | str
        if not failure:
            try:
                agent.ingest(*history.records[ingested:upto])
            except RecordError as error:
                failure = f"the agent refuses a stored observation: {error}"
        ingested = max(ingested, upto)
        replayed = failure or _ask(agent, history.context(decision.records, decision.number))
        estimate = _estimate(agent) if decision.estimate is not None and not failure else None
        problem = _compare(decision, replayed, estimate, history, uids=uids)
        if problem is not None:
            differences.append(problem)
            different.add(decision.number)
        if progress is not None:
            progress(decision.number + 1, total)

    if not failure and (problem := _compare_ending(agent, history, ingested)) is not None:
        differences.append(problem)

    initial = [decision.number for decision in history.decisions if decision.phase == "initial"]
    return Verdict(
        initial=len(initial),
        initial_identical=len(set(initial) - different),
        chosen=total - len(initial),
        chosen_identical=total - len(initial) - len(different - set(initial)),
        first=differences[0] if differences else None,
        versions=changed_versions(history.start.get("versions", {})),
    )


def changed_versions(stored: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return the packages whose present version is not the stored one, as (stored, present)."""
    present = versions()
    names = sorted(set(stored) | set(present))
    both = {name: (stored.get(name, "not recorded"), present.get(name, "not recorded")) for name in names}
    return {name: pair for name, pair in both.items() if pair[0] != pair[1]}


def _ask(agent: Agent, context: Context) -> Suggestion | str:
    try:
        suggestions = agent.suggest(1, context)
    except ValueError as error:
        return f"the agent cannot decide: {error}"
    if isinstance(suggestions, Question):
        return f"the agent asks {suggestions.text!r}"
    return suggestions[0]


def _estimate(agent: Agent) -> Estimate | None:
    return agent.estimate() if isinstance(agent, EstimatesError) else None


def _compare(
    stored: Decision, replayed: Suggestion | str, estimate: Estimate | None, history: AgentRun, *, uids: bool
) -> Difference | None:
    said = _say(stored.candidate, stored.phase, stored.score, stored.parts, stored.estimate)
    if isinstance(replayed, str):
        return Difference(stored.number, said, replayed)
    again = _say(replayed.index, replayed.phase, replayed.score, replayed.parts, estimate)
    if said != again:
        return Difference(stored.number, said, again)
    last = history.observation_uids[stored.observations - 1] if stored.observations else ""
    if uids and stored.last_observation != last:
        return Difference(
            stored.number,
            f"decided after event {stored.last_observation}",
            f"observation {stored.observations} is {last}",
        )
    if stored.number < len(history.outcomes) and history.outcomes[stored.number].index != stored.candidate:
        tried = history.outcomes[stored.number].index
        return Difference(stored.number, f"{said}, but candidate {tried} was tried", again)
    return None


def _compare_ending(agent: Agent, history: AgentRun, ingested: int) -> Difference | None:
    """Tell whether the agent would have ended the run as it says, where that was the agent's doing."""
    stored = history.ending
    if stored is None or stored.rule not in ("error", "gain"):
        return None
    number, said = len(history.decisions), repr(stored)
    try:
        agent.ingest(*history.records[ingested : stored.records])
    except RecordError as error:
        return Difference(number, said, f"the agent refuses a stored observation: {error}")
    rule, estimate = StoppingRule(**history.start["plan_args"]["until"]), _estimate(agent)
    replayed = rule.satisfied(stored.records, estimate)
    if replayed == stored:
        return None
    return Difference(number, said, f"it goes on, with {estimate!r}" if replayed is None else repr(replayed))


def _say(candidate: int, phase: str, score: float, parts: Mapping[str, float], estimate: Estimate | None = None) -> str:
    """Describe a decision; repr() of a float tells every bit."""
    numbers = {"score": score, **parts, **({} if estimate is None else asdict(estimate))}
    told = ", ".join(f"{name} {value!r}" for name, value in numbers.items() if not math.isnan(value))
    return f"candidate {candidate} ({phase}{', ' + told if told else ''})"
