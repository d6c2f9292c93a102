"""What a file of measured data contains, whatever wrote it: the one value that every reader returns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ophyd_devices.backend import Area


class SampleError(ValueError):
    """A file cannot be measured as a sample; the message says what was expected, what came and what to do."""


@dataclass(frozen=True, eq=False)
class Axis:
    """What spectra are a function of: `values` (K,) float64 in `unit`."""

    name: str
    unit: str
    values: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Image:
    """One channel of an image.

    Attributes
    ----------
    name, unit : str
    values : (ny, nx) float64
        Row 0 at y_min; NaN where a pixel has no value.
    area : (x_min, x_max, y_min, y_max)
        In nm, to the outer edges of the pixels.
    source : str
        Where it comes from, if it is not a measured image of the file: another file, or the spectra.
    """

    name: str
    unit: str
    values: NDArray[np.float64]
    area: Area
    source: str = ""


@dataclass(frozen=True, eq=False)
class Spectra:
    """One channel of spectra at M places.

    Attributes
    ----------
    name, unit : str
    values : (M, …, K)
        Real or complex; NaN where nothing was measured.
    axes : tuple of Axis
        One for each dimension after the first; the last is the spectral axis.
    positions : (M, 2) float64
        x and y of each place in nm.
    grid : (rows, columns) or None
        The places form this grid in C order, rows × columns = M, row 0 at y_min; None if they form none.
    area : Area or None
        What the grid covers, in nm, to the outer edges of its cells; None without a grid, and where its rows or columns
        are not evenly spaced.
    """

    name: str
    unit: str
    values: NDArray[Any]
    axes: tuple[Axis, ...]
    positions: NDArray[np.float64]
    grid: tuple[int, int] | None = None
    area: Area | None = None


@dataclass(frozen=True, eq=False)
class Measurement:
    """The contents of a file.

    Attributes
    ----------
    images : tuple of Image
        They may differ in size and area.
    spectra : tuple of Spectra
        They may lie on different places.
    extent_source : str
        Where the lengths come from: ``"file"``, or what was assumed.
    seconds : float or None
        Time that one spectrum took, in s.
    facts : mapping
        JSON-able facts: what wrote the file, the instrument, the date.
    notes : tuple of str
        What the reader found or did that a user should know.
    """

    images: tuple[Image, ...]
    spectra: tuple[Spectra, ...]
    extent_source: str = "file"
    seconds: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def centres_to_area(x: ArrayLike, y: ArrayLike) -> Area | None:
    """Return the area that evenly spaced pixels at the centres `x` (nx,) and `y` (ny,) in nm cover; None if uneven.

    A single row or column is as wide as the pixels of the other axis.
    """
    sides, pitches = [], []
    for values in (np.asarray(x, np.float64), np.asarray(y, np.float64)):
        steps = np.diff(values)
        if steps.size and np.abs(steps - steps.mean()).max() > 0.01 * abs(steps.mean()):
            return None
        pitches.append(abs(float(steps.mean())) if steps.size else np.nan)
        sides.append((float(values.min()), float(values.max())))
    known = [pitch for pitch in pitches if pitch > 0]
    if not known:
        return None
    pitches = [pitch if pitch > 0 else known[0] for pitch in pitches]
    (x_low, x_high), (y_low, y_high) = sides
    return (
        x_low - pitches[0] / 2, x_high + pitches[0] / 2, y_low - pitches[1] / 2, y_high + pitches[1] / 2
    )  # fmt: skip


def ascending(values: NDArray[Any], x: ArrayLike, y: ArrayLike) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return values (ny, nx, …) with `x` (nx,) and `y` (ny,), all turned so that both axes ascend."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if len(x) > 1 and x[-1] < x[0]:
        x, values = x[::-1], values[:, ::-1]
    if len(y) > 1 and y[-1] < y[0]:
        y, values = y[::-1], values[::-1]
    return values, x, y


def image_at(name: str, unit: str, values: NDArray[Any], x: ArrayLike, y: ArrayLike, source: str = "") -> Image | None:
    """Return an image with pixel centres `x` and `y` in nm, which may descend; None if they are not evenly spaced."""
    values, x, y = ascending(values, x, y)
    area = centres_to_area(x, y)
    return None if area is None else Image(name, unit, np.asarray(values, np.float64), area, source)


def spectra_at(name: str, unit: str, values: NDArray[Any], axes: Sequence[Axis], x: ArrayLike, y: ArrayLike) -> Spectra:
    """Return spectra (ny, nx, …, K) on the grid of `x` and `y` in nm, which may descend and be uneven."""
    values, x, y = ascending(values, x, y)
    grid = (len(y), len(x))
    positions = np.stack([np.tile(x, grid[0]), np.repeat(y, grid[1])], axis=1)
    return Spectra(
        name, unit, values.reshape(-1, *values.shape[2:]), tuple(axes), positions, grid, centres_to_area(x, y)
    )


def spectra_over(name: str, unit: str, values: NDArray[Any], axes: Sequence[Axis], area: Area) -> Spectra:
    """Return spectra (ny, nx, …, K) on a grid that covers `area`, row 0 at y_min."""
    (ny, nx), (x_min, x_max, y_min, y_max) = values.shape[:2], area
    x = x_min + (np.arange(nx) + 0.5) * (x_max - x_min) / nx
    y = y_min + (np.arange(ny) + 0.5) * (y_max - y_min) / ny
    positions = np.stack([np.tile(x, ny), np.repeat(y, nx)], axis=1)
    return Spectra(name, unit, values.reshape(-1, *values.shape[2:]), tuple(axes), positions, (ny, nx), area)


def spectra_placed(
    name: str, unit: str, values: NDArray[Any], axes: Sequence[Axis], positions: NDArray[np.float64]
) -> Spectra:
    """Return spectra (M, …, K) at positions (M, 2) in nm: in C order of their grid, if they form an even one."""
    order = np.lexsort((positions[:, 0], np.round(positions[:, 1] / max(1e-6 * float(np.ptp(positions)), 1e-12))))
    places = positions[order]
    low, high = places.min(axis=0), places.max(axis=0)
    rows = 1 + int((np.diff(places[:, 0]) < 0).sum())
    columns = len(places) // rows
    if min(rows, columns) < 2 or rows * columns != len(places):
        return Spectra(name, unit, values, tuple(axes), positions)
    pitch = (high - low) / (np.array([columns, rows]) - 1.0)
    wanted = low + pitch * np.stack([np.tile(np.arange(columns), rows), np.repeat(np.arange(rows), columns)], axis=1)
    if np.abs(places - wanted).max() > 0.01 * pitch.min():
        return Spectra(name, unit, values, tuple(axes), positions)
    sides = [(float(low[number] - pitch[number] / 2), float(high[number] + pitch[number] / 2)) for number in (0, 1)]
    cube = values[order].reshape(rows, columns, *values.shape[1:])
    return spectra_over(name, unit, cube, axes, (*sides[0], *sides[1]))
