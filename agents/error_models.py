"""The second slot of a curious agent: predicts from features of a patch how wrong the surrogate will be there."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.learner import Learner
from agents.models.error_head import ErrorHead
from agents.surrogates import Draw

Values = NDArray[np.float64]


class ErrorModel(Protocol):
    """Learns the surrogate's error, relative to its mean, from features."""

    def train(self, features: Tensor, errors: Tensor, draw: Draw) -> float:
        """Learn from features (n, F) and relative errors (n,); return the loss."""
        ...

    def predict(self, features: Tensor, draw: Draw) -> Mapping[str, Values]:
        """Return for features (N, F) the part ``predicted_error`` (N,), and perhaps further ones."""
        ...

    def state(self) -> Mapping[str, Any]:
        """Return a snapshot for :meth:`load_state`."""
        ...

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot of an error model of the same kind and sizes."""
        ...


class HeadModel:
    """A small network, trained a little more after each observation.

    Parameters
    ----------
    learner : Learner
        The network and how it is trained.
    """

    def __init__(self, learner: Learner[ErrorHead]) -> None:
        self.learner = learner

    def train(self, features: Tensor, errors: Tensor, draw: Draw) -> float:
        """Learn from features (n, F) and relative errors (n,); return the mean squared error."""
        return self.learner.train(features, errors, draw("error model"))

    def predict(self, features: Tensor, draw: Draw) -> Mapping[str, Values]:  # noqa: ARG002  nothing random
        """Return the ``predicted_error`` (N,) for features (N, F)."""
        return {"predicted_error": self.learner.model.evaluate(features).double().numpy()}

    def state(self) -> Mapping[str, Any]:
        """Return a snapshot for :meth:`load_state`."""
        return self.learner.state()

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot."""
        self.learner.load_state(state)


class DropoutModel(HeadModel):
    """The same with Monte-Carlo dropout: the mean over many thinned networks, and how much they differ.

    Parameters
    ----------
    learner : Learner
        The network and how it is trained.
    passes : int
        Number of thinned networks.
    """

    def __init__(self, learner: Learner[ErrorHead], passes: int) -> None:
        super().__init__(learner)
        self._passes = passes

    def predict(self, features: Tensor, draw: Draw) -> Mapping[str, Values]:
        """Return ``predicted_error`` and its ``spread``, both (N,) and relative to their mean over the pool.

        Relative to their means, as in the authors' code, both have the same weight from the first decision on.
        """
        sampled = self.learner.model.sample(features, self._passes, draw("dropout")).double()
        mean, spread = (sampled / sampled.mean(dim=1, keepdim=True).clamp_min(1e-12)).numpy()
        return {"predicted_error": mean, "spread": spread}


class FreshModel:
    """A new network after each observation, for features that change with the surrogate.

    Parameters
    ----------
    make : callable
        Makes the network and how it is trained, from random numbers.
    """

    def __init__(self, make: Callable[[torch.Generator], Learner[ErrorHead]]) -> None:
        self._make = make
        self._learner = make(torch.Generator())

    def train(self, features: Tensor, errors: Tensor, draw: Draw) -> float:
        """Learn anew from features (n, F) and relative errors (n,); return the mean squared error."""
        generator = draw("error model")
        self._learner = self._make(generator)
        return self._learner.train(features, errors, generator)

    def predict(self, features: Tensor, draw: Draw) -> Mapping[str, Values]:  # noqa: ARG002  nothing random
        """Return the ``predicted_error`` (N,) for features (N, F)."""
        return {"predicted_error": self._learner.model.evaluate(features).double().numpy()}

    def state(self) -> Mapping[str, Any]:
        """Return a snapshot for :meth:`load_state`."""
        return self._learner.state()

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot."""
        self._learner.load_state(state)
