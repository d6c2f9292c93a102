"""One network as the surrogate: Im2spec predicts the spectrum from the patch, Spec2im the patch from the spectrum."""

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from agents.learner import Learner
from agents.models.im2spec import Im2spec
from agents.models.spec2im import Spec2im
from agents.scaling import Scaling
from agents.surrogates import Draw, Measured, Prediction

Network = TypeVar("Network", bound=nn.Module)


class ScaledSpectra:
    """Scales spectra as the first ones that it saw."""

    scaling: Scaling | None = None

    def scaled(self, measured: Measured) -> Tensor:
        """Return the scaled spectra (n, K)."""
        if self.scaling is None:
            self.scaling = Scaling.keeping_zero(measured.spectra)
        return torch.from_numpy(self.scaling.scale(measured.spectra))

    def prediction(self, scaled: Tensor, latent: Tensor) -> Prediction:
        """Return scaled spectra (N, K) in their own unit, with latent coordinates."""
        return Prediction(self.scaling.restore(scaled.numpy()) if self.scaling else None, latent)


class _NetworkSurrogate(ScaledSpectra, Generic[Network]):
    """A network and how it is trained.

    Parameters
    ----------
    learner : Learner
    """

    def __init__(self, learner: Learner[Network]) -> None:
        self._learner = learner

    def state(self) -> Mapping[str, Any]:
        """Return a snapshot for :meth:`load_state`."""
        return {"learner": self._learner.state(), "scaling": self.scaling}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot."""
        self._learner.load_state(state["learner"])
        self.scaling = state["scaling"]


class Im2specSurrogate(_NetworkSurrogate[Im2spec]):
    """Im2spec; its mismatch is the mean squared error of a spectrum."""

    def train(self, measured: Measured, draw: Draw) -> float:
        """Learn from all that was measured; return the mean squared error of the scaled spectra."""
        return self._learner.train(measured.patches, self.scaled(measured), draw("surrogate"))

    def mismatch(self, measured: Measured) -> Tensor:
        """Return the mean squared error of each scaled spectrum, (n,)."""
        return ((self._learner.model.evaluate(measured.patches)[0] - self.scaled(measured)) ** 2).mean(dim=1)

    def predict(self, patches: Tensor) -> Prediction:
        """Return the spectra and the network's latent space for patches (N, C, h, w)."""
        return self.prediction(*self._learner.model.evaluate(patches))


class Spec2imSurrogate(_NetworkSurrogate[Spec2im]):
    """Spec2im; its mismatch is the mean squared error of a patch. It predicts nothing where nothing was measured."""

    def train(self, measured: Measured, draw: Draw) -> float:
        """Learn from all that was measured; return the mean squared error of the scaled patches."""
        return self._learner.train(self.scaled(measured), measured.patches, draw("surrogate"))

    def mismatch(self, measured: Measured) -> Tensor:
        """Return the mean squared error of each scaled patch, (n,)."""
        error = self._learner.model.evaluate(self.scaled(measured)) - measured.patches  # (n, C, h, w)
        return (error**2).mean(dim=(1, 2, 3))

    def predict(self, patches: Tensor) -> Prediction:  # noqa: ARG002  it predicts patches from spectra
        """Return nothing: an unmeasured place has no spectrum."""
        return Prediction(None, None)
