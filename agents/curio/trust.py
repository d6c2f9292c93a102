"""How far each spectrum is trusted: a bad one contradicts all others, a rare one is confirmed by some.

A spectrum is *suspicious* if it deviates far from its prediction by the others. That is not enough: on a sample where a
few places differ a lot, the most informative spectra are suspicious. So it is asked whether the *other* spectra are
predicted better without it (Cook, Technometrics 19, 15 (1977), has the formula for taking out one). If so, it is noise
to them, and it may be trusted less; if not, it stays as it is. And it is asked whether trusting all of these less pays:
each alone may seem to do harm where together they are what the sample is about.
"""

import numpy as np
from numpy.typing import NDArray

from agents.curio.kernel import JITTER

Values = NDArray[np.float64]

SUSPICIOUS = 3.0
"""A spectrum whose squared deviation is this many times the typical one is suspicious."""


LOSS_COUNTS = 6
"""What all spectra lose counts so many times as much as what the others gain, on a logarithmic scale."""

PAYS_BELOW = 0.9


def pays(trusting: Values, doubting: Values, doubted: NDArray[np.bool_]) -> bool:
    """Return whether it pays to trust some spectra less.

    The others are predicted better without a bad spectrum, and without a rare real one, too. But a rare real one is
    then predicted much worse from those that resemble it, while a bad one resembles none. Errors are squared, so that
    rare bright places count as much as they do in a map.

    Parameters
    ----------
    trusting, doubting : (n,)
        The squared error of each spectrum when it is predicted from the others, by a model that trusts all and by one
        that trusts some less.
    doubted : (n,)
        Which are trusted less.
    """
    others = ~doubted
    before, after = (float(errors[others].sum()) for errors in (trusting, doubting))
    loss = float(doubting.sum()) / (float(trusting.sum()) or 1.0)
    return after * loss**LOSS_COUNTS < PAYS_BELOW * before


def harm(covariance: Values, noise: Values, scores: Values, importance: Values) -> Values:
    """Return by how much better the others are predicted without each spectrum, (n,); positive if it does harm.

    The measure is ``Σ_j log(1 + E_j / median E)`` of the errors E of all other spectra when each is left out, too, so
    that a few large errors do not decide alone.

    Parameters
    ----------
    covariance : (r, n, n)
        Of the scores without noise.
    noise : (r,)
        The variance of the noise of a good spectrum.
    scores : (r, n)
    importance : (r,)
        What a squared error of each score adds to the spectral error.
    """
    size = scores.shape[1]
    with_it, without = np.zeros(size), np.zeros((size, size))  # E_j; E_j without i, (j, i)
    for each, level, values, counts in zip(covariance, noise, scores, importance, strict=True):
        precision = np.linalg.inv(each + (level + JITTER) * np.eye(size))
        solved, own = precision @ values, np.diagonal(precision)
        with_it += counts * (solved / own) ** 2
        # Taking out i is a rank-one change of the precision: P − P_:i P_i: / P_ii.
        left = own[:, None] - precision**2 / own
        np.fill_diagonal(left, 1.0)
        without += counts * ((solved[:, None] - precision * (solved / own)) / left) ** 2
    typical = float(np.median(with_it)) or 1.0
    gain = np.log1p(with_it / typical)[:, None] - np.log1p(without / typical)
    np.fill_diagonal(gain, 0.0)
    return np.asarray(gain.sum(axis=0))
