"""Nanosurf .nid files: scans, and maps of spectroscopy with the scan beside them.

A header of sections in square brackets, the bytes ``#!``, then for each data set its integers, line after line. An
integer of b bits stands for ``Dim2Min + Dim2Range · (integer + 2^(b−1)) / 2^b``. Lines of a scan run from the smallest
y up, lines of spectroscopy are curves.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ophyd_devices.readers.measurement import Axis, Image, Measurement, SampleError, Spectra, centres_to_area
from ophyd_devices.readers.registry import Reader, refuse_large
from ophyd_devices.readers.resampling import Curve, resampled
from ophyd_devices.readers.units import is_length, length_factor, readable, shown

_MARK = b"#!"
_HEADER_MAX = 2**24
_SWEEPS = {"Spec forward": "", "Spec backward": " backward"}
_SCANS = {"Scan forward": "", "Scan backward": " backward"}


@dataclass(frozen=True, eq=False)
class _Set:
    """One data set: its group, its entries in the header, and its values (lines, points)."""

    group: str
    entries: Mapping[str, str]
    values: NDArray[np.float64]

    def number(self, name: str) -> float:
        return float(self.entries[name])

    @property
    def name(self) -> str:
        return f"{self.entries['Dim2Name']}{_SWEEPS.get(self.group) or _SCANS.get(self.group) or ''}"

    @property
    def unit(self) -> str:
        return shown(self.entries.get("Dim2Unit", ""))


def read(path: Path) -> Measurement:
    """Return the scans and the curves of a file."""
    sections, start = _header(path)
    try:
        sets = _sets(path, sections, start)
        images = _images(sets, sections)
        spectra, notes = _spectra(sets, sections)
    except (KeyError, ValueError, IndexError) as error:
        raise SampleError(
            f"{path}: expected a complete Nanosurf header, could not read {error}; copy the file again"
        ) from error
    return Measurement(images, spectra, seconds=_seconds(sections), notes=tuple(notes))


def _header(path: Path) -> tuple[dict[str, dict[str, str]], int]:
    """Return the sections of the header, and where the data begin."""
    with path.open("rb") as file:
        start = file.read(_HEADER_MAX)
    end = start.find(b"\n" + _MARK)
    if not start.startswith(b"[DataSet]") or end < 0:
        raise SampleError(f"{path}: expected a Nanosurf file that begins with [DataSet]; it is truncated or another")
    sections: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    for line in start[:end].decode("utf-8", "replace").splitlines():
        if line.startswith("["):
            current = sections.setdefault(line.strip()[1:-1], {})
        elif "=" in line:
            name, _, value = line.partition("=")
            current.setdefault(name.strip(), value.strip())
    return sections, end + 1 + len(_MARK)


def _sets(path: Path, sections: Mapping[str, Mapping[str, str]], start: int) -> list[_Set]:
    overview, found = sections["DataSet"], []
    for group in range(int(overview["GroupCount"])):
        for channel in range(int(overview[f"Gr{group}-Count"])):
            key = overview.get(f"Gr{group}-Ch{channel}")
            if key is None:
                continue
            entries = sections[key]
            lines, points, bits = (int(entries[name]) for name in ("Lines", "Points", "SaveBits"))
            refuse_large(path, 8 * lines * points, "the header")
            kind = {16: "<i2", 32: "<i4"}[bits]
            raw = np.fromfile(path, kind, lines * points, offset=start)
            if len(raw) < lines * points:
                raise SampleError(
                    f"{path}: the header promises {lines * points} numbers in {key}, there are {len(raw)}"
                )
            start += raw.nbytes
            part = (raw.astype(np.float64) + 2.0 ** (bits - 1)) / 2.0**bits
            values = float(entries["Dim2Min"]) + float(entries["Dim2Range"]) * part
            found.append(_Set(overview[f"Gr{group}-Name"], entries, values.reshape(lines, points)))
    return found


def _offset(sections: Mapping[str, Mapping[str, str]]) -> tuple[float, float]:
    """Return where the centre of the scan is, in nm."""
    text = sections.get(r"DataSet\Parameters\Imaging", {}).get("ScanOffset", "")
    match = re.match(r"V\[([^,\]]+),([^,\]]+)", text)
    return (1e9 * float(match[1]), 1e9 * float(match[2])) if match else (0.0, 0.0)


def _images(sets: list[_Set], sections: Mapping[str, Mapping[str, str]]) -> tuple[Image, ...]:
    x, y = _offset(sections)
    found = []
    for one in sorted((one for one in sets if one.group in _SCANS), key=lambda one: one.group == "Scan backward"):
        factors = [length_factor(one.entries[f"Dim{number}Unit"], "the scan") for number in (0, 1)]
        width, height = (factor * one.number(f"Dim{number}Range") for number, factor in enumerate(factors))
        values, unit = readable(one.values, one.unit)
        area = (x - width / 2, x + width / 2, y - height / 2, y + height / 2)
        found.append(Image(one.name, unit, values, area))
    return tuple(found)


def _spectra(sets: list[_Set], sections: Mapping[str, Mapping[str, str]]) -> tuple[tuple[Spectra, ...], list[str]]:
    curves = [one for one in sets if one.group in _SWEEPS]
    if not curves:
        return (), []
    places, grid, area = _places(sections, len(curves[0].values))
    unit = shown(curves[0].entries["Dim0Unit"])
    distance = is_length(unit)
    axis, values = resampled([[_curve(one, line, distance) for line in range(len(one.values))] for one in curves])
    name = "distance" if distance else curves[0].entries["Dim0Name"]
    spectral = Axis(name, "nm" if distance else unit, axis * (length_factor(unit, name) if distance else 1.0))
    notes = [
        "all curves are resampled on one axis of distance from where they turn; their lengths differ"
        if distance
        else "all curves are resampled on one axis"
    ]
    if grid is None:
        notes.append("the file has no grid of places: the curves are taken to lie 1 nm apart")
    found = []
    for one, table in zip(curves, values, strict=True):
        numbers, spectrum_unit = readable(table, one.unit)
        found.append(Spectra(one.name, spectrum_unit, numbers, (spectral,), places, grid, area))
    return tuple(found), notes


def _curve(one: _Set, line: int, distance: bool) -> Curve:
    """Return one curve with an ascending axis: over the distance from where it turns, or as it is."""
    entries = one.entries
    count = int(entries.get(f"LineDim{line}Points", one.values.shape[1]))
    low = float(entries.get(f"LineDim{line}Min", entries["Dim0Min"]))
    size = float(entries.get(f"LineDim{line}Range", entries["Dim0Range"]))
    values = one.values[line, :count]
    if count < 2 or size == 0:
        return np.empty(0), np.empty(0)
    along = np.linspace(0.0, abs(size), count)
    if distance:
        return along, values[::-1]  # both sweeps are stored towards the surface
    return (low + along, values) if size > 0 else (low + size + along, values[::-1])


def _places(
    sections: Mapping[str, Mapping[str, str]], count: int
) -> tuple[NDArray[np.float64], tuple[int, int] | None, tuple[float, float, float, float] | None]:
    """Return positions (M, 2), grid and area in nm, of the first table of places."""
    table = sections.get(r"DataSet\SpecInfos\SpecMapTable", {}).get("Map0", "")
    numbers = [float(part) for part in table.split(";")] if table else []
    if len(numbers) >= 6 and numbers[4] * numbers[5] == count:
        nx, ny = int(numbers[4]), int(numbers[5])
        x, y = 1e9 * np.linspace(numbers[0], numbers[1], nx), 1e9 * np.linspace(numbers[2], numbers[3], ny)
        places = np.stack([np.tile(x, ny), np.repeat(y, nx)], axis=1)
        return places, (ny, nx), centres_to_area(x, y)
    return np.stack([np.arange(float(count)), np.zeros(count)], axis=1), None, None


def _seconds(sections: Mapping[str, Mapping[str, str]]) -> float | None:
    """Return the time of one curve there and back, in s."""
    entries = sections.get(r"DataSet\Parameters\Spectroscopy", {})
    matches = [re.match(r"D\[([^\]]+)\]", entries.get(name, "")) for name in ("FwModTime", "BwModTime")]
    return sum(float(match[1]) for match in matches if match) or None


READER = Reader("Nanosurf", (".nid",), read)
