"""The functions that a run may be given: hooks for its steps."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass

from bluesky.utils import MsgGenerator

from curio_plans.run import stubs
from curio_plans.run.escalation import Escalate
from curio_plans.run.steering import Post
from curio_plans.run.stubs import Ask

Measure = Callable[..., MsgGenerator[str]]
"""A step with the signature of :func:`curio_plans.run.stubs.take_spectrum`."""


@dataclass(frozen=True)
class Hooks:
    """The steps of a run that can be replaced or added.

    Attributes
    ----------
    measure : callable
        Takes a spectrum.
    ask : callable or None
        Gets an agent's question answered; without it a question ends the run.
    escalate : callable or None
        A more advanced spectroscopy for places where the error stays high.
    steer : callable or None
        Takes the uid of the run; gives its mail, through which people steer. Without it nobody can.
    """

    measure: Measure = stubs.take_spectrum
    ask: Ask | None = None
    escalate: Escalate | None = None
    steer: Post | None = None

    def __post_init__(self) -> None:
        """Refuse a measure that cannot be called like the usual one.

        Raises
        ------
        ValueError
            Which says what it must take.
        """
        try:
            inspect.signature(self.measure).bind(None, (0.0, 0.0), (), judge=None)
        except TypeError as error:
            raise ValueError(
                f"expected measure to take what stubs.take_spectrum takes, (afm, position, also, *, judge): {error}"
            ) from None


def hooks(
    measure: Measure | None = None,
    ask: Ask | None = None,
    escalate: Escalate | None = None,
    steer: Post | None = None,
) -> Hooks:
    """Return hooks; None leaves the usual step."""
    return Hooks(stubs.take_spectrum if measure is None else measure, ask, escalate, steer)
