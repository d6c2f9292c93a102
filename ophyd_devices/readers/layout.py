"""The layout of HDF5 files that curio documents, so that anyone can write one with a few lines of h5py.

======================  ==========================  ====================================================
dataset                 shape                       attributes
======================  ==========================  ====================================================
``spectra``             (ny, nx, K) or (M, K)       ``name``, ``unit``; or a group of such datasets
``axis``                (K,)                        ``name``, ``unit``
``image``               (ny, nx)                    ``unit``; or a group of such datasets
``extent``              1, 2 or 4 numbers           ``unit``, any of length
``positions``           (M, 2), for spectra (M, K)  ``unit``, any of length
``measured``            (ny, nx) or (M,)
======================  ==========================  ====================================================

Only ``spectra`` is required. Row 0 is at the smallest y.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophyd_devices.readers import npz
from ophyd_devices.readers.archive import Archive
from ophyd_devices.readers.hdf5 import Node, attribute, looks, numbers, open_file
from ophyd_devices.readers.measurement import Measurement, SampleError
from ophyd_devices.readers.registry import Reader
from ophyd_devices.readers.units import length_factor


@dataclass(frozen=True)
class Advice:
    """One line of a check: what it is about, whether it is well, and what to know or do."""

    about: str
    well: bool
    text: str


def read(path: Path) -> Measurement:
    """Return the contents of a file in this layout."""
    with open_file(path) as file:
        common = _common(path, file)
        images = _channels(path, file, "image")
        channels = _channels(path, file, "spectra")
    found = [
        npz.contents(Archive(path, {**common, **_images(images), "spectra": values,
                                    "quantity": np.array(name), "spectrum_unit": np.array(unit)}))
        for name, unit, values in channels
    ]  # fmt: skip
    return replace(found[0], spectra=tuple(one.spectra[0] for one in found), facts={})


def check(path: Path) -> list[Advice]:
    """Return line by line what is well in a file and what to mend, before it is read as a whole."""
    lines = []
    with open_file(path) as file:
        for name, needed in (("spectra", True), ("axis", False), ("image", False), ("extent", False)):
            lines.append(_line(file, name, needed))
        for name, unit in (("spectra", "nA"), ("axis", "V"), ("extent", "nm")):
            node = file.get(name)
            if node is not None and not attribute(node, "unit") and not hasattr(node, "keys"):
                advice = f"has no unit; write file[{name!r}].attrs['unit'] = {unit!r}"
                lines.append(Advice(name, name != "extent", advice))
        known = {"spectra", "axis", "image", "extent", "positions", "measured"}
        lines += [Advice(name, True, "is not part of the layout and is not read") for name in file if name not in known]
    try:
        read(path)
    except SampleError as error:
        lines.append(Advice("all", False, str(error).removeprefix(f"{path}: ")))
    else:
        lines.append(Advice("all", True, "fits together"))
    return lines


def _line(file: Node, name: str, needed: bool) -> Advice:
    node = file.get(name)
    if node is None:
        missing = {
            "axis": "is missing: steps are numbered; write file['axis'] = values",
            "image": "is missing: one is made from the spectra; write file['image'] = values, if there is one",
            "extent": "is missing: 1 px counts as 1 nm; write file['extent'] = [width, height]",
        }
        return Advice(name, not needed, missing.get(name, "is missing; write file['spectra'] = values (ny, nx, K)"))
    if hasattr(node, "keys"):
        return Advice(name, len(node) > 0, f"has the channels {', '.join(node) or 'none'}")
    unit = attribute(node, "unit")
    return Advice(name, True, f"{'×'.join(map(str, node.shape)) or 'one'} {node.dtype} {unit}".rstrip())


def _common(path: Path, file: Node) -> dict[str, NDArray[Any]]:
    """Return everything but image and spectra under the names of an npz file."""
    arrays: dict[str, NDArray[Any]] = {}
    if "axis" in file:
        arrays |= {
            "axis": numbers(path, file["axis"]),
            "axis_name": np.array(attribute(file["axis"], "name", "axis")),
            "axis_unit": np.array(attribute(file["axis"], "unit")),
        }
    if "extent" in file:
        unit = attribute(file["extent"], "unit")
        if not unit:
            raise SampleError(f"{path}: 'extent' has no unit; write file['extent'].attrs['unit'] = 'nm', or its unit")
        arrays |= {"extent": numbers(path, file["extent"]), "extent_unit": np.array(unit)}
    if "positions" in file:
        factor = length_factor(attribute(file["positions"], "unit"), f"{path}: 'positions'")
        arrays["positions_nm"] = factor * numbers(path, file["positions"])
    if "measured" in file:
        arrays["measured"] = numbers(path, file["measured"])
    return arrays


def _channels(path: Path, file: Node, name: str) -> list[tuple[str, str, NDArray[Any]]]:
    """Return name, unit and values of each channel of the image or of the spectra."""
    if name not in file:
        if name == "image":
            return []
        raise SampleError(f"{path}: expected a dataset 'spectra', found {', '.join(file) or 'nothing'}; add it")
    node = file[name]
    if not hasattr(node, "keys"):
        default = "image" if name == "image" else "spectrum"
        return [(attribute(node, "name", default), attribute(node, "unit"), numbers(path, node))]
    if not len(node):
        raise SampleError(f"{path}: the group {name!r} is empty; write one dataset a channel into it")
    return [(key, attribute(one, "unit"), numbers(path, one)) for key, one in node.items()]


def _images(channels: list[tuple[str, str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    if not channels:
        return {}
    shapes = {values.shape for _, _, values in channels}
    if len(shapes) > 1:
        raise SampleError(f"expected image channels of one shape, got {', '.join(map(str, sorted(shapes)))}")
    return {
        "image": np.stack([values for _, _, values in channels]),
        "channels": np.array([name for name, _, _ in channels]),
        "channel_units": np.array([unit for _, unit, _ in channels]),
    }


READER = Reader(
    "curio HDF5", (".h5", ".hdf5", ".hdf"), read, lambda path: looks(path, "spectra"), "'curio-plans[readers]'"
)
