"""When a place is worth a more advanced spectroscopy."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from curio_plans.documents.streams import Decision
from curio_plans.validation import Frozen, Positive, PositiveWhole


class EscalationRule(Frozen):
    """When a place is worth a more advanced spectroscopy: the error stays high there after repeated looks.

    Attributes
    ----------
    looks : int
        So many points were measured within `radius` of it, it included.
    radius : float
        In nm.
    factor : float
        The error that the agent expected there when it decided for it is so many times the median over the pool.
    """

    looks: PositiveWhole = 3
    radius: Positive = 100.0
    factor: Positive = 2.0

    def due(
        self, decision: Decision, positions: NDArray[np.float64], measured: Sequence[int], done: Sequence[int]
    ) -> bool:
        """Tell whether to escalate at a candidate that was just measured.

        Parameters
        ----------
        decision : Decision
            The decision for it, with the errors that the agent expected.
        positions : (N, 2) float64
            Of all candidates in nm.
        measured, done : sequence of int
            The candidates that were measured, it included, and those that were escalated: once within a radius.
        """
        if decision.expected_error is None or decision.median_error is None:
            return False
        near = np.hypot(*(positions - positions[decision.candidate]).T) <= self.radius
        if near[list(measured)].sum() < self.looks or near[list(done)].any():
            return False
        return decision.expected_error >= self.factor * decision.median_error
