"""Several models of the same spectra, averaged: each sees the surroundings in its own way.

No description of the surroundings is best on every sample, and no way to find a kernel. The models share the spectral
basis and the trust in each spectrum. Leaving out each spectrum says how much each model counts (stacking, Wolpert,
Neural Networks 5, 241 (1992)).
"""

import copy
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from agents.curio.posterior import Posterior

Values = NDArray[np.float64]
Indices = NDArray[np.int64]

TOWARDS_EQUAL = 0.3
"""How strongly equal weights are preferred, relative to the mean squared error."""

CERTAIN = 1e3
"""How strictly the weights add up to 1."""


def stacked(off: Values, importance: Values, trust: Values) -> Values:
    """Return how much each of K models counts, (K,), at least 0, sum 1.

    The weights minimise the squared error of the average plus a penalty that draws them towards equal ones.

    Parameters
    ----------
    off : (K, r, n)
        Errors of the scores of spectra that each model predicts from the others.
    importance : (r,)
        What a squared error of each score adds to the spectral error.
    trust : (n,)
        Weight of each spectrum.
    """
    count = len(off)
    scaled = (off * np.sqrt(importance[:, None] * trust)).reshape(count, -1)
    typical = (scaled**2).sum() / count or 1.0
    system = np.vstack([
        scaled.T / np.sqrt(typical), np.sqrt(TOWARDS_EQUAL) * np.eye(count), CERTAIN * np.ones((1, count))
    ])  # fmt: skip
    weights, _ = nnls(system, np.concatenate([np.zeros(len(system) - 1), [CERTAIN]]))
    return np.asarray(weights / weights.sum())


def average(weights: Values, means: Iterable[Values], variances: Iterable[Values]) -> tuple[Values, Values]:
    """Return mean and variance of a mixture: where the models disagree, the variance is larger."""
    each = np.stack(list(means))
    mean = np.asarray(np.einsum("k,k...->...", weights, each))
    spread = np.stack(list(variances)) + (each - mean) ** 2
    return mean, np.asarray(np.einsum("k,k...->...", weights, spread))


class Committee:
    """What several models say about all places; see :class:`~agents.curio.posterior.Posterior`, which it resembles.

    Parameters
    ----------
    posteriors : iterable of Posterior
        Of the same spectra and candidates.
    weights : (K,)
        How much each counts.

    Attributes
    ----------
    mean, variance : (r, W) float64
        Of the scores at the tracked candidates, without noise.
    """

    def __init__(self, posteriors: Iterable[Posterior], weights: Values) -> None:
        self._posteriors, self._weights = tuple(posteriors), weights
        self._average()

    @property
    def count(self) -> int:
        """Number of spectra, imagined ones included."""
        count: int = self._posteriors[0].count
        return count

    def predict(self, site: int) -> tuple[Values, Values]:
        """Return mean and variance (r,) of the scores at any site, without noise."""
        said = [posterior.predict(site) for posterior in self._posteriors]
        return average(self._weights, *zip(*said, strict=True))

    def observe(self, site: int, scores: Values, inflation: float = 1.0) -> None:
        """Condition on one more spectrum, with scores (r,)."""
        for posterior in self._posteriors:
            posterior.observe(site, scores, inflation)
        self._average()

    def imagine(self, site: int, inflation: float = 1.0) -> None:
        """Condition the variances on a future spectrum; they do not depend on its values."""
        for posterior in self._posteriors:
            posterior.imagine(site, inflation)
        self._average()

    def reduction(self) -> Values:
        """Return by how much a spectrum at each tracked candidate would lower the mean spectral error, (W,)."""
        return np.asarray(self._weights @ np.stack([posterior.reduction() for posterior in self._posteriors]))

    def branch(self) -> "Committee":
        """Return a copy to imagine with; do not change the original while using it."""
        other = copy.copy(self)
        other._posteriors = tuple(posterior.branch() for posterior in self._posteriors)
        return other

    def mean_at(self, places: Indices) -> Values:
        """Return the mean of the scores at any sites, (r, m)."""
        means = np.stack([each.mean_at(places) for each in self._posteriors])
        return np.asarray(np.einsum("k,k...->...", self._weights, means))

    def _average(self) -> None:
        means, variances = zip(*((each.mean, each.variance) for each in self._posteriors), strict=True)
        self.mean, self.variance = average(self._weights, means, variances)
