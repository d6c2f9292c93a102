"""One picture of a run: where it measured, and what its agent expected and learned."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from agents.protocols import Pool
from curio_plans.documents.history import History
from curio_plans.documents.streams import HUMAN, Point
from curio_plans.report.drawing import (
    ACCENT,
    ALL_EQUAL,
    FLOOR_COLOURS,
    QUIET,
    Array,
    belief,
    draw_frame,
    draw_map,
    draw_spectra,
    leave_blank,
    measured_style,
    predicted_style,
    spectrum_unit,
    title,
)
from curio_plans.report.summary import ReportError
from curio_plans.study import floors
from curio_plans.study.evaluation import LEAST, Evaluation, final_prediction

_MARKS: Mapping[str, Mapping[str, Any]] = {
    "initial": {"marker": "o", "mfc": "none", "mec": "#56b4e9", "ms": 5},
    "check": {"marker": "s", "mfc": "none", "mec": "#cc79a7", "ms": 5},
    HUMAN: {"marker": "*", "mfc": "#f0e442", "mec": "black", "ms": 9, "mew": 0.6},
}
"""How points are marked that are not just the next of the agent's, by their phase."""

EXAMPLES = 3
"""Number of spectra that are drawn."""

LETTERS = "abc"
"""What they are called on the image."""


def figure(history: History, evaluation: Evaluation | None = None) -> Figure:
    """Draw a run: points on the image and three spectra; of an agent also its errors and its learning curve.

    Parameters
    ----------
    history : History
        A run with an image.
    evaluation : Evaluation, optional
        From :func:`curio_plans.study.evaluate`; adds floors to the learning curve.

    Raises
    ------
    ReportError
        If the run has no image.
    """
    if not history.images:
        raise ReportError(
            "this run has no image, so there is nothing to draw; curio export writes its spectra to a file"
        )
    pool = history.pool
    drawing = _draw_points_only(history) if pool is None else _draw_agent_run(history, pool, evaluation)
    drawing.suptitle(title(history), fontsize=11)
    return drawing


def save_figure(history: History, path: Path, evaluation: Evaluation | None = None) -> Path:
    """Draw a run into a PNG file at `path` and return it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure(history, evaluation).savefig(path, dpi=110)
    return path


@dataclass(frozen=True, eq=False)
class _Model:
    """Who predicts spectra, and the predicted spectra (N, K)."""

    name: str
    prediction: Array


@dataclass(frozen=True, eq=False)
class _Example:
    """One spectrum (K,) to show; `kind` is true or measured, `predicted` what the model says there.

    `place` is where it belongs in nm, if that is known.
    """

    title: str
    kind: str
    spectrum: Array
    predicted: Array | None = None
    place: tuple[float, float] | None = None


def _draw_points_only(history: History) -> Figure:
    """Draw a run without an agent."""
    points = history.of(Point)
    examples = _some_points(points)
    drawing = Figure(figsize=(4 + 3.4 * len(examples), 3.7), layout="constrained")
    image, *spectra = drawing.subplots(1, 1 + len(examples), squeeze=False)[0]
    draw_frame(image, history)
    places = np.array([(number, *point.position) for number, point in enumerate(points, start=1) if point.position])
    if len(places):
        _draw_in_order(image, places)
    _draw_examples(spectra, history, examples, None)
    _locate(image, examples)
    return drawing


def _draw_agent_run(history: History, pool: Pool, evaluation: Evaluation | None) -> Figure:
    drawing = Figure(figsize=(14, 7.2), layout="constrained")
    rows = drawing.add_gridspec(2, 1, height_ratios=(1.15, 1))
    maps, curves = rows[0].subgridspec(1, 4, width_ratios=(1, 1, 1, 1.25)), rows[1].subgridspec(1, EXAMPLES)
    image, predicted, true, curve = (drawing.add_subplot(maps[column]) for column in range(4))
    spectra = [drawing.add_subplot(curves[column]) for column in range(EXAMPLES)]
    model = _model(history, pool)
    _draw_path(image, history)
    _draw_errors(predicted, true, history, pool, model)
    _draw_curve(curve, history, evaluation)
    examples = _some_points(history.of(Point)) if model is None else _good_and_bad(history, pool, model)
    _draw_examples(spectra, history, examples, model)
    _locate(image, examples)
    return drawing


def _model(history: History, pool: Pool) -> _Model | None:
    """Return the agent as a model; where it predicts nothing, a regression over enough points; else None."""
    prediction = final_prediction(history)
    if prediction is not None:
        return _Model("agent", prediction)
    if len(history.observations) < LEAST:
        return None
    spectra = np.stack([observation.spectrum for observation in history.observations])
    return _Model("kernel ridge", floors.ridge_prediction(pool, spectra, history.measured()))


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
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=3, fontsize=7, frameon=False)


def _draw_in_order(axes: Axes, places: Array) -> None:
    """Draw places (n, 3), each number, x, y; the colour is the number."""
    dots = axes.scatter(places[:, 1], places[:, 2], c=places[:, 0], s=12, cmap="autumn")
    axes.figure.colorbar(dots, ax=axes, label="point", shrink=0.75, ticks=MaxNLocator(integer=True))


def _draw_errors(expected: Axes, true: Axes, history: History, pool: Pool, model: _Model | None) -> None:
    """Draw the error that the agent expects and the true one, on one scale where both have a unit.

    Where the truth is not known, the second is the part of the first that more points can remove.
    """
    expected.set(title="error the agent expects", xlabel="x / nm")
    true.set(title=f"true error ({'agent' if model is None else model.name})", xlabel="x / nm")
    maps = history.maps[-1].maps if history.maps else {}
    drawn: dict[Axes, tuple[Array, str]] = {}
    if "predicted_error" in maps:
        drawn[expected] = belief(history, maps, "predicted_error")
    else:
        leave_blank(expected, "this agent predicts no error")
    if history.reference is not None and model is not None:
        rms = np.sqrt(((model.prediction - history.reference) ** 2).mean(axis=1))
        drawn[true] = rms, f"rms / {spectrum_unit(history)}"
    elif history.reference is None and "reducible_error" in maps:
        true.set(title="of it reducible")
        drawn[true] = belief(history, maps, "reducible_error")
    else:
        leave_blank(true, "the truth is not known" if history.reference is None else "no prediction yet")
    one_scale = len(drawn) == 2 and all(label.startswith("rms") for _, label in drawn.values())
    values = np.concatenate([each for each, _ in drawn.values()]) if drawn else np.zeros(1)
    scale = {"vmin": float(values.min()), "vmax": float(np.percentile(values, 99))} if one_scale else {}
    for axes, (each, label) in drawn.items():
        draw_map(axes, pool, each, label, **scale)


def _draw_curve(axes: Axes, history: History, evaluation: Evaluation | None) -> None:
    axes.set(title="learning curve", xlabel="measured points", ylabel="NMSE (1 = mean spectrum)")
    if evaluation is None:
        return _draw_estimate(axes, history)
    if evaluation.all_equal:
        return leave_blank(axes, ALL_EQUAL)
    unit = evaluation.mean_spectrum
    axes.axhline(1, color=QUIET, lw=0.8, ls=":", label="mean spectrum")
    for kind, colour in FLOOR_COLOURS.items():
        curve, label = evaluation.floors[kind].relative(unit), f"ridge, {kind}"
        axes.errorbar(curve.points, curve.mse, curve.spread, color=colour, lw=1, capsize=2, label=label)
    if evaluation.curve is not None:
        axes.plot(evaluation.curve.points, evaluation.curve.mse / unit, color=ACCENT, lw=1.5, label="agent")
    axes.plot(
        len(history.observations), evaluation.same_points / unit, "D", color=ACCENT, ms=5, mfc="none",
        label="ridge, agent's points",
    )  # fmt: skip
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.65 * (high - low))  # room for the legend
    axes.legend(fontsize=7, loc="upper right", title="ridge: on random points", title_fontsize=7)
    return None


def _draw_estimate(axes: Axes, history: History) -> None:
    """Draw what the agent believed of its error, where the truth is not known."""
    told = [(made.observations, made.estimate) for made in history.decisions if made.estimate is not None]
    if not told:
        leave_blank(axes, f"the truth is not known,\nor fewer than {LEAST} points")
        return
    points = [observations for observations, _ in told]
    low, error, high = zip(*((one.low, one.error, one.high) for _, one in told), strict=True)
    axes.axhline(1, color=QUIET, lw=0.8, ls=":", label="mean spectrum")
    axes.fill_between(points, low, high, color=ACCENT, alpha=0.2, lw=0, label="90 % interval")
    axes.plot(points, error, color=ACCENT, lw=1.5, label="agent's estimate")
    top = max(1.2, 1.5 * max(error))  # intervals of the first estimates may reach far beyond
    axes.set(title="learning curve, estimated", ylim=(0, top))
    axes.legend(fontsize=7)


def _some_points(points: list[Point]) -> list[_Example]:
    """Return spectra from the beginning, the middle and the end of a run."""
    numbers = sorted({0, len(points) // 2, len(points) - 1}) if points else []
    return [
        _Example(f"point {number + 1}", "measured", points[number].spectrum, place=points[number].position)
        for number in numbers
    ]


def _good_and_bad(history: History, pool: Pool, model: _Model) -> list[_Example]:
    """Return candidates that are predicted well, middling and badly, never measured where the truth is known."""
    measured = history.measured()
    if history.reference is not None:
        kind, where, spectra = "true", "unmeasured", history.reference
        candidates = np.delete(np.arange(len(spectra)), measured)
    else:
        kind, where, candidates = "measured", "measured", np.array(measured, dtype=np.int64)
        spectra = np.full_like(model.prediction, np.nan)
        for observation in history.observations:
            spectra[observation.index] = observation.spectrum
    if not len(candidates):
        return []
    order = candidates[np.argsort(((model.prediction - spectra) ** 2).mean(axis=1)[candidates])]
    chosen = {percent: order[round(percent / 100 * (len(order) - 1))] for percent in (10, 50, 90)}
    return [
        _Example(
            f"{where}, error at the {percent}th percentile",
            kind,
            spectra[index],
            model.prediction[index],
            (float(pool.positions[index, 0]), float(pool.positions[index, 1])),
        )
        for percent, index in chosen.items()
    ]


def _draw_examples(panels: list[Axes], history: History, examples: list[_Example], model: _Model | None) -> None:
    for letter, axes, example in zip(LETTERS, panels, examples, strict=False):
        axes.set_title(example.title if example.place is None else f"{letter}   {example.title}")
        drawn = [(example.spectrum, measured_style(example.kind))]
        if example.predicted is not None and model is not None:
            drawn.append((example.predicted, predicted_style(f"predicted ({model.name})")))
        draw_spectra(axes, history, *drawn)
        if len(drawn) > 1:
            axes.legend(fontsize=7)
    for axes in panels[len(examples) :]:
        leave_blank(axes, "no spectrum")


def _locate(image: Axes, examples: list[_Example]) -> None:
    """Write the letter of each example on the image, at its place."""
    for letter, example in zip(LETTERS, examples, strict=False):
        if example.place is not None:
            image.annotate(
                letter, example.place, color="black", fontsize=7, ha="center", va="center",
                bbox={"boxstyle": "circle,pad=0.2", "fc": "white", "ec": "black", "lw": 0.6, "alpha": 0.85},
            )  # fmt: skip
