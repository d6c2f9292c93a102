"""What simple methods reach on the same sample. A learning curve means nothing without them.

Every error here is the mean squared error of the predicted spectra over the whole pool, in squared units of the
spectrum, against the true spectra that a simulation or a recorded sample knows.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from agents.protocols import Pool

Array = NDArray[np.floating[Any]]


def ridge_prediction(
    features: Array, spectra: Array, measured: Sequence[int] | NDArray[np.integer[Any]]
) -> NDArray[np.float64]:
    """Predict all spectra from some, by kernel ridge regression with a radial basis function.

    Width and penalty are chosen by five-fold cross-validation on the measured points.

    Parameters
    ----------
    features : (N, D)
        What is known of every candidate: its patch, or its position.
    spectra : (n, K)
        The spectra of the measured candidates, n ≥ 5.
    measured : (n,) of int
        Which candidates these are.

    Returns
    -------
    (N, K) float64
    """
    width = features.shape[1]
    search = GridSearchCV(
        make_pipeline(StandardScaler(), KernelRidge(kernel="rbf")),
        {
            "kernelridge__gamma": np.array([0.01, 0.03, 0.1, 0.3]) / width,
            "kernelridge__alpha": [0.1, 0.3, 1.0, 3.0],
        },
        scoring="neg_mean_squared_error",
        cv=5,
    )
    mean = spectra.mean(axis=0)
    search.fit(features[np.asarray(measured)], spectra - mean)
    return np.asarray(search.predict(features) + mean, dtype=np.float64)


def mean_spectrum_mse(truth: Array) -> float:
    """Return the error of predicting the mean of all true spectra (N, K) everywhere: the floor of doing nothing."""
    return float(((truth - truth.mean(axis=0)) ** 2).mean())


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
        ``"patch"`` (what the structure explains) and ``"position"`` (coordinates only): mean squared errors of shape
        (seeds, counts).
    """
    features = {"patch": pool.patches.reshape(len(pool), -1).astype(np.float64), "position": pool.positions}
    errors = {name: np.empty((len(seeds), len(counts))) for name in features}
    for i, seed in enumerate(seeds):
        order = np.random.default_rng(seed).permutation(len(pool))
        for j, count in enumerate(counts):
            chosen = order[:count]
            for name, values in features.items():
                prediction = ridge_prediction(values, truth[chosen], chosen)
                errors[name][i, j] = ((prediction - truth) ** 2).mean()
    return errors
