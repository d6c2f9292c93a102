"""An optimizer of bluesky-adaptive as an agent: it looks for the place where a figure of merit is largest.

An optimizer changes whenever it is asked, and an agent must not: the same records give the same suggestion. So a new
optimizer is made for each decision, and told all spectra so far as points of an external source. It must therefore take
points without an ``_id``, as the protocol says and as those on Ax and Xopt do.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from agents.base import BaseAgent
from agents.merits import merit
from agents.protocols import Config, Context, Suggestion

NAMES = ("x", "y")
"""What the optimizer calls the coordinates, in nm."""

OBJECTIVE = "merit"
"""What it calls the figure of merit; the larger the better."""


class Optimizer(Protocol):
    """What is needed of ``bluesky_adaptive.protocols.Optimizer``."""

    def suggest(self, num_points: int | None = None) -> Sequence[Mapping[str, Any]]:
        """Return so many points to evaluate next."""
        ...

    def ingest(self, points: Sequence[Mapping[str, Any]]) -> None:
        """Take points with their outcomes."""
        ...


INITIAL = 6
"""Points that Ax spreads before it has a model."""

Make = Callable[[Mapping[str, tuple[float, float]], int], Optimizer]
"""Takes the limits of ``x`` and ``y`` in nm and a seed, another one for each decision; returns an optimizer that
maximises ``merit``."""


class OptimizerAgent(BaseAgent):
    """Measures at the candidates that are nearest to what an optimizer suggests.

    Its first points are those of the optimizer, too. The score of a suggestion is NaN: optimizers do not tell theirs.

    Parameters
    ----------
    config : mapping
        With ``seed`` and ``merit``, see :data:`agents.merits.MERITS`.
    make : callable
        See :data:`Make`. It must draw its random numbers from the seed alone.
    """

    def __init__(self, config: Config, make: Make) -> None:
        super().__init__(config)
        self._make = make

    def choose(self, n: int, context: Context) -> list[Suggestion]:
        """Return the free candidates nearest to the next `n` points of a new optimizer that was told all spectra."""
        positions = self.pool.positions
        limits = {
            name: (float(low), float(high))
            for name, low, high in zip(NAMES, positions.min(axis=0), positions.max(axis=0), strict=True)
        }
        optimizer = self._make(limits, int(self.numbers("optimizer", self.memory.learned).integers(2**31)))
        known = [self._point(one.index, merit(str(self.config["merit"]), one)) for one in self.learned]
        if known:
            optimizer.ingest(known)
        free = list(self.available(context))
        phase = "optimum" if known else "initial"
        suggestions = []
        for point in optimizer.suggest(n):
            wanted = np.array([float(point[name]) for name in NAMES])
            nearest = free.pop(_nearest(positions[free], wanted))
            suggestions.append(Suggestion(int(nearest), phase))
        if len(suggestions) < n:
            raise ValueError(f"expected {n} suggestions of the optimizer, got {len(suggestions)}: is it finished?")
        return suggestions[:n]

    def _point(self, index: int, value: float) -> Mapping[str, float]:
        return {**dict(zip(NAMES, self.pool.positions[index].tolist(), strict=True)), OBJECTIVE: value}


def ax(limits: Mapping[str, tuple[float, float]], seed: int) -> Optimizer:
    """Return the Bayesian optimizer of Ax, see :data:`Make`. Needs ``pip install "bluesky-adaptive[ax]"``."""
    from ax import RangeParameterConfig
    from bluesky_adaptive.ax.optimizer import AxOptimizer

    parameters = [
        RangeParameterConfig(name=name, parameter_type="float", bounds=bounds) for name, bounds in limits.items()
    ]
    optimizer = AxOptimizer(parameters, objective=OBJECTIVE, client_kwargs={"random_seed": seed})
    # Each optimizer is new: it would suggest the centre first, and count only its own points as initial ones.
    optimizer.ax_client.configure_generation_strategy(
        initialization_budget=INITIAL,
        initialization_random_seed=seed,
        initialize_with_center=False,
        use_existing_trials_for_initialization=True,
    )
    found: Optimizer = optimizer
    return found


def _nearest(positions: NDArray[np.float64], wanted: NDArray[np.float64]) -> int:
    return int(((positions - wanted) ** 2).sum(axis=1).argmin())
