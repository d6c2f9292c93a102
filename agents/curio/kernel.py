"""How alike the spectra of two places are expected to be: because they look alike, and because they lie close.

For the score of component c of the spectral basis::

    k_c(i, j) = a_c · τ_ij · S(d_ij) + b_c · N(e_ij)          noise: s_c · w_i

- ``S``, Matérn 5/2, of the distance between surroundings, ``d² = Σ_g |ring_g(i) − ring_g(j)|² / l_g²``: each ring of
  each channel has a length of its own (automatic relevance determination). The pixel at hand matters more than the edge
  of the patch, and how much more is learned; so is which channels matter at all.
- ``N``, Matérn 3/2, of the distance in the image, ``e² = |x_i − x_j|² / l²``: what is smooth over the sample without
  being seen in the image. The two are *added*: a process of the structure that is the same everywhere, and one of the
  place. Their product, which is the usual choice, forgets what it learned of a structure when it moves on.
- ``τ`` is 1 within an area and ρ between areas; ``N`` is 0 between areas. ρ is learned: an earlier run on the same
  sample counts, on another it is ignored.
- ``w_i`` ≥ 1 is the noise of a spectrum relative to that of a good one.

The lengths and ρ are shared by all components; amplitudes and noise are not: noise hardly touches the first component
and drowns the last. All are found at the maximum of the marginal likelihood times broad log-normal priors, which decide
where 20 spectra do not (Rasmussen & Williams, *Gaussian Processes for Machine Learning*, MIT Press 2006, chapter 5).
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.spatial.distance import cdist

from agents.curio.sites import Sites

Values = NDArray[np.float64]
Indices = NDArray[np.int64]

JITTER = 1e-6
"""Added to variances so that repeated places do not make a covariance singular."""

LENGTH, REACH, AMPLITUDE, TRANSFER = 0.7, 0.35, 0.3, 1.0
"""Where the priors lie: of lengths and reach, in typical distances, of amplitudes and noise, of the logit of ρ."""

LENGTH_SPREAD, AMPLITUDE_SPREAD, TRANSFER_SPREAD = 0.8, 1.5, 1.5
"""Standard deviations of the priors, of natural logarithms."""

STEPS = 40
"""Iterations of the optimizer, at most."""


@dataclass(frozen=True, eq=False)
class Kernel:
    """A covariance of places for each component.

    Attributes
    ----------
    lengths : (G,) float64
        Of each ring, in typical distances.
    reach : float
        Length in the image, in typical distances.
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
        """Return the kernel at which all priors are largest."""
        same = np.full(rank, AMPLITUDE)
        lengths = np.full(groups, LENGTH * np.sqrt(max(groups, 1)))
        return cls(lengths, REACH, same, same, same, float(1 / (1 + np.exp(-TRANSFER))))

    @property
    def variance(self) -> Values:
        """What is expected without any spectrum, (r,)."""
        return np.asarray(self.structure + self.position)

    def profiles(self, sites: Sites, one: Indices, other: Indices) -> tuple[Values, Values]:
        """Return S·τ and N between sites, each (n, m)."""
        squared = np.zeros((len(one), len(other)))
        for ring, length in zip(sites.rings, self.lengths, strict=True):
            squared += cdist(ring[one], ring[other], "sqeuclidean") / length**2
        same = sites.area[one, None] == sites.area[other]  # (n, m)
        near = cdist(sites.positions[one], sites.positions[other]) / self.reach
        return matern_52(squared) * np.where(same, 1.0, self.transfer), matern_32(near) * same

    def __call__(self, sites: Sites, one: Indices, other: Indices) -> Values:
        """Return the covariance of sites for each component, (r, n, m)."""
        alike, near = self.profiles(sites, one, other)
        return np.asarray(self.structure[:, None, None] * alike + self.position[:, None, None] * near)


def matern_52(squared: Values) -> Values:
    """Return the Matérn function of smoothness 5/2 of squared distances."""
    distance = np.sqrt(5 * squared)
    return np.asarray((1 + distance + 5 * squared / 3) * np.exp(-distance))


def matern_32(distance: Values) -> Values:
    """Return the Matérn function of smoothness 3/2 of distances."""
    distance = np.sqrt(3) * distance
    return np.asarray((1 + distance) * np.exp(-distance))


def fit(
    sites: Sites, measured: Indices, scores: Values, weights: Values, start: Kernel, *, position: bool = True
) -> Kernel:
    """Return the most probable kernel.

    Parameters
    ----------
    sites : Sites
    measured : (n,)
        Which sites were measured.
    scores : (n, r)
        The spectra there, see :class:`agents.curio.spectra.Basis`.
    weights : (n,)
        The noise of each spectrum relative to that of a good one.
    start : Kernel
        Where the search begins.
    position : bool
        Whether nearness counts, or only structure.
    """
    groups, rank = len(sites.rings), scores.shape[1]
    squared = torch.as_tensor(
        np.stack([cdist(ring[measured], ring[measured], "sqeuclidean") for ring in sites.rings])
        if groups
        else np.zeros((0, len(measured), len(measured)))
    )  # (G, n, n)
    apart = torch.as_tensor(cdist(sites.positions[measured], sites.positions[measured]))  # (n, n)
    area = torch.as_tensor(sites.area[measured])
    same = (area[:, None] == area).double()  # (n, n)
    target = torch.as_tensor(np.ascontiguousarray(scores.T))[:, :, None]  # (r, n, 1)
    noisy = torch.as_tensor(weights)
    centre, spread = _priors(groups, rank)

    def loss(vector: torch.Tensor) -> torch.Tensor:
        lengths, reach, structure, smooth, noise, transfer = _split(vector, groups, rank)
        distances = (torch.exp(-2 * lengths)[:, None, None] * squared).sum(dim=0)
        # The gradient of a square root at 0 is infinite; a distance of 1e-6 is none.
        root = torch.sqrt(5 * distances + 1e-12)
        alike = (1 + root + 5 * distances / 3) * torch.exp(-root)
        alike = alike * (same + (1 - same) * torch.sigmoid(transfer))
        root = np.sqrt(3) * torch.exp(-reach) * apart
        near = (1 + root) * torch.exp(-root) * same * position
        covariance = torch.exp(structure)[:, None, None] * alike + torch.exp(smooth)[:, None, None] * near
        diagonal = torch.exp(noise)[:, None] * noisy + JITTER  # (r, n)
        lower = torch.linalg.cholesky(covariance + torch.diag_embed(diagonal))
        whitened = torch.linalg.solve_triangular(lower, target, upper=False)
        determinant = torch.log(torch.diagonal(lower, dim1=1, dim2=2)).sum()
        prior = (((vector - centre) / spread) ** 2).sum() / 2
        total: torch.Tensor = (whitened**2).sum() / 2 + determinant + prior
        return total

    def value_and_gradient(values: Values) -> tuple[float, Values]:
        vector = torch.tensor(values, requires_grad=True)
        value = loss(vector)
        (gradient,) = torch.autograd.grad(value, vector)
        return float(value.detach()), gradient.numpy()

    # Twelve spreads from the prior is nowhere; it keeps a line search from overflowing.
    low, high = (centre - 12 * spread).numpy(), (centre + 12 * spread).numpy()
    found = minimize(
        value_and_gradient,
        np.clip(_join(start), low, high),
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(low, high, strict=True)),
        options={"maxiter": STEPS},
    )
    lengths, reach, structure, smooth, noise, transfer = (
        part.numpy() for part in _split(torch.as_tensor(found.x), groups, rank)
    )
    return Kernel(
        np.exp(lengths),
        float(np.exp(reach[0])),
        np.exp(structure),
        np.exp(smooth) * position,
        np.exp(noise),
        float(1 / (1 + np.exp(-transfer[0]))),
    )


def _split(vector: torch.Tensor, groups: int, rank: int) -> tuple[torch.Tensor, ...]:
    return torch.split(vector, [groups, 1, rank, rank, rank, 1])


def _join(kernel: Kernel) -> Values:
    logit = np.log(kernel.transfer / (1 - kernel.transfer))
    positive = (*kernel.lengths, kernel.reach, *kernel.structure, *kernel.position, *kernel.noise)
    return np.array([*np.log(np.maximum(positive, np.finfo(float).tiny)), logit])


def _priors(groups: int, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
    lengths, amplitudes = np.full(groups + 1, LENGTH_SPREAD), np.full(3 * rank, AMPLITUDE_SPREAD)
    spread = np.concatenate([lengths, amplitudes, [TRANSFER_SPREAD]])
    return torch.as_tensor(_join(Kernel.prior(groups, rank))), torch.as_tensor(spread)
