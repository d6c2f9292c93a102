"""The few ways in which the spectra of a sample differ: a basis that turns each into a handful of scores.

The basis consists of principal components of the measured spectra. Neighbouring steps of a spectrum are far from
independent, while noise spreads over all components, so that the first few hold nearly all that can be learned. No
spectrum has more influence than a typical one (as in spherical principal components, Locantore et al., Test 8, 1
(1999)): a loop with spikes does not turn the basis, while a rare phase, whose spectra resemble each other, is found.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Indices = NDArray[np.int64]

RANK = 8
"""Most components."""


@dataclass(frozen=True, eq=False)
class Scored:
    """n measured spectra as scores.

    Attributes
    ----------
    sites : (n,) int64
        Where they were measured, as indices into :class:`~agents.curio.sites.Sites`.
    scores : (n, r) float64
        In a :class:`Basis`.
    inflation : (n,) float64
        The noise variance of each, relative to that of a good spectrum; at least 1.
    """

    sites: Indices
    scores: Values
    inflation: Values

    def __len__(self) -> int:
        return len(self.sites)

    def __getitem__(self, some: Indices) -> "Scored":
        return Scored(self.sites[some], self.scores[some], self.inflation[some])


@dataclass(frozen=True, eq=False)
class Basis:
    """A mean spectrum and orthonormal directions.

    Attributes
    ----------
    mean : (K,) float64
        In the unit of the spectra.
    directions : (r, K) float64
    scale : (r,) float64
        Standard deviation along each direction, in the unit of the spectra.
    rest : float
        The mean squared residual of a spectrum, per value.
    """

    mean: Values
    directions: Values
    scale: Values
    rest: float

    @classmethod
    def of(cls, centred: Values, mean: Values, trust: Values) -> "Basis":
        """Return the basis of spectra (n, K), given less the mean of their area, and of the present `mean` (K,).

        `trust` (n,) weighs the spectra.
        """
        size = (centred**2).sum(axis=1)  # (n,)
        influence = np.sqrt(trust / np.maximum(size / (np.median(size) or 1.0), 1))
        _, singular, directions = np.linalg.svd(centred * influence[:, None], full_matrices=False)
        rank = max(1, min(RANK, int((singular > 1e-6 * singular[0]).sum()), len(centred) - 1))
        directions = directions[:rank]
        # The sign of a singular vector is arbitrary; this one does not depend on the library.
        directions = directions * np.sign(directions[np.arange(rank), np.abs(directions).argmax(axis=1)])[:, None]
        scores = centred @ directions.T  # (n, r)
        scale = np.sqrt(np.average(scores**2, axis=0, weights=trust))
        rest = np.average(((centred - scores @ directions) ** 2).mean(axis=1), weights=trust)
        return cls(mean, directions, np.maximum(scale, 1e-12 * scale.max() or 1.0), float(rest))

    @property
    def importance(self) -> Values:
        """What a squared error of each score, 1 for one standard deviation, adds to the spectral MSE, (r,)."""
        return np.asarray(self.scale**2 / self.directions.shape[1])

    def project(self, centred: Values) -> Values:
        """Return the scores (…, r) of centred spectra (…, K), in standard deviations."""
        return np.asarray(centred @ self.directions.T / self.scale)

    def compose(self, scores: Values) -> Values:
        """Return the spectra (…, K) of `scores` (…, r)."""
        return self.mean + self.restore(scores)

    def restore(self, scores: Values) -> Values:
        """Return the centred spectra (…, K) of `scores` (…, r)."""
        return np.asarray((scores * self.scale) @ self.directions)
