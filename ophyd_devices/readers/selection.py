"""From everything that a file contains to what one run measures: which image, which channel, which part of it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import griddata
from scipy.ndimage import distance_transform_edt
from scipy.spatial import KDTree

from ophyd_devices.backend import Area
from ophyd_devices.readers.measurement import Axis, Image, Measurement, SampleError, Spectra
from ophyd_devices.readers.units import readable

MOST_FILLED = 0.1
"""Largest share of an image's pixels that is filled where values are missing."""

MADE = "the mean of each spectrum"
"""Source of an image that was made from the spectra."""

LEAST_PLACES = 4
"""Spectra from which an image is made where there is none."""

MOST_TOGETHER = 2**30
"""Bytes of spectra that are recorded together; channels beyond are left out."""

Part = Literal["real", "imag", "abs", "phase"]
"""What is taken of complex spectra; the phase in degrees, unwrapped along the axis."""

_PARTS: Mapping[str, tuple[str, Any]] = {
    "real": ("real part of", np.real),
    "imag": ("imaginary part of", np.imag),
    "abs": ("amplitude of", np.abs),
    "phase": ("phase of", lambda values: np.degrees(np.unwrap(np.angle(values), axis=-1))),
}


@dataclass(frozen=True, eq=False)
class Curves:
    """Real spectra of one channel.

    Attributes
    ----------
    name, unit : str
    values : (M, K) float64
        NaN where nothing was measured.
    axis : Axis
    origin : Spectra
        The channel that they come from; it has their places.
    notes : tuple of str
        What was chosen, filled and left out.
    """

    name: str
    unit: str
    values: NDArray[np.float64]
    axis: Axis
    origin: Spectra
    notes: tuple[str, ...]

    @property
    def measured(self) -> NDArray[np.bool_]:
        """(M,) whether there is a spectrum at each place."""
        return np.asarray(np.isfinite(self.values).all(axis=1))


@dataclass(frozen=True, eq=False)
class Frame:
    """Channels of one image that share their pixels: `values` (C, ny, nx) float32 without gaps, over `area` in nm."""

    images: tuple[Image, ...]
    values: NDArray[np.float32]
    area: Area
    notes: tuple[str, ...]


def choose_curves(
    found: Measurement, channel: str | None = None, part: Part | None = None, select: Mapping[str, float] | None = None
) -> tuple[tuple[Curves, ...], tuple[Curves, ...]]:
    """Return the spectra that an agent learns, and those that are recorded with them, with all their gaps.

    Parameters
    ----------
    found : Measurement
        The contents of a file.
    channel : str, optional
        The name of a channel, or several joined by `` + ``; by default the first.
    part : {"real", "imag", "abs", "phase"}, optional
        Of complex spectra; by default the real part, with the imaginary one beside it.
    select : mapping of str to float, optional
        For spectra with further axes, such as cycles: the value of each; the nearest is taken, by default the first.

    Raises
    ------
    SampleError
        If there is no such channel, part or axis, or several channels lie on different places or axes.
    """
    if not found.spectra:
        images = ", ".join(image.name for image in found.images) or "nothing"
        raise SampleError(
            f"expected spectra, found only images: {images}; give the file that has the spectra, and this one as "
            "--image"
        )
    if part is not None and part not in get_args(Part):
        raise SampleError(f"expected a part among {', '.join(get_args(Part))}, got {part!r}")
    every = [(spectra, one) for spectra in found.spectra for one in _parts(spectra, part)]
    names = [_name(spectra, one) for spectra, one in every]
    wanted = [0] if channel is None else _wanted(channel, every, names)
    first = every[wanted[0]][0]
    apart = [names[number] for number in wanted if not _together(every[number][0], first)]
    if apart:
        raise SampleError(f"{', '.join(apart)} and {first.name} have other places or axes; choose one of them")
    learned = [_curves(*every[number], select or {}) for number in wanted]
    others, left_out = [], []
    size = sum(one.values.nbytes for one in learned)
    for number, (beside, other) in enumerate(every):
        if number in wanted:
            continue
        size += 8 * len(beside.positions) * len(beside.axes[-1].values)
        if len(wanted) > 1 or not _together(beside, first) or size > MOST_TOGETHER:
            left_out.append(names[number])
            continue
        others.append(replace(_curves(beside, other, select or {}), notes=()))
    notes = list(learned[0].notes)
    if channel is None and len(names) > 1:
        notes.append(f"of the channels {', '.join(names)} the agent learns {names[0]!r}; see --spectrum-channel")
    if left_out:
        why = "only what is learned is" if len(wanted) > 1 else "they lie elsewhere or are too large"
        notes.append(f"not recorded, as {why}: {', '.join(left_out)}")
    return (replace(learned[0], notes=tuple(notes)), *learned[1:]), tuple(others)


def _wanted(channel: str, every: Sequence[tuple[Spectra, Part]], names: Sequence[str]) -> list[int]:
    """Return which channels are meant; a complex one may be named without its part."""
    plain = [spectra.name for spectra, _ in every]
    asked = [channel] if channel in (*names, *plain) else [name.strip() for name in channel.split(" + ")]
    unknown = [name for name in asked if name not in (*names, *plain)]
    if unknown or len(set(asked)) < len(asked):
        raise SampleError(
            f"expected a spectrum channel among {', '.join(names)}, or several joined by ' + ', got {channel!r}"
        )
    return [names.index(name) if name in names else plain.index(name) for name in asked]


def choose_frame(found: Measurement, curves: Curves, channels: Sequence[str] | None = None) -> Frame:
    """Return the image that an agent sees; where there is none, the mean of each spectrum.

    Parameters
    ----------
    found : Measurement
        The contents of a file.
    curves : Curves
        Its spectra.
    channels : sequence of str, optional
        Names of image channels with the same pixels; by default all that share those of the first. ``mean=LOW,HIGH`` is
        the mean of each spectrum between two values of its axis.

    Raises
    ------
    SampleError
        If there is no such channel, the channels differ in their pixels, too many pixels are missing, or no image can
        be made of the spectra.
    """
    notes = []
    if channels:
        chosen = [_image_called(name, found, curves) for name in channels]
        notes += [f"the agent sees the {image.name}: {image.source}" for image in chosen if _from_spectra(image)]
    elif found.images:
        chosen = [image for image in found.images if _alike(image, found.images[0])]
        others = [image.name for image in found.images if not _alike(image, found.images[0])]
        if others:
            notes.append(f"not seen by the agent, as their pixels differ: {', '.join(others)}; see --image-channel")
    else:
        chosen = [_mean_image(curves)]
        notes.append(
            f"there is no image in the file: the agent sees one made from the spectra ({chosen[0].name}: "
            f"{chosen[0].source}), which on an instrument would need every spectrum first; a band is taken by "
            "--image-channel mean=LOW,HIGH"
        )
    if not all(_alike(image, chosen[0]) for image in chosen):
        raise SampleError(
            "expected image channels with the same pixels, got "
            + ", ".join(f"{image.name} {image.values.shape[0]}×{image.values.shape[1]}" for image in chosen)
        )
    stack = np.stack([image.values for image in chosen])
    stack, area, cropped = _cropped(stack, chosen[0].area)
    stack, filled = _filled(stack, [image.name for image in chosen])
    notes += cropped + filled
    for image, values in zip(chosen, stack, strict=True):
        if np.ptp(values) == 0:
            notes.append(f"the image {image.name!r} is the same everywhere: its patches tell the agent nothing")
    with np.errstate(over="ignore"):
        frame = stack.astype(np.float32)
    if not np.isfinite(frame).all():
        raise SampleError("expected an image whose numbers fit into float32, got larger ones; choose a smaller unit")
    return Frame(tuple(chosen), frame, area, tuple(notes))


def _select(spectra: Spectra, select: Mapping[str, float]) -> tuple[NDArray[Any], list[str]]:
    """Return the values (M, K) at one value of each further axis."""
    values, notes = spectra.values, []
    further = spectra.axes[:-1]
    unknown = sorted(set(select) - {axis.name for axis in further})
    if unknown:
        names = ", ".join(axis.name for axis in further) or "none"
        raise SampleError(f"expected axes to select from among {names}, got {', '.join(unknown)}")
    for axis in further:
        wanted = select.get(axis.name)
        index = 0 if wanted is None else int(np.abs(axis.values - wanted).argmin())
        if len(axis.values) > 1:
            told = "the first" if wanted is None else "the nearest to what was asked for"
            notes.append(
                f"{axis.name} = {axis.values[index]:g} {axis.unit}".rstrip()
                + f" is {told} of {len(axis.values)}; see --select"
            )
        values = values[:, index]
    return values, notes


def _parts(spectra: Spectra, part: Part | None) -> tuple[Part, ...]:
    """Return which parts of spectra are channels."""
    if spectra.values.dtype.kind != "c":
        if part not in (None, "real"):
            raise SampleError(f"expected no part of real spectra, got {part!r}; leave out --part")
        return ("real",)
    return ("real", "imag") if part is None else (part,)


def _name(spectra: Spectra, part: Part) -> str:
    return spectra.name if spectra.values.dtype.kind != "c" else f"{_PARTS[part][0]} {spectra.name}"


def _together(one: Spectra, other: Spectra) -> bool:
    """Tell whether two channels were recorded at the same places along the same axes."""
    return np.array_equal(one.positions, other.positions) and [axis.values.tolist() for axis in one.axes] == [
        axis.values.tolist() for axis in other.axes
    ]


def _curves(spectra: Spectra, part: Part, select: Mapping[str, float]) -> Curves:
    """Return one channel as it is."""
    values, notes = _select(spectra, select)
    function = _PARTS[part][1]
    unit = "°" if part == "phase" else spectra.unit
    values = np.array(function(values) if values.dtype.kind == "c" else values, dtype=np.float64)
    axis = spectra.axes[-1]
    numbers, axis_unit = readable(axis.values, axis.unit)
    curves = Curves(
        _name(spectra, part), unit, values, Axis(axis.name, axis_unit, np.asarray(numbers, np.float64)), spectra, ()
    )
    if axis_unit != axis.unit:
        notes.append(f"the axis is given in {axis_unit} (the file has {axis.unit})")
    return replace(curves, notes=tuple(notes))


def _alike(one: Image, other: Image) -> bool:
    return one.values.shape == other.values.shape and bool(np.allclose(one.area, other.area, rtol=1e-6))


def _image_called(name: str, found: Measurement, curves: Curves) -> Image:
    """Return an image channel of the file, or the mean of a band of the spectra."""
    names = [image.name for image in found.images]
    if name in names:
        return found.images[names.index(name)]
    band = re.fullmatch(r"mean=([^,]+),([^,]+)", name)
    try:
        low, high = sorted(float(edge) for edge in band.groups()) if band else (np.nan, np.nan)
    except ValueError:
        low = high = np.nan
    if not low < high:
        raise SampleError(
            f"expected an image channel among {', '.join(names) or 'none'}, or mean=LOW,HIGH, got {name!r}"
        )
    axis = curves.axis
    inside = (axis.values >= low) & (axis.values <= high)
    if not inside.any():
        raise SampleError(
            f"{name} has no step of the axis {axis.values.min():.4g} … {axis.values.max():.4g} {axis.unit}".rstrip()
            + "; choose another band"
        )
    made = _mean_image(replace(curves, values=curves.values[:, inside]))
    unit = f" {axis.unit}" if axis.unit else ""
    return replace(made, name=f"{made.name}, {low:g} … {high:g}{unit}")


def _from_spectra(image: Image) -> bool:
    return image.source.startswith(MADE)


def _mean_image(curves: Curves) -> Image:
    """Return the mean of each spectrum as an image, interpolated where the places form no grid or have many gaps."""
    origin = curves.origin
    known = np.isfinite(curves.values).any(axis=1)
    with np.errstate(invalid="ignore"):
        counts = np.isfinite(curves.values).sum(axis=1)
    means = np.divide(np.nansum(curves.values, axis=1), counts, out=np.full(len(counts), np.nan), where=counts > 0)
    name, source = f"mean of {curves.name}", MADE
    if origin.grid is not None and origin.area is not None and min(origin.grid) > 1:
        values = means.reshape(origin.grid)
        rows = np.isfinite(values).any(axis=1)
        if np.isfinite(values[rows]).mean() >= 1 - MOST_FILLED:
            return Image(name, curves.unit, values, origin.area, source)
    if known.sum() < LEAST_PLACES:
        raise SampleError(
            f"expected an image, or at least {LEAST_PLACES} spectra to make one from, got {int(known.sum())}; "
            "add the image that shows where they are"
        )
    values, area = interpolated(origin.positions[known], means[known])
    return Image(name, curves.unit, values, area, f"{source}, interpolated between {int(known.sum())} places")


def interpolated(places: NDArray[np.float64], numbers: NDArray[np.float64]) -> tuple[NDArray[np.float64], Area]:
    """Return an image of `numbers` (M,) at `places` (M, 2) in nm, linear between them and the nearest outside.

    A pixel is as wide as the median distance between neighbours, within 8 and 128 px along the longer side.
    """
    distance = float(np.median(np.asarray(KDTree(places).query(places, k=2)[0])[:, 1]))
    low, high = places.min(axis=0), places.max(axis=0)
    longest = float((high - low).max())
    pitch = float(np.clip(distance, longest / 127, longest / 7))
    nx, ny = (max(3, int(np.ceil(side / pitch - 1e-9)) + 1) for side in high - low)
    middle = (low + high) / 2
    x, y = (
        centre + (np.arange(count) - (count - 1) / 2) * pitch for centre, count in zip(middle, (nx, ny), strict=True)
    )
    nodes = np.stack(np.meshgrid(x, y), axis=-1)
    picture = np.asarray(griddata(places, numbers, nodes, method="nearest"))
    if np.linalg.matrix_rank(places - places.mean(axis=0), tol=1e-6 * longest) == 2:  # not all on one line
        linear = griddata(places, numbers, nodes, method="linear")
        picture = np.where(np.isfinite(linear), linear, picture)
    area = (x[0] - pitch / 2, x[-1] + pitch / 2, y[0] - pitch / 2, y[-1] + pitch / 2)
    return picture, tuple(map(float, area))  # type: ignore[return-value]  # four of them


def _cropped(stack: NDArray[np.float64], area: Area) -> tuple[NDArray[np.float64], Area, list[str]]:
    """Return the image without rows and columns at its border that have no value at all."""
    known = np.asarray(np.isfinite(stack).all(axis=0))
    rows, columns = np.flatnonzero(known.any(axis=1)), np.flatnonzero(known.any(axis=0))
    if not len(rows):
        raise SampleError("expected an image with values, and no pixel has one")
    (low_y, high_y), (low_x, high_x) = (rows[0], rows[-1] + 1), (columns[0], columns[-1] + 1)
    ny, nx = known.shape
    if (high_y - low_y, high_x - low_x) == (ny, nx):
        return stack, area, []
    width, height = (area[1] - area[0]) / nx, (area[3] - area[2]) / ny
    smaller = (
        area[0] + low_x * width, area[0] + high_x * width, area[2] + low_y * height, area[2] + high_y * height
    )  # fmt: skip
    note = f"the image is cut to the {high_y - low_y}×{high_x - low_x} of {ny}×{nx} px that have values"
    return stack[:, low_y:high_y, low_x:high_x], smaller, [note]


def _filled(stack: NDArray[np.float64], names: Sequence[str]) -> tuple[NDArray[np.float64], list[str]]:
    """Return the image with missing pixels as their nearest neighbours that have a value."""
    filled, notes = stack, []
    for number, (name, values) in enumerate(zip(names, stack, strict=True)):
        missing = ~np.isfinite(values)
        count = int(missing.sum())
        if not count:
            continue
        if count > MOST_FILLED * values.size:
            raise SampleError(
                f"expected an image {name!r} with at most {MOST_FILLED:.0%} of its pixels missing, got {count} of "
                f"{values.size}; crop it, or choose another with --image-channel"
            )
        nearest = distance_transform_edt(missing, return_distances=False, return_indices=True)
        filled = filled.copy() if filled is stack else filled
        filled[number] = values[tuple(nearest)]
        notes.append(f"{count} missing pixels of the image {name!r} are filled with their nearest neighbours")
    return filled, notes


def with_axis_unit(curves: Curves, unit: str | None) -> Curves:
    """Return the curves with another unit of the axis, if one is given."""
    return curves if unit is None else replace(curves, axis=replace(curves.axis, unit=unit))
