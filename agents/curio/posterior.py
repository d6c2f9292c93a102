"""What measured spectra say about all places, and what one more would add; updated point by point.

Each component of the spectral basis has its own Gaussian process. For each there is a Cholesky factor of the measured
covariance, whose rows are extended to the candidates, so that one more observation takes a time that is linear in the
number of candidates and in that of observations.
"""

import copy

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular

from agents.curio.kernel import JITTER, Indices, Kernel
from agents.curio.sites import Sites
from agents.curio.spectra import Scored

Values = NDArray[np.float64]

BLOCK = 4096
"""Most places that are predicted at once."""


class Posterior:
    """The processes of r components over W tracked candidates.

    Parameters
    ----------
    sites : Sites
    kernel : Kernel
    scored : Scored
        The n measured spectra.
    tracked : (W,)
        The candidates whose mean and variance are kept up to date.
    integration : (M,)
        Those that stand for all where a variance is integrated, as indices into `tracked`.
    importance : (r,)
        What a squared error of each score adds to the spectral error.

    Attributes
    ----------
    mean, variance : (r, W) float64
        Of the scores at the tracked candidates, without noise.
    count : int
        Number of spectra, imagined ones included.
    """

    def __init__(
        self,
        sites: Sites,
        kernel: Kernel,
        scored: Scored,
        *,
        tracked: Indices,
        integration: Indices,
        importance: Values,
    ) -> None:
        self.kernel = kernel
        self._sites, self._tracked, self._integration, self._importance = sites, tracked, integration, importance
        self._prior = kernel.profiles(sites, tracked[integration], tracked)  # (3, M, W)
        n, rank = scored.scores.shape
        room = max(2 * n, 32)
        self.count = n
        self._measured = np.empty(room, dtype=np.int64)
        self._lower = np.zeros((rank, room, room))
        self._rows = np.empty((rank, room, len(tracked)))
        self._whitened = np.empty((rank, room))  # L⁻¹ y
        self._inflation = np.empty(room)
        self._measured[:n], self._inflation[:n] = scored.sites, scored.inflation
        self.variance = np.repeat(kernel.variance[:, None], len(tracked), axis=1)
        self.mean = np.zeros((rank, len(tracked)))
        # Σ_m cov(m, j)², the covariance of the integrated candidates with each tracked one; see reduction().
        self._gained = np.empty((rank, len(tracked)))
        among, everywhere = kernel(sites, scored.sites, scored.sites), kernel(sites, scored.sites, tracked)
        for c in range(rank):
            cross = np.tensordot(kernel.amplitudes[:, c], self._prior, axes=1)  # (M, W)
            if n:
                noise = np.diag(kernel.noise[c] * scored.inflation + JITTER)
                lower = cholesky(among[c] + noise, lower=True)
                rows = solve_triangular(lower, everywhere[c], lower=True)
                whitened = solve_triangular(lower, scored.scores[:, c], lower=True)
                self._lower[c, :n, :n], self._rows[c, :n], self._whitened[c, :n] = lower, rows, whitened
                self.mean[c] = whitened @ rows
                self.variance[c] -= (rows**2).sum(axis=0)
                cross -= rows[:, integration].T @ rows
            self._gained[c] = (cross**2).sum(axis=0)
        np.maximum(self.variance, 0.0, out=self.variance)

    def leave_one_out(self) -> tuple[Values, Values]:
        """Return the error of each score when it is predicted from the others, and the variance of that, (r, n).

        ``(K⁻¹ y)_i / (K⁻¹)_ii`` and ``1 / (K⁻¹)_ii``, Rasmussen & Williams (2006), 5.4.2; the variance is without the
        noise of the left-out spectrum itself.
        """
        n = self.count
        off, variance = np.empty((2, len(self._lower), n))
        for c, lower in enumerate(self._lower[:, :n, :n]):
            inverse = solve_triangular(lower, np.eye(n), lower=True)  # L⁻¹
            precision = (inverse**2).sum(axis=0)
            off[c] = inverse.T @ self._whitened[c, :n] / precision
            variance[c] = 1 / precision - self.kernel.noise[c] * self._inflation[:n] - JITTER
        return off, np.maximum(variance, 0.0)

    def predict(self, site: int) -> tuple[Values, Values]:
        """Return mean and variance (r,) of the scores at any site, without noise."""
        row, _ = self._row(site)
        mean = np.einsum("cn,cn->c", row, self._whitened[:, : self.count])
        return mean, np.maximum(self.kernel.variance - (row**2).sum(axis=1), 0.0)

    def observe(self, site: int, scores: Values, inflation: float = 1.0) -> None:
        """Condition on one more spectrum, with scores (r,)."""
        row, covariance = self._row(site)
        mean = np.einsum("cn,cn->c", row, self._whitened[:, : self.count])
        self._extend(site, inflation, row, covariance)
        last = self.count - 1
        self._whitened[:, last] = (scores - mean) / self._lower[:, last, last]
        self.mean = self.mean + self._whitened[:, last, None] * self._rows[:, last]

    def imagine(self, site: int, inflation: float = 1.0) -> None:
        """Condition the variances on a future spectrum; they do not depend on its values."""
        self._extend(site, inflation, *self._row(site))

    def _extend(self, site: int, inflation: float, row: Values, covariance: Values) -> None:
        """Add the row of a site to the factor, see :meth:`_row`."""
        n = self.count
        if n == len(self._measured):
            self._grow()
        deviation = np.sqrt(
            np.maximum(self.kernel.variance - (row**2).sum(axis=1), 0.0) + self.kernel.noise * inflation + JITTER
        )
        new = np.stack([covariance[c] - row[c] @ self._rows[c, :n] for c in range(len(row))])  # (r, W)
        new /= deviation[:, None]
        self._gained = np.maximum(self._gained + self._change(new), 0.0)
        self._lower[:, n, :n], self._lower[:, n, n] = row, deviation
        self._rows[:, n], self._whitened[:, n] = new, 0.0
        self._measured[n], self._inflation[n] = site, inflation
        self.count = n + 1
        self.variance = np.maximum(self.variance - new**2, 0.0)

    def _change(self, new: Values) -> Values:
        """Return by how much Σ_m cov(m, j)² changes with a new row (r, W) of the factor, (r, W).

        cov(m, j) becomes cov(m, j) − v_m v_j, so its square changes by v_j² v_m² − 2 v_j v_m cov(m, j).
        """
        rows, integrated = self._rows[:, : self.count], new[:, self._integration]  # (r, n, W), (r, M)
        along = np.zeros_like(new)  # Σ_m v_m cov(m, j)
        for amplitude, profile in zip(self.kernel.amplitudes, self._prior, strict=True):
            along += amplitude[:, None] * (integrated @ profile)
        for c, values in enumerate(integrated):
            along[c] -= (rows[c][:, self._integration] @ values) @ rows[c]
        return np.asarray(new**2 * (integrated**2).sum(axis=1, keepdims=True) - 2 * new * along)

    def reduction(self) -> Values:
        """Return by how much a spectrum at each tracked candidate would lower the mean spectral error, (W,).

        ``Σ_c λ_c 1/W Σ_m cov_c(m, j)² / (var_c(j) + s_c)``: integrated variance reduction (Cohn, Ghahramani & Jordan,
        J. Artif. Intell. Res. 4, 129 (1996)), with the importance λ_c of a component. Noise is in the denominator:
        where a spectrum would be mostly noise, or would only teach about its own place, little is gained, however
        large the error there.
        """
        size, integrated = len(self._tracked), len(self._integration)
        among = np.zeros(size)
        among[self._integration] = 1.0
        own = self.variance**2
        others = np.maximum(self._gained - among * own, 0.0) * ((size - 1) / np.maximum(integrated - among, 1.0))
        gained = (others + own) / size
        return np.asarray(self._importance @ (gained / (self.variance + self.kernel.noise[:, None] + JITTER)))

    def branch(self) -> "Posterior":
        """Return a copy to imagine with. It shares the spare rows, so do not change the original while using it."""
        return copy.copy(self)

    def mean_at(self, places: Indices) -> Values:
        """Return the mean of the scores at any sites, (r, m)."""
        n = self.count
        pairs = zip(self._lower[:, :n, :n], self._whitened[:, :n], strict=True)
        coefficients = np.stack([solve_triangular(lower, values, lower=True, trans="T") for lower, values in pairs])
        mean = np.empty((len(coefficients), len(places)))
        for first in range(0, len(places), BLOCK):
            block = slice(first, first + BLOCK)
            profiles = self.kernel.profiles(self._sites, places[block], self._measured[:n])  # (3, m, n)
            each = coefficients @ profiles.transpose(0, 2, 1)  # (3, r, m)
            mean[:, block] = (self.kernel.amplitudes[:, :, None] * each).sum(axis=0)
        return mean

    def _row(self, site: int) -> tuple[Values, Values]:
        """Return the next row of the factor up to its diagonal, (r, n), and the covariance with candidates, (r, W)."""
        here, n = np.array([site]), self.count
        others = np.concatenate([self._measured[:n], self._tracked])
        covariance = self.kernel(self._sites, here, others)[:, 0]  # (r, n + W)
        row = np.empty((len(covariance), n))
        for c, lower in enumerate(self._lower[:, :n, :n]):
            row[c] = solve_triangular(lower, covariance[c, :n], lower=True)
        return row, covariance[:, n:]

    def _grow(self) -> None:
        rank, n = len(self._lower), self.count
        lower, rows = np.zeros((rank, 2 * n, 2 * n)), np.empty((rank, 2 * n, self._rows.shape[2]))
        lower[:, :n, :n], rows[:, :n] = self._lower, self._rows
        self._lower, self._rows = lower, rows
        self._measured = np.concatenate([self._measured, np.empty_like(self._measured)])
        self._inflation = np.concatenate([self._inflation, np.empty_like(self._inflation)])
        self._whitened = np.concatenate([self._whitened, np.empty_like(self._whitened)], axis=1)
