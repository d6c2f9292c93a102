"""Files that RosettaSciIO opens: Renishaw, Gatan DM, Velox EMD, HyperSpy, Bruker, Digital Surf.

RosettaSciIO is under the GPL, version 3 or later, and curio under BSD-3. It is an optional extra, imported only here
and only when such a file is opened; see docs/decisions/0024-readers.md.
"""

import math
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophyd_devices.readers.measurement import Axis, Image, Measurement, SampleError, Spectra, image_at, spectra_at
from ophyd_devices.readers.registry import Reader, describe_content, refuse_large
from ophyd_devices.readers.units import is_length, length_factor, shown

_PLUGINS = {
    ".wdf": "renishaw", ".dm3": "digitalmicrograph", ".dm4": "digitalmicrograph", ".emd": "emd", ".hspy": "hspy",
    ".bcf": "bruker", ".sur": "digitalsurf",
}  # fmt: skip
"""The plugin of each ending."""

_FORMATS = {
    "renishaw": "Renishaw", "digitalmicrograph": "Gatan Digital Micrograph", "emd": "EMD", "hspy": "HyperSpy",
    "bruker": "Bruker Esprit", "digitalsurf": "Digital Surf",
}  # fmt: skip
"""What each plugin reads, for people."""


def read(path: Path) -> Measurement:
    """Return the images and the spectral maps in a file."""
    name = _PLUGINS[path.suffix.lower()]
    plugin = import_module(f"rsciio.{name}")
    try:
        try:
            signals = plugin.file_reader(str(path), lazy=True)  # the size is looked at first
        except NotImplementedError:  # formats without compression
            refuse_large(path, path.stat().st_size, "the file")
            signals = plugin.file_reader(str(path), lazy=False)
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, AssertionError) as error:
        raise SampleError(
            f"{path}: RosettaSciIO cannot read it ({type(error).__name__}: {error}); its content is "
            f"{describe_content(path)}. It is damaged, or of a version that is not known; copy it again or save it anew"
        ) from error
    images: list[Image] = []
    spectra: list[Spectra] = []
    notes: list[str] = []
    sources = set()
    for signal in signals:
        title = str(signal.get("metadata", {}).get("General", {}).get("title", "")) or path.stem
        quantity, unit = _quantity(signal.get("metadata", {}), title)
        places, axes = _split(signal["axes"])
        values = _ordered(path, signal, places, axes)
        if len(places) != 2:
            notes.append(f"{title!r} has {len(places)} axes of places and is no map")
            continue
        y, x, source = _centres(path, places)
        sources.add(source)
        if not axes:
            image = image_at(title, unit, values, x, y)
            images += [] if image is None else [image]
        elif min(len(y), len(x)) > 1:
            further = [Axis(_name(axis, "step"), shown(axis.get("units")), _values(axis)) for axis in axes]
            spectra.append(spectra_at(quantity, unit, values, further, x, y))
    facts = {"format": _FORMATS[name]}
    return Measurement(tuple(images), tuple(spectra), min(sources, default="file"), facts=facts, notes=tuple(notes))


def _split(axes: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the axes of places, y before x, and the others.

    Navigation axes are places; of a signal without them, lengths named x and y are, as a file may store either first.
    """
    axes = [{**axis, "place": number} for number, axis in enumerate(axes)]
    places = [axis for axis in axes if axis.get("navigate")]
    if len(places) != 2:
        named = [axis for axis in axes if _name(axis, "").lower() in ("x", "y", "width", "height")]
        lengths = [axis for axis in axes if is_length(axis.get("units"))]
        places = named if len(named) == 2 else lengths if len(lengths) == 2 else axes if len(axes) == 2 else places
    chosen = {axis["place"] for axis in places}
    places = sorted(places, key=lambda axis: (_name(axis, "").lower() in ("x", "width"), axis["place"]))
    return places, [axis for axis in axes if axis["place"] not in chosen]


def _ordered(
    path: Path, signal: Mapping[str, Any], places: list[dict[str, Any]], axes: list[dict[str, Any]]
) -> NDArray[Any]:
    """Return the values with the places first."""
    data = signal["data"]
    refuse_large(path, math.prod(int(side) for side in data.shape) * data.dtype.itemsize, "the signal")
    if data.dtype.kind not in "iufcb":
        raise SampleError(f"{path}: expected numbers, got {data.dtype}")
    return np.asarray(data).transpose([axis["place"] for axis in (*places, *axes)])


def _centres(path: Path, places: list[dict[str, Any]]) -> tuple[NDArray[np.float64], NDArray[np.float64], str]:
    """Return y and x in nm, and where the lengths come from."""
    if not all(is_length(axis.get("units")) for axis in places):
        y, x = (np.arange(int(axis["size"]), dtype=np.float64) + 0.5 for axis in places)
        return y, x, "assumed 1 px = 1 nm"
    y, x = (_values(axis) * length_factor(axis["units"], f"{path}: the axis {_name(axis, '?')!r}") for axis in places)
    return y, x, "file"


def _values(axis: Mapping[str, Any]) -> NDArray[np.float64]:
    if "axis" in axis:
        return np.asarray(axis["axis"], np.float64)
    return float(axis.get("offset", 0.0)) + float(axis.get("scale", 1.0)) * np.arange(
        int(axis["size"]), dtype=np.float64
    )


def _name(axis: Mapping[str, Any], default: str) -> str:
    name = axis.get("name")
    return str(name) if isinstance(name, str) and name else default


def _quantity(metadata: Mapping[str, Any], title: str) -> tuple[str, str]:
    """Return what is measured and its unit, from a text such as ``Intensity (Counts)``."""
    text = str(metadata.get("Signal", {}).get("quantity", "") or "")
    name, _, unit = text.partition("(")
    return name.strip() or title, shown(unit.rstrip(") "))


READER = Reader(
    "RosettaSciIO", tuple(_PLUGINS), read, extra="'curio-plans[rosettasciio]' (RosettaSciIO is under the GPL-3)"
)
