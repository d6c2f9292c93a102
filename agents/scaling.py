"""From physical units to the range in which networks learn well, and back."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Scaling:
    """An affine map of [low, high] to [−1, 1]. Where low equals high, everything becomes 0.

    Attributes
    ----------
    low, high : arrays that broadcast with the values
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @classmethod
    def of(cls, values: NDArray[np.floating], axis: tuple[int, ...]) -> "Scaling":
        """Return the scaling of the range of `values` along `axis`."""
        low, high = values.min(axis=axis, keepdims=True), values.max(axis=axis, keepdims=True)
        return cls(np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64))

    @classmethod
    def keeping_zero(cls, values: NDArray[np.floating]) -> "Scaling":
        """Return the scaling of the range of all `values`; symmetric if they have both signs, so that 0 stays 0."""
        low, high = float(values.min()), float(values.max())
        if low < 0 < high:
            high = max(-low, high)
            low = -high
        return cls(np.array(low), np.array(high))

    def scale(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return `values` in the range of the networks."""
        span = self.high - self.low
        half = np.where(span > 0, span / 2, np.inf)
        return np.asarray((values - (self.low + self.high) / 2) / half, dtype=np.float32)

    def restore(self, scaled: NDArray[np.floating]) -> NDArray[np.float32]:
        """Undo :meth:`scale`."""
        return np.asarray(scaled * (self.high - self.low) / 2 + (self.low + self.high) / 2, dtype=np.float32)
