"""The figure of one explained decision."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from agents.protocols import Observation
from curio_plans.report.drawing import (
    ACCENT,
    QUIET,
    belief,
    draw_image,
    draw_map,
    draw_spectra,
    leave_blank,
    measured_style,
    predicted_style,
)
from curio_plans.study.explain import SCORE, Explanation


def draw(explanation: Explanation) -> Figure:
    """Draw a decision: the score over the pool, its parts here and elsewhere, and the spectrum that was measured."""
    names = [name for name in explanation.decision.parts if name in explanation.maps]
    drawing = Figure(figsize=(4.6 * (2 + max(len(names), 1)), 4.2), layout="constrained")
    axes = drawing.subplots(1, 2 + max(len(names), 1), squeeze=False)[0]
    _draw_place(axes[0], explanation)
    for axis, name in zip(axes[1:-1], names, strict=False):
        _draw_part(axis, explanation, name)
    if not names:
        _draw_error(axes[1], explanation)
    _draw_spectrum(axes[-1], explanation)
    run, decision = explanation.history, explanation.decision
    agent, uid = run.config.get("agent", ""), run.uid[:8]
    drawing.suptitle(f"decision {decision.number + 1} of run {uid}: {agent}, {decision.phase}", fontsize=11)
    return drawing


def _draw_place(axes: Axes, explanation: Explanation) -> None:
    pool, then = explanation.history.pool, explanation.belief
    if then is not None and SCORE in then.maps:
        draw_map(axes, pool, then.maps[SCORE].astype(np.float64), "score")
        axes.set_title(f"score after {then.observations} observations")
    else:
        draw_image(axes, pool)
        axes.set_title("image (no map of the score)")
    measured = pool.positions[explanation.measured]
    axes.plot(measured[:, 0], measured[:, 1], "o", ms=4, mfc="white", mec="black", mew=0.6, label="measured before")
    axes.plot(*explanation.decision.position, "*", ms=15, mfc=ACCENT, mec="white", label="decided")
    axes.set(xlabel="x / nm", ylabel="y / nm")
    axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, frameon=False)


def _draw_part(axes: Axes, explanation: Explanation, name: str) -> None:
    values = explanation.maps[name]
    axes.hist(values[explanation.available], bins=40, color=QUIET, alpha=0.5, label="available candidates")
    axes.axvline(explanation.decision.parts[name], color=ACCENT, lw=2, label="this one, when decided")
    rank = explanation.rank(name)
    where = f", rank {rank[0]} of {rank[1]}" if rank is not None else ""
    axes.set(title=f"{name.replace('_', ' ')}{where}", xlabel=name.replace("_", " "), ylabel="candidates")
    axes.legend(fontsize=7)


def _draw_error(axes: Axes, explanation: Explanation) -> None:
    """Draw the error that the agent expected, where the parts of its score are no maps."""
    name = next((one for one in ("reducible_error", "predicted_error") if one in explanation.maps), None)
    if name is None:
        leave_blank(axes, "no map of the score's parts had been recorded")
        return
    history = explanation.history
    values, unit = belief(history, explanation.maps, name)
    draw_map(axes, history.pool, values.astype(np.float64), unit)
    axes.plot(*explanation.decision.position, "*", ms=15, mfc=ACCENT, mec="white")
    axes.set(title="error the agent expected", xlabel="x / nm", ylabel="y / nm")


def _draw_spectrum(axes: Axes, explanation: Explanation) -> None:
    history, then, outcome = explanation.history, explanation.belief, explanation.outcome
    axes.set_title("what was measured")
    if not isinstance(outcome, Observation):
        leave_blank(axes, "not measured" if outcome is None else f"excluded: {outcome.reason}")
        return
    drawn = [(outcome.spectrum, measured_style("measured"))]
    if then is not None and then.prediction is not None:
        predicted = then.prediction[outcome.index].astype(np.float64)
        drawn.append((predicted, predicted_style(f"predicted after {then.observations} observations")))
    draw_spectra(axes, history, *drawn)
    axes.legend(fontsize=7)
