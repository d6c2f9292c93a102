"""The learning curve of a run: the true one with floors, or what the agent believed of its error."""

from matplotlib.axes import Axes

from curio_plans.documents.history import History
from curio_plans.report.drawing import ACCENT, ALL_EQUAL, FLOOR_COLOURS, QUIET, leave_blank
from curio_plans.study.evaluation import Evaluation


def has_curve(history: History, evaluation: Evaluation | None) -> bool:
    """Tell whether there is a learning curve to draw."""
    return evaluation is not None or any(made.estimate is not None for made in history.decisions)


def draw_curve(axes: Axes, history: History, evaluation: Evaluation | None) -> None:
    """Draw the learning curve; without an `evaluation` the one that the agent estimated."""
    axes.set(title="learning curve", xlabel="measured points", ylabel="NMSE (1 = mean spectrum)")
    if evaluation is None:
        _draw_estimate(axes, history)
    elif evaluation.all_equal:
        leave_blank(axes, ALL_EQUAL)
    else:
        _draw_evaluation(axes, history, evaluation)
        _put_legend_below(axes, title="ridge: on random points")


def _draw_evaluation(axes: Axes, history: History, evaluation: Evaluation) -> None:
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


def _draw_estimate(axes: Axes, history: History) -> None:
    """Draw what the agent believed of its error, where the truth is not known."""
    told = [(made.observations, made.estimate) for made in history.decisions if made.estimate is not None]
    points = [observations for observations, _ in told]
    low, error, high = zip(*((one.low, one.error, one.high) for _, one in told), strict=True)
    axes.axhline(1, color=QUIET, lw=0.8, ls=":", label="mean spectrum")
    axes.fill_between(points, low, high, color=ACCENT, alpha=0.2, lw=0, label="90 % interval")
    axes.plot(points, error, color=ACCENT, lw=1.5, label="agent's estimate")
    top = max(1.2, 1.5 * max(error))  # intervals of the first estimates may reach far beyond
    axes.set(title="learning curve, estimated", ylim=(0, top))
    _put_legend_below(axes)


def _put_legend_below(axes: Axes, title: str | None = None) -> None:
    """Put the legend below the axes, off the curves."""
    axes.legend(
        fontsize=6.5, loc="upper center", bbox_to_anchor=(0.45, -0.16), ncols=2, frameon=False, title=title,
        title_fontsize=6.5, handlelength=1.2, columnspacing=0.8, handletextpad=0.5,
    )  # fmt: skip
