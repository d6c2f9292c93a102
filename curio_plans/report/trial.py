"""A trial as one picture: how fast each agent learns, and how many points it needs."""

import numpy as np
from matplotlib.figure import Figure

from curio_plans.report.drawing import ACCENT, QUIET
from curio_plans.study.trial import Trial

COLOURS = (ACCENT, "#0f766e", "#7c3aed", "#1d4ed8", "#a16207", "#475569")


def trial_figure(trial: Trial, title: str, seconds: float | None = None) -> Figure:
    """Draw a trial; the verdict is written below."""
    drawing = Figure(figsize=(11, 5), layout="constrained")
    curves, bars = drawing.subplots(1, 2, width_ratios=(1.6, 1))
    for number, one in enumerate(trial.tried):
        colour = COLOURS[number % len(COLOURS)]
        known = np.isfinite(one.errors).any(axis=0)
        low, middle, high = np.nanquantile(one.errors[:, known], (0, 0.5, 1), axis=0)
        curves.plot(one.counts[known], middle, color=colour, lw=1.6, marker=".", label=one.name)
        curves.fill_between(one.counts[known], low, high, color=colour, alpha=0.15, lw=0)
        reached = one.reached[np.isfinite(one.reached)]
        if np.isfinite(one.points):
            bars.barh(number, one.points, color=colour, alpha=0.8)
        else:
            bars.text(0, number, f"  not with {trial.budget}", va="center", color=QUIET)
        bars.plot(reached, np.full(len(reached), number), "|", color="black", ms=9)
    curves.axhline(trial.target, color=QUIET, ls="--", lw=1, label=f"half of the grid, {trial.half} points")
    if np.isfinite(trial.modelled):
        label = f"the same, with the model of {trial.tried[0].name}"
        curves.axhline(trial.modelled, color=QUIET, ls="-.", lw=1, label=label)
    curves.axhline(1, color=QUIET, ls=":", lw=0.8, label="mean spectrum")
    curves.set(xscale="log", yscale="log", xlabel="measured points", ylabel="error where nothing was measured")
    curves.set_title("relative to the mean spectrum; median and range of the seeds", fontsize=9)
    curves.legend(fontsize=7)
    bars.axvline(trial.half, color=QUIET, ls="--", lw=1)
    bars.set_yticks(range(len(trial.tried)), [one.name for one in trial.tried])
    bars.set(xlim=(0, 1.05 * max(trial.half, trial.budget)), ylim=(len(trial.tried) - 0.5, -0.5))
    bars.set(xlabel="points", title="to reach the error of half of the grid")
    drawing.suptitle(title, fontsize=11)
    drawing.supxlabel("\n".join(trial.verdict(seconds)), fontsize=9)
    return drawing
