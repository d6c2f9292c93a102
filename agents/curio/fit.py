"""Finds the kernel: how well it explains the measured spectra, and how well it predicts each from the others.

What is maximised is the mean of two logarithms – of the marginal likelihood and of the pseudo-likelihood of leaving one
out (Rasmussen & Williams, *Gaussian Processes for Machine Learning*, MIT Press 2006, sections 5.4.1 and 5.4.2) – plus
that of broad log-normal priors. The likelihood is the better guide if the scores are Gaussian; leaving one out if they
are not, as where a few places differ a lot from all others. The priors decide where 20 spectra do not.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.spatial.distance import cdist
from torch import Tensor

from agents.curio.kernel import JITTER, Kernel, matern_32, matern_52
from agents.curio.sites import Sites
from agents.curio.spectra import Scored

Values = NDArray[np.float64]

LENGTH_SPREAD, AMPLITUDE_SPREAD, TRANSFER_SPREAD = 0.8, 1.5, 1.5
"""Standard deviations of the priors: of natural logarithms, and of the logit of ρ."""

STEPS = 40
"""Most iterations of the optimizer."""

GAIN = 1e-4
"""The search ends when a step improves what is maximised by less than this, relative to its size."""

BOUND = 12
"""The search stays within this many standard deviations of the priors, so that a line search does not overflow."""


def fit(sites: Sites, scored: Scored, start: Kernel, *, position: bool = True) -> Kernel:
    """Return the most probable kernel.

    Parameters
    ----------
    sites : Sites
    scored : Scored
        n spectra.
    start : Kernel
        Where the search begins.
    position : bool
        Whether nearness counts, or only structure.
    """
    groups, rank = len(sites.groups), scored.scores.shape[1]
    distances = _Distances.of(sites, scored)
    scores = torch.as_tensor(np.ascontiguousarray(scored.scores.T))[:, :, None]  # (r, n, 1)
    inflation = torch.as_tensor(scored.inflation)
    centre, spread = torch.as_tensor(_to_vector(Kernel.prior(groups, rank))), torch.as_tensor(_spread(groups, rank))

    def loss(vector: Tensor) -> Tensor:
        """Return the negative of what is maximised, up to a constant."""
        parameters = _split(vector, groups, rank)
        covariance = _covariance(parameters, distances, position=position)  # (r, n, n)
        noise = torch.exp(parameters.noise)[:, None] * inflation + JITTER  # (r, n)
        lower = torch.linalg.cholesky(covariance + torch.diag_embed(noise))
        precision = torch.cholesky_inverse(lower)  # (r, n, n)
        solved = precision @ scores
        own = torch.diagonal(precision, dim1=1, dim2=2)  # (r, n), 1/variance of a score when it is left out
        explained = (scores * solved).sum() / 2 + torch.log(torch.diagonal(lower, dim1=1, dim2=2)).sum()
        predicted = ((solved[:, :, 0] ** 2 / own) - torch.log(own)).sum() / 2
        prior = (((vector - centre) / spread) ** 2).sum() / 2
        total: Tensor = (explained + predicted) / 2 + prior
        return total

    def value_and_gradient(values: Values) -> tuple[float, Values]:
        vector = torch.tensor(values, requires_grad=True)
        value = loss(vector)
        (gradient,) = torch.autograd.grad(value, vector)
        return float(value.detach()), gradient.numpy()

    low, high = (centre - BOUND * spread).numpy(), (centre + BOUND * spread).numpy()
    found = minimize(
        value_and_gradient,
        np.clip(_to_vector(start), low, high),
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(low, high, strict=True)),
        options={"maxiter": STEPS, "ftol": GAIN},
    )
    return _to_kernel(found.x, groups, rank, position=position)


@dataclass(frozen=True, eq=False)
class _Distances:
    """Between n sites: squared distances of each group (G, n, n), distances (n, n), 1 within an area (n, n)."""

    squared: Tensor
    apart: Tensor
    same: Tensor

    @classmethod
    def of(cls, sites: Sites, scored: Scored) -> "_Distances":
        here = scored.sites
        squared = [cdist(group[here], group[here], "sqeuclidean") for group in sites.groups]
        area = torch.as_tensor(sites.area[here])
        return cls(
            torch.as_tensor(np.stack(squared) if squared else np.zeros((0, len(here), len(here)))),
            torch.as_tensor(cdist(sites.positions[here], sites.positions[here])),
            (area[:, None] == area).double(),
        )


class _Parameters(NamedTuple):
    """The parameters of a :class:`Kernel` as the optimizer sees them: logarithms, and the logit of `transfer`."""

    lengths: Tensor
    reach: Tensor
    local_reach: Tensor
    structure: Tensor
    position: Tensor
    local: Tensor
    noise: Tensor
    transfer: Tensor


def _covariance(parameters: _Parameters, distances: _Distances, *, position: bool) -> Tensor:
    """Return what :meth:`Kernel.__call__` returns, (r, n, n), as a differentiable function of the parameters."""
    squared = (torch.exp(-2 * parameters.lengths)[:, None, None] * distances.squared).sum(dim=0)
    # The gradient of a square root at 0 is infinite; a distance of 1e-6 makes no difference.
    alike = matern_52(squared, torch.sqrt(5 * squared + 1e-12), torch.exp)
    between = distances.same + (1 - distances.same) * torch.sigmoid(parameters.transfer)
    near, nearby = (
        matern_32(np.sqrt(3) * torch.exp(-reach) * distances.apart, torch.exp) * distances.same
        for reach in (parameters.reach, parameters.local_reach)
    )
    profiles = torch.stack([alike * between, near * position, alike * nearby * position])  # (3, n, n)
    amplitudes = torch.exp(torch.stack([parameters.structure, parameters.position, parameters.local]))  # (3, r)
    covariance: Tensor = torch.tensordot(amplitudes.T, profiles, dims=1)
    return covariance


def _split(vector: Tensor, groups: int, rank: int) -> _Parameters:
    return _Parameters(*torch.split(vector, [groups, 1, 1, rank, rank, rank, rank, 1]))


def _spread(groups: int, rank: int) -> Values:
    lengths, amplitudes = np.full(groups + 2, LENGTH_SPREAD), np.full(4 * rank, AMPLITUDE_SPREAD)
    return np.concatenate([lengths, amplitudes, [TRANSFER_SPREAD]])


def _to_vector(kernel: Kernel) -> Values:
    logit = np.log(kernel.transfer / (1 - kernel.transfer))
    positive = (
        *kernel.lengths,
        kernel.reach,
        kernel.local_reach,
        *kernel.structure,
        *kernel.position,
        *kernel.local,
        *kernel.noise,
    )
    return np.array([*np.log(np.maximum(positive, np.finfo(float).tiny)), logit])


def _to_kernel(vector: Values, groups: int, rank: int, *, position: bool) -> Kernel:
    lengths, reach, local_reach, structure, smooth, local, noise, transfer = (
        part.numpy() for part in _split(torch.as_tensor(vector), groups, rank)
    )
    return Kernel(
        lengths=np.exp(lengths),
        reach=float(np.exp(reach[0])),
        local_reach=float(np.exp(local_reach[0])),
        structure=np.exp(structure),
        position=np.exp(smooth) * position,
        local=np.exp(local) * position,
        noise=np.exp(noise),
        transfer=float(1 / (1 + np.exp(-transfer[0]))),
    )
