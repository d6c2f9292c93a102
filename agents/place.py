"""Where an agent thinks: what its numbers may depend on beside config and records. Loads no torch."""

import os
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from agents.protocols import Config

PACKAGES = ("curio-plans", "torch", "numpy", "scipy", "scikit-learn")
"""The packages that compute."""


def describe_place(config: Config) -> dict[str, Any]:
    """Return where the agent of a config thinks, if it does in this process: plain JSON values.

    Returns
    -------
    dict
        ``host``; ``process``, its number; ``machine``, e.g. ``x86_64``; ``python``; ``threads`` as the config fixes
        them, None where it does not; ``device``, what the agent computes on, e.g. ``cpu`` or ``cuda: NVIDIA H100``;
        and the versions of :data:`PACKAGES`, that of torch with its build, e.g. ``2.13.0+cpu``.
    """
    threads = config.get("threads")
    return {
        "host": platform.node(),
        "process": os.getpid(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "threads": int(threads) if isinstance(threads, int) else None,
        "device": _device(config),
        **{package: _version(package) for package in PACKAGES},
    }


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return in what two places differ, the number of the process aside."""
    names = [name for name in {**one, **other} if name != "process"]
    return {name: (one.get(name), other.get(name)) for name in names if one.get(name) != other.get(name)}


def _device(config: Config) -> str:
    device = str(config.get("device", "cpu"))
    torch = sys.modules.get("torch")
    if device.startswith("cuda") and torch is not None and torch.cuda.is_available():
        return f"{device}: {torch.cuda.get_device_name(device)}"
    return device


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
