"""The figure of a counterfactual: both courses, both learning curves, and how much was measured."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from curio_plans.report.drawing import ACCENT, QUIET, draw_map
from curio_plans.study.counterfactual import Counterfactual


def draw(result: Counterfactual) -> Figure:
    """Draw both courses, both learning curves, and how much of the other agent's wish was measured."""
    drawing = Figure(figsize=(15, 4.4), layout="constrained")
    courses, curves, wishes = drawing.subplots(1, 3)
    _draw_courses(courses, result)
    _draw_curves(curves, result)
    n = np.arange(1, len(result.wished) + 1)
    wishes.plot(n, np.cumsum(result.wished) / n, color=ACCENT, label="the other agent's wishes")
    wishes.axhline(result.chance, color=QUIET, ls=":", label="random wishes, on average")
    wishes.set(title="share of its wishes that the run measured", xlabel="decisions")
    wishes.set_ylim(bottom=0)
    wishes.legend(fontsize=8)
    how = "it really continues" if result.continues else "it orders the measured points"
    drawing.suptitle(
        f"{result.stored.label.split(',')[0]} measured; what if {result.other.label}? ({how})", fontsize=11
    )
    return drawing


def _draw_courses(axes: Axes, result: Counterfactual) -> None:
    pool = result.history.pool
    shown = pool.patches[:, 0, pool.patches.shape[2] // 2, pool.patches.shape[3] // 2]
    draw_map(axes, result.history.pool, shown.astype(np.float64), "image")
    axes.images[0].set_cmap("gray")
    for course, marker, colour in ((result.stored, "o", "#38bdf8"), (result.other, "x", ACCENT)):
        places = pool.positions[course.candidates]
        name = course.label.split(",")[0]
        axes.plot(places[:, 0], places[:, 1], marker, ms=5, mec=colour, mfc="none", ls="", label=name)
    axes.set(title="where both go" if result.continues else "the measured points", xlabel="x / nm", ylabel="y / nm")
    axes.legend(fontsize=8, loc="upper right")


def _draw_curves(axes: Axes, result: Counterfactual) -> None:
    for course, colour in ((result.stored, "#0284c7"), (result.other, ACCENT)):
        name = course.label.split(",")[0]
        axes.plot(
            course.common.points, course.common.mse, "o-", ms=3, color=colour, label=f"{name}: ridge on its points"
        )
        if course.own is not None:
            axes.plot(course.own.points, course.own.mse, "--", color=colour, label=f"{name}: its own predictions")
    axes.axhline(1, color=QUIET, lw=0.8, ls=":", label="mean spectrum")
    axes.set(title="learning curves", xlabel="measured points", ylabel="NMSE")
    axes.legend(fontsize=8)
