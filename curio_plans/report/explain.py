"""The figure of one explained decision."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from agents.protocols import Observation
from curio_plans.report.drawing import ACCENT, QUIET, draw_map, leave_blank, spectral_axis, spectrum_unit
from curio_plans.study.explain import SCORE, Explanation


def draw(explanation: Explanation) -> Figure:
    """Draw a decision: the score then, its parts here and elsewhere, and the spectrum that came of it."""
    names = [name for name in explanation.decision.parts if explanation.rank(name) is not None]
    drawing = Figure(figsize=(4.6 * (2 + max(len(names), 1)), 4.2), layout="constrained")
    axes = drawing.subplots(1, 2 + max(len(names), 1), squeeze=False)[0]
    _draw_place(axes[0], explanation)
    for axis, name in zip(axes[1:-1], names, strict=False):
        _draw_part(axis, explanation, name)
    if not names:
        leave_blank(axes[1], "no map of the score's parts was recorded by then")
    _draw_spectrum(axes[-1], explanation)
    run, decision = explanation.history, explanation.decision
    agent, uid = run.config.get("agent", ""), run.uid[:8]
    drawing.suptitle(f"decision {decision.number + 1} of run {uid}: {agent}, {decision.phase}", fontsize=11)
    return drawing


def _draw_place(axes: Axes, explanation: Explanation) -> None:
    history, decision, belief = explanation.history, explanation.decision, explanation.belief
    pool = history.pool
    if belief is not None and SCORE in belief.maps:
        draw_map(axes, history.pool, belief.maps[SCORE].astype(np.float64), "score")
        axes.set_title(f"score after {belief.observations} observations")
    else:
        shown = pool.patches[:, 0, pool.patches.shape[2] // 2, pool.patches.shape[3] // 2]
        draw_map(axes, history.pool, shown.astype(np.float64), "image")
        axes.set_title("image (there is no map of the score)")
    measured = pool.positions[explanation.measured]
    axes.plot(measured[:, 0], measured[:, 1], "o", ms=4, mfc="white", mec="black", mew=0.6, label="known then")
    axes.plot(*decision.position, "*", ms=15, mfc=ACCENT, mec="white", label="decided")
    axes.set(xlabel="x / nm", ylabel="y / nm")
    axes.legend(fontsize=7, loc="upper right")


def _draw_part(axes: Axes, explanation: Explanation, name: str) -> None:
    assert explanation.belief is not None  # noqa: S101  a part is drawn where there is a map of it
    values = explanation.belief.maps[name]
    axes.hist(values[explanation.available], bins=40, color=QUIET, alpha=0.5, label="available candidates")
    axes.axvline(explanation.decision.parts[name], color=ACCENT, lw=2, label="this one, when decided")
    rank = explanation.rank(name)
    where = f", rank {rank[0]} of {rank[1]}" if rank is not None else ""
    axes.set(title=f"{name.replace('_', ' ')}{where}", xlabel=name.replace("_", " "), ylabel="candidates")
    axes.legend(fontsize=7)


def _draw_spectrum(axes: Axes, explanation: Explanation) -> None:
    history, belief, outcome = explanation.history, explanation.belief, explanation.outcome
    axes.set_title("what came of it")
    if not isinstance(outcome, Observation):
        leave_blank(axes, "not measured" if outcome is None else f"excluded: {outcome.reason}")
        return
    axis, label = spectral_axis(history)
    axes.set_xlabel(label)
    axes.set_ylabel(f"{history.spectroscopy.quantity} / {spectrum_unit(history)}")
    axes.plot(axis, outcome.spectrum, ".-", color=QUIET, lw=0.8, ms=3, label="measured")
    if belief is not None and belief.prediction is not None:
        label = f"predicted after {belief.observations} observations"
        axes.plot(axis, belief.prediction[outcome.index], color=ACCENT, lw=1.5, label=label)
    axes.legend(fontsize=7)
