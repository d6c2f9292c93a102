"""Nanonis grid spectroscopy (.3ds) and scans (.sxm), read as their headers describe them.

A grid file has a text header, then for each pixel a few parameters and the curve of each channel, as big-endian float32
(SPECS, "Nanonis binary grid format"). A grid that was stopped ends early or is filled with zeros; both are places
without a spectrum. A scan of the same name beside a grid, ``NAME.sxm``, is its image.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ophyd_devices.readers.measurement import Axis, Image, Measurement, SampleError, Spectra, centres_to_area
from ophyd_devices.readers.registry import Reader, refuse_large
from ophyd_devices.readers.units import shown

NM = 1e9
"""Nanometres in a metre: Nanonis stores SI units without prefixes."""

_END = {".3ds": b":HEADER_END:", ".sxm": b":SCANIT_END:"}
_HEADER_MAX = 2**22
"""Bytes in which the end of a header must be found."""


def read_grid(path: Path) -> Measurement:
    """Return the curves of a grid, its parameters as images, and the scan beside it, if there is one."""
    header, start = _header(path)
    values = _quoted(header)
    try:
        columns, rows = (int(number) for number in re.findall(r"\d+", values["grid dim"]))
        centre_x, centre_y, width, height, angle = (float(number) for number in values["grid settings"].split(";"))
        sweep, points = values.get("sweep signal", "sweep"), int(values["points"])
        channels = [name for name in values["channels"].split(";") if name]
        count = int(values["# parameters (4 byte)"])
    except (KeyError, ValueError) as error:
        raise SampleError(
            f"{path}: expected a Nanonis grid header with Grid dim, Grid settings, Points, Channels and # Parameters, "
            f"could not read {error}; is it complete?"
        ) from error
    names = [name for key in ("fixed parameters", "experiment parameters")
             for name in values.get(key, "").split(";") if name]  # fmt: skip
    if not channels or min(rows, columns, points) < 1:
        raise SampleError(
            f"{path}: the grid has {rows}×{columns} pixels of {points} points in {len(channels)} channels"
        )
    table, notes = _table(path, start, rows * columns, count + points * len(channels))
    parameters = {name: table[:, number] for number, name in enumerate(names[:count])}
    measured = np.isfinite(table).all(axis=1) & (table != 0).any(axis=1)
    missing = int((~measured).sum())
    if missing:
        notes.append(f"the grid was not finished: {missing} of {rows * columns} pixels have no curves")
    table[~measured] = np.nan
    axis = _sweep(parameters, measured, sweep, points)
    x, y = _lines(parameters, measured, (rows, columns), width, height)
    grid = (rows, columns) if angle % 360 < 1e-6 else None
    area = centres_to_area(NM * (centre_x + x), NM * (centre_y + y)) if grid is not None else None
    if grid is None:
        notes.append(f"the grid is turned by {angle:g}°: its pixels are single places")
    positions = NM * (np.array([centre_x, centre_y]) + _turned(np.tile(x, rows), np.repeat(y, columns), angle))
    spectra = []
    for number, channel in enumerate(channels):
        name, unit = _named(channel)
        first = count + number * points
        spectra.append(Spectra(name, unit, table[:, first : first + points], (axis,), positions, grid, area))
    images = _maps(parameters, (rows, columns), area) if area is not None else ()
    beside = path.with_suffix(".sxm")
    if beside.is_file():
        scan = tuple(replace(image, source=beside.name) for image in read_scan(beside).images)
        images = scan + images
        notes.append(f"the image is the scan {beside.name} beside it")
    elif area is None:
        notes.append(
            "a turned grid has no image of its own: put the scan beside it under the same name, or give --image"
        )
    return Measurement(
        images=images,
        spectra=tuple(_without_backward_first(spectra)),
        seconds=_seconds(values, points),
        facts={key: values[key] for key in ("experiment", "start time", "user", "date") if key in values},
        notes=tuple(notes),
    )


def read_scan(path: Path) -> Measurement:
    """Return the channels of a scan, forward ones first; they have no spectra."""
    header, start = _header(path)
    found = {match[1]: match[2].strip() for match in re.finditer(r"^:([^:\n]+):\s*\n(.*?)(?=^:)", header, re.M | re.S)}
    try:
        columns, rows = (int(number) for number in found["SCAN_PIXELS"].split())
        width, height = (float(number) * NM for number in found["SCAN_RANGE"].split())
        centre_x, centre_y = (float(number) * NM for number in found["SCAN_OFFSET"].split())
        angle = float(found.get("SCAN_ANGLE", "0") or 0)
        lines = [line.split() for line in found["DATA_INFO"].splitlines()[1:] if line.strip()]
        channels = [(line[1].replace("_", " "), line[2], line[3].lower()) for line in lines]
    except (KeyError, ValueError, IndexError) as error:
        raise SampleError(
            f"{path}: expected a Nanonis scan header with SCAN_PIXELS, SCAN_RANGE, SCAN_OFFSET and DATA_INFO, could "
            f"not read {error}; is it complete?"
        ) from error
    planes = [(name, unit, way) for name, unit, direction in channels
              for way in (("forward", "backward") if direction == "both" else (direction,))]  # fmt: skip
    start += 2  # the bytes 1A 04 after the header
    table, notes = _table(path, start, len(planes) * rows, columns)
    notes = ["the scan was not finished" for _ in notes]
    if angle % 360 > 1e-6:
        notes.append(f"the scan is turned by {angle:g}°: its coordinates are those of the turned frame")
    pictures = table.reshape(len(planes), rows, columns)
    upwards = found.get("SCAN_DIR", "down").strip().lower() == "up"
    area = (centre_x - width / 2, centre_x + width / 2, centre_y - height / 2, centre_y + height / 2)
    images = []
    for (name, unit, way), picture in zip(planes, pictures, strict=True):
        turned = picture[:, ::-1] if way == "backward" else picture
        label = name if way == "forward" else f"{name} backward"
        images.append((way != "forward", Image(label, shown(unit), turned if upwards else turned[::-1], area)))
    ordered = [image for _, image in sorted(images, key=lambda pair: pair[0])]
    return Measurement(images=tuple(ordered), spectra=(), notes=tuple(notes))


def _header(path: Path) -> tuple[str, int]:
    """Return the text of the header, and where the data begin."""
    end = _END[path.suffix.lower()]
    with path.open("rb") as file:
        start = file.read(_HEADER_MAX)
    at = start.find(end)
    if at < 0:
        raise SampleError(
            f"{path}: expected a Nanonis header that ends with {end.decode()}, found none; the file is truncated or no "
            "Nanonis file"
        )
    line = start.find(b"\n", at)
    begin = line + 1
    if path.suffix.lower() == ".sxm":
        mark = start.find(b"\x1a\x04", at)
        if mark < 0:
            raise SampleError(f"{path}: expected the bytes 1A 04 before the data, found none; the file is truncated")
        begin = mark
    return start[:at].decode("utf-8", "replace").replace("\r\n", "\n") + "\n:", begin


def _quoted(header: str) -> dict[str, str]:
    """Return the entries ``Name="value"`` of a grid header, names in small letters."""
    pairs = re.findall(r'^([^=\n]+)="?([^"\n]*)"?$', header, re.M)
    return {name.strip().lower(): value.strip() for name, value in pairs}


def _table(path: Path, start: int, rows: int, columns: int) -> tuple[NDArray[np.float64], list[str]]:
    """Return float32 data (rows, columns) as float64; NaN beyond the end of the file."""
    refuse_large(path, 8 * rows * columns, "the header")
    there = (path.stat().st_size - start) // 4
    if there < columns:
        raise SampleError(f"{path}: the header promises {rows * columns} numbers, there are {max(there, 0)}")
    values = np.fromfile(path, ">f4", min(rows * columns, there), offset=start)
    table = np.full(rows * columns, np.nan)
    table[: len(values)] = values
    short = rows * columns - len(values)
    return table.reshape(rows, columns), [f"the file ends {short} numbers early"] if short else []


def _sweep(parameters: Mapping[str, NDArray[np.float64]], measured: NDArray[np.bool_], sweep: str, points: int) -> Axis:
    """Return the axis from the first and last value of the sweep, which each pixel has as parameters."""
    name, unit = _named(sweep)
    ends = [parameters.get(key) for key in ("Sweep Start", "Sweep End")]
    if ends[0] is None or ends[1] is None or not measured.any():
        return Axis("point", "", np.arange(points, dtype=np.float64))
    first, last = (float(np.median(end[measured])) for end in ends if end is not None)
    return Axis(name, unit, np.linspace(first, last, points))


def _lines(
    parameters: Mapping[str, NDArray[np.float64]],
    measured: NDArray[np.bool_],
    shape: tuple[int, int],
    width: float,
    height: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return x of the columns and y of the rows relative to the centre of a grid, before it is turned, in m.

    The places lie either in the middle of equal cells or from edge to edge of the grid. Which, is told by the length of
    the first line as it is stored with the curves; without that, in the middle.
    """
    rows, columns = shape
    stored = [parameters.get(name) for name in ("X (m)", "Y (m)")]
    if stored[0] is not None and stored[1] is not None and columns > 1 and measured[:columns].all():
        length = float(np.hypot(*(place[columns - 1] - place[0] for place in stored if place is not None)))
        if abs(length - width) < abs(length - width * (columns - 1) / columns):
            y = np.linspace(-0.5, 0.5, rows) * height if rows > 1 else np.zeros(1)
            return np.linspace(-0.5, 0.5, columns) * width, y
    x = ((np.arange(columns) + 0.5) / columns - 0.5) * width
    return x, ((np.arange(rows) + 0.5) / rows - 0.5) * height


def _turned(x: NDArray[np.float64], y: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    """Return places (N, 2) turned by `angle` degrees, clockwise as Nanonis does."""
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return np.stack([cosine * x + sine * y, cosine * y - sine * x], axis=1)


def _maps(
    parameters: Mapping[str, NDArray[np.float64]], shape: tuple[int, int], area: tuple[float, float, float, float]
) -> tuple[Image, ...]:
    """Return the topography that comes with the curves, as it is the only image in a grid file."""
    for name in ("Z (m)", "Scan:Z (m)", "Scan:Z"):
        if name in parameters and np.nanmax(parameters[name], initial=-np.inf) > np.nanmin(
            parameters[name], initial=np.inf
        ):
            return (Image("Z", "nm", NM * parameters[name].reshape(shape), area),)
    return ()


def _named(text: str) -> tuple[str, str]:
    """Return name and unit of ``Current (A)``; backward sweeps keep ``[bwd]`` in their name."""
    match = re.match(r"^(.*?)\s*\(([^()]*)\)\s*(\[.*\])?\s*$", text)
    if match is None:
        return text.strip(), ""
    return f"{match[1]} {match[3] or ''}".strip(), shown(match[2])


def _without_backward_first(spectra: list[Spectra]) -> list[Spectra]:
    """Return forward channels before backward ones."""
    return sorted(spectra, key=lambda one: "[bwd]" in one.name)


def _seconds(values: Mapping[str, str], points: int) -> float | None:
    """Return the time of one curve in s: settling and integration of each point."""
    times = [values.get(key) for key in ("settling time (s)", "integration time (s)")]
    if None in times:
        return None
    try:
        return points * sum(float(time) for time in times if time)
    except ValueError:
        return None


GRID = Reader("Nanonis grid spectroscopy", (".3ds",), read_grid)
SCAN = Reader("Nanonis scan", (".sxm",), read_scan)
