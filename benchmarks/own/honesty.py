"""Whether the own agent knows its error, at each candidate and of the whole map; and whether it stops in time."""

import dataclasses

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from agents.protocols import Estimate
from benchmarks import figures
from benchmarks.drawings import Key
from benchmarks.own.study import FULL, Part, Results, Study, Values
from benchmarks.page import markdown, picture, wrap
from benchmarks.runner import Arrays, Job
from curio_plans.rules.stopping import StoppingRule

FIELDS = [field.name for field in dataclasses.fields(Estimate)]

MODES = {"upper end of the interval": True, "the estimate itself": False}
"""Which number the rule reads; whether that is cautious."""


COVERAGE = (
    "Each row covers all seeds of a sample: the share of unmeasured places whose error is between the maps "
    "`error_low` and `error_high` (it should be 90 %); the estimated error of the map over the true one, mean ± "
    "standard deviation over seeds; the share of seeds whose true error is in the estimate's 90 % interval, and the "
    "width of that interval; the number of checks."
)


def jobs(study: Study) -> dict[Key, Job]:
    """Return the jobs: those of the learning curves."""
    return study.jobs((FULL,), study.seeds)


def lines(results: Results) -> list[str]:
    """Return tables and figure."""
    return [
        wrap(COVERAGE) + "\n",
        markdown(_coverage(results)),
        _figure(results),
        *_stopping(results),
    ]


def _coverage(results: Results) -> pd.DataFrame:
    first, second, _, last = results.study.budgets
    rows = []
    for name in [*results.samples, "all"]:
        for count in (first, second, last):
            found = [_at(outcome, count) for key, outcome in results.outcomes.items() if name in (key[0], "all")]
            estimates, truths, covered = (np.array(column) for column in zip(*found, strict=True))  # (S, 6), (S,), (S,)
            error, low, high = (estimates[:, FIELDS.index(field)] for field in ("error", "low", "high"))
            ratio = error / truths
            inside = (low <= truths) & (truths <= high)
            rows.append({
                "sample": name, "points": count, "runs": len(found),
                "places in their interval": f"{covered.mean():.1%}",
                "estimate / truth": f"{ratio.mean():.2f} ± {ratio.std():.2f}",
                "truth in the interval": f"{inside.mean():.0%}",
                "width, high / low": f"{np.median(high / low):.2f}",
                "checks": f"{estimates[:, FIELDS.index('checks')].mean():.1f}",
            })  # fmt: skip
    return pd.DataFrame(rows)


def _at(outcome: Arrays, count: int) -> tuple[Values, float, float]:
    (row,) = np.nonzero(outcome["counts"] == count)[0]
    return outcome["estimate"][row], float(outcome["true_error"][row]), float(outcome["covered"][row])


def _figure(results: Results) -> str:
    """Draw the estimated and the true error, for the first seed of each sample."""
    columns = min(len(results.samples), 3)
    stacked = -(-len(results.samples) // columns)
    drawing = Figure(figsize=(3.8 * columns, 3.2 * stacked), layout="constrained")
    for number, name in enumerate(results.samples):
        axes = drawing.add_subplot(stacked, columns, number + 1)
        seed = results.seeds(name, FULL)[0]
        outcome = results.outcomes[name, FULL, seed]
        counts, estimate = outcome["counts"], dict(zip(FIELDS, outcome["estimate"].T, strict=True))
        axes.fill_between(counts, estimate["low"], estimate["high"], color="#c2410c", alpha=0.15, lw=0, label="90 %")
        axes.plot(counts, estimate["error"], color="#c2410c", label="estimate")
        axes.plot(counts, estimate["noise"], color="#94a3b8", ls="--", label="of it noise")
        axes.plot(counts, outcome["true_error"], color="black", label="truth")
        axes.set(title=f"{name}, run {seed}", xlabel="measured points", ylabel="error of the map", ylim=(0, 2))
        axes.legend(fontsize=6.5)
    path = figures.save(drawing, results.images / "own-honesty.png")
    return picture(
        path, results.images.parent.parent, "The error of the map, estimated and true, in one run on each sample."
    )


def _stopping(results: Results) -> list[str]:
    rows = []
    second, longest = results.study.budgets[1], results.study.longest
    for label, cautious in MODES.items():
        trials, early, never, unreachable, overshoot = 0, 0, 0, 0, []
        for name in results.samples:
            outcomes = [results.outcomes[name, FULL, seed] for seed in results.seeds(name, FULL)]
            target = float(np.mean([_at(outcome, second)[1] for outcome in outcomes]))
            for outcome in outcomes:
                trials += 1
                reached = np.flatnonzero(outcome["true_error"] <= target)
                stopped = stop(outcome, target, cautious=cautious)
                unreachable += not reached.size
                if stopped is None:
                    never += 1
                elif outcome["true_error"][stopped] > target:
                    early += 1
                else:
                    counts = outcome["counts"]
                    overshoot.append(counts[stopped] / counts[reached[0]] - 1)
        rows.append({
            "rule reads": label, "trials": trials, "too early": f"{early} ({early / trials:.0%})",
            "never": f"{never} ({never / trials:.0%})",
            "overshoot, median of the rest": f"{np.median(overshoot):.0%}" if overshoot else "–",
            "never truly reached": unreachable,
        })  # fmt: skip
    text = (
        f"Stopping by `until: {{error: …}}`. The target of each sample is the mean true error after {second} points, "
        f"so about half of the runs need more; a run ends after {longest} points at the latest. *Too early*: the true "
        "error is above the target when the rule ends the run. *Overshoot*: points beyond the first at which the "
        "target was truly reached."
    )
    return [wrap(text) + "\n", markdown(pd.DataFrame(rows))]


def stop(outcome: Arrays, target: float, *, cautious: bool) -> int | None:
    """Return the row of an outcome at which the rule ends the run, None if it never does."""
    rule = StoppingRule(error=target, cautious=cautious)
    for row, (count, estimate) in enumerate(zip(outcome["counts"], outcome["estimate"], strict=True)):
        if rule.satisfied(int(count), Estimate(*estimate)) is not None:
            return row
    return None


PART = Part(
    "Honesty, and when to stop",
    "The agent estimates its error without knowing the truth. Here the truth is known, so the estimate can be checked.",
    jobs,
    lines,
)
