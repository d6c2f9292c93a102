"""What all figures of a run share: colours, maps over the pool, units."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from curio_plans.documents import IMAGE, POINT, History

Array = NDArray[np.floating[Any]]

ACCENT, QUIET = "#c2410c", "#64748b"


def extent(history: History) -> tuple[float, float, float, float]:
    """Return the imaged area (x_min, x_max, y_min, y_max) in nm."""
    area = history.configuration[IMAGE][f"{history.microscope}_imager_area"]
    return (float(area[0]), float(area[1]), float(area[2]), float(area[3]))


def draw_map(axes: Axes, history: History, values: Array, label: str, **style: Any) -> None:
    """Draw `values` (N,) over the pool as a picture with a colour bar; `style` goes to ``imshow``."""
    assert history.pool is not None  # noqa: S101  there are maps only over a pool
    grid, positions = history.pool.grid, history.pool.positions
    half = [np.ptp(positions[:, axis]) / max(grid[1 - axis] - 1, 1) / 2 for axis in (0, 1)]
    low, high = positions.min(axis=0) - half, positions.max(axis=0) + half
    shown = axes.imshow(
        values.reshape(grid),
        origin="lower",
        extent=(float(low[0]), float(high[0]), float(low[1]), float(high[1])),
        **{"cmap": "viridis", "vmax": float(np.nanpercentile(values, 99)), **style},
    )
    axes.figure.colorbar(shown, ax=axes, label=label, shrink=0.75)


def leave_blank(axes: Axes, reason: str) -> None:
    """Say in empty axes why they are empty."""
    axes.text(0.5, 0.5, reason, ha="center", va="center", transform=axes.transAxes, color=QUIET)
    axes.set_xticks([])
    axes.set_yticks([])


def spectrum_unit(history: History) -> str:
    """Return the unit of the spectra."""
    keys = history.data_keys.get(POINT, {})
    return str(keys.get(f"{history.microscope}_spectrometer_spectrum", {}).get("units") or "a.u.")


def axis_unit(history: History) -> str:
    """Return the unit of the spectral axis; empty if it has none."""
    spectrometer = f"{history.microscope}_spectrometer"
    keys = history.descriptor(POINT).get("configuration", {}).get(spectrometer, {}).get("data_keys", {})
    return str(keys.get(f"{spectrometer}_axis", {}).get("units") or "")
