"""The first slot of a curious agent: its model of the sample. One module for each family."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Shape = tuple[int, int, int]
"""(C, h, w) of a patch."""

Draw = Callable[[str], torch.Generator]
"""Returns the random numbers for a purpose; they follow from the seed and the number of observations."""


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured so far.

    Attributes
    ----------
    patches : (n, C, h, w) float32
        Scaled to −1…1.
    spectra : (n, K) float64
        In their own unit.
    axis : (K,) float64 or None
        The spectral axis, e.g. the bias in V, where it is known.
    """

    patches: Tensor
    spectra: NDArray[np.float64]
    axis: NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a surrogate predicts for patches.

    Attributes
    ----------
    spectra : (N, K) float32 or None
        In their own unit; None for a surrogate that predicts something else.
    latent : (N, L) float32 or None
        Coordinates in which similar patches are near each other; None for a surrogate without such a space.
    """

    spectra: NDArray[np.float32] | None
    latent: Tensor | None


class Surrogate(Protocol):
    """Learns the relation between patches and spectra, a little more with each observation."""

    def train(self, measured: Measured, draw: Draw) -> float:
        """Learn from all that was measured; return the loss."""
        ...

    def mismatch(self, measured: Measured) -> Tensor:
        """Return its error at each measured point, (n,), in any unit."""
        ...

    def predict(self, patches: Tensor) -> Prediction:
        """Return what it predicts for patches (N, C, h, w), scaled like those of the training."""
        ...

    def state(self) -> Mapping[str, Any]:
        """Return a snapshot for :meth:`load_state`."""
        ...

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot of a surrogate of the same kind and sizes."""
        ...
