"""A Gaussian process over the candidates of a pool, with one kernel for all values of a spectrum.

Rasmussen & Williams, *Gaussian Processes for Machine Learning*, MIT Press 2006, chapters 2 and 5.
"""

import copy
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, eigh, solve_triangular
from scipy.spatial.distance import cdist

Values = NDArray[np.float64]

Form = Literal["product", "sum"]


@dataclass(frozen=True)
class Choices:
    """What leave-one-out chooses from.

    Attributes
    ----------
    forms : tuple of str
        See :class:`Kernel`.
    patch, position : tuple of float
        Lengths relative to the median distance of two measured points; ∞ leaves a feature out.
    noise : tuple of float
        Variances of the noise relative to that of the process: the ridge.
    growth : float
        It chooses again each time the number of observations has grown by this factor, up to twice `most`.
    most : int
        Most observations that it looks at, which costs the third power of their number.
    """

    forms: tuple[Form, ...] = ("product",)
    patch: tuple[float, ...] = (0.35, 0.7, 1.4, np.inf)
    position: tuple[float, ...] = (0.35, 0.7, 1.4, np.inf)
    noise: tuple[float, ...] = (0.03, 0.1, 0.3, 1.0, 3.0)
    growth: float = 2**0.5
    most: int = 128


@dataclass(frozen=True, eq=False)
class Features:
    """Each candidate's flattened patch (N, D) and position (N, 2) in nm."""

    patches: Values
    positions: Values


@dataclass(frozen=True)
class Kernel:
    """A radial basis function of the patch times one of the position, or the mean of the two.

    Attributes
    ----------
    patch, position : float
        Lengths, in the units of the features.
    noise : float
        Variance of the noise, relative to that of the process.
    form : str
        ``"product"``: alike are places that look alike and are near. ``"sum"``: places that look alike, or are near.
    """

    patch: float
    position: float
    noise: float
    form: Form = "product"

    def __call__(self, features: Features, one: NDArray[np.int64], other: NDArray[np.int64] | slice) -> Values:
        """Return the covariance of candidates, (n, m)."""
        patches = cdist(features.patches[one], features.patches[other], "sqeuclidean") / self.patch**2
        positions = cdist(features.positions[one], features.positions[other], "sqeuclidean") / self.position**2
        if self.form == "sum":
            return np.asarray((np.exp(-patches / 2) + np.exp(-positions / 2)) / 2)
        return np.asarray(np.exp(-(patches + positions) / 2))


def leave_one_out(
    features: Features, measured: NDArray[np.int64], spectra: Values, choices: Choices
) -> tuple[Kernel, float]:
    """Return the kernel that predicts each measured spectrum best from the others, and its error.

    Parameters
    ----------
    features : Features
        N candidates.
    measured : (n,)
        Which of them were measured, n ≥ 2.
    spectra : (n, K)
        What was measured there; the process has their mean.
    choices : Choices

    Returns
    -------
    Kernel
    float
        The mean squared error relative to the variance of the spectra.
    """
    centred = spectra - spectra.mean(axis=0)
    variance = max(float((centred**2).mean()), np.finfo(float).tiny)
    best, least = Kernel(np.inf, np.inf, 1.0), np.inf
    for kernel in _lengths(features, measured, choices):
        values, vectors = eigh(kernel(features, measured, measured), driver="evd")  # (n,), (n, n)
        rotated = vectors.T @ centred  # (n, K)
        for noise in choices.noise:
            inverse = 1 / (np.maximum(values, 0) + noise)  # (n,)
            # The error of each point when predicted from the others is (K + σ²)⁻¹ y over the diagonal of (K + σ²)⁻¹.
            off = vectors @ (inverse[:, None] * rotated) / (vectors**2 @ inverse)[:, None]  # (n, K)
            error = float((off**2).mean()) / variance
            if error < least:
                best, least = replace(kernel, noise=noise), error
    return best, least


def _lengths(features: Features, measured: NDArray[np.int64], choices: Choices) -> Iterator[Kernel]:
    """Yield kernels of all lengths and forms to choose from."""
    medians = []
    for values in (features.patches[measured], features.positions[measured]):
        distances = cdist(values, values)[np.triu_indices(len(measured), k=1)]
        medians.append(float(np.median(distances)) or 1.0)  # where all are alike, any length will do
    for form, patch, position in itertools.product(choices.forms, choices.patch, choices.position):
        if form == "product" or np.isfinite([patch, position]).all():  # the product has those of one feature already
            yield Kernel(patch * medians[0], position * medians[1], 1.0, form)


class Posterior:
    """What measured spectra say about all candidates.

    It keeps a row of the Cholesky factor for each observation, extended to the pool. One more observation therefore
    takes a time that is linear in the pool and in the number of observations.

    Parameters
    ----------
    features : Features
        N candidates.
    kernel : Kernel
        Covariance and noise.
    measured : (n,)
        Which candidates were measured.
    spectra : (n, K)
        What was measured there; their mean is that of the process.
    integration : (M,)
        Candidates that stand for the whole pool where a variance is integrated.

    Attributes
    ----------
    variance : (N,)
        Of the process, which is 1 without observations.
    count : int
        Number of observations, imagined ones included.
    """

    def __init__(
        self,
        features: Features,
        kernel: Kernel,
        measured: NDArray[np.int64],
        spectra: Values,
        *,
        integration: NDArray[np.int64],
    ) -> None:
        self._features, self._kernel, self._integration = features, kernel, integration
        n, size = len(measured), len(features.positions)
        everywhere = kernel(features, measured, slice(None))  # (n, N)
        lower = cholesky(everywhere[:, measured] + kernel.noise * np.eye(n), lower=True)  # (n, n)
        self._rows = np.empty((2 * n, size))  # room to grow
        self._rows[:n] = solve_triangular(lower, everywhere, lower=True)
        self.count = n
        self._offset = spectra.mean(axis=0)  # (K,)
        rows = self._rows[:n]
        self.variance = np.maximum(1 - (rows**2).sum(axis=0), 0.0)  # (N,)
        self._mean = rows.T @ solve_triangular(lower, spectra - self._offset, lower=True)  # (N, K)
        self._cross = kernel(features, integration, slice(None)) - rows[:, integration].T @ rows  # (M, N)

    @property
    def mean(self) -> Values:
        """The predicted spectra, (N, K)."""
        return np.asarray(self._mean + self._offset)

    def observe(self, index: int, spectrum: Values) -> None:
        """Condition on one more spectrum, (K,)."""
        off = spectrum - self.mean[index]
        deviation = np.sqrt(self.variance[index] + self._kernel.noise)
        self.imagine(index)
        self._mean = self._mean + np.outer(self._rows[self.count - 1], off / deviation)

    def imagine(self, index: int) -> None:
        """Condition the variances on a future spectrum; they do not depend on its values."""
        if self.count == len(self._rows):
            self._rows = np.concatenate([self._rows, np.empty_like(self._rows)])
        rows = self._rows[: self.count]
        column = self._kernel(self._features, np.array([index]), slice(None))[0] - rows[:, index] @ rows  # (N,)
        row = column / np.sqrt(self.variance[index] + self._kernel.noise)
        self._rows[self.count] = row
        self.count += 1
        self.variance = np.maximum(self.variance - row**2, 0.0)
        self._cross -= np.outer(row[self._integration], row)

    def branch(self) -> "Posterior":
        """Return a copy to imagine with. It shares the spare rows, so do not change the original while using it."""
        other = copy.copy(self)
        other._cross = self._cross.copy()
        return other

    def reduction(self) -> Values:
        """Return by how much a spectrum at each candidate would lower the mean variance of the pool, (N,).

        ``1/M Σ_m cov(m, j)² / (var_j + σ²)``: integrated variance reduction (Cohn, Ghahramani & Jordan, *Active
        learning with statistical models*, J. Artif. Intell. Res. 4, 129 (1996)).
        """
        gained = np.einsum("mn,mn->n", self._cross, self._cross) / len(self._integration)
        return np.asarray(gained / (self.variance + self._kernel.noise))
