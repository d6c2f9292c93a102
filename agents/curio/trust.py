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

CLEARED = 0.4
"""A distrusted spectrum is trusted again if the others are predicted better with it by more than this."""

LOSS_COUNTS = 4
"""What all spectra lose counts so many times as much as what the others gain, on a logarithmic scale."""

PAYS_BELOW, STILL_PAYS_BELOW = 0.74, 0.9
"""What is left of the errors of the others if it pays; of a run in which it paid before, more is believed."""


def pays(trusting: Values, doubting: Values, doubted: NDArray[np.bool_], *, before: bool) -> bool:
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
    before : bool
        Whether it paid when the model was learned last.
    """
    others = ~doubted
    error, after = (float(errors[others].sum()) for errors in (trusting, doubting))
    loss = float(doubting.sum()) / (float(trusting.sum()) or 1.0)
    return after * loss**LOSS_COUNTS < (STILL_PAYS_BELOW if before else PAYS_BELOW) * error


def harm(covariance: Values, noise: Values, inflation: Values, scores: Values, importance: Values) -> Values:
    """Return by how much better the others are predicted without each spectrum, (n,); positive if it does harm.

    Each spectrum is left out, or trusted fully, while all others are trusted as far as they are now: bad ones that are
    known do not hide the harm of another, and a rare real one that was distrusted is cleared by those that resemble it.
    The measure is ``Σ_j log(1 + E_j / median E)`` of the errors E of all other spectra when each is left out, too, so
    that a few large errors do not decide alone.

    Parameters
    ----------
    covariance : (r, n, n)
        Of the scores without noise.
    noise : (r,)
        The variance of the noise of a good spectrum.
    inflation : (n,)
        The noise of each spectrum, relative to that of a good one, as believed so far.
    scores : (r, n)
    importance : (r,)
        What a squared error of each score adds to the spectral error.
    """
    size = scores.shape[1]
    typical, trusted, without = np.zeros(size), np.zeros((size, size)), np.zeros((size, size))  # E_j; with, without i
    for each, level, values, counts in zip(covariance, noise, scores, importance, strict=True):
        precision = np.linalg.inv(each + np.diag(level * inflation + JITTER))
        solved, own = precision @ values, np.diagonal(precision)
        typical += counts * (solved / own) ** 2
        # A change of the noise of i, and taking it out, change the precision by c P_:i P_i: (Sherman & Morrison).
        less = level * (1 - inflation)
        for change, total in ((less / (1 + less * own), trusted), (1 / own, without)):
            left = own[:, None] - precision**2 * change
            np.fill_diagonal(left, 1.0)
            np.add(total, counts * ((solved[:, None] - precision * (solved * change)) / left) ** 2, out=total)
    middle = float(np.median(typical)) or 1.0
    gain = np.log1p(trusted / middle) - np.log1p(without / middle)
    np.fill_diagonal(gain, 0.0)
    return np.asarray(gain.sum(axis=0))
