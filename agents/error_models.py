"""The second slot of a curious agent: predicts the error of the surrogate from features of a patch."""

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
        """Return the part ``predicted_error`` (N,) for features (N, F), and perhaps other parts."""
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
    """The same with Monte-Carlo dropout: mean and spread over many thinned networks.

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

        As in the authors' code; relative to their means, both have the same weight from the first decision on.
        """
        sampled = self.learner.model.sample(features, self._passes, draw("dropout")).double()
        mean, spread = (sampled / sampled.mean(dim=1, keepdim=True).clamp_min(1e-12)).numpy()
        return {"predicted_error": mean, "spread": spread}


class FreshModel(HeadModel):
    """A new network at each training, for features that change with the surrogate.

    Parameters
    ----------
    make : callable
        Makes the network, and how it is trained, from random numbers.
    """

    def __init__(self, make: Callable[[torch.Generator], Learner[ErrorHead]]) -> None:
        super().__init__(make(torch.Generator()))
        self._make = make

    def train(self, features: Tensor, errors: Tensor, draw: Draw) -> float:
        """Train a new network with features (n, F) and relative errors (n,); return the mean squared error."""
        generator = draw("error model")
        self.learner = self._make(generator)
        return self.learner.train(features, errors, generator)
