"""The figure of a counterfactual: the points of both agents, their learning curves, and the measured wishes."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from curio_plans.report.drawing import ACCENT, ALL_EQUAL, QUIET, draw_image, leave_blank
from curio_plans.study.counterfactual import Counterfactual, Course


def draw(result: Counterfactual) -> Figure:
    """Draw the points of both agents, their learning curves, and the share of the other's wishes that was measured."""
    drawing = Figure(figsize=(15, 4.4), layout="constrained")
    courses, curves, wishes = drawing.subplots(1, 3)
    _draw_courses(courses, result)
    _draw_curves(curves, result)
    n = np.arange(1, len(result.wished) + 1)
    wishes.plot(n, np.cumsum(result.wished) / n, color=ACCENT, label="the other agent's wishes")
    wishes.axhline(result.chance, color=QUIET, ls=":", label="random candidates, on average")
    wishes.set(title="share of wishes that the run measured", xlabel="decisions")
    wishes.set_ylim(bottom=0)
    wishes.legend(fontsize=8)
    how = "really continued" if result.continues else "ordered the measured points"
    drawing.suptitle(f"measured by {_name(result.stored)}; {how} by {result.other.label}", fontsize=11)
    return drawing


def _draw_courses(axes: Axes, result: Counterfactual) -> None:
    pool = result.history.pool
    draw_image(axes, pool, cmap="gray")
    for course, marker, colour in ((result.stored, "o", "#38bdf8"), (result.other, "x", ACCENT)):
        places = pool.positions[course.candidates]
        axes.plot(places[:, 0], places[:, 1], marker, ms=5, mec=colour, mfc="none", ls="", label=_name(course))
    title = "points of both agents" if result.continues else "the measured points"
    axes.set(title=title, xlabel="x / nm", ylabel="y / nm")
    axes.legend(fontsize=8, loc="upper right")


def _draw_curves(axes: Axes, result: Counterfactual) -> None:
    axes.set(title="learning curves", xlabel="measured points", ylabel="NMSE (1 = mean spectrum)")
    if result.all_equal:
        leave_blank(axes, ALL_EQUAL)
        return
    for course, colour in ((result.stored, "#0284c7"), (result.other, ACCENT)):
        common, own, name = course.common, course.own, _name(course)
        axes.plot(common.points, common.mse, "o-", ms=3, color=colour, label=f"{name}: ridge on its points")
        if own is not None:
            axes.plot(own.points, own.mse, "--", color=colour, label=f"{name}: its own predictions")
    axes.axhline(1, color=QUIET, lw=0.8, ls=":", label="mean spectrum")
    axes.legend(fontsize=8)


def _name(course: Course) -> str:
    return course.label.split(",")[0]
