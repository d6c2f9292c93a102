"""A run as a recorded sample: an npz file that ``curio run --sample`` and the backend `recorded` measure again.

No spectrum is invented. A complete grid is a spectrum for each pixel; its image is the map of their heights, or that of
the run at the candidates: every `stride`-th pixel. On request, the true spectra that a simulation recorded complete it.
Otherwise the file has the spectra at their places, and the whole image of the run.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.protocols import Pool
from curio_plans.export.run import ExportError, Run, to_json


@dataclass(frozen=True, eq=False)
class Cube:
    """Spectra on a regular grid, with an image of the same pixels.

    Attributes
    ----------
    image : (C, H, W)
        Row 0 at y_min.
    channels, channel_units : list of str
        C each.
    spectra : (H, W, K) float64
        NaN where nothing was measured.
    measured : (H, W) bool
        Where it was.
    extent : (x_min, x_max, y_min, y_max)
        To the outer edges of the pixels, in nm.
    """

    image: NDArray[Any]
    channels: list[str]
    channel_units: list[str]
    spectra: NDArray[np.float64]
    measured: NDArray[np.bool_]
    extent: tuple[float, float, float, float]


def write(run: Run, path: Path, *, truth: bool) -> None:
    """Write a run as a recorded sample at `path`.

    Beside what a recorded sample needs, the file has ``measured``, False where the truth was taken, and the start
    document as JSON text.

    Raises
    ------
    ExportError
        If there are fewer than two spectra, or the truth is wanted and not known.
    """
    if not run.has_spectra:
        raise ExportError(
            f"a recorded sample needs spectra, got a run of {run.start.get('plan_name', 'another plan')!r} without "
            "spectra; export it to .nxs instead"
        )
    if truth and run.history.reference is None:
        raise ExportError("the true spectra (--truth) are not known: only a simulation records them; leave it out")
    cube, about = cube_of(run), run.history.spectroscopy
    if len(about.axis) < 2:
        raise ExportError("a recorded sample needs spectra of at least 2 steps, got 1; export the run to .nxs instead")
    arrays: dict[str, Any] = {
        "axis": about.axis, "axis_name": about.axis_name, "axis_unit": about.axis_unit, "quantity": about.quantity,
        "spectrum_unit": about.unit, "start": to_json(run.start),
    }  # fmt: skip
    if cube is not None and (cube.measured.all() or truth) and min(cube.measured.shape) > 1:
        arrays |= _on_a_grid(run, cube)
    else:
        arrays |= _at_places(run, truth)
    np.savez(path, **arrays)


def _on_a_grid(run: Run, cube: Cube) -> dict[str, Any]:
    """Return the arrays of a sample with a spectrum for each pixel; the truth where nothing was measured."""
    spectra = cube.spectra
    if not cube.measured.all():
        spectra = np.where(cube.measured[..., None], spectra, np.asarray(run.history.reference).reshape(spectra.shape))
    return {
        "image": cube.image, "spectra": spectra, "extent_nm": cube.extent, "channels": cube.channels,
        "channel_units": cube.channel_units, "measured": cube.measured,
    }  # fmt: skip


def _at_places(run: Run, truth: bool) -> dict[str, Any]:
    """Return the arrays of a sample with spectra at single places, and the image of the run, if it has one."""
    history = run.history
    if history.pool is not None and history.observations:
        found = {one.index: one.spectrum for one in history.observations}
        if truth:
            found = {**dict(enumerate(np.asarray(history.reference))), **found}
        chosen = sorted(found)
        places, spectra = history.pool.positions[chosen], np.stack([found[index] for index in chosen])
        measured = np.isin(chosen, [one.index for one in history.observations])
    else:
        setpoints = [run.point(f"scanner_{axis}_setpoint") for axis in "xy"]
        places, first = np.unique(np.stack(setpoints, axis=1), axis=0, return_index=True)
        spectra, measured = run.point("spectrometer_spectrum")[first], np.ones(len(first), bool)
    if len(places) < 2:
        raise ExportError(f"a recorded sample needs at least two spectra, got {len(places)}; export the run to .nxs")
    arrays: dict[str, Any] = {"spectra": spectra, "positions_nm": places, "measured": measured}
    if history.images:
        image = history.images[0]
        arrays |= {
            "image": image.frame, "extent_nm": image.area, "channels": [name for name, _ in run.channels],
            "channel_units": [unit for _, unit in run.channels],
        }  # fmt: skip
    return arrays


def cube_of(run: Run) -> Cube | None:
    """Return the spectra of a run on their grid; None if they lie on none."""
    if not run.has_spectra:
        return None
    if run.history.pool is not None and run.history.observations:
        grid = run.history.pool.grid
        return None if grid is None else _of_pool(run, run.history.pool, grid)
    if run.start.get("plan_name") == "grid_spectroscopy":
        return _of_grid(run)
    return None


def _of_pool(run: Run, pool: Pool, grid: tuple[int, int]) -> Cube:
    first, (rows, columns) = run.history.images[0], grid
    pixels = first.candidates(run.start["pool"]).pixels
    spectra = np.full((len(pool), run.history.observations[0].spectrum.size), np.nan)
    for observation in run.history.observations:
        spectra[observation.index] = observation.spectrum
    measured = np.zeros(len(pool), bool)
    measured[run.history.measured()] = True
    pitch = np.ptp(pool.positions, axis=0) / np.maximum((columns - 1, rows - 1), 1)
    low = pool.positions.min(axis=0) - pitch / 2
    high = low + pitch * (columns, rows)
    return Cube(
        image=first.frame[:, pixels[:, 0], pixels[:, 1]].reshape(-1, rows, columns),
        channels=[name for name, _ in run.channels],
        channel_units=[unit for _, unit in run.channels],
        spectra=spectra.reshape(rows, columns, -1),
        measured=measured.reshape(rows, columns),
        extent=(float(low[0]), float(high[0]), float(low[1]), float(high[1])),
    )


def _of_grid(run: Run) -> Cube:
    rows, columns = (int(number) for number in run.start["shape"])
    x_min, x_max, y_min, y_max = (float(edge) for edge in run.start["plan_args"]["area"])
    x, y = run.point("scanner_x_setpoint"), run.point("scanner_y_setpoint")
    column = np.floor((x - x_min) / (x_max - x_min) * columns).astype(np.intp)
    row = np.floor((y - y_min) / (y_max - y_min) * rows).astype(np.intp)
    spectrum, height = run.point("spectrometer_spectrum"), run.point("spectrometer_height")
    spectra = np.full((rows, columns, spectrum.shape[1]), np.nan)
    heights = np.full((1, rows, columns), np.nan)
    measured = np.zeros((rows, columns), bool)
    spectra[row, column], heights[0, row, column], measured[row, column] = spectrum, height, True
    unit = run.unit("spectrometer_height")
    return Cube(heights, ["height of the spectrum"], [unit], spectra, measured, (x_min, x_max, y_min, y_max))
