"""What all figures of a run share: colours, maps over the pool, labels with units."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from agents.protocols import Pool
from curio_plans.documents.history import History
from curio_plans.documents.streams import Point

Array = NDArray[np.floating[Any]]

ACCENT, QUIET = "#c2410c", "#64748b"
FLOOR_COLOURS = {"patch": "#0f766e", "position": "#7c3aed", "patch and position": "#475569"}
"""Of the kernel ridge regressions in :data:`curio_plans.study.floors.KINDS`."""

ERRORS = ("predicted_error", "error_low", "error_high", "reducible_error")
"""Maps that are mean squared errors, see :class:`agents.protocols.Report`."""

ALL_EQUAL = "all spectra are equal"
"""Shown where an error relative to the mean spectrum is not defined."""


def draw_frame(axes: Axes, history: History) -> None:
    """Draw the first image of a run that has one, its polarisation if there is one."""
    image, points = history.images[0], len(history.of(Point))
    shown = image.channels.index("polarisation") if "polarisation" in image.channels else 0
    axes.imshow(image.frame[shown], origin="lower", extent=image.area, cmap="gray")
    axes.set(title=f"{image.channels[shown]}, {points} points", xlabel="x / nm", ylabel="y / nm")


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


def draw_image(axes: Axes, pool: Pool, **style: Any) -> None:
    """Draw the first channel of the image at the candidates."""
    middle = tuple(side // 2 for side in pool.patches.shape[2:])
    draw_map(axes, pool, pool.patches[:, 0, *middle].astype(np.float64), "image", **style)


def belief(history: History, maps: Mapping[str, Array], name: str) -> tuple[Array, str]:
    """Return one map of the agent's belief as it is drawn, and its unit: squared errors as rms, like the true error."""
    if name in ERRORS and "error_low" in maps:
        kind = "rms" if name == "reducible_error" else "rms with noise"
        return np.sqrt(np.maximum(maps[name], 0.0)), f"{kind} / {spectrum_unit(history)}"
    return maps[name], "relative to the mean" if name == "predicted_error" else ""


def leave_blank(axes: Axes, reason: str) -> None:
    """Say in empty axes why they are empty."""
    axes.text(0.5, 0.5, reason, ha="center", va="center", transform=axes.transAxes, color=QUIET)
    axes.set_xticks([])
    axes.set_yticks([])


def title(history: History) -> str:
    """Return plan, agent and uid of a run, as the title of a figure."""
    start = history.start or {}
    agent = start.get("agent")
    name = agent.get("agent", "") if isinstance(agent, Mapping) else ""
    return f"{start.get('plan_name', 'run')} {name}   {str(start.get('uid', ''))[:8]}"


def spectrum_unit(history: History) -> str:
    """Return the unit of the spectra as axes show it."""
    return history.spectroscopy.unit or "a.u."


def draw_spectra(axes: Axes, history: History, *spectra: tuple[Array, Mapping[str, Any]]) -> None:
    """Draw spectra (K,) over their axis, each with its style, and label the axes.

    Spectra that do not have the length of the axis, as after a change of the waveform, are drawn over their steps.
    """
    about = history.spectroscopy
    known = all(spectrum.shape == about.axis.shape for spectrum, _ in spectra)
    for spectrum, style in spectra:
        axes.plot(about.axis if known else np.arange(len(spectrum)), spectrum, **style)
    unit = f" / {about.axis_unit}" if about.axis_unit else ""
    axes.set_xlabel(f"{about.axis_name}{unit}" if known else "step")
    axes.set_ylabel(f"{about.quantity or 'spectrum'} / {spectrum_unit(history)}")


def measured_style(label: str) -> dict[str, Any]:
    """Return how a measured or true spectrum is drawn."""
    return {"marker": ".", "color": QUIET, "lw": 0.8, "ms": 3, "label": label}


def predicted_style(label: str) -> dict[str, Any]:
    """Return how a predicted spectrum is drawn."""
    return {"color": ACCENT, "lw": 1.5, "label": label}
