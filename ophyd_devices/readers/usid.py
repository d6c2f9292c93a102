"""USID files of pycroscopy (.h5), by h5py alone: main datasets of positions × spectroscopic values.

A main dataset (N, K) refers to four tables: indices and values of its positions (N, P) and of its spectroscopic
dimensions (S, K), each with ``labels`` and ``units`` (https://pycroscopy.github.io/USID/data_format.html).
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophyd_devices.readers.hdf5 import Node, attribute, open_file
from ophyd_devices.readers.measurement import Axis, Image, Measurement, SampleError, Spectra, spectra_placed
from ophyd_devices.readers.registry import Reader, refuse_large
from ophyd_devices.readers.units import is_length, length_factor, shown

_TABLES = ("Position_Indices", "Position_Values", "Spectroscopic_Indices", "Spectroscopic_Values")


def read(path: Path) -> Measurement:
    """Return the main datasets: spectra, and images where each position has one value."""
    images: list[Image] = []
    spectra: list[Spectra] = []
    notes: list[str] = []
    sources = set()
    with open_file(path) as file:
        for name, node in _main(file):
            refuse_large(path, int(node.size) * node.dtype.itemsize, f"the dataset {name}")
            places = _positions(path, file, node, node.shape[0])
            if places is None:
                notes.append(f"{name!r} has no two dimensions of places and is no map")
                continue
            positions, source = places
            sources.add(source)
            axes, order = _spectroscopic(file, node, node.shape[1])
            for quantity, unit, values in _channels(node, name):
                if node.shape[1] == 1:
                    images += _image(quantity, unit, values[:, 0], positions)
                    continue
                table = values.reshape(len(values), *order) if order else values
                if order:
                    longest = int(np.argmax(order))
                    table = np.moveaxis(table, 1 + longest, -1)
                spectra.append(spectra_placed(quantity, unit, table, axes, positions))
    if not images and not spectra:
        raise SampleError(f"{path}: expected main datasets of a map, found none. {'; '.join(notes)}".rstrip())
    spectra = _distinct(spectra)
    return Measurement(tuple(images), tuple(spectra), min(sources, default="file"), notes=tuple(notes))


def _main(file: Node) -> Iterator[tuple[str, Node]]:
    """Yield name and node of each main dataset."""
    found: list[tuple[str, Node]] = []

    def look(name: str, node: Node) -> None:
        if hasattr(node, "shape") and len(node.shape) == 2 and all(table in node.attrs for table in _TABLES):
            found.append((name, node))

    file.visititems(look)
    yield from found


def _table(file: Node, node: Node, name: str) -> tuple[NDArray[Any], list[str], list[str]]:
    """Return a table as (dimensions, entries), with the names and the units of the dimensions."""
    table = file[node.attrs[name]]
    values = np.atleast_2d(np.asarray(table))
    values = values.T if name.startswith("Position") else values
    labels, units = ([_text(one) for one in np.ravel(table.attrs.get(key, []))] for key in ("labels", "units"))
    missing = len(values) - len(labels)
    return values, labels + ["dimension"] * missing, units + [""] * (len(values) - len(units))


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _positions(path: Path, file: Node, node: Node, count: int) -> tuple[NDArray[np.float64], str] | None:
    """Return the places (N, 2) in nm in the order of the dataset, and where the lengths come from."""
    values, labels, units = _table(file, node, "Position_Values")
    indices, _, _ = _table(file, node, "Position_Indices")
    if values.shape != (len(values), count) or len(values) < 2:
        return None
    wanted = [number for number, label in enumerate(labels) if label.strip().lower()[:1] in ("x", "y")]
    across = wanted if len(wanted) == 2 else [0, 1]
    if any(len(np.unique(indices[number])) > 1 for number in range(len(values)) if number not in across):
        return None
    x, y = sorted(across, key=lambda number: labels[number].strip().lower()[:1] == "y")
    lengths = all(is_length(units[number]) for number in (x, y))
    table = values if lengths else indices + 0.5
    factors = [length_factor(units[number], f"{path}: {labels[number]}") if lengths else 1.0 for number in (x, y)]
    scaled = [factor * table[number].astype(np.float64) for factor, number in zip(factors, (x, y), strict=True)]
    return np.stack(scaled, axis=1), "file" if lengths else "assumed 1 px = 1 nm"


def _spectroscopic(file: Node, node: Node, count: int) -> tuple[list[Axis], list[int]]:
    """Return the axes, the longest last, and the lengths of all dimensions, the slowest first, if they form a grid."""
    values, labels, units = _table(file, node, "Spectroscopic_Values")
    indices, _, _ = _table(file, node, "Spectroscopic_Indices")
    lengths = [len(np.unique(row)) for row in indices]
    turns = [int((np.diff(row) != 0).sum()) for row in indices]
    slow = sorted((number for number in range(len(lengths)) if lengths[number] > 1), key=lambda number: turns[number])
    if np.prod([lengths[number] for number in slow], dtype=int) != count:
        return [Axis(labels[0], shown(units[0]), np.asarray(values[0], np.float64))], []
    strides = {number: count // int(np.prod([lengths[one] for one in slow[: place + 1]], dtype=int))
               for place, number in enumerate(slow)}  # fmt: skip
    axes = []
    for number in slow:
        row = values[number][:: strides[number]][: lengths[number]]
        axes.append(Axis(labels[number], shown(units[number]), np.asarray(row, np.float64)))
    order = [lengths[number] for number in slow]
    longest = int(np.argmax(order)) if order else 0
    return [*axes[:longest], *axes[longest + 1 :], axes[longest]] if axes else [], order


def _channels(node: Node, name: str) -> Iterator[tuple[str, str, NDArray[Any]]]:
    """Yield name, unit and values (N, K) of a dataset, or of each field of a compound one."""
    quantity = attribute(node, "quantity") or name.rpartition("/")[2]
    unit = shown(attribute(node, "units"))
    values = np.asarray(node)
    if values.dtype.names is None:
        if values.dtype.kind in "iufcb":
            yield quantity, unit, values
        return
    for field in values.dtype.names:
        if values.dtype[field].kind in "iufcb":
            label, _, inside = field.partition("[")
            yield label.strip(), shown(inside.rstrip("] ")), values[field]


def _image(name: str, unit: str, values: NDArray[Any], positions: NDArray[np.float64]) -> list[Image]:
    made = spectra_placed(name, unit, values[:, None], [], positions)
    if made.area is None or made.grid is None or values.dtype.kind == "c":
        return []
    return [Image(name, unit, made.values.reshape(made.grid).astype(np.float64), made.area)]


def _distinct(spectra: list[Spectra]) -> list[Spectra]:
    """Return spectra with different names: a file may keep one quantity raw and processed."""
    seen: dict[str, int] = {}
    found = []
    for one in spectra:
        seen[one.name] = seen.get(one.name, 0) + 1
        found.append(one if seen[one.name] == 1 else replace(one, name=f"{one.name} {seen[one.name]}"))
    return found


def is_usid(path: Path) -> bool:
    """Tell whether an HDF5 file has a main dataset of USID."""
    try:
        with open_file(path) as file:
            return any(True for _ in _main(file))
    except (SampleError, ImportError):
        return False


READER = Reader("USID", (".h5", ".hdf5", ".usid"), read, is_usid, "'curio-plans[export]'")
