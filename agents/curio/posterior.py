"""What measured spectra say about all places, and what one more would add; kept up to date point by point.

Each component of the spectral basis has a Gaussian process of its own. For each there is a Cholesky factor of the
measured covariance, and its rows are extended to the candidates, so that one more observation costs a time that is
linear in the number of candidates and in that of observations.
"""

import copy

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular

from agents.curio.kernel import JITTER, Indices, Kernel
from agents.curio.sites import Sites

Values = NDArray[np.float64]


BLOCK = 4096
"""As many places at most are predicted at once."""


class Posterior:
    """The processes of r components over W candidates.

    Parameters
    ----------
    sites : Sites
    kernel : Kernel
    measured : (n,)
        Which sites were measured.
    scores : (n, r)
        What was measured there.
    weights : (n,)
        The noise of each relative to that of a good spectrum.
    working : (W,)
        The candidates that are looked after.
    integration : (M,)
        Which of these, as indices into `working`, stand for all where a variance is integrated.
    importance : (r,)
        What a squared error of each score adds to the spectral error.

    Attributes
    ----------
    mean, variance : (r, W) float64
        Of the scores over the candidates, without noise.
    """

    def __init__(
        self,
        sites: Sites,
        kernel: Kernel,
        measured: Indices,
        scores: Values,
        weights: Values,
        working: Indices,
        integration: Indices,
        importance: Values,
    ) -> None:
        self.kernel = kernel
        self._sites, self._working, self._integration, self._importance = sites, working, integration, importance
        n, rank = scores.shape
        room = max(2 * n, 32)
        self._count = n
        self._measured = np.empty(room, dtype=np.int64)
        self._lower = np.zeros((rank, room, room))
        self._rows = np.empty((rank, room, len(working)))
        self._whitened = np.empty((rank, room))  # L⁻¹ y
        self._weights = np.empty(room)
        self._measured[:n], self._weights[:n] = measured, weights
        self.variance = np.repeat(kernel.variance[:, None], len(working), axis=1)
        self.mean = np.zeros((rank, len(working)))
        self._cross = kernel(sites, working[integration], working)  # (r, M, W)
        if n == 0:
            return
        among, everywhere = kernel(sites, measured, measured), kernel(sites, measured, working)
        for c in range(rank):
            noisy = np.diag(kernel.noise[c] * weights + JITTER)
            lower = cholesky(among[c] + noisy, lower=True)
            rows = solve_triangular(lower, everywhere[c], lower=True)
            whitened = solve_triangular(lower, scores[:, c], lower=True)
            self._lower[c, :n, :n], self._rows[c, :n], self._whitened[c, :n] = lower, rows, whitened
            self.mean[c] = whitened @ rows
            self.variance[c] -= (rows**2).sum(axis=0)
            self._cross[c] -= rows[:, integration].T @ rows
        np.maximum(self.variance, 0.0, out=self.variance)

    def leave_one_out(self) -> tuple[Values, Values]:
        """Return what each score is off by when it is predicted from the others, and the variance of that, (r, n).

        The variance is without the noise of the left-out spectrum itself. ``(K⁻¹ y)_i / (K⁻¹)_ii`` and
        ``1 / (K⁻¹)_ii``, Rasmussen & Williams (2006), 5.4.2.
        """
        n = self._count
        off, variance = np.empty((2, len(self._lower), n))
        for c, lower in enumerate(self._lower[:, :n, :n]):
            inverse = solve_triangular(lower, np.eye(n), lower=True)  # L⁻¹
            precision = (inverse**2).sum(axis=0)
            off[c] = inverse.T @ self._whitened[c, :n] / precision
            variance[c] = 1 / precision - self.kernel.noise[c] * self._weights[:n] - JITTER
        return off, np.maximum(variance, 0.0)

    def predict(self, site: int) -> tuple[Values, Values]:
        """Return mean and variance (r,) of the scores at any site, without noise."""
        row, _ = self._row(site)
        mean = np.einsum("cn,cn->c", row, self._whitened[:, : self._count])
        return mean, np.maximum(self.kernel.variance - (row**2).sum(axis=1), 0.0)

    def observe(self, site: int, scores: Values, weight: float = 1.0) -> None:
        """Take one more spectrum, (r,)."""
        row, covariance = self._row(site)
        mean = np.einsum("cn,cn->c", row, self._whitened[:, : self._count])
        self._extend(site, weight, row, covariance)
        last = self._count - 1
        self._whitened[:, last] = (scores - mean) / self._lower[:, last, last]
        self.mean += self._whitened[:, last, None] * self._rows[:, last]

    def imagine(self, site: int, weight: float = 1.0) -> None:
        """Take notice that a spectrum will be taken at a site, whatever it will be: variances depend on no more."""
        self._extend(site, weight, *self._row(site))

    def _extend(self, site: int, weight: float, row: Values, covariance: Values) -> None:
        """Add the row of a site to the factor, see :meth:`_row`."""
        n = self._count
        if n == len(self._measured):
            self._grow()
        deviation = np.sqrt(
            np.maximum(self.kernel.variance - (row**2).sum(axis=1), 0.0) + self.kernel.noise * weight + JITTER
        )
        new = np.stack([covariance[c] - row[c] @ self._rows[c, :n] for c in range(len(row))])  # (r, W)
        new /= deviation[:, None]
        self._lower[:, n, :n], self._lower[:, n, n] = row, deviation
        self._rows[:, n], self._whitened[:, n] = new, 0.0
        self._measured[n], self._weights[n] = site, weight
        self._count = n + 1
        self.variance = np.maximum(self.variance - new**2, 0.0)
        for c, values in enumerate(new):
            self._cross[c] -= np.outer(values[self._integration], values)

    def reduction(self) -> Values:
        """Return by how much a spectrum at each candidate would lower the mean spectral error, (W,).

        ``Σ_c λ_c 1/M Σ_m cov_c(m, j)² / (var_c(j) + s_c)``: integrated variance reduction (Cohn, Ghahramani & Jordan,
        J. Artif. Intell. Res. 4, 129 (1996)), with the share λ_c that a component has in a spectrum. Noise stands in
        the denominator: where a spectrum would be mostly noise, or teaches only about itself, little is gained –
        however large the error there.
        """
        gained = np.stack([np.einsum("mw,mw->w", cross, cross) for cross in self._cross]) / self._cross.shape[1]
        return np.asarray(self._importance @ (gained / (self.variance + self.kernel.noise[:, None] + JITTER)))

    def branch(self) -> "Posterior":
        """Return a copy to imagine with. It shares the room to grow, so this one must not go on until it is done."""
        other = copy.copy(self)
        other._cross = self._cross.copy()
        return other

    def mean_at(self, places: Indices) -> Values:
        """Return the mean of the scores at any sites, (r, m)."""
        n = self._count
        pairs = zip(self._lower[:, :n, :n], self._whitened[:, :n], strict=True)
        coefficients = np.stack([solve_triangular(lower, values, lower=True, trans="T") for lower, values in pairs])
        mean = np.empty((len(coefficients), len(places)))
        for first in range(0, len(places), BLOCK):
            block = slice(first, first + BLOCK)
            alike, near = self.kernel.profiles(self._sites, places[block], self._measured[:n])  # (m, n)
            structure, position = self.kernel.structure[:, None], self.kernel.position[:, None]
            mean[:, block] = structure * (coefficients @ alike.T) + position * (coefficients @ near.T)
        return mean

    def _row(self, site: int) -> tuple[Values, Values]:
        """Return what the next row of the factor begins with, (r, n), and the covariance with candidates, (r, W)."""
        here, n = np.array([site]), self._count
        others = np.concatenate([self._measured[:n], self._working])
        covariance = self.kernel(self._sites, here, others)[:, 0]  # (r, n + W)
        row = np.empty((len(covariance), n))
        for c, lower in enumerate(self._lower[:, :n, :n]):
            row[c] = solve_triangular(lower, covariance[c, :n], lower=True)
        return row, covariance[:, n:]

    def _grow(self) -> None:
        rank, n = len(self._lower), self._count
        lower, rows = np.zeros((rank, 2 * n, 2 * n)), np.empty((rank, 2 * n, self._rows.shape[2]))
        lower[:, :n, :n], rows[:, :n] = self._lower, self._rows
        self._lower, self._rows = lower, rows
        self._measured = np.concatenate([self._measured, np.empty_like(self._measured)])
        self._weights = np.concatenate([self._weights, np.empty_like(self._weights)])
        self._whitened = np.concatenate([self._whitened, np.empty_like(self._whitened)], axis=1)
