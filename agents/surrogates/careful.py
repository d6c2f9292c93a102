"""Im2spec with more careful training than in the paper: early stopping, weight decay, standardised targets."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agents.models.im2spec import Im2spec
from agents.models.layers import create
from agents.surrogates import Draw, Measured, Prediction
from agents.training import fit, to_arrays, to_tensors

HELD_OUT = 5
"""Every fifth observation is held out, always the same ones."""

CHECK = 5
"""Steps between two evaluations of the held-out observations."""

GROWN = 1.1
"""Start from new weights when the number of observations has grown by this factor."""


class CarefulSurrogate:
    """Im2spec; its mismatch is the mean squared error of a spectrum.

    It trains until the error on held-out observations no longer falls, and restores the weights that were best there.
    Spectra are learned as deviations from their mean, in units of their spread.

    Parameters
    ----------
    make : callable
        Makes the network.
    epochs, later : int
        Most steps from new weights, and of each training in between.
    patience : int
        Steps without progress after which training ends.
    decay : float
        Weight decay of AdamW.
    device : str
        Where the network computes, see :mod:`agents.devices`.
    """

    def __init__(
        self,
        make: Callable[[], Im2spec],
        *,
        epochs: int,
        later: int,
        patience: int,
        decay: float,
        device: str = "cpu",
    ) -> None:
        self._make, self._device = make, device
        self._epochs, self._later, self._patience, self._decay = epochs, later, patience, decay
        self._started_at = 0  # number of observations at the last start
        self._begin(torch.Generator())
        self._centre = np.zeros(1)  # mean of the spectra at the last start, (K,)
        self._spread = 1.0

    def train(self, measured: Measured, draw: Draw) -> float:
        """Learn from all that was measured; return the mean squared error on the held-out observations."""
        epochs, generator = self._later, draw("surrogate")
        if len(measured.spectra) >= GROWN * self._started_at:
            self._started_at = len(measured.spectra)
            self._centre = measured.spectra.mean(axis=0)
            self._spread = max(float((measured.spectra - self._centre).std()), np.finfo(float).tiny)
            self._begin(generator)
            epochs = self._epochs
        targets = self._targets(measured)
        held_out = torch.arange(len(targets)) % HELD_OUT == 1
        inputs, outputs = measured.patches[~held_out], targets[~held_out]

        def error() -> float:
            off = self._model.evaluate(measured.patches[held_out])[0] - targets[held_out]  # (n/5, K)
            return float((off**2).mean())

        least, best, idle = error(), to_arrays(self._model.state_dict()), 0
        for _ in range(0, epochs, CHECK):
            fit(self._model, self._optimizer, inputs, outputs, epochs=CHECK, generator=generator)
            if (now := error()) < least:
                least, best, idle = now, to_arrays(self._model.state_dict()), 0
            elif (idle := idle + CHECK) >= self._patience:
                break
        self._model.load_state_dict(to_tensors(best))
        return least

    def mismatch(self, measured: Measured) -> Tensor:
        """Return the mean squared error of each standardised spectrum, (n,)."""
        return ((self._model.evaluate(measured.patches)[0] - self._targets(measured)) ** 2).mean(dim=1)

    def predict(self, patches: Tensor) -> Prediction:
        """Return the spectra and the network's latent space for patches (N, C, h, w)."""
        scaled, latent = self._model.evaluate(patches)
        return Prediction((scaled.numpy() * self._spread + self._centre).astype(np.float32), latent)

    def state(self) -> Mapping[str, Any]:
        """Return a snapshot for :meth:`load_state`."""
        return {
            "model": to_arrays(self._model.state_dict()),
            "optimizer": to_arrays(self._optimizer.state_dict()),
            "started_at": self._started_at,
            "centre": self._centre,
            "spread": self._spread,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot."""
        self._model.load_state_dict(to_tensors(state["model"]))
        self._optimizer.load_state_dict(to_tensors(state["optimizer"]))
        self._started_at, self._centre, self._spread = state["started_at"], state["centre"], state["spread"]

    def _begin(self, generator: torch.Generator) -> None:
        self._model = create(self._make, generator, self._device)
        self._optimizer = torch.optim.AdamW(self._model.parameters(), lr=1e-3, weight_decay=self._decay)

    def _targets(self, measured: Measured) -> Tensor:
        """Return the standardised spectra (n, K)."""
        return torch.from_numpy(((measured.spectra - self._centre) / self._spread).astype(np.float32))
