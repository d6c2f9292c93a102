"""The expected similarity of the spectra of two places: because they look alike, are close, or both.

For the score of component c of the spectral basis::

    k_c(i, j) = a_c · τ_ij · S(d_ij) + b_c · N(e_ij / l) + p_c · S(d_ij) · N(e_ij / m)          noise: s_c · w_i

- ``S``, Matérn 5/2, of the distance between surroundings, ``d² = Σ_g |group_g(i) − group_g(j)|² / l_g²``: each group of
  numbers that describes them (:mod:`~agents.curio.sites`) has its own length (automatic relevance determination).
- ``N``, Matérn 3/2, of the distance in the image, ``e² = |x_i − x_j|²``: what is smooth over the sample but does not
  show in the image.
- The *sum* of the two remembers what a structure means wherever it is found again. Their *product* says what a
  structure means in this part of the sample. Neither is always right, so both are there, and the spectra decide how
  much of each there is: a, b and p are learned.
- ``τ`` is 1 within an area and ρ between areas; ``N`` is 0 between areas. ρ is learned: a prior run on the same
  sample counts, one on another sample is ignored.
- ``w_i`` ≥ 1 is the noise of a spectrum relative to that of a good one.

All components share the lengths and ρ. Each has its own amplitudes and noise, because noise hardly affects the first
component and dominates the last. :mod:`agents.curio.fit` finds all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

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


Shape = Literal["matern", "gaussian"]
"""How similarity falls with distance."""


@dataclass(frozen=True, eq=False)
class Kernel:
    """A covariance between places for each component.

    Attributes
    ----------
    lengths : (G,) float64
        Of each group, relative to typical distances.
    reach, local_reach : float
        Lengths l and m in the image, relative to typical distances.
    structure, position, local : (r,) float64
        Variances a, b and p of the three processes, relative to that of the scores.
    noise : (r,) float64
        Variance s.
    transfer : float
        ρ, the correlation of structure between areas.
    shape : str
        ``"matern"``: S and N as above. ``"gaussian"``: both are ``exp(-d²/2)``.
    """

    lengths: Values
    reach: float
    local_reach: float
    structure: Values
    position: Values
    local: Values
    noise: Values
    transfer: float
    shape: Shape = "matern"

    @classmethod
    def prior(cls, groups: int, rank: int) -> "Kernel":
        """Return the kernel at the centres of the priors."""
        same = np.full(rank, AMPLITUDE)
        lengths = np.full(groups, LENGTH * np.sqrt(max(groups, 1)))
        return cls(lengths, REACH, REACH, same, same, same, same, float(1 / (1 + np.exp(-TRANSFER))))

    def scaled(self, variances: Values, noise: float) -> "Kernel":
        """Return this kernel of one score for scores with these `variances` (r,), and with `noise` relative to them."""
        parts = {name: getattr(self, name) * variances for name in ("structure", "position", "local")}
        return replace(self, noise=noise * variances, **parts)

    @property
    def variance(self) -> Values:
        """The variance before any spectrum is measured, (r,)."""
        return np.asarray(self.structure + self.position + self.local)

    @property
    def amplitudes(self) -> Values:
        """The variances of the three processes, (3, r), in the order of :meth:`profiles`."""
        return np.stack([self.structure, self.position, self.local])

    def profiles(self, sites: Sites, one: Indices, other: Indices) -> Values:
        """Return τ·S, N and S·N between sites, (3, n, m)."""
        squared = self._squared(sites, one, other)
        same = sites.area[one, None] == sites.area[other]  # (n, m)
        apart = cdist(sites.positions[one], sites.positions[other])
        if self.shape == "gaussian":
            alike = np.exp(-squared / 2)
            near, nearby = (np.exp(-((apart / reach) ** 2) / 2) * same for reach in (self.reach, self.local_reach))
        else:
            alike = matern_52(squared, np.sqrt(5 * squared))
            near, nearby = (matern_32(np.sqrt(3) * apart / r) * same for r in (self.reach, self.local_reach))
        return np.stack([alike * np.where(same, 1.0, self.transfer), near, alike * nearby])

    def _squared(self, sites: Sites, one: Indices, other: Indices) -> Values:
        """Return ``d²`` between surroundings, (n, m), as ``|a|² + |b|² - 2 a·b``, which is one product of matrices."""
        if not sites.groups:
            return np.zeros((len(one), len(other)))
        scale = np.repeat(1 / self.lengths, [group.shape[1] for group in sites.groups])
        a, b = (sites.surroundings[place] * scale for place in (one, other))
        squared = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
        return np.asarray(np.maximum(squared, 0.0))

    def __call__(self, sites: Sites, one: Indices, other: Indices) -> Values:
        """Return the covariance of sites for each component, (r, n, m)."""
        return np.tensordot(self.amplitudes.T, self.profiles(sites, one, other), axes=1)


def matern_52(squared: Any, root: Any, exp: Callable[[Any], Any] = np.exp) -> Any:
    """Return the Matérn function of smoothness 5/2 of `squared` distances d²; `root` is √5·d. For numpy or torch."""
    return (1 + root + 5 * squared / 3) * exp(-root)


def matern_32(root: Any, exp: Callable[[Any], Any] = np.exp) -> Any:
    """Return the Matérn function of smoothness 3/2 of distances d; `root` is √3·d. For numpy or torch."""
    return (1 + root) * exp(-root)
