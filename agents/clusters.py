"""An agent that spreads its points over the kinds of patches, or over the image, by k-means."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from agents.designs import coordinates
from agents.protocols import Context, Suggestion
from agents.threaded import ThreadedAgent


class KMeansAgent(ThreadedAgent):
    """Divides the candidates into as many k-means clusters as it has points, and measures nearest to each centroid.

    Parameters
    ----------
    config : mapping
        With ``seed``, ``threads`` and ``space``, see :data:`agents.designs.Space`.
    """

    def choose(self, n: int, context: Context) -> list[Suggestion]:
        """Return the candidates nearest to the next centroids; if one is not available, the next nearest."""
        places = coordinates(self.pool, self.config["space"])
        clusters = min(context.budget, len(self.pool))
        if clusters not in self._centroids:
            random_state = int(self.numbers("k-means").integers(2**31))
            found = KMeans(clusters, n_init=1, random_state=random_state).fit(places)
            self._centroids[clusters] = found.cluster_centers_
        free = self.available(context)
        already = len(self.measured) + len(context.pending)
        suggestions = []
        for number in range(already, already + n):
            centroid = self._centroids[clusters][number % clusters]
            index = int(free[((places[free] - centroid) ** 2).sum(axis=1).argmin()])
            suggestions.append(Suggestion(index, "k-means"))
            free = free[free != index]
        return suggestions

    @cached_property
    def _centroids(self) -> dict[int, NDArray[np.float64]]:
        """For each number of clusters the centroids, (clusters, D)."""
        return {}
