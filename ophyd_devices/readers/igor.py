"""Igor waves (.ibw), by igor2: images as Asylum Research writes them, and maps of spectra.

The first two dimensions of a wave are x and y. Where the last one has names, it counts channels; another one is the
axis of spectra.
"""

import logging
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophyd_devices.readers.measurement import Axis, Image, Measurement, SampleError, Spectra, image_at, spectra_at
from ophyd_devices.readers.registry import Reader, refuse_large
from ophyd_devices.readers.units import is_length, length_factor, readable, shown


def read(path: Path) -> Measurement:
    """Return the images or spectra in a wave."""
    from igor2 import binarywave

    logging.getLogger("igor2").addHandler(logging.NullHandler())  # it prints the bytes of damaged files
    refuse_large(path, 4 * path.stat().st_size, "the file")
    _check_sizes(path)
    try:
        wave = binarywave.load(str(path))["wave"]
        header, values = wave["wave_header"], np.asarray(wave["wData"])
    except Exception as error:  # igor2 raises many kinds for damaged files
        raise SampleError(f"{path}: igor2 cannot read it ({type(error).__name__}: {error}); copy it again") from error
    if values.dtype.kind not in "iufc":
        raise SampleError(f"{path}: expected numbers, got a wave of {values.dtype}")
    shape = "×".join(map(str, values.shape))
    names = _labels(wave, values.ndim)
    if values.ndim < 2 or 0 in values.shape or (values.ndim == 2 and names):
        raise SampleError(
            f"{path}: this wave of {shape} is a single curve, and a map of them is needed; put the curves of a map "
            "together in the layout of docs/how-to/your-own-files.md"
        )
    if min(values.shape[:2]) < 2:
        raise SampleError(f"{path}: expected an image or a map of at least 2×2 places, got a wave of {shape}")
    turned = values.swapaxes(0, 1)  # y, x, …
    x, y, source = _places(path, header, values.shape)
    channels = [turned] if not names else [turned[..., number] for number in range(values.shape[-1])]
    data_unit = shown(b"".join(np.ravel(header.get("dataUnits", b""))))
    images: list[Image] = []
    spectra: list[Spectra] = []
    for name, channel in zip(names or [path.stem], channels, strict=True):
        if channel.ndim == 2:
            numbers, unit = readable(channel, "" if names else data_unit)
            image = image_at(name, unit, numbers, x, y)
            images += [] if image is None else [image]
        else:
            axes = [_axis(header, number, values.shape[number]) for number in range(2, channel.ndim)]
            spectra.append(spectra_at(name, data_unit, channel, axes, x, y))
    return Measurement(tuple(images), tuple(spectra), source)


def _check_sizes(path: Path) -> None:
    """Raise SampleError if the header names parts that are larger than the file: igor2 would take memory for them.

    Of version 5: after version and checksum the sizes of wave, formula, note, units (1 + 4), labels (4), others (3).
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(64)
    order = "<" if start[:1] != b"\0" else ">"
    if len(start) < 64 or struct.unpack(f"{order}h", start[:2])[0] != 5:
        return
    parts = struct.unpack(f"{order}15i", start[4:])
    if min(parts) < 0 or sum(parts[:12]) + 4 * parts[12] > size:
        raise SampleError(f"{path}: the header names parts that are larger than the file; it is truncated or damaged")


def _labels(wave: Mapping[str, Any], dimensions: int) -> list[str]:
    """Return the names of the channels, which are labels of the last dimension."""
    labels = list(wave.get("labels", []))
    if len(labels) < dimensions:
        return []
    found = [bytes(label).decode("latin-1").strip("\\0 ") for label in labels[dimensions - 1]]
    length = np.shape(wave["wData"])[-1]
    named = found[1:] if len(found) == length + 1 else found
    return named if len(named) == length and all(named) else []


def _unit(header: Mapping[str, Any], number: int) -> str:
    units = np.asarray(header.get("dimUnits", []))
    return shown(b"".join(units[number].ravel())) if units.ndim > 1 and len(units) > number else ""


def _scaled(header: Mapping[str, Any], number: int, count: int) -> NDArray[np.float64]:
    step, start = float(header["sfA"][number]), float(header["sfB"][number])
    return start + (step or 1.0) * np.arange(count, dtype=np.float64)


def _axis(header: Mapping[str, Any], number: int, count: int) -> Axis:
    values, unit = readable(_scaled(header, number, count), _unit(header, number))
    names = ("x", "y", "axis", "layer")
    return Axis(names[min(number, 3)], unit, values)


def _places(
    path: Path, header: Mapping[str, Any], shape: tuple[int, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64], str]:
    """Return x and y in nm, and where they come from."""
    if "sfA" not in header or not all(is_length(_unit(header, number)) for number in (0, 1)):
        x, y = (0.5 + np.arange(side, dtype=np.float64) for side in shape[:2])
        return x, y, "assumed 1 px = 1 nm"
    x, y = (
        length_factor(_unit(header, number), f"{path}: dimension {number}") * _scaled(header, number, shape[number])
        for number in (0, 1)
    )
    return x, y, "file"


READER = Reader("Igor wave", (".ibw",), read, extra="'curio-plans[readers]'")
