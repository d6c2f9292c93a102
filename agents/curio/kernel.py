"""The expected similarity of the spectra of two places: because they look alike, and because they are close.

For the score of component c of the spectral basis::

    k_c(i, j) = a_c · τ_ij · S(d_ij) + b_c · N(e_ij)          noise: s_c · w_i

- ``S``, Matérn 5/2, of the distance between surroundings, ``d² = Σ_g |ring_g(i) − ring_g(j)|² / l_g²``: each ring of
  each channel has its own length (automatic relevance determination). The central pixel matters more than the edge of
  the patch; how much more, and which channels matter at all, is learned.
- ``N``, Matérn 3/2, of the distance in the image, ``e² = |x_i − x_j|² / l²``: what is smooth over the sample but does
  not show in the image. The two are *added*: a process of the structure that is the same everywhere, and one of the
  place. Their product, the usual choice, would forget what it learned of a structure when it moves on.
- ``τ`` is 1 within an area and ρ between areas; ``N`` is 0 between areas. ρ is learned: a prior run on the same
  sample counts, one on another sample is ignored.
- ``w_i`` ≥ 1 is the noise of a spectrum relative to that of a good one.

All components share the lengths and ρ. Each has its own amplitudes and noise, because noise hardly affects the first
component and dominates the last. :mod:`agents.curio.fit` finds all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from agents.curio.sites import Sites

Values = NDArray[np.float64]
Indices = NDArray[np.int64]

JITTER = 1e-6
"""Added to variances so that repeated places do not make a covariance singular."""

LENGTH, REACH, AMPLITUDE, TRANSFER = 0.7, 0.35, 0.3, 1.0
"""Centres of the priors: of lengths and reach in typical distances, of amplitudes and noise, of the logit of ρ."""


@dataclass(frozen=True, eq=False)
class Kernel:
    """A covariance between places for each component.

    Attributes
    ----------
    lengths : (G,) float64
        Of each ring, relative to typical distances.
    reach : float
        Length in the image, relative to typical distances.
    structure, position : (r,) float64
        Variances a and b of the two processes, relative to that of the scores.
    noise : (r,) float64
        Variance s.
    transfer : float
        ρ, the correlation of structure between areas.
    """

    lengths: Values
    reach: float
    structure: Values
    position: Values
    noise: Values
    transfer: float

    @classmethod
    def prior(cls, groups: int, rank: int) -> "Kernel":
        """Return the kernel at the centres of the priors."""
        same = np.full(rank, AMPLITUDE)
        lengths = np.full(groups, LENGTH * np.sqrt(max(groups, 1)))
        return cls(lengths, REACH, same, same, same, float(1 / (1 + np.exp(-TRANSFER))))

    @property
    def variance(self) -> Values:
        """The variance before any spectrum is measured, (r,)."""
        return np.asarray(self.structure + self.position)

    def profiles(self, sites: Sites, one: Indices, other: Indices) -> tuple[Values, Values]:
        """Return S·τ and N between sites, each (n, m)."""
        squared = np.zeros((len(one), len(other)))
        for ring, length in zip(sites.rings, self.lengths, strict=True):
            squared += cdist(ring[one], ring[other], "sqeuclidean") / length**2
        same = sites.area[one, None] == sites.area[other]  # (n, m)
        near = cdist(sites.positions[one], sites.positions[other]) / self.reach
        alike = matern_52(squared, np.sqrt(5 * squared)) * np.where(same, 1.0, self.transfer)
        return alike, matern_32(np.sqrt(3) * near) * same

    def __call__(self, sites: Sites, one: Indices, other: Indices) -> Values:
        """Return the covariance of sites for each component, (r, n, m)."""
        alike, near = self.profiles(sites, one, other)
        return np.asarray(self.structure[:, None, None] * alike + self.position[:, None, None] * near)


def matern_52(squared: Any, root: Any, exp: Callable[[Any], Any] = np.exp) -> Any:
    """Return the Matérn function of smoothness 5/2 of `squared` distances d²; `root` is √5·d. For numpy or torch."""
    return (1 + root + 5 * squared / 3) * exp(-root)


def matern_32(root: Any, exp: Callable[[Any], Any] = np.exp) -> Any:
    """Return the Matérn function of smoothness 3/2 of distances d; `root` is √3·d. For numpy or torch."""
    return (1 + root) * exp(-root)
