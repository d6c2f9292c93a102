"""The loop that trains every network, and state dicts as arrays."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch._dynamo  # PyTorch imports it at an optimizer's first step, and blocks all other threads for half a second
from torch import Tensor, nn

from agents.devices import device_of
from agents.models.layers import use_generator


def fit(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    inputs: Tensor,
    targets: Tensor,
    *,
    epochs: int,
    generator: torch.Generator,
    batch: int | None = None,
) -> float:
    """Train `model` to map `inputs` (n, …) to `targets` (n, …) with the least mean squared error.

    Parameters
    ----------
    model, optimizer
        Both are changed.
    inputs, targets : (n, …)
        The whole training set.
    epochs : int
        Passes through it.
    generator : torch.Generator
        Draws the order of the batches, and dropout.
    batch : int, optional
        Size of a batch; by default everything at once, so that an epoch is one step.

    Returns
    -------
    float
        The mean loss of the last epoch.
    """
    model.train()
    use_generator(model, generator)
    device = device_of(model)
    inputs, targets = inputs.to(device), targets.to(device)
    size = len(inputs) if batch is None else batch
    loss = float("nan")
    for _ in range(epochs):
        order = torch.arange(len(inputs)) if batch is None else torch.randperm(len(inputs), generator=generator)
        losses = []
        for chosen in torch.split(order.to(device), size):
            optimizer.zero_grad()
            error = nn.functional.mse_loss(model(inputs[chosen]), targets[chosen])
            error.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses.append(error.item() * len(chosen))
        loss = sum(losses) / len(inputs)
    return loss


def to_arrays(state: Any) -> Any:
    """Return a state dict with each tensor as an array: nested mappings and lists of arrays and JSON values."""
    if isinstance(state, Tensor):
        return state.detach().cpu().numpy().copy()
    if isinstance(state, Mapping):
        return {key: to_arrays(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return [to_arrays(value) for value in state]
    return state


def to_tensors(state: Any) -> Any:
    """Undo :func:`to_arrays`."""
    if isinstance(state, np.ndarray):
        return torch.from_numpy(state.copy())
    if isinstance(state, Mapping):
        return {key: to_tensors(value) for key, value in state.items()}
    if isinstance(state, list):
        return [to_tensors(value) for value in state]
    return state
