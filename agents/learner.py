"""A network and how it is trained: at length the first time, shortly after each further observation."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from agents.models.layers import create
from agents.training import fit, to_arrays, to_tensors

Model = TypeVar("Model", bound=nn.Module)


class Learner(Generic[Model]):
    """Holds a network and its optimizer.

    Parameters
    ----------
    make : callable
        Makes the network.
    optimizer : callable
        Makes the optimizer from the network's parameters.
    first, later : int
        Epochs of the first and of each later training; a whole batch at once, so an epoch is one step.
    generator : torch.Generator
        For the initial weights.
    device : str
        Where the network computes, see :mod:`agents.devices`.
    """

    def __init__(
        self,
        make: Callable[[], Model],
        optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
        *,
        first: int,
        later: int,
        generator: torch.Generator,
        device: str = "cpu",
    ) -> None:
        self.model = create(make, generator, device)
        self._optimizer = optimizer(self.model.parameters())
        self._epochs = first
        self._later = later

    def train(self, inputs: Tensor, targets: Tensor, generator: torch.Generator) -> float:
        """Train with `inputs` (n, …) and `targets` (n, …); return the mean squared error."""
        loss = fit(self.model, self._optimizer, inputs, targets, epochs=self._epochs, generator=generator)
        self._epochs = self._later
        return loss

    def state(self) -> Mapping[str, Any]:
        """Return a snapshot for :meth:`load_state`."""
        return {
            "model": to_arrays(self.model.state_dict()),
            "optimizer": to_arrays(self._optimizer.state_dict()),
            "epochs": self._epochs,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot of a learner of the same sizes."""
        self.model.load_state_dict(to_tensors(state["model"]))
        self._optimizer.load_state_dict(to_tensors(state["optimizer"]))
        self._epochs = state["epochs"]
