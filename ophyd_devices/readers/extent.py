"""The extent of a file: in the forms in which people give it, and made to fit one that is given instead."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophyd_devices.backend import Area
from ophyd_devices.readers.measurement import Measurement, Spectra, spectra_over

Extent = float | Sequence[float]
"""Width (with square pixels), (width, height), or (x_min, x_max, y_min, y_max), in nm."""


def area_of(
    extent: Any, aspect: float, error: Callable[[str], Exception], factor: float = 1.0
) -> tuple[Area, tuple[bool, bool]]:
    """Return the area in nm of an extent, and whether x and y descend in it.

    Parameters
    ----------
    extent : Extent or array
        As a file or a user gives it.
    aspect : float
        Height over width of the image in px.
    error : callable
        Makes the error to raise from its message.
    factor : float
        By what the extent is multiplied to be in nm.

    Raises
    ------
    SampleError
        As `error` makes it, if it is no extent.
    """
    array = np.asarray(extent)
    if array.dtype.kind in "iuf" and np.isfinite(array).all():
        values = [float(value) for value in array.ravel() * factor]
        if len(values) == 1 and values[0] > 0:
            values = [values[0], values[0] * aspect]
        if len(values) == 2:
            values = [0.0, values[0], 0.0, values[1]]
        if len(values) == 4 and values[0] != values[1] and values[2] != values[3]:
            (x_min, x_max), (y_min, y_max) = sorted(values[:2]), sorted(values[2:])
            turned = (values[0] > values[1], values[2] > values[3])
            if len(np.ravel(extent)) == 2:  # a negative side begins at 0, too
                x_min, x_max, y_min, y_max = 0.0, x_max - x_min, 0.0, y_max - y_min
            return (x_min, x_max, y_min, y_max), turned
    raise error(
        "expected an extent in nm as a width, (width, height) or (x_min, x_max, y_min, y_max), finite and with "
        f"positive sides, got {array.tolist()}; correct the extent in the file or the argument"
    )


def with_area(found: Measurement, area: Area) -> Measurement:
    """Return a measurement stretched to another area, as its extent was wrong or missing.

    The area that is replaced is that of the first image, or of the first spectra where there is none.
    """
    before = found.images[0].area if found.images else _frame(found.spectra[0])
    scale = np.array([(area[1] - area[0]) / (before[1] - before[0]), (area[3] - area[2]) / (before[3] - before[2])])
    low, new = np.array([before[0], before[2]]), np.array([area[0], area[2]])

    def moved(old: Area) -> Area:
        if old == before:
            return area
        (x_min, y_min), (x_max, y_max) = (new + scale * (np.array(corner) - low) for corner in (old[::2], old[1::2]))
        return float(x_min), float(x_max), float(y_min), float(y_max)

    def place(spectra: Spectra) -> Spectra:
        if spectra.area is None or spectra.grid is None:
            return replace(spectra, positions=new + scale * (spectra.positions - low))
        values: NDArray[Any] = spectra.values.reshape(*spectra.grid, *spectra.values.shape[1:])
        return spectra_over(spectra.name, spectra.unit, values, spectra.axes, moved(spectra.area))

    return replace(
        found,
        images=tuple(replace(image, area=moved(image.area)) for image in found.images),
        spectra=tuple(place(spectra) for spectra in found.spectra),
        extent_source="given",
    )


def _frame(spectra: Spectra) -> Area:
    """Return the area of spectra, or the rectangle around their places."""
    if spectra.area is not None:
        return spectra.area
    (x_min, y_min), (x_max, y_max) = spectra.positions.min(axis=0), spectra.positions.max(axis=0)
    return float(x_min), float(x_max), float(y_min), float(y_max)
