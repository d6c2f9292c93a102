"""What all figures of a run share: colours, maps over the pool, units."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from agents.protocols import Pool
from curio_plans.documents.history import History

Array = NDArray[np.floating[Any]]

ACCENT, QUIET = "#c2410c", "#64748b"
FLOOR_COLOURS = {"patch": "#0f766e", "position": "#7c3aed", "patch and position": "#475569"}
"""Of the kernel ridge regressions in :data:`curio_plans.study.floors.KINDS`."""

ERRORS = ("predicted_error", "error_low", "error_high", "reducible_error")
"""Maps that are mean squared errors, see :class:`agents.protocols.Report`."""


def draw_frame(axes: Axes, history: History) -> None:
    """Draw the first image of a run that has one, its polarisation if there is one."""
    image = history.images[0]
    shown = image.channels.index("polarisation") if "polarisation" in image.channels else 0
    axes.imshow(image.frame[shown], origin="lower", extent=image.area, cmap="gray")
    axes.set(title=f"{image.channels[shown]}, {len(history.observations)} points", xlabel="x / nm", ylabel="y / nm")


def draw_map(axes: Axes, pool: Pool, values: Array, label: str, **style: Any) -> None:
    """Draw `values` (N,) over the pool as a picture with a colour bar; `style` goes to ``imshow``."""
    grid, positions = pool.grid, pool.positions
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
    return history.spectroscopy.unit or "a.u."


def spectral_axis(history: History) -> tuple[NDArray[np.float64], str]:
    """Return the values (K,) of the spectral axis and its label with unit; no values before the first spectrum."""
    spectra = history.spectroscopy
    return spectra.axis, f"{spectra.axis_name}{f' / {spectra.axis_unit}' if spectra.axis_unit else ''}"
