"""Escalate during a run: a more advanced spectroscopy where the error stays high."""

from collections.abc import Callable, Iterable
from typing import Any

from bluesky.utils import MsgGenerator

from curio_plans.documents.history import History
from curio_plans.documents.streams import Decision, Escalated
from curio_plans.rules.escalation import EscalationRule
from curio_plans.run.microscope import Microscope

Escalate = Callable[..., MsgGenerator[Any]]
"""A step hook ``escalate(afm, position, also)``, e.g. :func:`curio_plans.run.stubs.finer_spectrum`."""


class Escalation:
    """Applies an escalation rule after each point, to what the documents say.

    Parameters
    ----------
    rule : EscalationRule
        When to escalate.
    escalate : callable
        See :data:`Escalate`. What it records in the stream ``escalation``, with what is in `also`, is known again when
        the run is resumed.
    history : History
        Of the present run, and of one that it resumes.
    """

    def __init__(self, rule: EscalationRule, escalate: Escalate, history: History) -> None:
        self._rule, self._escalate, self._history = rule, escalate, history
        self._done: list[int] = []

    def due(self, decision: Decision) -> bool:
        """Tell whether to escalate at the candidate of a decision, which was just measured."""
        pool = self._history.pool
        if pool is None:
            return False
        recorded = [one.candidate for one in self._history.of(Escalated) if one.candidate is not None]
        return self._rule.due(decision, pool.positions, self._history.measured(), [*recorded, *self._done])

    def take(
        self, afm: Microscope, candidate: int, position: tuple[float, float], also: Iterable[Any]
    ) -> MsgGenerator[None]:
        """Escalate at `position`, the place of `candidate`."""
        self._done.append(candidate)
        yield from self._escalate(afm, position, also)
