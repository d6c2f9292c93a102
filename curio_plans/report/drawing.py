"""What all figures of a run share: colours, maps over the pool, labels with units."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from agents.pool import lattice
from agents.protocols import Pool
from curio_plans.documents.history import History
from curio_plans.documents.streams import Point

Array = NDArray[np.floating[Any]]

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

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
    picture = axes.imshow(image.frame[shown], origin="lower", extent=image.area, cmap="gray")
    unit = image.channel_units[shown] if image.channel_units else ""
    label = f"{image.channels[shown]} / {unit}" if unit else image.channels[shown]
    axes.figure.colorbar(picture, ax=axes, label=label, shrink=0.75)
    axes.set(title=f"{points} points", xlabel="x / nm", ylabel="y / nm")


def draw_map(axes: Axes, pool: Pool, values: Array, label: str, **style: Any) -> None:
    """Draw `values` (N,) over the pool; see :func:`draw_places`."""
    draw_places(axes, pool.positions, values, label, **style)


def draw_places(axes: Axes, positions: Array, values: Array, label: str, **style: Any) -> None:
    """Draw `values` (N,) at positions (N, 2) in nm as a picture with a colour bar; `style` as for ``imshow``.

    Where the positions form a grid with gaps, the gaps stay empty; where they form none, each is a dot.
    """
    style = {"cmap": "viridis", "vmax": float(np.nanpercentile(values, 99)), **style}
    found = lattice(np.asarray(positions, np.float64))
    if found is None:
        shown: Any = axes.scatter(positions[:, 0], positions[:, 1], c=values, s=14, **style)
        axes.set_aspect("equal")
    else:
        grid, nodes = found
        picture = np.full(grid, np.nan)
        picture[nodes[:, 0], nodes[:, 1]] = values
        pitch = [np.ptp(positions[:, axis]) / max(grid[1 - axis] - 1, 1) for axis in (0, 1)]
        half = [(side or max(pitch)) / 2 for side in pitch]  # a single row is as high as its cells are wide
        low, high = positions.min(axis=0) - half, positions.max(axis=0) + half
        extent = (float(low[0]), float(high[0]), float(low[1]), float(high[1]))
        shown = axes.imshow(picture, origin="lower", extent=extent, **style)
    axes.figure.colorbar(shown, ax=axes, label=label, shrink=0.75)


def draw_image(axes: Axes, pool: Pool, **style: Any) -> None:
    """Draw the first channel of the image at the candidates."""
    middle = tuple(side // 2 for side in pool.patches.shape[2:])
    draw_map(axes, pool, pool.patches[:, 0, *middle].astype(np.float64), "image", **style)


def mark_places(axes: Axes, places: Iterable[tuple[str, tuple[float, float]]]) -> None:
    """Write letters at places in nm."""
    box = {"boxstyle": "circle,pad=0.15", "fc": "white", "ec": "black", "lw": 0.6, "alpha": 0.85}
    for letter, place in places:
        axes.annotate(
            letter, place, xytext=(9, 9), textcoords="offset points", fontsize=7, ha="center", va="center", bbox=box
        )
        axes.plot(*place, "o", mfc="none", mec="white", ms=9, mew=2.4)
        axes.plot(*place, "o", mfc="none", mec="black", ms=9, mew=1.0)


def belief(history: History, maps: Mapping[str, Array], name: str) -> tuple[Array, str]:
    """Return one map of the agent's belief as it is drawn, and its unit: squared errors as rms, like the true error."""
    if name in ERRORS and "error_low" in maps:
        kind = "rms" if name == "reducible_error" else "rms with noise"
        return np.sqrt(np.maximum(maps[name], 0.0)), f"{kind} / {spectrum_unit(history)}"
    return maps[name], "relative to the mean" if name == "predicted_error" else ""


def _times(value: float, _: int, factor: float) -> str:
    return f"{value * factor:g}"


def leave_blank(axes: Axes, reason: str) -> None:
    """Say in empty axes why they are empty."""
    axes.text(0.5, 0.5, reason, ha="center", va="center", transform=axes.transAxes, color=QUIET)
    axes.set_xticks([])
    axes.set_yticks([])


def title(history: History) -> str:
    """Return plan, agent, uid, sample and date of a run, as the title of a figure."""
    start = history.start or {}
    agent = start.get("agent")
    name = agent.get("agent", "") if isinstance(agent, Mapping) else ""
    told = _sample_of(start)
    day = f"{datetime.fromtimestamp(start['time']).astimezone():%Y-%m-%d}" if "time" in start else ""
    plan = f"{start.get('plan_name', 'run')} {name}   {str(start.get('uid', ''))[:8]}"
    return "   ".join(text.replace("$", r"\$") for text in (plan, told, day) if text)


def _sample_of(start: Mapping[str, Any]) -> str:
    """Return the name of the sample; where nobody gave it one, what the microscope calls it."""
    experiment, described = start.get("experiment"), start.get("sample")
    named = experiment.get("sample") if isinstance(experiment, Mapping) else None
    if isinstance(named, Mapping) and named.get("name"):
        return str(named["name"])
    found = described.get("sample") if isinstance(described, Mapping) else None
    return str(found.get("file") or found.get("kind") or "") if isinstance(found, Mapping) else ""


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
        axes.plot(*broken(about.axis if known else np.arange(len(spectrum), dtype=float), spectrum), **style)
    label_axes(
        axes,
        (about.axis_name, about.axis_unit) if known else ("step", ""),
        (about.quantity or "spectrum", spectrum_unit(history)),
    )


def broken(axis: Array, spectrum: Array) -> tuple[Array, Array]:
    """Return an axis and a spectrum (K,) with a gap wherever the axis jumps back: one sweep is one line.

    A jump is a step more than five times as large as the median one, as between a forward and a backward sweep that
    both are stored from low to high.
    """
    steps = np.abs(np.diff(axis))
    jumps = 1 + np.flatnonzero(steps > 5 * np.median(steps)) if len(steps) > 2 else np.array([], np.intp)
    return np.insert(np.asarray(axis, float), jumps, np.nan), np.insert(np.asarray(spectrum, float), jumps, np.nan)


def label_axes(axes: Axes, x: tuple[str, str], y: tuple[str, str]) -> None:
    """Label both axes with name and unit. Where numbers are small or large, the label has their power of ten.

    Matplotlib would write the power into the corner, where the title is.
    """
    for line, (name, unit), limits in (
        (axes.xaxis, x, axes.get_xlim()),
        (axes.yaxis, y, axes.get_ylim()),
    ):
        largest = max(abs(limit) for limit in limits)
        power = 3 * int(np.floor(np.log10(largest) / 3)) if largest > 0 and not 1e-2 <= largest < 1e5 else 0
        scale = "10" + str(power).translate(_SUPERSCRIPT) if power else ""
        line.set_label_text(f"{name} / {scale} {unit}".replace("/  ", "/ ").rstrip() if scale or unit else name)
        if power:
            line.set_major_formatter(FuncFormatter(partial(_times, factor=10.0**-power)))


def measured_style(label: str) -> dict[str, Any]:
    """Return how a measured or true spectrum is drawn."""
    return {"marker": ".", "color": QUIET, "lw": 0.8, "ms": 3, "label": label}


def predicted_style(label: str) -> dict[str, Any]:
    """Return how a predicted spectrum is drawn."""
    return {"color": ACCENT, "lw": 1.5, "label": label}
