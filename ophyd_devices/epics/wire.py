"""What client and IOC agree on: how an instrument describes itself as text, and how an action is written as numbers.

Each action is one put of a float64 waveform: a token that the client chose, then the arguments. One put cannot be
mixed with another client's, and cannot be torn apart by an IOC that is started again in between. When the put is
complete, ``Done`` holds the token, ``Outcome`` and ``Message`` say how it ended, and only then the data are there.
"""

import json
from dataclasses import asdict
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from ophyd_devices.backend import Channel, Info, Spectroscopy

STEPS_MAX = 2**16
"""Steps of the longest bias waveform."""
FRAME_MAX = 2**26
"""Values of the largest frame (4 channels of 4096 × 4096 px)."""
REFERENCE_MAX = 2**24
"""Values of the largest set of true spectra."""
TEXT_MAX = 2**16
"""Bytes of the longest text."""


class Outcome(IntEnum):
    """How an action ended."""

    DONE = 0
    REFUSED = 1
    STOPPED = 2


class Watchdog(IntEnum):
    """What the watchdog does, or did last."""

    OFF = 0
    WATCHING = 1
    WITHDREW = 2


def encode_info(info: Info) -> str:
    """Return `info` as JSON; numbers come back bit by bit."""
    content = asdict(info)
    if info.spectroscopy.axis is not None:
        content["spectroscopy"]["axis"] = info.spectroscopy.axis.tolist()
    return json.dumps(content)


def decode_info(text: str) -> Info:
    """Return what :func:`encode_info` was given."""
    content = json.loads(text)
    kind = content["spectroscopy"]
    if kind["axis"] is not None:
        kind["axis"] = np.array(kind["axis"], dtype=np.float64)
    if kind["full_scale"] is not None:
        kind["full_scale"] = tuple(kind["full_scale"])
    for key in ("scan_range", "pixels", "setpoint_range"):
        content[key] = tuple(content[key])
    content["channels"] = tuple(Channel(**channel) for channel in content["channels"])
    return Info(**{**content, "spectroscopy": Spectroscopy(**kind)})


def encode_reference(positions: NDArray[np.float64], bias: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the arguments of the action ``Reference``: K, the bias (K,), the positions (N, 2) row by row."""
    return np.concatenate([[len(bias)], bias, np.ravel(positions)])


def decode_reference(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return positions (N, 2) and bias (K,)."""
    steps = int(values[0])
    return values[1 + steps :].reshape(-1, 2), values[1 : 1 + steps]
