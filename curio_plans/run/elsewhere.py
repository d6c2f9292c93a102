"""What a run does while the place where its agent thinks does not answer: withdraw, say so, then as the rule says."""

import time

from bluesky import plan_stubs as bps
from bluesky.utils import MsgGenerator

from agents.protocols import Question
from curio_plans.documents.streams import ELSEWHERE, Distant
from curio_plans.rules.elsewhere import Elsewhere
from curio_plans.run import stubs
from curio_plans.run.microscope import Microscope
from curio_plans.run.notes import Note
from curio_plans.run.stubs import Ask
from curio_plans.run.thinker import Thinker, ThinkingError

AGAIN, HERE, END = "wait longer", "think here", "end"
"""What a human can answer."""


class Vigil:
    """Waits for an agent that thinks elsewhere.

    Parameters
    ----------
    rule : Elsewhere
        How long, and what then.
    afm : Microscope
        Whose tip is withdrawn.
    thinker : Thinker
        Asks the agent.
    """

    def __init__(self, rule: Elsewhere, afm: Microscope, thinker: Thinker) -> None:
        self.rule = rule
        self._afm, self._thinker = afm, thinker
        self._decision, self._began, self._said = -1, 0.0, False

    def begin(self, number: int) -> None:
        """Begin to wait for decision `number`, or go on waiting for it."""
        if number != self._decision:
            self._decision, self._began, self._said = number, time.monotonic(), False

    def wait(self) -> MsgGenerator[None]:
        """Withdraw the tip, and record that the run waits."""
        yield from stubs.withdraw(self._afm)
        if not self._said:
            self._said = True
            reason = f"the agent at {self.rule.address} has not answered yet, after {self._seconds:.0f} s"
            yield from self._record("waits", reason)

    def end(self) -> MsgGenerator[None]:
        """Record that the place has answered, if it was said that the run waits."""
        if self._said:
            self._said = False
            yield from self._record("answers", f"the agent has answered after {self._seconds:.0f} s")

    def settle(self, trouble: str, ask: Ask | None) -> MsgGenerator[None]:
        """Do what the rule says now that the place has not answered in time.

        Raises
        ------
        ThinkingError
            If the run ends, because of the rule or of a human, or because nobody is there to ask.
        """
        then = {"local": HERE, "end": END}.get(self.rule.then, "")
        if not then and ask is None:
            raise ThinkingError(f"{trouble}; nobody is there to ask what to do: pass ask= to the plan")
        while True:
            if not then and ask is not None:
                yield from stubs.withdraw(self._afm)
                then = yield from ask(Question(trouble, (AGAIN, HERE, END)))
            if then == END:
                yield from self._record("ends", trouble)
                raise ThinkingError(f"{trouble}; resume the run when the agent can be reached, or with agent_at='here'")
            if then == AGAIN:
                self._thinker.reconsider(self._decision)
                return (yield from self._record("again", trouble))
            try:
                self._thinker.think_here()
            except ThinkingError as error:
                if self.rule.then == "local" or ask is None:
                    raise
                then, trouble = "", str(error)
                continue
            self._said = False
            return (yield from self._record("here", trouble))

    def skip(self, trouble: str) -> MsgGenerator[None]:
        """Record that the last belief of the run is not recorded."""
        yield from self._record("skipped", trouble)

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._began

    def _record(self, what: str, reason: str) -> MsgGenerator[None]:
        entry = Distant(max(self._decision, 0), what, reason, self._seconds)
        yield from stubs.record([Note.of(entry)], ELSEWHERE)
        yield from bps.checkpoint()
