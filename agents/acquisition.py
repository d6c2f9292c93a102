"""Which candidate is worth measuring: pure functions over the pool.

N is the number of candidates. The formulas are those of Vatsavai et al., *Curiosity driven exploration to optimize
structure–property learning in microscopy*, Digital Discovery 2025, doi 10.1039/d5dd00119f.
"""

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def latent_novelty(latent: Values, measured: NDArray[np.int64]) -> Values:
    """Return how far each candidate is from all measured ones, normalised to a mean of 1.

    The harmonic mean of Euclidean distances, ``E_j = n / Σ_i 1/d_ij``: one near neighbour is enough to make it small.

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
    distances = np.sqrt(((latent[:, None, :] - latent[None, measured, :]) ** 2).sum(axis=2))  # (N, n)
    with np.errstate(divide="ignore"):
        novelty = len(measured) / (1 / distances).sum(axis=1)
    mean = novelty.mean()
    return np.asarray(novelty / mean if mean > 0 else novelty, dtype=np.float64)


def decaying_exploration(predicted_error: Values, novelty: Values, fraction: float, decay: float) -> Values:
    """Return a mixture that begins with exploring and comes to rely on the predicted error.

    ``A_j = (1 − e^{−λn}) C_j + e^{−λn} E_j``.

    Parameters
    ----------
    predicted_error : (N,)
        C, relative to the mean error at the measured points.
    novelty : (N,)
        E, see :func:`latent_novelty`.
    fraction : float
        n, the used fraction of the budget that follows the initial points, 0…1.
    decay : float
        λ; the authors use 2.

    Returns
    -------
    (N,)
    """
    exploring = np.exp(-decay * fraction)
    return np.asarray((1 - exploring) * predicted_error + exploring * novelty, dtype=np.float64)
