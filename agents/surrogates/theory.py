"""A theory as the surrogate, the loop of :mod:`agents.hysteresis`: curiosity goes where the theory fails."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.hysteresis import fit_loop, is_cyclic, loop, triangle
from agents.learner import Learner
from agents.models.im2spec import Im2spec
from agents.surrogates import Draw, Measured, Prediction


class TheorySurrogate:
    """Fits the theory to each measured spectrum, and learns to predict its parameters from the patch.

    Parameters
    ----------
    learner : Learner
        The network that predicts the parameters.
    mismatch : {"fit", "prediction"}
        What counts as an error: what no parameters of the theory explain, or also the errors of parameters that are
        predicted from the patch.
    cycles, phase : float
        The waveform to assume, see :func:`agents.hysteresis.triangle`, where the axis of the spectra is unknown or does
        not go up and down.
    """

    def __init__(self, learner: Learner[Im2spec], *, mismatch: str, cycles: float, phase: float) -> None:
        self._learner = learner
        self._mismatch = mismatch
        self._cycles, self._phase = cycles, phase
        self._fitted: list[NDArray[np.float64]] = []  # parameters of each measured spectrum, (7,) each
        self._bias = np.empty(0)
        self._centre = self._spread = np.empty(0)  # of the first parameters, (7,): the network learns their deviation

    def train(self, measured: Measured, draw: Draw) -> float:
        """Fit the new spectra and learn the parameters; return the mean squared error of standardised parameters."""
        fitted = self._fit(measured)
        if not self._centre.size:
            spread = fitted.std(axis=0)
            self._centre, self._spread = fitted.mean(axis=0), np.where(spread > 0, spread, 1.0)
        targets = torch.from_numpy(((fitted - self._centre) / self._spread).astype(np.float32))
        return self._learner.train(measured.patches, targets, draw("surrogate"))

    def mismatch(self, measured: Measured) -> Tensor:
        """Return the mean squared error of each spectrum, (n,)."""
        fitted = self._fit(measured)
        parameters = fitted if self._mismatch == "fit" else self._parameters(measured.patches)[0]
        error = loop(self._bias, parameters) - measured.spectra  # (n, K)
        return torch.from_numpy((error**2).mean(axis=1).astype(np.float32))

    def predict(self, patches: Tensor) -> Prediction:
        """Return the loops of the predicted parameters for patches (N, C, h, w), and the network's latent space."""
        parameters, latent = self._parameters(patches)
        return Prediction(loop(self._bias, parameters).astype(np.float32), latent)

    def state(self) -> Mapping[str, Any]:
        """Return a snapshot for :meth:`load_state`."""
        return {
            "learner": self._learner.state(),
            "fitted": list(self._fitted),
            "bias": self._bias,
            "centre": self._centre,
            "spread": self._spread,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot."""
        self._learner.load_state(state["learner"])
        self._fitted = list(state["fitted"])
        self._bias, self._centre, self._spread = state["bias"], state["centre"], state["spread"]

    def _fit(self, measured: Measured) -> NDArray[np.float64]:
        """Return the parameters of all measured spectra, (n, 7); each is fitted once."""
        if not self._bias.size:
            steps = measured.spectra.shape[1]
            known = measured.axis is not None and is_cyclic(measured.axis)
            self._bias = np.asarray(measured.axis) if known else triangle(steps, self._cycles, self._phase)
        for spectrum in measured.spectra[len(self._fitted) :]:
            self._fitted.append(fit_loop(self._bias, spectrum))
        return np.stack(self._fitted)

    def _parameters(self, patches: Tensor) -> tuple[NDArray[np.float64], Tensor]:
        """Return the parameters that the network predicts, (N, 7), and its latent space."""
        deviation, latent = self._learner.model.evaluate(patches)
        return deviation.double().numpy() * self._spread + self._centre, latent
