"""Let the stored agent decide again from the stored events, and compare with the stored decisions."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from agents.place import describe_place
from agents.place import differences as places_differ
from agents.protocols import Agent, Estimate, EstimatesError, Question, RecordError, ThinksElsewhere, for_agent
from curio_plans.documents.agent_run import AgentRun
from curio_plans.documents.events import Document, Stored
from curio_plans.documents.start import versions
from curio_plans.documents.streams import HUMAN, Decision, Ending
from curio_plans.rules.stopping import StoppingRule
from curio_plans.study.common import Build, Progress, ReplayError
from curio_plans.validation import validated


@dataclass(frozen=True)
class Difference:
    """Where a replay differs from the stored run.

    Attributes
    ----------
    number : int
        Number of the decision, from 0; the number of decisions if the agent would not have ended the run there.
    stored, replayed : str
        What was stored, and what the agent decides now.
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
        Decisions of the agent's initial phase, and how many of them are identical.
    chosen, chosen_identical : int
        The same for all later decisions.
    first : Difference or None
        The first difference; None if there is none.
    versions : mapping of str to (stored, present)
        Packages whose version differs.
    places : mapping of str to (stored, present)
        What differs between the place where the first different decision was thought and that of the replay, of a run
        whose agent thought elsewhere.
    """

    initial: int
    initial_identical: int
    chosen: int
    chosen_identical: int
    first: Difference | None
    versions: Mapping[str, tuple[str, str]]
    places: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)

    @property
    def identical(self) -> bool:
        """Whether every decision is identical, bit for bit."""
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
        if self.places:
            lines.append("it was thought at another place, which differs in:")
            lines += [f"  {name}: stored {old}, present {new}" for name, (old, new) in self.places.items()]
        if self.versions:
            lines.append("these versions differ, and any of them may be the reason:")
            lines += [f"  {name}: stored {old}, present {new}" for name, (old, new) in self.versions.items()]
        elif not self.places:
            lines.append(
                "all package versions agree; possible reasons are another machine or thread count, an agent that is "
                "not deterministic, or documents that were changed after the run"
            )
        return "\n".join(lines)

    def _where(self, number: int) -> str:
        total = self.initial + self.chosen
        return "the end of the run" if number == total else f"decision {number + 1} of {total}"


def verify(
    documents: Iterable[Document],
    build: Build,
    progress: Progress | None = None,
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
        Gives the documents of prior runs, for an agent that learned from some.

    Raises
    ------
    ReplayError
        If the agent cannot be rebuilt from its start document.
    DocumentError
        If no agent decided in this run, or a prior run is missing or was changed.
    """
    history = AgentRun.read(documents, stored)
    try:
        replay = _Replay(history, build(history.config))
    except (ValueError, TypeError) as error:
        raise ReplayError(f"the agent cannot be rebuilt from the start document: {error}") from error
    uids = _uids_are_kept(history)
    compared: list[Difference | None] = []
    for decision in history.decisions:
        compared.append(_compare(decision, replay.decide(decision), history, uids=uids))
        if progress is not None:
            progress(decision.number + 1, len(history.decisions))
    compared.append(_compare_ending(replay, history))
    return _verdict(history, [difference for difference in compared if difference is not None], replay.place)


def changed_versions(stored: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return the packages whose present version is not the stored one, as (stored, present)."""
    present = versions()
    names = sorted(set(stored) | set(present))
    both = {name: (stored.get(name, "not recorded"), present.get(name, "not recorded")) for name in names}
    return {name: pair for name, pair in both.items() if pair[0] != pair[1]}


class _Replay:
    """The rebuilt agent: it ingests the stored records and decides again.

    Attributes
    ----------
    failure : str
        Why the agent ingests nothing more; empty while it does.
    """

    def __init__(self, history: AgentRun, agent: Agent) -> None:
        self.failure = ""
        self._history, self._agent, self._ingested = history, agent, 0

    @property
    def place(self) -> Mapping[str, Any]:
        """Where the rebuilt agent thinks."""
        return self._agent.place if isinstance(self._agent, ThinksElsewhere) else describe_place(self._agent.config)

    def decide(self, stored: Decision) -> str:
        """Return, as text, what the agent decides from the records of a stored decision; or why it does not."""
        self._ingest(stored.records)
        if self.failure:
            return self.failure
        picked = self._history.picked[stored.number]
        if picked is not None:
            estimate = None if stored.estimate is None else self._estimate()
            return _say(picked, HUMAN, math.nan, dict.fromkeys(stored.parts, math.nan), estimate)
        try:
            suggestions = self._agent.suggest(1, self._history.context(stored.records, stored.number))
        except ValueError as error:
            return f"the agent cannot decide: {error}"
        if isinstance(suggestions, Question):
            return f"the agent asks {suggestions.text!r}"
        one = suggestions[0]
        estimate = None if stored.estimate is None else self._estimate()
        return _say(one.index, one.phase, one.score, one.parts, estimate)

    def end(self, stored: Ending, rule: StoppingRule) -> str:
        """Return, as text, whether the agent ends the run with the records of a stored ending."""
        self._ingest(stored.records)
        if self.failure:
            return self.failure
        estimate = self._estimate()
        ending = rule.satisfied(stored.records, estimate)
        return f"it goes on, with {estimate!r}" if ending is None else repr(ending)

    def _ingest(self, records: int) -> None:
        if self.failure:
            return
        try:
            self._agent.ingest(*for_agent(self._agent, self._history.records[self._ingested : records]))
        except RecordError as error:
            self.failure = f"the agent refuses a stored observation: {error}"
        self._ingested = max(self._ingested, records)

    def _estimate(self) -> Estimate | None:
        return self._agent.estimate() if isinstance(self._agent, EstimatesError) else None


def _uids_are_kept(history: AgentRun) -> bool:
    """Tell whether events have the uids to which decisions refer; Tiled gives them new ones."""
    known = set(history.observation_uids)
    return any(decision.last_observation in known for decision in history.decisions)


def _compare(stored: Decision, replayed: str, history: AgentRun, *, uids: bool) -> Difference | None:
    said = _say(stored.candidate, stored.phase, stored.score, stored.parts, stored.estimate)
    if said != replayed:
        return Difference(stored.number, said, replayed)
    last = history.observation_uids[stored.observations - 1] if stored.observations else ""
    if uids and stored.last_observation != last:
        return Difference(
            stored.number,
            f"decided after event {stored.last_observation}",
            f"observation {stored.observations} is {last}",
        )
    if stored.number < len(history.outcomes) and history.outcomes[stored.number].index != stored.candidate:
        tried = history.outcomes[stored.number].index
        return Difference(stored.number, f"{said}, but candidate {tried} was tried", replayed)
    return None


def _compare_ending(replay: _Replay, history: AgentRun) -> Difference | None:
    """Compare the ending, where the agent's estimate ended the run."""
    stored = history.ending
    if stored is None or stored.rule not in ("error", "gain") or replay.failure:
        return None
    until = history.standing.until or history.start["plan_args"]["until"]
    replayed = replay.end(stored, validated(StoppingRule, dict(until), "until"))
    return None if replayed == repr(stored) else Difference(len(history.decisions), repr(stored), replayed)


def _verdict(history: AgentRun, differences: Sequence[Difference], place: Mapping[str, Any]) -> Verdict:
    different = {difference.number for difference in differences}
    initial = {decision.number for decision in history.decisions if decision.phase == "initial"}
    chosen = {decision.number for decision in history.decisions} - initial
    first = history.decisions[differences[0].number :][:1] if differences else []
    stored = first[0].place if first else None
    return Verdict(
        initial=len(initial),
        initial_identical=len(initial - different),
        chosen=len(chosen),
        chosen_identical=len(chosen - different),
        first=differences[0] if differences else None,
        versions=changed_versions(history.start.get("versions", {})),
        places={} if stored is None else places_differ(stored, place),
    )


def _say(candidate: int, phase: str, score: float, parts: Mapping[str, float], estimate: Estimate | None) -> str:
    """Describe a decision; repr() of a float tells every bit."""
    numbers = {"score": score, **parts, **({} if estimate is None else asdict(estimate))}
    told = ", ".join(f"{name} {value!r}" for name, value in numbers.items() if not math.isnan(value))
    return f"candidate {candidate} ({phase}{', ' + told if told else ''})"
