"""What client and IOC agree on: the instrument's description as text, and actions as numbers.

Each action is one put of a float64 waveform: a token that the client chose, then the arguments. One put cannot be
mixed with another client's, and an IOC that is started again in between cannot run half of it. When the put is
complete, ``Done`` holds the token, ``Outcome`` and ``Message`` say how the action ended, and the data are published.
"""

import json
from dataclasses import asdict
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from ophyd_devices.backend import Channel, Info, Ramp, Spectroscopy

STEPS_MAX = 2**16
"""Steps of the longest bias waveform."""
OTHERS_MAX = 2**20
"""Values of all other channels of the longest spectrum."""
FRAME_MAX = 2**26
"""Values of the largest frame (4 channels of 4096 × 4096 px)."""
REFERENCE_MAX = 2**24
"""Values of the largest set of true spectra."""
TEXT_MAX = 2**16
"""Bytes of the longest text."""
PROMISE_RANGE = (0.05, 3600.0)
"""Shortest and longest time in s for which a client may promise a sign of life."""


class Outcome(IntEnum):
    """How an action ended."""

    DONE = 0
    REFUSED = 1
    STOPPED = 2


class Watchdog(IntEnum):
    """What the watchdog is doing, or did last."""

    OFF = 0
    WATCHING = 1
    WITHDREW = 2


def encode_info(info: Info) -> str:
    """Return `info` as JSON, from which the numbers can be read back exactly."""
    content = asdict(info)
    if info.spectroscopy.axis is not None:
        content["spectroscopy"]["axis"] = info.spectroscopy.axis.tolist()
    if info.places is not None:
        content["places"] = info.places.tolist()
    return json.dumps(content)


def decode_info(text: str) -> Info:
    """Return the info that :func:`encode_info` has encoded."""
    content = json.loads(text)
    kind = content["spectroscopy"]
    if kind["axis"] is not None:
        kind["axis"] = np.array(kind["axis"], dtype=np.float64)
    kind["others"] = tuple(Channel(**channel) for channel in kind["others"])
    if kind["full_scale"] is not None:
        kind["full_scale"] = tuple(kind["full_scale"])
    for key in ("scan_range", "pixels", "setpoint_range"):
        content[key] = tuple(content[key])
    if content.get("places") is not None:
        content["places"] = np.array(content["places"], dtype=np.float64)
    if content.get("ramp") is not None:
        content["ramp"] = Ramp(**content["ramp"])
    content["channels"] = tuple(Channel(**channel) for channel in content["channels"])
    return Info(**{**content, "spectroscopy": Spectroscopy(**kind)})


def encode_reference(positions: NDArray[np.float64], bias: NDArray[np.float64], channel: int) -> NDArray[np.float64]:
    """Return the arguments of the action ``Reference``: channel, K, the bias (K,), the positions (N, 2) row by row."""
    return np.concatenate([[channel, len(bias)], bias, np.ravel(positions)])


def decode_reference(
    values: NDArray[np.float64], channels: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Return positions (N, 2), bias (K,) and the channel.

    Raises
    ------
    ValueError
        If `values` are not one of so many `channels`, counted from 0, K, then K numbers, then pairs.
    """
    channel, steps = (*values[:2], 0.0, 0.0)[:2]
    rest = len(values) - 2 - steps
    if not (steps >= 1 and steps % 1 == 0 and rest >= 0 and rest % 2 == 0):
        raise ValueError(
            f"Reference takes a channel, K, K steps of the bias, then x and y of each place; got K = {steps:g} and "
            f"{max(len(values) - 2, 0)} numbers after it"
        )
    if not (0 <= channel < channels and channel % 1 == 0):
        raise ValueError(f"expected a channel 0 … {channels - 1} of the spectra, got {channel:g}")
    bias = values[2 : 2 + int(steps)]
    return values[2 + int(steps) :].reshape(-1, 2), bias, int(channel)


def check_token(name: str, values: NDArray[np.float64]) -> float:
    """Return the token that `values` begin with; raise ValueError unless it is a positive finite number."""
    if len(values) and 0 < values[0] < np.inf:
        return float(values[0])
    token = f"{values[0]:g}" if len(values) else "nothing"
    raise ValueError(f"{name} takes a token first, a positive finite number, got {token}; nothing was done")


def check_arguments(name: str, arguments: NDArray[np.float64], expected: int | None) -> None:
    """Raise ValueError unless `arguments` are finite numbers, `expected` many unless that is None."""
    if expected is not None and len(arguments) != expected:
        raise ValueError(f"{name} takes a token and {expected} numbers, got {len(arguments)}; nothing was done")
    if not np.isfinite(arguments).all():
        bad = int(np.argmin(np.isfinite(arguments)))
        raise ValueError(
            f"{name} takes finite numbers, got {arguments[bad]:g} as number {bad + 1} after the token; nothing was done"
        )


def check_promise(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return client and seconds of a put to ``KeepAlive``; raise ValueError unless both are possible."""
    low, high = PROMISE_RANGE
    if len(values) != 2 or not 0 < values[0] < np.inf or not (values[1] == 0 or low <= values[1] <= high):
        raise ValueError(
            f"KeepAlive takes the number of a client (positive) and {low:g} … {high:g} s, or 0 to end its promise, got "
            f"{', '.join(f'{value:g}' for value in values[:3]) or 'nothing'}; its promise is as before"
        )
    return float(values[0]), float(values[1])
