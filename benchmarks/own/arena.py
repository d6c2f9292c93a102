"""The agent beside the strongest simple method, on samples that shaped it and on samples that did not."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from benchmarks.drawings import Key
from benchmarks.own.study import FULL, WINDOW, Part, Results, Study, Values, configured, geometric
from benchmarks.page import markdown, wrap
from benchmarks.runner import Job

STRONGEST = "ridge-ivr"


def jobs(study: Study) -> dict[Key, Job]:
    """Return the jobs of both, on all samples, seeds outermost."""
    return {
        (name, agent, seed): Job(sample, WINDOW, study.budgets[-1], configured(agent, seed, study.initial))
        for seed in range(study.few)
        for name, sample in {**study.samples, **study.others}.items()
        for agent in (STRONGEST, FULL)
    }


def lines(results: Results) -> list[str]:
    """Return a table of errors and one of their ratios."""
    study, rows = results.study, []
    for name in [*study.samples, *study.others]:
        seeds = results.seeds(name, FULL, STRONGEST)
        if not seeds:
            continue
        row = {"sample": name, "seeds": str(len(seeds))}
        for count in study.budgets:
            ours, theirs = results.both(name, FULL, STRONGEST, (count, count))
            row[str(count)] = f"{_mean(theirs)} → {_mean(ours)}, ×{ours.mean() / theirs.mean():.2f}"
        rows.append(row)
    groups = {
        "measured, version 0.1 was developed on them": set(study.samples) - set(study.worlds),
        "measured, what came since was developed on them": set(study.others) - set(study.later_worlds),
        "worlds of the twin, developed on": set(study.worlds),
        "worlds of the twin, never developed on": set(study.later_worlds),
    }
    summary = [
        {"geometric mean of the ratios": title, **_ratios(results, sorted(found))}
        for title, found in groups.items()
        if any(results.seeds(name, FULL, STRONGEST) for name in found)
    ]
    return [
        f"NMSE where nothing was measured, mean over seeds: `{STRONGEST}` → `{FULL}`, and the ratio.\n",
        markdown(pd.DataFrame(rows)),
        markdown(pd.DataFrame(summary)),
        wrap(_thinking(results)) + "\n",
    ]


def _mean(values: Values) -> str:
    return f"{values.mean():.3f}"


def _ratios(results: Results, samples: Sequence[str]) -> dict[str, str]:
    """Return the ratio at each budget, with its interval if there are several seeds of a sample."""
    found, several = {}, any(len(results.seeds(name, FULL, STRONGEST)) > 1 for name in samples)
    for count in results.study.budgets:
        ratio, low, high = geometric(results.both(name, FULL, STRONGEST, (count, count)) for name in samples)
        found[str(count)] = f"×{ratio:.2f} ({low:.2f} … {high:.2f})" if several else f"×{ratio:.2f}"
    return found


def _thinking(results: Results) -> str:
    seconds = np.concatenate([
        outcome["seconds"] for (_, agent, _), outcome in results.outcomes.items() if agent == FULL
    ])  # fmt: skip
    often, rarely, most = np.percentile(seconds, [50, 90, 100])
    return (
        f"A decision of `{FULL}` took {1000 * often:.0f} ms in the median, {1000 * rarely:.0f} ms at the 90th "
        f"percentile and {most:.1f} s at most, on a computer with other work; the longest are those that learn the "
        "model again."
    )


PART = Part(
    "Beside the strongest simple method",
    "`ridge-ivr` is kernel ridge regression whose kernel – sum or product of patch and position –, widths and ridge "
    "leaving one out chooses, and which measures where its integrated variance falls most. Both have the same pools, "
    "seeds and budgets. Three measured samples and the worlds 0 to 2 of the twin shaped version 0.1. Tunnelling "
    "spectra (cits), loops of another instrument (vartbo) and pif_actin shaped what came since: "
    "few choices between two or three variants each, but they were not left out one by one. The worlds 11 to 13 were "
    "looked at only after the last change.",
    jobs,
    lines,
)
