"""Runs that curio exported as NeXus or NSID: their image, and the spectra at the places that were measured."""

from pathlib import Path
from typing import Any

import numpy as np

from ophyd_devices.readers.hdf5 import Node, attribute, looks, numbers, open_file
from ophyd_devices.readers.measurement import (
    Axis,
    Image,
    Measurement,
    SampleError,
    Spectra,
    image_at,
    spectra_at,
    spectra_placed,
)
from ophyd_devices.readers.registry import Reader
from ophyd_devices.readers.units import length_factor, shown
from ophyd_devices.readers.usid import is_usid


def read_nexus(path: Path) -> Measurement:
    """Return the image and the spectra of a NeXus file that ``curio export`` wrote."""
    with open_file(path) as file:
        entry = file["entry"]
        images = _nexus_images(path, entry["image"]) if "image" in entry else ()
        if "spectra" not in entry:
            return Measurement(images=images, spectra=())
        group = entry["spectra"]
        field = str(np.asarray(group.attrs["axes"])[1])
        label = attribute(group["spectrum"], "long_name", "spectrum")
        spectrum_unit = attribute(group["spectrum"], "units")
        quantity = label.removesuffix(f" / {spectrum_unit}") if spectrum_unit else label
        axis = Axis(field.replace("_", " "), attribute(group[field], "units"), numbers(path, group[field]))
        places = np.stack([numbers(path, group[name]) for name in ("x", "y")], axis=1)
        values = numbers(path, group["spectrum"])
    first = np.sort(np.unique(places, axis=0, return_index=True)[1])
    notes = [f"{len(places) - len(first)} repeated spectra are left out"] if len(first) < len(places) else []
    spectra = spectra_placed(quantity, shown(spectrum_unit), values[first], (axis,), places[first])
    return Measurement(images=images, spectra=(spectra,), notes=tuple(notes))


def _nexus_images(path: Path, group: Node) -> tuple[Image, ...]:
    x, y = numbers(path, group["x"]), numbers(path, group["y"])
    fields = [attribute(group, "signal"), *(str(name) for name in group.attrs.get("auxiliary_signals", ()))]
    found = []
    for field in fields:
        unit = attribute(group[field], "units")
        name = attribute(group[field], "long_name", field)
        name = name.removesuffix(f" / {unit}") if unit else name
        image = image_at(name, shown(unit), numbers(path, group[field]), x, y)
        if image is not None:
            found.append(image)
    return tuple(found)


def read_nsid(path: Path) -> Measurement:
    """Return the images and spectra of an NSID file, whoever wrote it."""
    from pyNSID import hdf_utils

    images: list[Image] = []
    spectra: list[Spectra] = []
    with open_file(path) as file:
        for node in hdf_utils.get_all_main(file):
            numbers(path, node)  # looks before sidpy reads
            dataset = hdf_utils.read_h5py_dataset(node)
            kind = str(getattr(dataset.data_type, "name", dataset.data_type)).upper()
            name, unit = str(dataset.quantity), shown(dataset.units)
            axes = [(axis.dimension_type.name, str(axis.name), str(axis.units), np.asarray(axis.values, np.float64))
                    for axis in (dataset._axes[number] for number in range(dataset.ndim))]  # fmt: skip
            values = np.asarray(dataset)
            if kind == "IMAGE" and values.ndim == 2:
                y, x = (_in_nm(path, axis) for axis in axes)
                image = image_at(name, unit, values, x, y)
                images += [] if image is None else [image]
            elif kind == "SPECTRAL_IMAGE" and values.ndim >= 3:
                y, x = (_in_nm(path, axis) for axis in axes[:2])
                spectra.append(spectra_at(name, unit, values, [_axis(axis) for axis in axes[2:]], x, y))
            elif kind == "POINT_CLOUD" and values.ndim == 2:
                places = np.asarray(dataset.point_cloud["coordinates"], np.float64)
                factor = length_factor(dataset.point_cloud.get("spacial_units", "nm"), str(path))
                spectra.append(Spectra(name, unit, values, (_axis(axes[1]),), factor * places))
    return Measurement(images=tuple(images), spectra=tuple(spectra))


def _in_nm(path: Path, axis: tuple[str, str, str, Any]) -> Any:
    return length_factor(axis[2], f"{path}: the axis {axis[1]!r}") * axis[3]


def _axis(axis: tuple[str, str, str, Any]) -> Axis:
    return Axis(axis[1].replace("_", " "), shown(axis[2]), axis[3])


def _is_ours(path: Path) -> bool:
    return looks(path, "entry/definition", "entry/documents")


def _is_nsid(path: Path) -> bool:
    try:
        with open_file(path) as file:
            return any(name.startswith("Measurement_") for name in file) and not is_usid(path)
    except (SampleError, ImportError):
        return False


NEXUS = Reader("curio NeXus", (".nxs", ".h5", ".hdf5"), read_nexus, _is_ours, "'curio-plans[export]'")
NSID = Reader("NSID", (".hf5", ".usid", ".h5", ".hdf5"), read_nsid, _is_nsid, "'curio-plans[pycroscopy]'")
