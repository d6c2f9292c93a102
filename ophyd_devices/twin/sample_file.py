"""A file of measured data as a recorded sample."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ophyd_devices.backend import Area, Channel, Spectroscopy
from ophyd_devices.readers import npz, registry
from ophyd_devices.readers.extent import Extent, area_of, with_area
from ophyd_devices.readers.gaps import without_filled_pixels, without_fillings
from ophyd_devices.readers.measurement import Measurement, SampleError
from ophyd_devices.readers.selection import Curves, Frame, Part, choose_curves, choose_frame, with_axis_unit
from ophyd_devices.readers.steps import prepare, with_bins
from ophyd_devices.readers.units import SMALLEST_EXTENT_NM
from ophyd_devices.twin.recorded import RecordedSample


def sample_from(
    path: str | Path,
    extent_nm: Extent | None = None,
    *,
    axis: str | None = None,
    axis_unit: str | None = None,
    image: str | Path | None = None,
    image_channel: str | Sequence[str] | None = None,
    spectrum_channel: str | None = None,
    part: Part | None = None,
    select: Mapping[str, float] | None = None,
    preprocess: Sequence[str] = (),
    reader: str | None = None,
) -> RecordedSample:
    """Read a file of measured data as a sample that can be measured.

    Parameters
    ----------
    path : str or Path
        A file that one of the installed readers opens; see :func:`ophyd_devices.readers.known_readers`.
    extent_nm : float or sequence, optional
        Width (the height follows from square pixels), (width, height), or (x_min, x_max, y_min, y_max), in nm. It
        overrides the extent in the file. Without either, a pixel is taken as 1 nm, and the description says so.
    axis : str, optional
        Only for npz files: name of the array (K,) that holds the spectral axis, if it is not called ``axis``.
    axis_unit : str, optional
        Unit of the axis, if the file does not give it.
    image : str or Path, optional
        Another file that holds the image, on the same scanner coordinates.
    image_channel : str or sequence of str, optional
        What the agent sees; by default all channels that share the pixels of the first.
    spectrum_channel : str, optional
        What is measured; by default the first channel. Several joined by `` + `` are learned together, each over its
        own spread.
    part : {"real", "imag", "abs", "phase"}, optional
        Of complex spectra; by default the real part.
    select : mapping of str to float, optional
        Value of each further axis of the spectra, such as a cycle; by default the first.
    preprocess : sequence of str
        Steps that change the spectra, in order, such as ``"range=-1,1"``; see :mod:`ophyd_devices.readers.steps`. More
        than 1024 steps are averaged to at most 512, unless a ``"bin=N"`` is among them.
    reader : str, optional
        The reader; by default the one that knows the file.

    Returns
    -------
    RecordedSample
        Its ``origin["notes"]`` say what was chosen, filled, left out and converted.

    Raises
    ------
    SampleError
        If the file is missing or unreadable, or does not hold what is asked for.
    """
    path = Path(path)
    found = read_measurement(path, axis=axis, image=image, reader=reader)
    try:
        if extent_nm is not None:
            found = with_area(found, _given(found, extent_nm))
        chosen, beside = choose_curves(found, spectrum_channel, part, select)
        learned = [without_fillings(with_axis_unit(one, axis_unit)) for one in chosen]
        steps = with_bins(learned[0], preprocess)
        curves, *others = prepare(learned, beside, steps)
        channels = [image_channel] if isinstance(image_channel, str) else image_channel
        frame = choose_frame(without_filled_pixels(found, learned[0]), learned[0], channels)
        _check_size(frame.area)
        kept, places, left_out = _places(curves, frame)
    except SampleError as error:
        raise SampleError(f"{path}: {error}") from error
    chosen_values = {name: float(value) for name, value in (select or {}).items()}  # as JSON gives it back
    asked = {
        "image": None if image is None else Path(image).name, "image_channel": channels,
        "spectrum_channel": spectrum_channel, "part": part, "select": chosen_values,
        "preprocess": steps, "reader": reader,
    }  # fmt: skip
    return RecordedSample(
        image=frame.values,
        values=np.stack([one.values[kept] for one in (curves, *others)]),
        channels=tuple(Channel(one.name, one.unit) for one in frame.images),
        spectroscopy=Spectroscopy(
            quantity=curves.name,
            unit=curves.unit,
            axis_name=curves.axis.name,
            axis_unit=curves.axis.unit,
            axis=curves.axis.values,
            others=tuple(Channel(one.name, one.unit) for one in others),
        ),
        area=frame.area,
        origin={
            "file": path.name,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "extent_source": found.extent_source,
            **found.facts,
            **{key: value for key, value in asked.items() if value},
            **({} if found.seconds is None else {"seconds_per_spectrum": found.seconds}),
            "notes": [*found.notes, *curves.notes, *frame.notes, *left_out],
        },
        places=places,
    )


def read_measurement(
    path: Path, *, axis: str | None = None, image: str | Path | None = None, reader: str | None = None
) -> Measurement:
    """Read a file, and another for its image if that is given; see :func:`sample_from`."""
    found = registry.read(path, reader)
    if axis is not None:
        if found.facts["reader"] != "npz":
            raise SampleError(f"{path}: the axis of a {found.facts['format']} file is known; leave out --axis")
        chosen = npz.read_npz(path, axis)
        found = replace(chosen, facts={**found.facts, **chosen.facts})
    if image is not None:
        other = registry.read(image)
        if not other.images:
            raise SampleError(f"{image}: expected a file with an image, this one has none")
        shown = tuple(replace(one, source=Path(image).name) for one in other.images)
        found = replace(found, images=shown + found.images, notes=(*found.notes, *other.notes))
    return found


def _given(found: Measurement, extent: Extent) -> Area:
    if found.images:
        rows, columns = found.images[0].values.shape
    elif found.spectra and found.spectra[0].grid is not None:
        rows, columns = found.spectra[0].grid
    else:
        rows = columns = 1
    return area_of(extent, rows / columns, SampleError)[0]


def _check_size(area: Area) -> None:
    width, height = area[1] - area[0], area[3] - area[2]
    if max(width, height) < SMALLEST_EXTENT_NM:
        raise SampleError(
            f"the extent is {width:.3g} × {height:.3g} nm, which looks like metres: that would be {width * 1e9:.4g} × "
            f"{height * 1e9:.4g} nm; give it in nm with --extent, or write 'extent' and 'extent_unit' into the file"
        )


def _places(curves: Curves, frame: Frame) -> tuple[NDArray[np.bool_], NDArray[np.float64] | None, list[str]]:
    """Return which spectra are candidates, and their places; None for the places if every pixel has one."""
    origin, measured = curves.origin, curves.measured
    same = origin.grid == frame.values.shape[1:] and origin.area is not None
    if same and np.allclose(origin.area, frame.area, rtol=1e-9) and measured.all():  # type: ignore[arg-type]
        return measured, None, []
    x_min, x_max, y_min, y_max = frame.area
    x, y = origin.positions.T
    inside = (x >= x_min) & (x <= x_max) & (y >= y_min) & (y <= y_max)
    kept = measured & inside
    if not kept.any():
        raise SampleError(
            f"expected spectra inside the image ({x_min:.5g} … {x_max:.5g}, {y_min:.5g} … {y_max:.5g} nm), and all lie "
            f"outside, at {x.min():.5g} … {x.max():.5g}, {y.min():.5g} … {y.max():.5g} nm; choose another image"
        )
    places = origin.positions[kept]
    unique = len(np.unique(places, axis=0))
    if unique < len(places):
        raise SampleError(f"expected one spectrum a place, got {len(places)} at {unique} places; average them first")
    if unique < 2:
        raise SampleError("expected at least two spectra inside the image, got one: there is nothing to choose")
    outside = int((measured & ~inside).sum())
    notes = [f"{outside} spectra lie outside the image: no candidates"] if outside else []
    if not same:
        rows, columns = frame.values.shape[1:]
        where = "at single places" if origin.grid is None else f"on {origin.grid[0]}×{origin.grid[1]} places"
        notes.append(f"the image has {rows}×{columns} px, the spectra are {where}: each on its own grid")
    return kept, places, notes
