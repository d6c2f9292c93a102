"""The few ways in which the spectra of a sample differ: a basis in which each is a handful of numbers.

Principal components of the measured spectra. Neighbouring steps of a spectrum are far from independent, and noise
spreads over all components, so that the first few hold nearly all that can be learned. Each spectrum has at most the
influence of a typical one (as in spherical principal components, Locantore et al., Test 8, 1 (1999)): a loop with
spikes does not turn the basis, while a rare phase, whose spectra are like one another, is still found.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

RANK = 6
"""As many components at most."""


@dataclass(frozen=True, eq=False)
class Basis:
    """A mean spectrum and orthonormal directions.

    Attributes
    ----------
    mean : (K,) float64
        In the unit of the spectra.
    directions : (r, K) float64
    scale : (r,) float64
        Standard deviation along each, in the unit of the spectra.
    rest : float
        What the basis leaves of a spectrum: the mean squared residual, per value.
    """

    mean: Values
    directions: Values
    scale: Values
    rest: float

    @classmethod
    def of(cls, centred: Values, mean: Values, weights: Values) -> "Basis":
        """Return the basis of spectra (n, K) from which a mean was taken, and of the `mean` (K,).

        `weights` (n,) say how far each is to be trusted.
        """
        size = (centred**2).sum(axis=1)  # (n,)
        influence = np.sqrt(1 / np.maximum(size / (np.median(size) or 1.0), 1))
        _, singular, directions = np.linalg.svd(centred * influence[:, None], full_matrices=False)
        rank = max(1, min(RANK, int((singular > 1e-6 * singular[0]).sum()), len(centred) - 1))
        directions = directions[:rank]
        # The sign of a singular vector is arbitrary; this one does not depend on the library.
        directions = directions * np.sign(directions[np.arange(rank), np.abs(directions).argmax(axis=1)])[:, None]
        scores = centred @ directions.T  # (n, r)
        scale = np.sqrt(np.average(scores**2, axis=0, weights=weights))
        rest = np.average(((centred - scores @ directions) ** 2).mean(axis=1), weights=weights)
        return cls(mean, directions, np.maximum(scale, 1e-12 * scale.max() or 1.0), float(rest))

    def project(self, centred: Values) -> Values:
        """Return the scores (…, r) of spectra (…, K) from which a mean was taken, in standard deviations."""
        return np.asarray(centred @ self.directions.T / self.scale)

    def compose(self, scores: Values) -> Values:
        """Return the spectra (…, K) of `scores` (…, r)."""
        return self.mean + self.restore(scores)

    def restore(self, scores: Values) -> Values:
        """Return the same without the mean."""
        return np.asarray((scores * self.scale) @ self.directions)

    @property
    def weights(self) -> Values:
        """What a squared error of each score, 1 for one standard deviation, adds to the spectral MSE, (r,)."""
        return np.asarray(self.scale**2 / self.directions.shape[1])
