"""Agents that spread their points without looking at spectra: along a sequence, or as far apart as possible."""

from collections.abc import Callable
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from agents.base import BaseAgent
from agents.protocols import Config, Context, Observation, Pool, Record, Suggestion

Values = NDArray[np.float64]

Space = Literal["position", "patch"]
"""Where distances are measured: between positions in nm, or between the pixels of patches."""


def coordinates(pool: Pool, space: Space) -> Values:
    """Return the candidates' coordinates in `space`: (N, 2), or the flattened patches (N, C·h·w)."""
    if space == "position":
        return pool.positions
    return pool.patches.reshape(len(pool), -1).astype(np.float64)  # (N, C, h, w) → (N, C·h·w)


class QuasiRandomAgent(BaseAgent):
    """Follows a sequence that covers the image more evenly than random points; each goes to the nearest free candidate.

    Parameters
    ----------
    config : mapping
        With ``seed``.
    sampler : callable
        Makes a sampler of :mod:`scipy.stats.qmc` from the number of dimensions and ``rng``.
    """

    def __init__(self, config: Config, sampler: Callable[..., qmc.QMCEngine]) -> None:
        super().__init__(config)
        self._sampler = sampler

    def choose(self, n: int, context: Context) -> list[Suggestion]:
        """Return the next `n` candidates of the sequence that are available."""
        free = np.zeros(len(self.pool), dtype=bool)
        free[self.available(context)] = True
        needed = int(np.count_nonzero(~free)) + n
        sequence = self._sequences.get(context.budget, ())
        if len(sequence) < needed:
            sequence = self._make(min(2 * needed, len(self.pool)), context.budget)
            self._sequences[context.budget] = sequence
        return [Suggestion(index, str(self.config["agent"])) for index in sequence if free[index]][:n]

    @cached_property
    def _sequences(self) -> dict[int, list[int]]:
        """For each budget the beginning of the sequence."""
        return {}

    def _make(self, count: int, budget: int) -> list[int]:
        """Return the first `count` distinct candidates of the sequence."""
        positions = self.pool.positions
        low, high = positions.min(axis=0), positions.max(axis=0)
        sampler = self._sampler(2, rng=self.numbers("sequence"))
        # A Latin hypercube has a fixed number of points; the other sequences are balanced at powers of two.
        block = budget if self._sampler is qmc.LatinHypercube else 1 << (budget - 1).bit_length()
        sequence: list[int] = []
        used = np.zeros(len(positions), dtype=bool)
        while len(sequence) < count:
            for point in low + sampler.random(block)[: count - len(sequence)] * (high - low):
                distance = ((positions - point) ** 2).sum(axis=1)
                distance[used] = np.inf
                sequence.append(int(distance.argmin()))
                used[sequence[-1]] = True
        return sequence


class FarthestPointAgent(BaseAgent):
    """Measures where the nearest measured candidate is farthest away; the first point is random.

    Greedy k-centre (Gonzalez, Theor. Comput. Sci. 38, 293 (1985)).

    Parameters
    ----------
    config : mapping
        With ``seed`` and ``space``, see :data:`Space`.
    """

    parts = ("distance",)

    def choose(self, n: int, context: Context) -> list[Suggestion]:
        """Return the farthest candidates, one after the other."""
        nearest = self._nearest
        for index in context.pending:
            nearest = np.minimum(nearest, self._squared(index))
        free = self.available(context)
        suggestions = []
        for _ in range(n):
            if np.isinf(nearest[free[0]]):
                index = int(self.numbers("first").choice(free))
            else:
                index = int(free[nearest[free].argmax()])
            distance = float(np.sqrt(nearest[index]))
            suggestions.append(Suggestion(index, "farthest point", distance, {"distance": distance}))
            nearest = np.minimum(nearest, self._squared(index))
            free = free[free != index]
        return suggestions

    def learn(self, record: Record) -> None:
        """Bring the distances up to date."""
        if isinstance(record, Observation):
            np.minimum(self._nearest, self._squared(record.index), out=self._nearest)

    @cached_property
    def _coordinates(self) -> Values:
        return coordinates(self.image, self.config["space"])

    @cached_property
    def _nearest(self) -> Values:
        """The squared distance to the nearest candidate measured so far, (N,); ∞ if there is none."""
        nearest = np.full(len(self.image), np.inf)
        for observation in self.learned:
            np.minimum(nearest, self._squared(observation.index), out=nearest)
        return nearest

    def _squared(self, index: int) -> Values:
        """Return the squared distance of each candidate to one of them, (N,)."""
        return np.asarray(((self._coordinates - self._coordinates[index]) ** 2).sum(axis=1))
