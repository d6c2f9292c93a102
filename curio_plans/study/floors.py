"""What simple methods reach on the same sample: the floors beside which a learning curve is judged.

Every error here is the mean squared error of the predicted spectra over the whole pool, in squared units of the
spectrum, against the true spectra that a simulation or a recorded sample knows.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh
from scipy.spatial.distance import cdist
from sklearn.preprocessing import StandardScaler

from agents.protocols import Pool

Array = NDArray[np.floating[Any]]

KINDS: Mapping[str, tuple[str, ...]] = {
    "patch": ("patch",),
    "position": ("position",),
    "patch and position": ("patch", "position"),
}
"""What a kernel ridge regression may look at: the structure, the coordinates only, or both."""

STEEPNESS: Mapping[str, tuple[float, ...]] = {
    "patch": (0.01, 0.03, 0.1, 0.3),
    "position": (0.03, 0.3, 3.0, 30.0),
}
"""Factors γ of the squared distance to choose from; the distance is the mean over standardised features."""

PENALTIES = (0.1, 0.3, 1.0, 3.0)


def ridge_prediction(
    pool: Pool, spectra: Array, measured: Sequence[int] | NDArray[np.integer[Any]], kind: str = "patch"
) -> NDArray[np.float64]:
    """Predict all spectra from some, by kernel ridge regression with the kernel ``exp(−Σ γ_f d_f²)``.

    The factors γ and the penalty are those with the least leave-one-out error on the measured points, which a kernel
    ridge regression gives in closed form: the residual of point i is ``c_i / (K + αI)⁻¹_ii`` with the coefficients c
    (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, eq. 5.12).

    Parameters
    ----------
    pool : Pool
        N candidates.
    spectra : (n, K)
        The spectra of the measured candidates, n ≥ 2.
    measured : (n,) of int
        Which candidates these are.
    kind : str
        One of :data:`KINDS`: what the regression looks at.

    Returns
    -------
    (N, K) float64
    """
    measured = np.asarray(measured)
    distances = {feature: _squared_distances(pool, feature, measured) for feature in KINDS[kind]}
    mean = spectra.mean(axis=0)
    residuals = spectra - mean
    best, least = np.zeros((len(pool), spectra.shape[1])), np.inf
    for factors in itertools.product(*(STEEPNESS[feature] for feature in KINDS[kind])):
        exponents = [factor * distances[feature] for factor, feature in zip(factors, KINDS[kind], strict=True)]
        kernel = np.exp(-sum(exponents))  # (N, n)
        values, vectors = eigh(kernel[measured])
        projected = vectors.T @ residuals
        for penalty in PENALTIES:
            inverse = 1 / (values + penalty)
            coefficients = vectors @ (inverse[:, None] * projected)  # (n, K)
            left_out = coefficients / ((vectors**2) @ inverse)[:, None]
            error = (left_out**2).mean()
            if error < least:
                best, least = kernel @ coefficients, error
    return np.asarray(best + mean, dtype=np.float64)


def mean_spectrum_errors(truth: Array) -> NDArray[np.float64]:
    """Return the mean squared error (N,) of predicting the mean of all true spectra (N, K): the floor of doing nothing.

    It is exactly 0 if all spectra are equal: their mean may differ from them by a rounding error.
    """
    if (truth == truth[0]).all():
        return np.zeros(len(truth))
    return np.asarray(((truth - truth.mean(axis=0)) ** 2).mean(axis=1), dtype=np.float64)


def mean_spectrum_mse(truth: Array) -> float:
    """Return the mean of :func:`mean_spectrum_errors` over all spectra (N, K); exactly 0 if all are equal."""
    return float(mean_spectrum_errors(truth).mean())


def relative(error: ArrayLike, floor: ArrayLike) -> NDArray[np.float64]:
    """Return `error` over `floor`, the error of the mean spectrum; NaN where `floor` is 0, as all spectra are equal."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.equal(floor, 0), np.nan, np.divide(error, floor))


def mean_or_nan(values: Array) -> float:
    """Return the mean; NaN of no values."""
    return float(values.mean()) if values.size else float("nan")


def ridge_on_random_points(
    pool: Pool, truth: Array, counts: Sequence[int], seeds: Sequence[int] = (0, 1, 2)
) -> Mapping[str, NDArray[np.float64]]:
    """Return what kernel ridge regression reaches with randomly chosen points.

    Parameters
    ----------
    pool : Pool
        N candidates.
    truth : (N, K)
        The true spectra; the chosen points are "measured" by looking them up, without noise.
    counts : sequence of int
        Numbers of points to evaluate.
    seeds : sequence of int
        One independent choice of points each.

    Returns
    -------
    mapping
        The mean squared errors (seeds, counts) for each of :data:`KINDS`.
    """
    errors = {kind: np.empty((len(seeds), len(counts))) for kind in KINDS}
    for i, seed in enumerate(seeds):
        order = np.random.default_rng(seed).permutation(len(pool))
        for j, count in enumerate(counts):
            chosen = order[:count]
            for kind, values in errors.items():
                values[i, j] = ((ridge_prediction(pool, truth[chosen], chosen, kind) - truth) ** 2).mean()
    return errors


def _squared_distances(pool: Pool, feature: str, measured: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Return the mean squared distance (N, n) over standardised features from all candidates to the measured ones."""
    values = pool.positions if feature == "position" else pool.patches.reshape(len(pool), -1)
    scaled = StandardScaler().fit_transform(values.astype(np.float64))
    return np.asarray(cdist(scaled, scaled[measured], "sqeuclidean") / scaled.shape[1])
