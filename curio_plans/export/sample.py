"""A run as a recorded sample: an npz file that ``curio run --sample`` and the backend `recorded` measure again.

Such a file needs one spectrum for each pixel of the image, and none is invented. A complete grid has all spectra; its
image is the map of their heights. A run of the plan ``curiosity`` has spectra at the places that it chose; the rest can
be filled, on request, with the true spectra that a simulation recorded. Its image is the image of the run at the
candidates: every `stride`-th pixel.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.protocols import Pool
from curio_plans.documents.streams import Point
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

    Beside what a recorded sample needs, the file has ``measured`` (H, W), False where the truth was taken, and the
    start document as JSON text.

    Raises
    ------
    ExportError
        If the spectra do not lie on a grid, or not everywhere on it and `truth` does not fill the rest.
    """
    cube = cube_of(run)
    if cube is None:
        raise ExportError(
            "a recorded sample needs a spectrum for each pixel: expected a run of grid_spectroscopy or curiosity, got "
            f"one of {run.start.get('plan_name', 'another plan')!r} {_spectra(run)}; export it to .nxs instead"
        )
    spectra = cube.spectra if cube.measured.all() else _filled(run, cube, truth)
    (height, width, steps), about = spectra.shape, run.history.spectroscopy
    if min(height, width, steps) < 2:
        raise ExportError(
            f"a recorded sample needs at least 2×2 px and 2 steps, got {height}×{width} and {steps}; "
            "export the run to .nxs instead"
        )
    np.savez(
        path,
        image=cube.image,
        spectra=spectra,
        extent_nm=cube.extent,
        channels=cube.channels,
        channel_units=cube.channel_units,
        axis=about.axis,
        axis_name=about.axis_name,
        axis_unit=about.axis_unit,
        quantity=about.quantity,
        spectrum_unit=about.unit,
        measured=cube.measured,
        start=to_json(run.start),
    )


def cube_of(run: Run) -> Cube | None:
    """Return the spectra of a run on their grid; None if they lie on none."""
    if not run.has_spectra:
        return None
    if run.history.pool is not None and run.history.observations:
        return _of_pool(run, run.history.pool)
    if run.start.get("plan_name") == "grid_spectroscopy":
        return _of_grid(run)
    return None


def _of_pool(run: Run, pool: Pool) -> Cube:
    first, (rows, columns) = run.history.images[0], pool.grid
    edge, stride = run.start["pool"]["window"] // 2, run.start["pool"]["stride"]
    spectra = np.full((len(pool), run.history.observations[0].spectrum.size), np.nan)
    for observation in run.history.observations:
        spectra[observation.index] = observation.spectrum
    measured = np.zeros(len(pool), bool)
    measured[run.history.measured()] = True
    (x_min, x_max, y_min, y_max), (_, ny, nx) = first.area, first.frame.shape
    pitch = np.array([(x_max - x_min) / nx, (y_max - y_min) / ny]) * stride
    low = pool.positions.min(axis=0) - pitch / 2
    high = low + pitch * (columns, rows)
    return Cube(
        image=first.frame[:, edge::stride, edge::stride][:, :rows, :columns],
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


def _filled(run: Run, cube: Cube, truth: bool) -> NDArray[np.float64]:
    """Return the spectra with the truth where nothing was measured."""
    missing = f"only {cube.measured.sum()} of {cube.measured.size} places were measured, and no spectrum is invented"
    if run.history.reference is None:
        raise ExportError(f"{missing}; the truth is not known, so export the run to .nxs instead")
    if not truth:
        raise ExportError(f"{missing}; fill the others with the true spectra that the simulation recorded (--truth)")
    return np.where(cube.measured[..., None], cube.spectra, run.history.reference.reshape(cube.spectra.shape))


def _spectra(run: Run) -> str:
    return f"with {len(run.history.of(Point))} spectra" if run.has_spectra else "without spectra"
