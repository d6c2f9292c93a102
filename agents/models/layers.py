"""The layers of the networks, without any global randomness."""

import itertools
import math
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from agents.devices import device_of

Model = TypeVar("Model", bound=nn.Module)


class Dropout(nn.Module):
    """Set each value to zero with probability `p` while training, and scale the others by 1/(1 − p).

    Unlike :class:`torch.nn.Dropout` it draws from its own generator, which :func:`use_generator` sets.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` of any shape with values dropped."""
        if not self.training or self.p == 0:
            return x
        if self.generator is None:
            raise RuntimeError("dropout has no generator; call use_generator(model, generator) before training")
        kept = torch.rand(x.shape, generator=self.generator, device=x.device) >= self.p
        return x * kept / (1 - self.p)


def convolutions(channels: int, filters: int, layers: int, slope: float, dropout: float) -> nn.Sequential:
    """Return `layers` 3×3 convolutions, (n, channels, h, w) → (n, filters, h, w).

    Each is followed by dropout, a leaky ReLU of the given negative `slope` and batch normalisation.
    """
    block = nn.Sequential()
    for layer in range(layers):
        block.append(nn.Conv2d(channels if layer == 0 else filters, filters, kernel_size=3, padding=1))
        block.append(Dropout(dropout))
        block.append(nn.LeakyReLU(slope))
        block.append(nn.BatchNorm2d(filters))
    return block


class Residual(nn.Module):
    """A ResNet block of two 3×3 convolutions beside a 1×1 one, (n, channels, h, w) → (n, filters, h, w).

    He et al., *Deep residual learning for image recognition*, CVPR 2016.
    """

    def __init__(self, channels: int, filters: int, slope: float = 0.2) -> None:
        super().__init__()
        self.skip = nn.Conv2d(channels, filters, kernel_size=1)
        self.body = nn.Sequential(
            nn.Conv2d(filters, filters, kernel_size=3, padding=1),
            nn.BatchNorm2d(filters),
            nn.LeakyReLU(slope),
            nn.Conv2d(filters, filters, kernel_size=3, padding=1),
            nn.BatchNorm2d(filters),
        )
        self.out = nn.LeakyReLU(slope)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) → (n, filters, h, w)."""
        skip = self.skip(x)  # (n, filters, h, w)
        y: Tensor = self.out(self.body(skip) + skip)
        return y


class Dilated(nn.Module):
    """3×3 convolutions of growing dilation, one after the other; their outputs are summed.

    Each covers a larger area than the one before, without more weights: (n, channels, h, w) → (n, filters, h, w).
    """

    def __init__(self, channels: int, filters: int, layers: int, slope: float = 0.2) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels if layer == 0 else filters, filters, 3, padding=layer + 1, dilation=layer + 1),
                nn.LeakyReLU(slope),
                nn.BatchNorm2d(filters),
            )
            for layer in range(layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) → (n, filters, h, w)."""
        total: Tensor | None = None
        for layer in self.layers:
            x = layer(x)
            total = x if total is None else total + x
        if total is None:
            raise ValueError("expected at least one layer")
        return total


def dense(*widths: int) -> nn.Sequential:
    """Return fully connected layers of these widths with ReLU between them, (n, widths[0]) → (n, widths[-1])."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def create(make: Callable[[], Model], generator: torch.Generator, device: str = "cpu") -> Model:
    """Return the network that `make` makes, with weights distributed as in PyTorch but drawn from `generator`.

    They are the same on every `device`. Weights and biases are uniform in ±1/√fan_in (He et al. 2015 with negative
    slope √5).
    """
    # On the "meta" device nothing is drawn, so the global generator is not touched.
    with torch.device("meta"):
        model = make()
    model.to_empty(device="cpu")
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            bound = 1 / math.sqrt(module.weight[0].numel())
            nn.init.uniform_(module.weight, -bound, bound, generator=generator)
            if module.bias is not None:
                nn.init.uniform_(module.bias, -bound, bound, generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
    return model.to(device)


def use_generator(model: nn.Module, generator: torch.Generator) -> None:
    """Let every dropout layer of `model` draw from `generator`; on a GPU from one there that follows from it."""
    device = device_of(model)
    if device.type != "cpu":
        seed = int(torch.randint(2**62, (1,), generator=generator))
        generator = torch.Generator(device).manual_seed(seed)
    for module in model.modules():
        if isinstance(module, Dropout):
            module.generator = generator
