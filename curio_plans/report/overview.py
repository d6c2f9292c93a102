"""One picture of a run: where it measured, and what its agent expected and learned."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from agents.protocols import Pool
from curio_plans.documents.history import History
from curio_plans.documents.streams import HUMAN, Point
from curio_plans.report.drawing import (
    ACCENT,
    Array,
    belief,
    draw_frame,
    draw_map,
    draw_places,
    mark_places,
    spectrum_unit,
    title,
)
from curio_plans.report.examples import EXAMPLES, draw_examples, good_and_bad, located, some_points
from curio_plans.report.learning import draw_curve, has_curve
from curio_plans.report.summary import ReportError
from curio_plans.study import floors
from curio_plans.study.evaluation import LEAST, Evaluation, final_prediction

_MARKS: Mapping[str, Mapping[str, Any]] = {
    "initial": {"marker": "o", "mfc": "none", "mec": "#56b4e9", "ms": 5},
    "check": {"marker": "s", "mfc": "none", "mec": "#cc79a7", "ms": 5},
    HUMAN: {"marker": "*", "mfc": "#f0e442", "mec": "black", "ms": 9, "mew": 0.6},
}
"""How points are marked that are not just the next of the agent's, by their phase."""


def figure(history: History, evaluation: Evaluation | None = None) -> Figure:
    """Draw a run: points on the image and three spectra; of an agent also its errors and its learning curve.

    Parameters
    ----------
    history : History
        A run with an image, or with spectra at known places.
    evaluation : Evaluation, optional
        From :func:`curio_plans.study.evaluate`; adds floors to the learning curve.

    Raises
    ------
    ReportError
        If the run has neither.
    """
    if not is_drawable(history):
        raise ReportError(
            "this run has no image and no spectra at known places, so there is nothing to draw; curio export writes "
            "what it has to a file"
        )
    pool = history.pool
    drawing = _draw_points_only(history) if pool is None else _draw_agent_run(history, pool, evaluation)
    drawing.suptitle(title(history), fontsize=11)
    return drawing


def is_drawable(history: History) -> bool:
    """Tell whether a run has an image, or spectra at known places."""
    return bool(history.images) or any(point.position is not None for point in history.of(Point))


def save_figure(history: History, path: Path, evaluation: Evaluation | None = None) -> Path:
    """Draw a run into a PNG file at `path` and return it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure(history, evaluation).savefig(path, dpi=110)
    return path


def _draw_points_only(history: History) -> Figure:
    """Draw a run without an agent: its image, its places, how much its spectra vary, and some of them."""
    points = history.of(Point)
    chosen = some_points(points)
    placed = [point for point in points if point.position is not None]
    places = np.array([point.position for point in placed]).reshape(-1, 2)
    varied = len(placed) >= EXAMPLES and len({point.spectrum.shape for point in placed}) == 1
    maps = bool(history.images) + varied
    drawing = Figure(figsize=(4.6 * maps + 3.4 * len(chosen), 3.9), layout="constrained")
    widths = [1.3] * maps + [1.0] * len(chosen)
    panels = list(drawing.subplots(1, len(widths), squeeze=False, width_ratios=widths)[0])
    if history.images:
        draw_frame(panels[0], history)
        if len(places):
            _draw_in_order(panels[0], np.column_stack([np.arange(1, len(places) + 1), places]), bar=not varied)
    if varied:
        spread = np.array([point.spectrum.std() for point in placed])
        axes = panels[maps - 1]
        draw_places(axes, places, spread, f"standard deviation of a spectrum / {spectrum_unit(history)}")
        axes.set(title=f"how much {len(placed)} spectra vary", xlabel="x / nm", ylabel="y / nm")
    for axes in panels[:maps]:
        mark_places(axes, located(chosen))
    draw_examples(panels[maps:], history, chosen, "")
    return drawing


def _draw_agent_run(history: History, pool: Pool, evaluation: Evaluation | None) -> Figure:
    model = _model(history, pool)
    chosen = some_points(history.of(Point)) if model is None else good_and_bad(history, model.prediction)
    maps = _error_maps(history, model)
    curve = has_curve(history, evaluation)
    widths = [1.4] + [1.0] * len(maps) + [1.25] * curve
    # Matplotlib forgets the left label of an image with two colour bars: the margin has it.
    layout = ConstrainedLayoutEngine(rect=(0.012, 0.0, 0.988, 1.0))
    drawing = Figure(figsize=(max(4.0 * len(widths) - 1, 9), 7.6), layout=layout)
    rows = drawing.add_gridspec(2, 1, height_ratios=(1.2, 1))
    top = rows[0].subgridspec(1, len(widths), width_ratios=widths)
    panels = [drawing.add_subplot(top[column]) for column in range(len(widths))]
    _draw_path(panels[0], history)
    mark_places(panels[0], located(chosen))
    for axes, one in zip(panels[1:], maps, strict=False):
        axes.set_title(one.title, fontsize=10)
        axes.set(xlabel="x / nm")
        draw_map(axes, pool, one.values, one.unit, **one.scale)
        mark_places(axes, located(chosen))
    if curve:
        draw_curve(panels[-1], history, evaluation)
    below = rows[1].subgridspec(1, max(len(chosen), 1))
    spectra = [drawing.add_subplot(below[column]) for column in range(len(chosen))]
    draw_examples(spectra, history, chosen, "" if model is None else model.name)
    return drawing


@dataclass(frozen=True, eq=False)
class _Model:
    """Who predicts spectra, and the predicted spectra (N, K)."""

    name: str
    prediction: Array


def _model(history: History, pool: Pool) -> _Model | None:
    """Return the agent as a model; where it predicts nothing, a regression over enough points; else None."""
    prediction = final_prediction(history)
    if prediction is not None:
        return _Model("agent", prediction)
    if len(history.observations) < LEAST:
        return None
    spectra = np.stack([observation.spectrum for observation in history.observations])
    return _Model("kernel ridge", floors.ridge_prediction(pool, spectra, history.measured()))


@dataclass(frozen=True, eq=False)
class _ErrorMap:
    """One map of errors (N,) with its unit, and the limits of its colours."""

    title: str
    values: Array
    unit: str
    scale: Mapping[str, float]


def _error_maps(history: History, model: _Model | None) -> list[_ErrorMap]:
    """Return the error that the agent expects and the true one, as far as they are known, on one scale.

    Where the truth is known, which has no noise, the expected error is the one without noise, too; where it is not, the
    second map is the part of the first that more points can remove.
    """
    found = []
    maps = history.maps[-1].maps if history.maps else {}
    comparable = history.reference is not None and "error_low" in maps and "reducible_error" in maps
    if "predicted_error" in maps:
        values, unit = belief(history, maps, "reducible_error" if comparable else "predicted_error")
        found.append(("error the agent expects", values, unit))
    if history.reference is None and "reducible_error" in maps:
        found.append(("of it reducible", *belief(history, maps, "reducible_error")))
    if history.reference is not None and model is not None:
        rms = np.sqrt(((model.prediction - history.reference) ** 2).mean(axis=1))
        found.append((f"true error ({model.name})", rms, f"rms / {spectrum_unit(history)}"))
    alike = len({unit.startswith("rms") for _, _, unit in found}) == 1
    limits = [np.nanpercentile(values, (0, 99)) for _, values, _ in found]
    low, high = min((low for low, _ in limits), default=0.0), max((high for _, high in limits), default=1.0)
    shared = {"vmin": float(low), "vmax": float(high)} if alike else {}
    return [_ErrorMap(name, values, unit, shared) for name, values, unit in found]


def _draw_path(axes: Axes, history: History) -> None:
    draw_frame(axes, history)
    phases = {decision.candidate: decision.phase for decision in history.decisions}
    places = [(number, *one.position) for number, one in enumerate(history.observations, start=1)]
    named = [phases.get(one.index, "") for one in history.observations]
    chosen = np.array([place for place, phase in zip(places, named, strict=True) if phase not in _MARKS])
    if len(chosen):
        axes.plot(chosen[:, 1], chosen[:, 2], "-", color=ACCENT, lw=0.4, alpha=0.6)
        _draw_in_order(axes, chosen)
    for phase, style in _MARKS.items():
        marked = np.array([place for place, name in zip(places, named, strict=True) if name == phase])
        if len(marked):
            axes.plot(marked[:, 1], marked[:, 2], ls="none", label=phase, **style)
    if not _MARKS.keys().isdisjoint(named):  # beside the image, off the points
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3, fontsize=7, frameon=False)


def _draw_in_order(axes: Axes, places: Array, *, bar: bool = True) -> None:
    """Draw places (n, 3), each number, x, y; the colour is the number, which a `bar` tells."""
    dots = axes.scatter(places[:, 1], places[:, 2], c=places[:, 0], s=12, cmap="autumn")
    if bar:
        axes.figure.colorbar(dots, ax=axes, label="point", shrink=0.75, pad=0.02, ticks=MaxNLocator(integer=True))
