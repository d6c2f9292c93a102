"""Escalate during a run: a more advanced spectroscopy where the error stays high."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from bluesky.utils import MsgGenerator

from curio_plans.documents.history import History
from curio_plans.rules.escalation import EscalationRule
from curio_plans.run.microscope import Microscope

Escalate = Callable[..., MsgGenerator[Any]]
"""A step hook ``escalate(afm, position, also)``, e.g. :func:`curio_plans.run.stubs.finer_spectrum`."""


class Escalation:
    """Decides after each point whether to escalate there; once within a radius.

    What the agent expects is its map ``predicted_error`` of the last decision; an agent without one never escalates.

    Parameters
    ----------
    rule : EscalationRule
    escalate : callable
        See :data:`Escalate`.
    history : History
        Of the present run.
    predicted_error : callable
        Returns the map (N,) of the agent's last report, or None.
    done : sequence of int
        Candidates that were escalated before.
    """

    def __init__(
        self,
        rule: EscalationRule,
        escalate: Escalate,
        history: History,
        predicted_error: Callable[[], np.ndarray[Any, Any] | None],
        done: Sequence[int] = (),
    ) -> None:
        self._rule, self._escalate, self._history = rule, escalate, history
        self._predicted_error = predicted_error
        self._done = list(done)

    def due(self, candidate: int) -> bool:
        """Tell whether the error at a candidate that was just measured has stayed high after repeated looks."""
        pool, expected = self._history.pool, self._predicted_error()
        if pool is None or expected is None:
            return False
        measured = [observation.index for observation in self._history.observations]
        near = np.hypot(*(pool.positions - pool.positions[candidate]).T) <= self._rule.radius
        if near[measured].sum() < self._rule.looks or near[self._done].any():
            return False
        return bool(expected[candidate] >= self._rule.factor * np.median(expected))

    def take(
        self, afm: Microscope, candidate: int, position: tuple[float, float], also: Iterable[Any]
    ) -> MsgGenerator[None]:
        """Escalate at `position`, the place of `candidate`."""
        self._done.append(candidate)
        yield from self._escalate(afm, position, also)
