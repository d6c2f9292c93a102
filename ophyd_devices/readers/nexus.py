"""NeXus files of others: groups of class NXdata that hold a map of spectra or an image.

Each group names its ``signal`` and the ``axes`` of its dimensions (https://manual.nexusformat.org/classes/base_classes/
NXdata.html). The two axes that are lengths are the places; without units, the first two are.
"""

from pathlib import Path
from typing import Any

import numpy as np

from ophyd_devices.readers.hdf5 import Node, attribute, looks, numbers, open_file
from ophyd_devices.readers.measurement import Axis, Image, Measurement, SampleError, Spectra, image_at, spectra_at
from ophyd_devices.readers.registry import Reader
from ophyd_devices.readers.units import is_length, length_factor, shown


def read(path: Path) -> Measurement:
    """Return the images and the spectra of all groups NXdata."""
    images: list[Image] = []
    spectra: list[Spectra] = []
    notes: list[str] = []
    sources = set()
    with open_file(path) as file:
        for group in _groups(file):
            found = _read_group(path, group)
            if found is None:
                notes.append(f"{group.name} is no map: it needs axes of two places")
                continue
            one, source = found
            sources.add(source)
            if isinstance(one, Image):
                images.append(one)
            else:
                spectra.append(one)
    if not images and not spectra:
        raise SampleError(f"{path}: expected NXdata with a map of spectra or an image, found none. {'; '.join(notes)}")
    return Measurement(tuple(images), tuple(spectra), min(sources, default="file"), notes=tuple(notes))


def _groups(file: Node) -> list[Node]:
    found: list[Node] = []

    def look(_: str, node: Node) -> None:
        if hasattr(node, "keys") and attribute(node, "NX_class") == "NXdata" and attribute(node, "signal") in node:
            found.append(node)

    file.visititems(look)
    return found


def _read_group(path: Path, group: Node) -> tuple[Image | Spectra, str] | None:
    """Return what a group holds, and where its lengths come from; None if it is no map."""
    signal = group[attribute(group, "signal")]
    names = [_text(name) for name in np.ravel(group.attrs.get("axes", []))]
    if len(names) != len(signal.shape) or len(names) < 2 or min(signal.shape) < 2:
        return None
    units = [attribute(group[name], "units") if name in group else "" for name in names]
    lengths = [number for number, unit in enumerate(units) if is_length(unit)]
    across = lengths if len(lengths) == 2 else [0, 1]
    first_is_x = names[across[0]].lower().startswith("x")
    y, x = across[::-1] if first_is_x else across
    others = [number for number in range(len(names)) if number not in across]
    values = np.transpose(numbers(path, signal), [y, x, *others])
    places = [_along(path, group, names[number], units[number], signal.shape[number]) for number in (y, x)]
    title = attribute(signal, "long_name") or signal.name.rpartition("/")[2]
    unit = shown(attribute(signal, "units"))
    source = "file" if len(lengths) == 2 else "assumed 1 px = 1 nm"
    if not others:
        image = image_at(title, unit, values, places[1], places[0])
        return None if image is None else (image, source)
    axes = [_axis(path, group, names[number], units[number], signal.shape[number]) for number in others]
    return spectra_at(title, unit, values, axes, places[1], places[0]), source


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _along(path: Path, group: Node, name: str, unit: str, count: int) -> Any:
    if name not in group or not is_length(unit):
        return np.arange(count) + 0.5
    return length_factor(unit, f"{path}: {name}") * _checked(path, group[name], count)


def _axis(path: Path, group: Node, name: str, unit: str, count: int) -> Axis:
    if name not in group:
        return Axis("step" if name == "." else name, "", np.arange(count, dtype=np.float64))
    return Axis(name.replace("_", " "), shown(unit), _checked(path, group[name], count))


def _checked(path: Path, node: Node, count: int) -> Any:
    values = np.asarray(numbers(path, node), np.float64)
    if values.shape != (count,):
        raise SampleError(f"{path}: expected {count} values in {node.name}, one a step, got {values.shape}")
    return values


def _is_nexus(path: Path) -> bool:
    if looks(path, "entry/definition", "entry/documents"):  # our own
        return False
    try:
        with open_file(path) as file:
            return bool(_groups(file))
    except (SampleError, ImportError):
        return False


READER = Reader("NeXus", (".nxs", ".h5", ".hdf5"), read, _is_nexus, "'curio-plans[export]'")
