"""Quality control: a bad spectrum or frame is recorded as such, and never reaches an agent as truth."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from curio_plans.validation import Fraction, Frozen, NonNegative, as_whole


class QualityError(RuntimeError):
    """What was measured is not good enough to go on."""


class Quality(Frozen):
    """What a good spectrum is, and what to do with one that is not.

    Attributes
    ----------
    max_saturated : float
        Fraction of steps that may lie at an end of the detector's range.
    min_resonance : float
        Fraction of steps at which the contact resonance must have been found.
    min_snr : float
        Least signal to noise; 0 takes any. A loop without switching, or noise alone, has about 1.
    policy : {"retry", "skip", "stop"}
        ``retry``: measure again at the same place, up to `retries` times, then skip. ``skip``: exclude the candidate
        and go on. ``stop``: end the run.
    retries : int
        See `policy`. A frame with missing pixels is taken again as often, whatever the policy.
    """

    max_saturated: Fraction = 0.05
    min_resonance: Fraction = 0.5
    min_snr: NonNegative = 0.0
    policy: Literal["retry", "skip", "stop"] = "retry"
    retries: Annotated[int, Field(ge=0, le=100), as_whole] = 2

    @property
    def attempts(self) -> int:
        """How often a place is measured at most."""
        return 1 + self.retries if self.policy == "retry" else 1

    def judge(self, reading: Mapping[str, Any], spectrometer: str) -> str:
        """Return what is wrong with a spectrum; empty if nothing is.

        Parameters
        ----------
        reading : mapping
            What reading the spectrometer gave: ``{data key: {"value": …}}``.
        spectrometer : str
            Its name, the prefix of the data keys.
        """
        value = {key.removeprefix(f"{spectrometer}_"): entry["value"] for key, entry in reading.items()}
        bad = ~np.isfinite(value["spectrum"])
        if bad.any():
            return f"not finite at {int(bad.sum())} of {bad.size} steps, first at step {int(np.flatnonzero(bad)[0])}"
        if value["saturated"] > self.max_saturated:
            return f"saturated at {value['saturated']:.0%} of the steps, more than {self.max_saturated:.0%}"
        if value["resonance"] < self.min_resonance:
            return f"resonance found at {value['resonance']:.0%} of the steps, less than {self.min_resonance:.0%}"
        if value["snr"] < self.min_snr:
            return f"signal to noise {value['snr']:.2g}, less than {self.min_snr:g}"
        return ""


def judge_frame(frame: np.ndarray[Any, Any]) -> str:
    """Return what is wrong with a frame (C, ny, nx); empty if nothing is."""
    lines = ~np.isfinite(frame).all(axis=(0, 2))
    return f"{int(lines.sum())} of {lines.size} lines are not finite" if lines.any() else ""
