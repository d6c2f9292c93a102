"""Which candidate is worth measuring: pure functions over the pool.

N is the number of candidates. The formulas are those of Vatsavai et al., *Curiosity driven exploration to optimize
structure–property learning in microscopy*, Digital Discovery 2025, doi 10.1039/d5dd00119f, unless said otherwise.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.special import ndtr

Values = NDArray[np.float64]

CHUNK = 1 << 21
"""Number of distances that are computed at once; 16 MB."""


def latent_novelty(latent: Values, measured: NDArray[np.int64]) -> Values:
    """Return how far each candidate is from all measured ones, normalised to a mean of 1.

    The harmonic mean of Euclidean distances, ``E_j = n / Σ_i 1/d_ij``: one near neighbour makes it small.

    Parameters
    ----------
    latent : (N, L)
        Coordinates of all candidates in a latent space.
    measured : (n,)
        Which of them were measured, n ≥ 1.

    Returns
    -------
    (N,)
        0 where a candidate coincides with a measured one. All 0 if every candidate does.
    """
    return _normalised(len(measured) / inverse_distances(latent, measured))


class RunningNovelty:
    """:func:`latent_novelty` in a latent space that stays as it is: each further measured candidate adds one column.

    The sum grows by one column at a time, so that its last bits do not depend on how often it is asked for.

    Parameters
    ----------
    latent : (N, L)
        Coordinates of all candidates.
    """

    def __init__(self, latent: Values) -> None:
        self._latent = latent
        self._inverse = np.zeros(len(latent))  # Σ_i 1/d_ij
        self._count = 0

    def __call__(self, measured: NDArray[np.int64]) -> Values:
        """Return the novelty (N,); `measured` (n,) continues what it was at the last call."""
        for index in measured[self._count :]:
            self._inverse = self._inverse + inverse_distances(self._latent, np.array([index]))
        self._count = len(measured)
        return _normalised(self._count / self._inverse)


def inverse_distances(latent: Values, measured: NDArray[np.int64]) -> Values:
    """Return ``Σ_i 1/d_ij`` for each candidate j over the measured ones, (N,); ∞ where it coincides with one of them.

    Parameters
    ----------
    latent : (N, L)
        Coordinates of all candidates in a latent space.
    measured : (n,)
        Which of them were measured.
    """
    size = max(CHUNK // max(len(measured), 1), 1)
    with np.errstate(divide="ignore"):
        parts = [
            (1 / cdist(latent[first : first + size], latent[measured])).sum(axis=1)  # (size, n) → (size,)
            for first in range(0, len(latent), size)
        ]
    return np.concatenate(parts)


def decaying_exploration(predicted_error: Values, exploration: Values, fraction: float, decay: float) -> Values:
    """Return a mixture that first explores and later relies on the predicted error.

    ``A_j = (1 − e^{−λn}) C_j + e^{−λn} E_j``.

    Parameters
    ----------
    predicted_error : (N,)
        C, relative to the mean error at the measured points.
    exploration : (N,)
        E, see :func:`latent_novelty`; with Monte-Carlo dropout also the spread of the predicted error.
    fraction : float
        n, the used fraction of the budget that follows the initial points, 0…1.
    decay : float
        λ; the authors use 2.

    Returns
    -------
    (N,)
    """
    exploring = np.exp(-decay * fraction)
    return np.asarray((1 - exploring) * predicted_error + exploring * exploration, dtype=np.float64)


def curious_or_conservative(predicted_error: Values, beta: float, sharpness: float) -> Values:
    """Return how far the predicted error is from the error to avoid.

    ``A_j = 1 − exp(−λ |L_j − (1 − β)|)`` with the predicted errors ``L_j`` scaled to 0…1 over the pool.

    Parameters
    ----------
    predicted_error : (N,)
        In any unit; where all are equal, ``L_j`` is 0.
    beta : float
        β, 0…1. 1 is curious and seeks the largest predicted error; 0 is conservative and seeks the smallest; 0.5
        prefers both extremes over the middle.
    sharpness : float
        λ > 0. It stretches the score but does not change the order of the candidates.

    Returns
    -------
    (N,)
        0…1.
    """
    low, high = predicted_error.min(), predicted_error.max()
    scaled = (predicted_error - low) / (high - low) if high > low else np.zeros_like(predicted_error)
    return np.asarray(1 - np.exp(-sharpness * np.abs(scaled - (1 - beta))), dtype=np.float64)


def expected_improvement(mean: Values, spread: Values, best: float) -> Values:
    """Return by how much each candidate should exceed the best value so far, on average.

    ``(μ_j − y*) Φ(z_j) + σ_j φ(z_j)`` with ``z_j = (μ_j − y*)/σ_j`` (Jones, Schonlau & Welch, J. Global Optim. 13, 455
    (1998)).

    Parameters
    ----------
    mean, spread : (N,)
        Prediction μ and its standard deviation σ > 0.
    best : float
        y*, the largest measured value.

    Returns
    -------
    (N,)
    """
    gain = mean - best
    z = gain / spread
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    return np.asarray(gain * ndtr(z) + spread * density, dtype=np.float64)


def _normalised(novelty: Values) -> Values:
    mean = novelty.mean()
    return np.asarray(novelty / mean if mean > 0 else novelty, dtype=np.float64)
