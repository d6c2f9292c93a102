"""JPK force maps and QI maps, by afmformats: approach and retract curves, resampled on one axis of distance."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophyd_devices.readers.measurement import Axis, Image, Measurement, SampleError, Spectra
from ophyd_devices.readers.registry import Reader, refuse_large, refuse_truncated
from ophyd_devices.readers.resampling import Curve, resampled

NM, NN = 1e9, 1e9
"""Nanometres in a metre, nanonewtons in a newton: afmformats gives SI units."""


def read(path: Path) -> Measurement:
    """Return force against distance at each place of a map.

    The distance is the measured height above the lowest point of each curve. Curves differ in length and range: all are
    resampled on one axis, see :mod:`ophyd_devices.readers.resampling`.
    """
    import afmformats

    refuse_truncated(path)
    try:
        curves = list(afmformats.load_data(path))
        places = NM * np.array([[one.metadata[f"position {name}"] for name in "xy"] for one in curves])
        # Only names and lengths are known until a column is asked for.
        refuse_large(path, 2 * 8 * sum(len(one) for one in curves), "the map")
        parts = [[_segment(one, number) for one in curves] for number in (0, 1)]
    except (
        EOFError, OSError, ValueError, KeyError, IndexError,
        afmformats.errors.AFMFileFormatError,
        afmformats.errors.MissingMetaDataError,  # a BaseException
    ) as error:  # fmt: skip
        raise SampleError(f"{path}: afmformats cannot read it ({type(error).__name__}: {error})") from error
    if not curves:
        raise SampleError(f"{path}: expected force curves, found none")
    notes = ["all curves are resampled on one axis of distance; their lengths differ"]
    order, grid = _order(curves)
    steps, tables = resampled([[part[number] for number in order] for part in parts])
    axis = Axis("distance", "nm", steps)
    spectra = [
        Spectra(name, "nN", values, (axis,), places[order], grid)
        for name, values in zip(("force approach", "force retract"), tables, strict=True)
    ]
    facts = curves[0].metadata
    lowest = np.array([NM * float(np.min(one["height (measured)"])) for one in curves])
    images = _height_map(curves, lowest)
    if not images:
        notes.append(f"{len(curves)} curves: too few of the grid for a map of heights")
    return Measurement(images, tuple(spectra), seconds=float(facts.get("duration", 0.0)) or None, notes=tuple(notes))


def _segment(curve: Any, number: int) -> Curve:
    """Return distance in nm, ascending from 0, and force in nN of the approach (0) or retract (1) segment."""
    height, chosen = np.asarray(curve["height (measured)"], np.float64), np.asarray(curve["segment"]) == number
    force = np.asarray(curve["force"], np.float64)[chosen]
    distance = NM * (height[chosen] - height.min())
    rising = np.argsort(distance, kind="stable")
    return distance[rising], NN * force[rising]


def _order(curves: list[Any]) -> tuple[list[int], tuple[int, int] | None]:
    """Return the curves in C order of their grid, and the grid if all of it is there."""
    shape = int(curves[0].metadata.get("grid shape y", 0)), int(curves[0].metadata.get("grid shape x", 0))
    if shape[0] * shape[1] != len(curves):
        return list(range(len(curves))), None
    nodes = [(int(one.metadata["grid index y"]), int(one.metadata["grid index x"])) for one in curves]
    return sorted(range(len(curves)), key=nodes.__getitem__), shape


def _height_map(curves: list[Any], heights: NDArray[np.float64]) -> tuple[Image, ...]:
    """Return the height at the deepest point of each curve as an image, if most of the grid is there."""
    facts = curves[0].metadata
    ny, nx = int(facts.get("grid shape y", 0)), int(facts.get("grid shape x", 0))
    if ny * nx == 0 or len(curves) < 0.9 * ny * nx:
        return ()
    picture = np.full((ny, nx), np.nan)
    for one, height in zip(curves, heights, strict=True):
        picture[int(one.metadata["grid index y"]), int(one.metadata["grid index x"])] = height
    (x, y), (width, height_) = (
        [NM * float(facts[f"grid {what} {name}"]) for name in "xy"] for what in ("center", "size")
    )
    area = (x - width / 2, x + width / 2, y - height_ / 2, y + height_ / 2)
    return (Image("height", "nm", picture, area, "the lowest point of each curve"),)


READER = Reader(
    "JPK force map",
    (".jpk-qi-data", ".jpk-force-map", ".jpk-qi-series", ".jpk-force"),
    read,
    extra="'curio-plans[readers]'",
)
