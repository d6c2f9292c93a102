"""One picture of a run: where it measured, what it expected, what it learned."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from curio_plans.documents.history import History
from curio_plans.report.drawing import (
    ACCENT,
    FLOOR_COLOURS,
    QUIET,
    Array,
    belief,
    draw_frame,
    draw_map,
    leave_blank,
    spectral_axis,
    spectrum_unit,
)
from curio_plans.report.summary import ReportError
from curio_plans.study import floors
from curio_plans.study.evaluation import Evaluation, final_prediction


def figure(history: History, evaluation: Evaluation | None = None) -> Figure:
    """Draw a run: path of chosen points, predicted and true error, learning curve, three spectra.

    Parameters
    ----------
    history : History
        A run with an image.
    evaluation : Evaluation, optional
        From :func:`evaluate`; adds floors to the learning curve.

    Raises
    ------
    ReportError
        If the run has no image.
    """
    if history.frame is None or history.start is None:
        raise ReportError("this run has no image; there is nothing to draw")
    drawing = Figure(figsize=(14, 7.2), layout="constrained")
    rows = drawing.add_gridspec(2, 1, height_ratios=(1.15, 1))
    maps, curves = rows[0].subgridspec(1, 4, width_ratios=(1, 1, 1, 1.25)), rows[1].subgridspec(1, 3)
    image, predicted, true, curve = (drawing.add_subplot(maps[column]) for column in range(4))
    spectra_axes = [drawing.add_subplot(curves[column]) for column in range(3)]
    _draw_path(image, history)
    prediction = final_prediction(history)
    label = "agent"
    if prediction is None and history.pool is not None and len(history.observations) >= 10:
        spectra = np.stack([observation.spectrum for observation in history.observations])
        measured = [observation.index for observation in history.observations]
        prediction, label = floors.ridge_prediction(history.pool, spectra, measured), "kernel ridge"
    _draw_predicted_error(predicted, history)
    _draw_true_error(true, history, prediction, label)
    _draw_curve(curve, history, evaluation)
    for axes, (title, index) in zip(spectra_axes, _examples(history, prediction), strict=True):
        _draw_spectrum(axes, history, prediction, label, title, index)
    agent = history.start.get("agent", {}).get("agent", "")
    drawing.suptitle(f"{history.start.get('plan_name', 'run')} {agent}   {history.start['uid'][:8]}", fontsize=11)
    return drawing


def save_figure(history: History, path: Path, evaluation: Evaluation | None = None) -> Path:
    """Draw a run into a PNG file at `path` and return it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure(history, evaluation).savefig(path, dpi=110)
    return path


def _draw_path(axes: Axes, history: History) -> None:
    draw_frame(axes, history)
    if not history.observations:
        return
    places = np.array([observation.position for observation in history.observations])
    begun = {decision.candidate for decision in history.decisions if decision.phase == "initial"}
    initial = np.array([observation.index in begun for observation in history.observations])
    if initial.any():
        axes.plot(places[initial, 0], places[initial, 1], "o", mfc="none", mec="#38bdf8", ms=5, label="initial")
        axes.legend(loc="upper right", fontsize=7)
    if (~initial).any():
        axes.plot(places[~initial, 0], places[~initial, 1], "-", color=ACCENT, lw=0.4, alpha=0.6)
        dots = axes.scatter(places[~initial, 0], places[~initial, 1], c=np.flatnonzero(~initial), s=12, cmap="autumn")
        axes.figure.colorbar(dots, ax=axes, label="point", shrink=0.75)


def _draw_predicted_error(axes: Axes, history: History) -> None:
    axes.set(title="error the agent expects", xlabel="x / nm")
    if history.pool is None or not history.maps or "predicted_error" not in history.maps[-1].maps:
        return leave_blank(axes, "this agent predicts no error")
    values, unit = belief(history, history.maps[-1].maps, "predicted_error")
    return draw_map(axes, history.pool, values, unit)


def _draw_true_error(axes: Axes, history: History, prediction: Array | None, label: str) -> None:
    axes.set(title=f"true error ({label})", xlabel="x / nm")
    if history.pool is None or history.reference is None:
        return leave_blank(axes, "the truth is not known here")
    if prediction is None:
        return leave_blank(axes, "no prediction yet")
    rms = np.sqrt(((prediction - history.reference) ** 2).mean(axis=1))
    return draw_map(axes, history.pool, rms, f"rms / {spectrum_unit(history)}")


def _draw_curve(axes: Axes, history: History, evaluation: Evaluation | None) -> None:
    axes.set(title="learning curve", xlabel="measured points", ylabel="NMSE (1 = mean spectrum)")
    if evaluation is None:
        return leave_blank(axes, "no truth to compare with")
    unit = evaluation.mean_spectrum
    axes.axhline(1, color=QUIET, lw=0.8, ls=":", label="mean spectrum")
    for kind, colour in FLOOR_COLOURS.items():
        curve, label = evaluation.floors[kind], f"ridge, {kind}"
        axes.errorbar(curve.points, curve.mse / unit, curve.spread / unit, color=colour, lw=1, capsize=2, label=label)
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


def _examples(history: History, prediction: Array | None) -> list[tuple[str, int | None]]:
    """Return three places to show: predicted well, middling and badly, never measured where that can be judged."""
    if prediction is None or history.pool is None:
        return [(f"point {n + 1}", n if n < len(history.observations) else None) for n in range(3)]
    measured = [observation.index for observation in history.observations]
    if history.reference is not None:
        places = np.delete(np.arange(len(prediction)), measured)
        mse = ((prediction - history.reference) ** 2).mean(axis=1)[places]
        kind = "unmeasured"
    else:
        places = np.array(measured)
        spectra = np.stack([observation.spectrum for observation in history.observations])
        mse = ((prediction[measured] - spectra) ** 2).mean(axis=1)
        kind = "measured"
    if len(places) == 0:
        return [("", None)] * 3
    order = places[np.argsort(mse)]
    return [
        (f"{kind}, error at the {percent}th percentile", int(order[round(percent / 100 * (len(order) - 1))]))
        for percent in (10, 50, 90)
    ]


def _draw_spectrum(
    axes: Axes, history: History, prediction: Array | None, label: str, title: str, index: int | None
) -> None:
    axis, label_of_axis = spectral_axis(history)
    axes.set(title=title, xlabel=label_of_axis, ylabel=f"{history.spectroscopy.quantity} / {spectrum_unit(history)}")
    if index is None:
        return leave_blank(axes, "not measured")
    if prediction is None:
        axes.plot(axis, history.observations[index].spectrum, color=QUIET, lw=1)
        return None
    if history.reference is not None:
        truth, name = history.reference[index], "true"
    else:
        truth = next(o.spectrum for o in history.observations if o.index == index)
        name = "measured"
    axes.plot(axis, truth, ".-", color=QUIET, lw=0.8, ms=3, label=name)
    axes.plot(axis, prediction[index], color=ACCENT, lw=1.5, label=f"predicted ({label})")
    axes.legend(fontsize=7)
    return None
