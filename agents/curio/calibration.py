"""How large the error really is: what was predicted, corrected by what was found.

A model's own variance is only as right as the model. So a few points are *checks*: random candidates, drawn before
anything was measured and measured for no other reason. The spectrum at each was predicted before it was taken, and the
ratio of the error found to the error predicted corrects the predicted error of the whole map. As the checks are a
random sample, so is their error: the corrected mean is unbiased up to the ratio's own bias of order 1/checks (Cochran,
*Sampling Techniques*, Wiley 1977, chapter 6). Leaving out each measured spectrum in turn gives as many more ratios;
those are cheap but not at random places, and count as a few checks only.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

Values = NDArray[np.float64]

LEFT_OUT_COUNT_AS = 10.0
"""As many checks are all the left-out spectra worth."""

COVERAGE = 0.9


@dataclass(frozen=True, eq=False)
class Calibration:
    """What to multiply a predicted error with.

    Attributes
    ----------
    factor : float
        The error found over the error predicted.
    low, high : float
        Its 90 % interval.
    quantiles : (2,) float64
        Between these multiples of its corrected prediction lies the error of 90 % of single spectra.
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
            return cls(0.0, 0.0, 0.0, np.ones(2), checks)  # everything is as it was predicted
        # Linearised variance of a ratio of sums; the left-out ones are worth a few, so theirs is not divided by n.
        worth = checks + LEFT_OUT_COUNT_AS
        off = (actual - factor * expected) / (weights @ expected / worth)
        deviation = float(np.sqrt(weights @ off**2 / worth / worth))
        reach = float(student.ppf((1 + COVERAGE) / 2, worth - 1)) * deviation / factor
        ratios = actual / (factor * expected)
        order = np.argsort(ratios)
        rank = (np.cumsum(weights[order]) - weights[order] / 2) / weights.sum()
        tails = np.interp([(1 - COVERAGE) / 2, (1 + COVERAGE) / 2], rank, ratios[order])
        # On a logarithmic scale, so that the interval stays positive.
        return cls(factor, factor * float(np.exp(-reach)), factor * float(np.exp(reach)), tails, checks)
