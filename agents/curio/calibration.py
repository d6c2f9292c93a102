"""How large the error really is: the predicted error, corrected by the errors found.

A model's own variance is only as right as the model. So a few points are *checks*: random candidates, drawn before
anything was measured and measured for no other reason. The spectrum at each was predicted before it was taken, and the
ratio of the error found to the error predicted corrects the predicted error of the whole map. The checks are a random
sample, so the corrected mean is unbiased up to the ratio's own bias of order 1/checks (Cochran, *Sampling Techniques*,
Wiley 1977, chapter 6). Leaving out each measured spectrum in turn gives more ratios; they are cheap, but not at random
places, and count as a few checks only.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Values = NDArray[np.float64]

LEFT_OUT_COUNT_AS = 10.0
"""All left-out spectra together count as this many checks."""

COVERAGE = 0.9


@dataclass(frozen=True, eq=False)
class Calibration:
    """The correction of a predicted error.

    Attributes
    ----------
    factor : float
        The error found over the error predicted.
    low, high : float
        Its 90 % interval.
    quantiles : (2,) float64
        The error of 90 % of single spectra lies between these multiples of its corrected prediction.
    checks : int
    """

    factor: float
    low: float
    high: float
    quantiles: Values
    checks: int

    @classmethod
    def of(cls, predicted: Values, found: Values, left_out_predicted: Values, left_out_found: Values) -> "Calibration":
        """Return the calibration by checks (V,) and by spectra that were left out (n,), n ≥ 2."""
        checks, others = len(predicted), len(left_out_predicted)
        share = LEFT_OUT_COUNT_AS / others
        weights = np.concatenate([np.ones(checks), np.full(others, share)])
        expected = np.concatenate([predicted, left_out_predicted])
        actual = np.concatenate([found, left_out_found])
        factor = float((weights @ actual) / (weights @ expected))
        if factor == 0:
            return cls(0.0, 0.0, 0.0, np.ones(2), checks)  # nothing deviates from its prediction
        # Linearised variance of a ratio of sums; the left-out spectra count as a few, so theirs is not divided by n.
        worth = checks + LEFT_OUT_COUNT_AS
        off = (actual - factor * expected) / (weights @ expected / worth)
        deviation = float(np.sqrt(weights @ off**2 / worth / worth))
        reach = float(stdtrit(worth - 1, (1 + COVERAGE) / 2)) * deviation / factor  # Student's t
        ratios = actual / (factor * expected)
        order = np.argsort(ratios)
        rank = (np.cumsum(weights[order]) - weights[order] / 2) / weights.sum()
        tails = np.interp([(1 - COVERAGE) / 2, (1 + COVERAGE) / 2], rank, ratios[order])
        # On a logarithmic scale, so that the interval stays positive.
        return cls(factor, factor * float(np.exp(-reach)), factor * float(np.exp(reach)), tails, checks)
