"""Where networks compute: the processor, or a GPU. Data come from and go back to the processor's memory."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


class DeviceError(ValueError):
    """The computer has no such device, or PyTorch cannot use it."""


def check_device(device: str) -> None:
    """Raise DeviceError unless networks can compute here on `device`: cpu, cuda (NVIDIA, AMD) or mps (Apple)."""
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(device, False):
        usable = ", ".join(name for name, found in available.items() if found)
        raise DeviceError(
            f"PyTorch {torch.__version__} cannot compute on {device!r} here, but on {usable}; choose one of these, "
            "install another build of PyTorch, or let the agent think on another computer (curio think)"
        )
    if device == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts; without it sums vary


def device_of(model: nn.Module) -> torch.device:
    """Return where a network is."""
    return next(model.parameters()).device


@contextmanager
def deterministic(device: str) -> Iterator[None]:
    """Let the same computation on a GPU give the same bits in this block; the processor does anyway.

    An operation that cannot raises a RuntimeError. Other GPUs, drivers and builds of PyTorch may round otherwise.
    """
    if device == "cpu":
        yield
        return
    convolutions = torch.backends.cudnn
    before = (
        torch.are_deterministic_algorithms_enabled(), convolutions.benchmark, convolutions.allow_tf32,
        torch.backends.cuda.matmul.allow_tf32,
    )  # fmt: skip
    torch.use_deterministic_algorithms(True)
    convolutions.benchmark = convolutions.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        convolutions.benchmark, convolutions.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before[1:]
