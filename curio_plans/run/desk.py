"""Where an agent's question waits for a human."""

from collections.abc import Callable
from typing import Any

from bluesky import plan_stubs as bps
from bluesky.utils import MsgGenerator

from agents.protocols import Question


class Desk:
    """Pauses the run until a question has its answer.

    Parameters
    ----------
    tell : callable
        Shows a text to the human.

    Examples
    --------
    In an IPython session ``RE(curiosity(afm, agent, ask=desk.ask))`` returns to the prompt with the question; then
    ``desk.answer("continue")`` and ``RE.resume()``.
    """

    def __init__(self, tell: Callable[[str], Any] = print) -> None:
        self.question: Question | None = None
        """What the run waits for; None when it waits for nothing."""
        self._tell = tell
        self._answers: list[str] = []

    def answer(self, text: str) -> None:
        """Put down the answer; it is read when the run is resumed.

        Raises
        ------
        ValueError
            If no question was asked, or `text` is none of its choices.
        """
        if self.question is None:
            raise ValueError("expected a question first: no run waits for an answer")
        if text not in self.question.choices:
            raise ValueError(f"expected one of {', '.join(self.question.choices)}; got {text!r}")
        self._answers = [text]

    def ask(self, question: Question) -> MsgGenerator[str]:
        """Show the question, pause, and return the answer; pause again as long as there is none."""
        self.question, self._answers = question, []
        choices = ", ".join(map(repr, question.choices))
        while not self._answers:
            self._tell(f"the agent asks: {question.text}\nanswer with one of {choices}, then resume the run")
            yield from bps.checkpoint()
            yield from bps.pause()
        self.question = None
        return self._answers.pop()
