"""Several Im2spec networks, of which the best one predicts: the first workflow of the paper."""

import copy
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, update_bn

from agents.devices import device_of
from agents.models.im2spec import Im2spec
from agents.models.layers import create, use_generator
from agents.surrogates import Draw, Measured, Prediction
from agents.surrogates.network import ScaledSpectra
from agents.training import fit, to_arrays, to_tensors

BATCHES = 3
"""Mini-batches per epoch."""

HELD_OUT = 5
"""Every fifth observation is held out for validation, always the same ones: a network that continues from its weights
never saw them."""

AVERAGED = 0.25
"""Weights are averaged over this share of the epochs, the last ones."""


class Member:
    """One network of an ensemble, with the stochastic average of its weights.

    Izmailov et al., *Averaging weights leads to wider optima and better generalization*, UAI 2018.

    Parameters
    ----------
    make : callable
        Makes the network.
    generator : torch.Generator
        For the initial weights.
    window : int
        The validation loss is averaged over this many of the last epochs.
    device : str
        Where the network computes, see :mod:`agents.devices`.
    """

    def __init__(
        self, make: Callable[[], Im2spec], generator: torch.Generator, window: int = 50, device: str = "cpu"
    ) -> None:
        self.model = create(make, generator, device)
        self._average = AveragedModel(copy.deepcopy(self.model))
        self._optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3)
        self._validation: deque[float] = deque(maxlen=window)

    @property
    def averaged(self) -> Im2spec:
        """The network with averaged weights, which predicts."""
        return cast(Im2spec, self._average.module)

    @property
    def validation(self) -> float:
        """The mean squared error on held-out observations, the mean over the last epochs."""
        return float(np.mean(self._validation))

    def train(self, patches: Tensor, targets: Tensor, epochs: int, generator: torch.Generator) -> None:
        """Train with patches (n, C, h, w) and scaled spectra (n, K), n ≥ 2."""
        held_out = torch.arange(len(patches)) % HELD_OUT == 1
        inputs, outputs = patches[~held_out], targets[~held_out]
        self._average.n_averaged.zero_()
        for epoch in range(epochs):
            size = -(-len(inputs) // BATCHES)
            fit(self.model, self._optimizer, inputs, outputs, epochs=1, batch=size, generator=generator)
            error = self.model.evaluate(patches[held_out])[0] - targets[held_out]  # (n/5, K)
            self._validation.append((error**2).mean().item())
            if epoch >= (1 - AVERAGED) * epochs - 1:
                self._average.update_parameters(self.model)
        # The averaged network needs its own statistics for batch normalisation.
        use_generator(self._average, generator)
        update_bn([inputs.to(device_of(self.model))], self._average)

    def state(self) -> Mapping[str, Any]:
        """Return a snapshot for :meth:`load_state`."""
        return {
            "model": to_arrays(self.model.state_dict()),
            "average": to_arrays(self._average.state_dict()),
            "optimizer": to_arrays(self._optimizer.state_dict()),
            "validation": list(self._validation),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot of a member of the same sizes."""
        self.model.load_state_dict(to_tensors(state["model"]))
        self._average.load_state_dict(to_tensors(state["average"]))
        self._optimizer.load_state_dict(to_tensors(state["optimizer"]))
        self._validation.clear()
        self._validation.extend(state["validation"])


class EnsembleSurrogate(ScaledSpectra):
    """The member with the lowest validation loss predicts; its mismatch is the mean absolute error of a spectrum.

    All members are trained at first, and in a random share of the later trainings; otherwise only the best one.

    Parameters
    ----------
    members : sequence of Member
        At least one.
    first, later : int
        Epochs of the first and of each later training.
    retrain : float
        Probability to train all members again, 0…1.
    """

    def __init__(self, members: Sequence[Member], *, first: int, later: int, retrain: float) -> None:
        self._members = list(members)
        self._first = first
        self._later = later
        self._retrain = retrain
        self._best = -1  # not trained yet

    def train(self, measured: Measured, draw: Draw) -> float:
        """Learn from all that was measured; return the best member's validation loss."""
        targets = self.scaled(measured)
        first = self._best < 0
        everyone = first or float(torch.rand(1, generator=draw("retrain"))) < self._retrain
        for number in range(len(self._members)) if everyone else (self._best,):
            epochs = self._first if first else self._later
            self._members[number].train(measured.patches, targets, epochs, draw(f"member {number}"))
        if everyone:
            self._best = int(np.argmin([member.validation for member in self._members]))
        return self._members[self._best].validation

    def mismatch(self, measured: Measured) -> Tensor:
        """Return the mean absolute error of each scaled spectrum, (n,)."""
        scaled, _ = self._members[self._best].averaged.evaluate(measured.patches)
        return (scaled - self.scaled(measured)).abs().mean(dim=1)

    def predict(self, patches: Tensor) -> Prediction:
        """Return the spectra and the latent space of the best member for patches (N, C, h, w)."""
        return self.prediction(*self._members[self._best].averaged.evaluate(patches))

    def state(self) -> Mapping[str, Any]:
        """Return a snapshot for :meth:`load_state`."""
        members = [member.state() for member in self._members]
        return {"members": members, "best": self._best, "scaling": self.scaling}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot."""
        for member, stored in zip(self._members, state["members"], strict=True):
            member.load_state(stored)
        self._best, self.scaling = state["best"], state["scaling"]
