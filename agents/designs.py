"""Agents that spread their points without looking at spectra: in the image, or among its patches."""

from collections.abc import Callable
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc
from sklearn.cluster import KMeans

from agents.base import BaseAgent
from agents.protocols import Config, Context, Observation, Pool, Record, Suggestion
from agents.threaded import ThreadedAgent

Values = NDArray[np.float64]

Space = Literal["position", "patch"]
"""Where distances are measured: positions in nm, or the pixels of patches."""


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
        self._sequence = np.empty(0, dtype=np.int64)  # what was made of it so far, for …
        self._made_for: tuple[Pool, int] | None = None  # … this pool and this budget

    def choose(self, n: int, context: Context) -> list[Suggestion]:
        """Return the next `n` candidates of the sequence that are available."""
        free = np.zeros(len(self.pool), dtype=bool)
        free[self.available(context)] = True
        needed = int(np.count_nonzero(~free)) + n
        if self._made_for != (self.pool, context.budget) or len(self._sequence) < needed:
            self._sequence = self._make(min(2 * needed, len(self.pool)), context.budget)
            self._made_for = self.pool, context.budget
        chosen = self._sequence[free[self._sequence]][:n]
        return [Suggestion(int(index), str(self.config["agent"])) for index in chosen]

    def _make(self, count: int, budget: int) -> NDArray[np.int64]:
        """Return the first `count` different candidates of the sequence."""
        positions = self.pool.positions
        low, high = positions.min(axis=0), positions.max(axis=0)
        sampler = self._sampler(2, rng=self.numbers("sequence"))
        # A Latin hypercube is one of so many points; the other sequences are balanced at powers of two.
        block = budget if self._sampler is qmc.LatinHypercube else 1 << (budget - 1).bit_length()
        sequence: list[int] = []
        used = np.zeros(len(positions), dtype=bool)
        while len(sequence) < count:
            for point in low + sampler.random(block)[: count - len(sequence)] * (high - low):
                distance = ((positions - point) ** 2).sum(axis=1)
                distance[used] = np.inf
                sequence.append(int(distance.argmin()))
                used[sequence[-1]] = True
        return np.array(sequence)


class FarthestPointAgent(BaseAgent):
    """Measures where the nearest measured candidate is farthest away; the first point is random.

    Greedy k-centre (Gonzalez, Theor. Comput. Sci. 38, 293 (1985)).

    Parameters
    ----------
    config : mapping
        With ``seed`` and ``space``, see :data:`Space`.
    """

    parts = ("distance",)
    snapshot: ClassVar[tuple[str, ...]] = (*BaseAgent.snapshot, "_learned", "_coordinates", "_nearest")

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._learned: list[int] = []
        self._coordinates = np.empty((0, 0))
        self._nearest = np.empty(0)  # squared distance to the nearest measured candidate (N,), ∞ if there is none

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
        if isinstance(record, Pool):
            self._coordinates = coordinates(record, self.config["space"])
            self._nearest = np.full(len(record), np.inf)
            for index in self._learned:
                self._nearest = np.minimum(self._nearest, self._squared(index))
        elif isinstance(record, Observation):
            self._learned = [*self._learned, record.index]
            self._nearest = np.minimum(self._nearest, self._squared(record.index))

    def _squared(self, index: int) -> Values:
        """Return the squared distance of each candidate to one of them, (N,)."""
        return np.asarray(((self._coordinates - self._coordinates[index]) ** 2).sum(axis=1))


class KMeansAgent(ThreadedAgent):
    """Divides the candidates into as many k-means clusters as it has points, and measures nearest to each centroid.

    Parameters
    ----------
    config : mapping
        With ``seed``, ``threads`` and ``space``, see :data:`Space`.
    """

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._centroids = np.empty((0, 0))
        self._made_for: tuple[Pool, int] | None = None  # the pool and the number of clusters

    def choose(self, n: int, context: Context) -> list[Suggestion]:
        """Return the candidates nearest to the next centroids; if one is not usable, the next in its cluster."""
        places = coordinates(self.pool, self.config["space"])
        clusters = min(context.budget, len(self.pool))
        if self._made_for != (self.pool, clusters):
            random_state = int(self.numbers("k-means").integers(2**31))
            self._centroids = KMeans(clusters, n_init=1, random_state=random_state).fit(places).cluster_centers_
            self._made_for = self.pool, clusters
        free = self.available(context)
        already = len(self.measured) + len(context.pending)
        suggestions = []
        for number in range(already, already + n):
            distance = ((places[free] - self._centroids[number % clusters]) ** 2).sum(axis=1)
            index = int(free[distance.argmin()])
            suggestions.append(Suggestion(index, "k-means"))
            free = free[free != index]
        return suggestions
