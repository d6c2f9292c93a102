"""What people ask of a run while it goes on: read between the points, checked, recorded, answered."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol, TypeVar

import numpy as np
from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from bluesky.utils import Msg, MsgGenerator, RequestAbort
from numpy.typing import NDArray

from agents.protocols import EstimatesError, Exclusion, Observation, Pool, Question
from curio_plans.documents.acts import (
    Abort,
    Accept,
    Act,
    Answer,
    Exclude,
    Go,
    Include,
    Pick,
    Points,
    Restrict,
    Skip,
    Until,
    read_act,
    write_act,
)
from curio_plans.documents.history import History
from curio_plans.documents.steering import Standing, candidates_of, describe_act, nearest
from curio_plans.documents.streams import STEERING, Ending, Steered
from curio_plans.rules.request import RunRequest
from curio_plans.rules.stopping import StoppingRule
from curio_plans.run import stubs
from curio_plans.run.microscope import Microscope
from curio_plans.run.notes import Note
from curio_plans.run.stubs import Ask
from curio_plans.validation import validated

T = TypeVar("T")

LOOK = 0.1
"""Seconds between two looks at what was asked, while the run waits for a human."""

GLANCE = 0.5
"""Seconds between two looks for an abort, while the microscope measures."""


class Mail(Protocol):
    """What passes between a run and those who steer it, such as :class:`curio_plans.store.mailbox.Mailbox`."""

    def asked(self) -> Sequence[tuple[str, Mapping[str, Any]]]:
        """Return what was asked and not answered, with its names, in order."""
        ...

    def answer(self, name: str, answer: Mapping[str, Any]) -> None:
        """Answer what was asked under a name."""
        ...

    def want(self, what: Mapping[str, Any]) -> None:
        """Say what the run wants from a human; nothing if empty."""
        ...


Post = Callable[[str], Mail]
"""Takes the uid of a run; returns its mail."""


class Steering:
    """Reads, checks and records what people ask of one run of ``curiosity``.

    Parameters
    ----------
    history : History
        What the documents say so far; what stands is in it.
    afm : Microscope
        Whose limits hold.
    request : RunRequest
        What the run was asked for when it began.
    agent : Agent
        Who can be asked to estimate its error, or cannot.
    post : callable or None
        Gives the mail of a run; None where nobody can ask for anything.
    check_rule : callable
        Raises ValueError if a stopping rule cannot be applied.
    earlier : sequence of str
        Uids of the runs that this one resumes: what was asked of them and not answered is answered here.
    """

    def __init__(
        self,
        history: History,
        afm: Microscope,
        request: RunRequest,
        agent: Any,
        post: Post | None,
        check_rule: Callable[[StoppingRule], Any],
        earlier: Sequence[str] = (),
    ) -> None:
        self._history, self._afm, self._original, self._agent = history, afm, request, agent
        self._post, self._check_rule, self._earlier = post, check_rule, earlier
        self._answer: str | None = None
        self._question: Question | None = None
        self._suggested: int | None = None  # the candidate that waits for a human
        self._accepted = False
        self.abortion = ""
        """Who aborted the run, in words; empty while nobody has."""

    @property
    def standing(self) -> Standing:
        """What stands of what people asked for."""
        return self._history.standing

    @property
    def request(self) -> RunRequest:
        """What the run is asked for now."""
        now = self.standing
        changes: dict[str, Any] = {"points": now.points, "map_every": now.map_every}
        changes = {name: value for name, value in changes.items() if value is not None}
        if now.until is not None:
            changes["until"] = dict(now.until) or None
        return self._original.replace(**changes) if changes else self._original

    def read(self, number: int) -> MsgGenerator[int]:
        """Do what was asked since the last call, before decision `number`; return how many acts were recorded.

        Raises
        ------
        RequestAbort
            If somebody wants that.
        """
        done = 0
        for mail in self._mails:
            for name, asked in mail.asked():
                try:
                    act, by = _read(asked)
                    if any(known.name == name for known in self._history.of(Steered)):  # killed before it was answered
                        mail.answer(name, {"done": True, "text": "done before the run was resumed"})
                        continue
                    candidate, text = self._check(act, number)
                except ValueError as refusal:
                    mail.answer(name, {"done": False, "text": str(refusal)})
                    continue
                at = float(asked.get("time", 0.0))
                yield from self.record(Steered(name, act.act, write_act(act), by, at, number, candidate))
                mail.answer(name, {"done": True, "text": text, "decision": number})
                done += 1
                self._note(act)
                if isinstance(act, Abort):
                    self.abortion = f"{by} aborted the run"
                    raise RequestAbort
        return done

    def unless_aborted(self, measuring: MsgGenerator[T], number: int) -> MsgGenerator[T]:
        """Measure something long, before decision `number` or after it; an abort ends it in the middle.

        Raises
        ------
        RequestAbort
            If somebody wants that.
        """
        if self._post is None:
            return (yield from measuring)

        def patient(message: Msg) -> tuple[MsgGenerator[Any] | None, None]:
            waits = message.command == "wait" and message.kwargs.get("timeout") is None
            return (self._wait(message, number) if waits else None), None

        result: T = yield from bpp.plan_mutator(measuring, patient)
        return result

    def _wait(self, message: Msg, number: int) -> MsgGenerator[Any]:
        brief = message._replace(kwargs={**message.kwargs, "timeout": GLANCE, "error_on_timeout": False})
        while (done := (yield brief)) is False:  # None in a simulation
            if any(asked.get("act") == Abort.act for mail in self._mails for _, asked in mail.asked()):
                yield from self.read(number)
        return done

    def record(self, act: Steered) -> MsgGenerator[None]:
        """Record an act: an event of the ``steering`` stream."""
        yield from stubs.record([Note.of(act)], STEERING)
        yield from bps.checkpoint()

    def wait(self, number: int) -> MsgGenerator[None]:
        """While the run is paused, wait with the tip withdrawn."""
        if not self._paused():
            return
        yield from stubs.withdraw(self._afm)
        self._want({"paused": True})
        while self._paused():
            yield from bps.checkpoint()
            yield from bps.sleep(LOOK)
            yield from self.read(number)
        self._want({})

    def ending(self, number: int) -> Ending | None:
        """Return the ending where a human wants it, or what they exclude leaves no candidate."""
        history, pool = self._history, self._history.pool
        if pool is None:
            return None
        records = len(history.records)
        if self.standing.ends:
            last = [act for act in history.of(Steered) if act.act == "end"][-1]
            return Ending("human", f"{last.by} ended the run", float(len(history.observations)), records)
        if self.standing.avoids and not self.standing.picks and not self._free(number).any():
            reason = "no candidate is left that is not measured or excluded; take an exclusion back to go on"
            return Ending("candidates", reason, float(len(history.observations)), records)
        return None

    def approve(self, number: int, candidate: int) -> MsgGenerator[bool]:
        """Let a human see a suggestion, where that is wanted; return whether it is followed.

        It is not if somebody picked or skipped, or changed what is to be avoided.
        """
        mode, seconds = self.standing.approve, self.standing.seconds
        pool = self._history.pool
        if mode == "off" or pool is None or not self._mails:
            return True
        x, y = (float(value) for value in pool.positions[candidate])
        self._suggested, self._accepted = candidate, False
        changed, waited = 0, 0.0
        try:
            while not (changed or self._accepted) and (mode == "accept" or waited < seconds):
                left = None if mode == "accept" else round(seconds - waited)
                self._want({"suggestion": {"decision": number, "candidate": candidate, "x": x, "y": y, "left": left}})
                yield from bps.sleep(LOOK)
                waited += LOOK
                changed = yield from self.read(number)
        finally:
            self._suggested = None
            self._want({})
        return self._accepted or not changed

    def asking(self, ask: Ask | None) -> Ask | None:
        """Return a step that gets a question answered by whoever is first: who steers, or the step `ask`."""
        if ask is None and self._post is None:
            return None

        def answered(question: Question) -> MsgGenerator[str]:
            self._question, self._answer = question, None
            self._want({"question": question.text, "choices": list(question.choices)})
            try:
                return (yield from self._first_answer(question, ask))
            finally:
                self._question = None
                self._want({})

        return answered

    def close(self) -> None:
        """Answer what was asked too late."""
        if not self._history.start:
            return
        for mail in self._mails:
            for name, _ in mail.asked():
                mail.answer(
                    name, {"done": False, "text": "the run has ended; resume it, with more points if it is done"}
                )
            mail.want({})

    @cached_property
    def _mails(self) -> list[Mail]:
        if self._post is None or self._history.start is None:
            return []
        uids = [*self._earlier, str(self._history.start["uid"])]
        return [self._post(uid) for uid in dict.fromkeys(uids)]

    def _paused(self) -> bool:
        return self.standing.paused

    def _want(self, what: Mapping[str, Any]) -> None:
        if self._mails:
            self._mails[-1].want(what)

    def _first_answer(self, question: Question, ask: Ask | None) -> MsgGenerator[str]:
        number = len(self._history.decisions)
        if ask is None or self._history.start is None:
            while self._answer is None:
                yield from bps.checkpoint()
                yield from bps.sleep(LOOK)
                yield from self.read(number)
            return self._answer
        asking = ask(question)
        try:
            message = next(asking)
            while True:
                result = yield message
                yield from self.read(number)
                if self._answer is not None:
                    asking.close()
                    return self._answer
                message = asking.send(result)
        except StopIteration as end:
            return str(end.value)

    def _note(self, act: Act) -> None:
        if isinstance(act, Answer):
            self._answer = act.text
        elif isinstance(act, Accept):
            self._accepted = True

    def _free(self, number: int) -> NDArray[np.bool_]:
        """Return which candidates (N,) can be decided for."""
        history, pool = self._history, self._history.pool
        assert pool is not None  # noqa: S101
        context = history.context(len(history.records), number)
        free = np.ones(len(pool), dtype=bool)
        tried = [one.index for one in history.records if isinstance(one, Observation | Exclusion)]
        free[[*tried, *context.pending, *context.avoid, *self.standing.picks]] = False
        return free

    def _check(self, act: Act, number: int) -> tuple[int, str]:
        """Return the candidate that an act means, −1 for none, and in words what will be done.

        Raises
        ------
        ValueError
            If it cannot be done.
        """
        history, pool = self._history, self._history.pool
        if isinstance(act, Abort):
            return -1, describe_act(act.act, _values(act))
        if pool is None:
            raise ValueError("expected an image first: the candidates are not known yet")
        match act:
            case Pick():
                return self._check_pick(act, pool, number)
            case Exclude() | Restrict():
                found = len(candidates_of(act.act, _values(act), -1, pool))
                if not found:
                    raise ValueError("expected an area with candidates in it; this one has none")
                return -1, f"{describe_act(act.act, _values(act))}: {found} candidates"
            case Include() if act.number is not None and act.number not in self.standing.excluded:
                known = ", ".join(map(str, self.standing.excluded)) or "none"
                raise ValueError(f"expected the number of an exclusion ({known}), got {act.number}")
            case Points():
                least = len(history.decisions)
                most = len(history.outcomes) + int(self._free(number).sum()) + len(self.standing.picks)
                if not least <= act.points <= max(most, least):
                    raise ValueError(
                        f"expected {least} … {most} points: so many are decided, and left; got {act.points}"
                    )
            case Until():
                self._check_until(act)
            case Answer():
                question = self._question
                if question is None:
                    raise ValueError("expected a question first: the agent asks nothing")
                if act.text not in question.choices:
                    raise ValueError(f"expected one of {', '.join(question.choices)}; got {act.text!r}")
            case Accept() | Skip():
                return self._check_suggestion(act, number), describe_act(act.act, _values(act))
            case Go() if not self.standing.paused:
                raise ValueError("the run is not paused")
        return -1, describe_act(act.act, _values(act))

    def _check_pick(self, act: Pick, pool: Pool, number: int) -> tuple[int, str]:
        free = self._free(number)
        if act.candidate is not None:
            if act.candidate >= len(pool):
                raise ValueError(f"expected a candidate 0 … {len(pool) - 1}, got {act.candidate}")
            candidate, distance = act.candidate, 0.0
        else:
            assert act.x is not None and act.y is not None  # noqa: PT018, S101
            candidate, distance = nearest(pool, act.x, act.y)
            x, y = (float(value) for value in pool.positions[0])
            spacing = 2 * nearest(pool, x, y, np.arange(len(pool)) != 0)[1]
            if distance > spacing:
                raise ValueError(
                    f"no candidate is near ({act.x:g}, {act.y:g}) nm; the nearest is {distance:.0f} nm away"
                )
        x, y = (float(value) for value in pool.positions[candidate])
        if not free[candidate]:
            hint = ""
            if free.any():
                other, _ = nearest(pool, x, y, free)
                hint = "; the nearest that is free is at {:.0f}, {:.0f} nm".format(*pool.positions[other])
            raise ValueError(f"the candidate at {x:.0f}, {y:.0f} nm is measured, waits already, or is excluded{hint}")
        if len(self.standing.picks) >= self._history.budget - number:
            raise ValueError("no point is left for it; ask for more points first")
        self._afm.scanner.check_value((x, y))
        snapped = f", {distance:.0f} nm from the place that was named" if distance >= 0.5 else ""
        return candidate, f"candidate {candidate} at {x:.0f}, {y:.0f} nm is measured next{snapped}"

    def _check_until(self, act: Until) -> None:
        if not act.rule:
            return
        rule = validated(StoppingRule, dict(act.rule), "until")
        if rule.asks_agent and not isinstance(self._agent, EstimatesError):
            raise ValueError("this agent does not estimate its error; end by minutes or loops")
        self._check_rule(rule)

    def _check_suggestion(self, act: Accept | Skip, number: int) -> int:
        if self._suggested is None:
            raise ValueError("no suggestion waits for a human")
        if act.decision != number:
            raise ValueError(f"decision {act.decision} was made already; {number} waits now")
        return self._suggested


def _read(asked: Mapping[str, Any]) -> tuple[Act, str]:
    by = asked.get("by")
    if not isinstance(by, str) or not 0 < len(by) <= 200:
        raise ValueError("expected in by who asks, 1 to 200 characters")
    return read_act(asked.get("act"), asked.get("values", {})), by


def _values(act: Act) -> dict[str, Any]:
    return act.model_dump(mode="json", exclude_none=True)
