"""What all figures of a run share: colours, maps over the pool, units."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from curio_plans.documents.history import History
from curio_plans.documents.streams import IMAGE, POINT

Array = NDArray[np.floating[Any]]

ACCENT, QUIET = "#c2410c", "#64748b"
FLOOR_COLOURS = {"patch": "#0f766e", "position": "#7c3aed", "patch and position": "#475569"}
"""Of the kernel ridge regressions in :data:`curio_plans.study.floors.KINDS`."""

ERRORS = ("predicted_error", "error_low", "error_high", "reducible_error")
"""Maps that are mean squared errors, see :class:`agents.protocols.Report`."""


def draw_frame(axes: Axes, history: History) -> None:
    """Draw the run's image, its polarisation if it has one."""
    assert history.frame is not None  # noqa: S101  nothing is drawn of a run without an image
    configuration, imager = history.configuration[IMAGE], f"{history.microscope}_imager"
    names = list(configuration[f"{imager}_channels"])
    shown = names.index("polarisation") if "polarisation" in names else 0
    x_min, x_max, y_min, y_max = (float(edge) for edge in configuration[f"{imager}_area"])
    axes.imshow(history.frame[shown], origin="lower", extent=(x_min, x_max, y_min, y_max), cmap="gray")
    axes.set(title=f"{names[shown]}, {len(history.observations)} points", xlabel="x / nm", ylabel="y / nm")


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


def belief(history: History, maps: Mapping[str, Array], name: str) -> tuple[Array, str]:
    """Return a map of what the agent believed, as it is drawn, and its unit: squared errors as rms, as the true one."""
    if name in ERRORS and "error_low" in maps:
        kind = "rms" if name == "reducible_error" else "rms with noise"
        return np.sqrt(np.maximum(maps[name], 0.0)), f"{kind} / {spectrum_unit(history)}"
    return maps[name], "relative to the mean" if name == "predicted_error" else ""


def leave_blank(axes: Axes, reason: str) -> None:
    """Say in empty axes why they are empty."""
    axes.text(0.5, 0.5, reason, ha="center", va="center", transform=axes.transAxes, color=QUIET)
    axes.set_xticks([])
    axes.set_yticks([])


def spectrum_unit(history: History) -> str:
    """Return the unit of the spectra as axes show it."""
    return history.spectrum_unit or "a.u."


def spectral_axis(history: History) -> tuple[NDArray[np.float64], str]:
    """Return the values (K,) of the spectral axis and its label with unit; no values before the first spectrum."""
    spectrometer = f"{history.microscope}_spectrometer"
    configuration = history.configuration.get(POINT, {})
    keys = history.descriptor(POINT).get("configuration", {}).get(spectrometer, {}).get("data_keys", {})
    unit = str(keys.get(f"{spectrometer}_axis", {}).get("units") or "")
    values = np.asarray(configuration.get(f"{spectrometer}_axis", ()), dtype=np.float64)
    return values, f"{configuration.get(f'{spectrometer}_axis_name', 'step')}{f' / {unit}' if unit else ''}"
