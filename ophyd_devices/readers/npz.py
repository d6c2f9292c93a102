"""Our own npz files: arrays by name; see docs/how-to/your-own-files.md."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophyd_devices.backend import Area
from ophyd_devices.readers.archive import Archive
from ophyd_devices.readers.extent import area_of
from ophyd_devices.readers.measurement import Axis, Image, Measurement, Spectra, spectra_over
from ophyd_devices.readers.registry import Reader
from ophyd_devices.readers.units import length_factor, shown

KEYS = {
    *("image", "spectra", "extent_nm", "extent", "extent_unit", "positions_nm", "measured"),
    *("axis", "axis_name", "axis_unit", "quantity", "spectrum_unit", "channels", "channel_units", "start"),
}
"""Arrays that have a meaning."""


def read(path: Path) -> Measurement:
    """Return the contents of an npz file."""
    return read_npz(path)


def read_npz(path: Path, axis: str | None = None) -> Measurement:
    """Return the contents of an npz file; `axis` is the array that holds the spectral axis, if not ``axis``."""
    return contents(Archive.of_npz(path), axis)


def contents(file: Archive, axis: str | None = None) -> Measurement:
    """Return what arrays with the names of an npz file mean; see :func:`read_npz`."""
    image = file.numbers("image", np.float32) if "image" in file else None
    values = file.numbers("spectra", kinds="iufc")
    if image is not None and image.ndim == 2:
        image = image[None]
    places = file.finite("positions_nm", np.float64) if "positions_nm" in file else None
    shape = _check_shapes(file, image, values, places)
    values = values.astype(np.complex128 if values.dtype.kind == "c" else np.float64)
    measured = _mask(file, values, places)
    values[~measured] = np.nan
    values, moved = _spectral_last(file, values, 1 if places is not None else 2, axis)
    axes, key = _axes(file, values.shape[1 if places is not None else 2 :], axis)
    area, flips, source = _area(file, shape)
    if flips[0] or flips[1]:
        turn = (slice(None, None, -1 if flips[1] else 1), slice(None, None, -1 if flips[0] else 1))
        image = None if image is None else image[:, *turn]
        values = values if places is not None else values[turn]
    about = (file.text("quantity", "spectrum"), shown(file.text("spectrum_unit", "")))
    one = Spectra(*about, values, axes, places) if places is not None else spectra_over(*about, values, axes, area)
    notes = [moved] if moved else []
    if any(flips):
        notes.append("one side of the extent is negative: the image and the spectra were turned")
    if not measured.all():
        notes.append(f"{int((~measured).sum())} places are marked as not measured (the array 'measured')")
    steps = len(axes[-1].values)
    unused = set(file) - KEYS - {key}
    return Measurement(
        images=() if image is None else _images(file, image, area),
        spectra=(one,),
        extent_source=source,
        facts={
            "unused_keys": sorted(unused),
            "possible_axes": [] if key in file else sorted(k for k in unused if file.raw(k).shape == (steps,)),
        },
        notes=tuple(notes),
    )


def _check_shapes(
    file: Archive, image: NDArray[Any] | None, values: NDArray[Any], places: NDArray[np.float64] | None
) -> tuple[int, int]:
    """Return the rows and columns that the extent refers to; raise SampleError if the shapes do not fit."""
    if image is not None and (image.ndim != 3 or len(image) < 1 or min(image.shape[1:]) < 2):
        raise file.error(
            f"expected image (H, W) or (C, H, W) with at least 1 channel and 2×2 px, got {file.raw('image').shape}; "
            "reshape it"
        )
    if places is not None:
        if values.ndim < 2 or places.shape != (len(values), 2):
            raise file.error(
                f"expected spectra (M, K) with positions_nm (M, 2), got {values.shape} and {places.shape}; reshape them"
            )
    elif values.ndim < 3:
        raise file.error(
            f"expected spectra (H, W, K), or (M, K) with positions_nm (M, 2), got {values.shape}; reshape them"
        )
    elif min(values.shape[:2]) < 2:
        raise file.error(f"expected spectra of at least 2×2 px, got {values.shape}; check the order of the dimensions")
    if values.shape[-1] < 2 or 0 in values.shape:
        raise file.error(
            f"expected at least 2 steps a spectrum, got spectra {values.shape}; check the order of the dimensions"
        )
    if image is None:
        return (1, 1) if places is not None else (values.shape[0], values.shape[1])
    shape = (image.shape[1], image.shape[2])
    if places is None and shape != values.shape[:2] and shape == values.shape[1::-1]:
        raise file.error(
            f"expected image and spectra over the same area, got an image of {shape[0]}×{shape[1]} px and spectra of "
            f"{values.shape[0]}×{values.shape[1]} px: one of them is transposed; turn it"
        )
    return shape


def _spectral_last(file: Archive, values: NDArray[Any], first: int, axis: str | None) -> tuple[NDArray[Any], str]:
    """Return the spectra with their spectral dimension last, and what was done to them.

    Of several dimensions after the places, it is the one that fits the spectral axis; without an axis, the longest.
    """
    lengths = values.shape[first:]
    key = "axis" if axis is None else axis
    if len(lengths) < 2:
        return values, ""
    if key in file:
        fitting = [number for number, length in enumerate(lengths) if (length,) == file.raw(key).shape]
        why = f"the only one as long as {key!r}"
    else:
        fitting = [number for number, length in enumerate(lengths) if length == max(lengths)]
        why = "the longest"
    if len(fitting) != 1 or fitting[0] == len(lengths) - 1:
        return values, ""
    note = f"of the dimensions {lengths} of the spectra, number {fitting[0] + 1} is taken as the spectral axis: {why}"
    return np.moveaxis(values, first + fitting[0], -1), note


def _mask(file: Archive, values: NDArray[Any], places: NDArray[np.float64] | None) -> NDArray[np.bool_]:
    """Return where spectra were measured, by the array of this name; an exported run means something else by it."""
    shape = values.shape[: 1 if places is not None else 2]
    if "measured" not in file or "start" in file:
        return np.ones(shape, dtype=bool)
    mask = file.raw("measured")
    if mask.shape != shape or mask.dtype.kind not in "bui":
        raise file.error(
            f"expected 'measured' as truth values {shape}, one a spectrum, got {mask.shape} of {mask.dtype}; correct it"
        )
    return mask.astype(bool)


def _axes(file: Archive, lengths: tuple[int, ...], axis: str | None) -> tuple[tuple[Axis, ...], str]:
    """Return the axes of the dimensions after the places, and the array that is the spectral one."""
    key = "axis" if axis is None else axis
    there, steps = axis is not None or key in file, lengths[-1]
    values = file.finite(key, np.float64) if there else np.arange(steps, dtype=np.float64)
    if values.shape != (steps,):
        raise file.error(
            f"expected an axis of shape ({steps},), one value a step of the spectra, got {key!r} of {values.shape}; "
            "correct it or leave it out"
        )
    if there and np.ptp(values) == 0:
        raise file.error(
            f"expected an axis that changes, got {values[0]:g} at all {steps} steps of {key!r}; correct it or leave it "
            "out"
        )
    spectral = Axis(file.text("axis_name", key if there else "step"), shown(file.text("axis_unit", "")), values)
    more = [Axis(f"dimension_{number}", "", np.arange(length, dtype=np.float64))
            for number, length in enumerate(lengths[:-1], start=1)]  # fmt: skip
    return (*more, spectral), key


def _images(file: Archive, image: NDArray[np.float32], area: Area) -> tuple[Image, ...]:
    count = len(image)
    names = file.texts("channels", ["image"] if count == 1 else [f"channel_{n}" for n in range(count)])
    if len(set(names)) < count:
        raise file.error(f"expected {count} different names in 'channels', got {names}; rename them")
    units = file.texts("channel_units", [""] * count)
    return tuple(
        Image(name, unit, values.astype(np.float64), area)
        for name, unit, values in zip(names, units, image, strict=True)
    )


def _area(file: Archive, shape: tuple[int, int]) -> tuple[Area, tuple[bool, bool], str]:
    """Return the area in nm, whether columns and rows are turned, and its source."""
    ny, nx = shape
    if "extent" in file and "extent_nm" in file:
        raise file.error("the extent is given twice, as 'extent' and 'extent_nm'; leave out one")
    if "extent" in file:
        factor = length_factor(file.text("extent_unit", ""), f"{file.path}: 'extent_unit'")
        return *area_of(file.raw("extent"), ny / nx, file.error, factor), "file"
    if "extent_nm" in file:
        return *area_of(file.raw("extent_nm"), ny / nx, file.error), "file"
    source = "file" if "positions_nm" in file and "image" not in file else "assumed 1 px = 1 nm"
    return (0.0, float(nx), 0.0, float(ny)), (False, False), source


READER = Reader("curio npz", (".npz", ".npy"), read)
