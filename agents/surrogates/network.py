"""One network as the surrogate: Im2spec predicts the spectrum from the patch, Spec2im the patch from the spectrum."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from agents.learner import Learner
from agents.models.im2spec import Im2spec
from agents.models.spec2im import Spec2im
from agents.scaling import Scaling
from agents.surrogates import Draw, Measured, Prediction


class Im2specSurrogate:
    """Im2spec; its mismatch is the mean squared error of a spectrum.

    Parameters
    ----------
    learner : Learner
        The network and how it is trained.
    """

    def __init__(self, learner: Learner[Im2spec]) -> None:
        self._learner = learner
        self._scaling: Scaling | None = None  # that of the first spectra

    def train(self, measured: Measured, draw: Draw) -> float:
        """Learn from all that was measured; return the mean squared error of the scaled spectra."""
        return self._learner.train(measured.patches, self._targets(measured), draw("surrogate"))

    def mismatch(self, measured: Measured) -> Tensor:
        """Return the mean squared error of each scaled spectrum, (n,)."""
        return ((self._learner.model.evaluate(measured.patches)[0] - self._targets(measured)) ** 2).mean(dim=1)

    def predict(self, patches: Tensor) -> Prediction:
        """Return the spectra and the network's latent space for patches (N, C, h, w)."""
        scaled, latent = self._learner.model.evaluate(patches)
        return Prediction(self._scaling.restore(scaled.numpy()) if self._scaling else None, latent)

    def state(self) -> Mapping[str, Any]:
        """Return a snapshot for :meth:`load_state`."""
        return {"learner": self._learner.state(), "scaling": self._scaling}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot."""
        self._learner.load_state(state["learner"])
        self._scaling = state["scaling"]

    def _targets(self, measured: Measured) -> Tensor:
        """Return the scaled spectra (n, K)."""
        if self._scaling is None:
            self._scaling = Scaling.keeping_zero(measured.spectra)
        return torch.from_numpy(self._scaling.scale(measured.spectra))


class Spec2imSurrogate:
    """Spec2im; its mismatch is the mean squared error of a patch. It says nothing about unmeasured spectra.

    Parameters
    ----------
    learner : Learner
        The network and how it is trained.
    """

    def __init__(self, learner: Learner[Spec2im]) -> None:
        self._learner = learner
        self._scaling: Scaling | None = None  # that of the first spectra

    def train(self, measured: Measured, draw: Draw) -> float:
        """Learn from all that was measured; return the mean squared error of the scaled patches."""
        return self._learner.train(self._inputs(measured), measured.patches, draw("surrogate"))

    def mismatch(self, measured: Measured) -> Tensor:
        """Return the mean squared error of each scaled patch, (n,)."""
        error = self._learner.model.evaluate(self._inputs(measured)) - measured.patches  # (n, C, h, w)
        return (error**2).mean(dim=(1, 2, 3))

    def predict(self, patches: Tensor) -> Prediction:  # noqa: ARG002  it predicts patches from spectra
        """Return nothing: a place has no spectrum before it was measured."""
        return Prediction(None, None)

    def state(self) -> Mapping[str, Any]:
        """Return a snapshot for :meth:`load_state`."""
        return {"learner": self._learner.state(), "scaling": self._scaling}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot."""
        self._learner.load_state(state["learner"])
        self._scaling = state["scaling"]

    def _inputs(self, measured: Measured) -> Tensor:
        """Return the scaled spectra (n, K)."""
        if self._scaling is None:
            self._scaling = Scaling.keeping_zero(measured.spectra)
        return torch.from_numpy(self._scaling.scale(measured.spectra))
