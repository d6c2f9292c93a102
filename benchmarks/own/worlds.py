"""The agent beside the strongest simple method on worlds of all kinds, half of which nothing was developed on."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from benchmarks.drawings import Key
from benchmarks.own.arena import STRONGEST
from benchmarks.own.honesty import stop
from benchmarks.own.study import FULL, WINDOW, Part, Results, Study, configured, nmse_at
from benchmarks.page import markdown, wrap
from benchmarks.runner import Arrays, Job
from benchmarks.worlds import Traits

LIMITS = (0.1, 0.2, 0.3, 0.5)
"""Errors at which runs are asked to end."""

FALSE = 2.0
"""A run ended falsely if its true error is so many times the limit."""


def jobs(study: Study) -> dict[Key, Job]:
    """Return the jobs of both agents, one for each world, those that were developed on first."""
    return {
        (f"world {number}", agent, 0): Job(
            f"world:seed={number}", WINDOW, study.budgets[-1], configured(agent, 0, study.initial)
        )
        for number in [*range(0, 2 * study.drawn, 2), *range(1, 2 * study.drawn, 2)]
        for agent in (STRONGEST, FULL)
    }


def lines(results: Results) -> list[str]:
    """Return a table of ratios, one of stops, and one of all worlds."""
    halves = {"developed on": range(0, 2 * results.study.drawn, 2), "held back": range(1, 2 * results.study.drawn, 2)}
    done = {
        title: [number for number in numbers if results.seeds(f"world {number}", FULL, STRONGEST)]
        for title, numbers in halves.items()
    }
    ratios = [{"worlds": title, "number": len(found), **_ratios(results, found)} for title, found in done.items()]
    stops = [{"worlds": title, **_stops(results, found)} for title, found in done.items()]
    every = [_world(results, number) for found in done.values() for number in found]
    return [
        wrap(f"NMSE of `{FULL}` relative to `{STRONGEST}`: geometric mean over worlds, and the range.") + "\n",
        markdown(pd.DataFrame(ratios)),
        wrap(
            f"Runs that `until: {{error: …}}` would have ended, and how many of them falsely: the true error was above "
            f"{FALSE:g} times the limit. Last column: the share of unmeasured places whose error lies in its interval."
        )
        + "\n",
        markdown(pd.DataFrame(stops)),
        wrap("Each world: what it is like, and the NMSE of the two methods.") + "\n",
        markdown(pd.DataFrame(every)),
    ]


def _ratio(results: Results, number: int, count: int) -> float:
    ours, theirs = (results.nmse(f"world {number}", agent, count)[0] for agent in (FULL, STRONGEST))
    return float(ours / theirs)


def _ratios(results: Results, worlds: Sequence[int]) -> dict[str, str]:
    row = {}
    for count in results.study.budgets:
        found = np.array([_ratio(results, number, count) for number in worlds])
        found = found[np.isfinite(found)]  # without a model there is no error
        mean = np.exp(np.log(found).mean()) if found.size else np.nan
        row[str(count)] = f"×{mean:.2f} ({found.min():.2f} … {found.max():.2f})" if found.size else "–"
    return row


def _stops(results: Results, worlds: Sequence[int]) -> dict[str, str]:
    outcomes = [results.outcomes[f"world {number}", FULL, 0] for number in worlds]
    row = {}
    for limit in LIMITS:
        ends = [(outcome, stop(outcome, limit, cautious=True)) for outcome in outcomes]
        ended = [float(outcome["true_error"][at]) for outcome, at in ends if at is not None]
        row[f"limit {limit:g}"] = f"{len(ended)}, falsely {sum(error > FALSE * limit for error in ended)}"
    late = [outcome["covered"][len(outcome["covered"]) // 2 :] for outcome in outcomes]
    covered = [float(found.mean()) for found in late if found.size]
    return row | {"places": f"{np.mean(covered):.0%}" if covered else "–"}


def _world(results: Results, number: int) -> dict[str, str]:
    traits, counts = Traits.of(number), results.study.budgets
    ours, theirs = (results.outcomes[f"world {number}", agent, 0] for agent in (FULL, STRONGEST))
    return {
        "world": str(number),
        "structure": f"{traits.structure}, {traits.size:.0f} px" + f", ×{traits.stretch:g}" * (traits.stretch > 1),
        "spectra": traits.kind + f" over {traits.decades:g} decades" * (traits.decades > 0),
        "image shows": f"{traits.shown:.0%}",
        "noise": f"{traits.noise:.0%}" + ", uneven" * (traits.uneven > 0),
        **{str(count): f"{_error(theirs, count)} → {_error(ours, count)}" for count in counts[1::2]},
    }


def _error(outcome: Arrays, count: int) -> str:
    error = nmse_at(outcome, count)
    return f"{error:.3f}" if np.isfinite(error) else "–"


PART = Part(
    "Worlds of all kinds",
    "Samples drawn from a wide distribution (`benchmarks/worlds.py`): smooth, domains, stripes or rare spots, "
    "stretched or not; loops, currents, resonances or forces; over up to 2.5 decades; with an image that shows all, "
    "some or nothing of it; with little, much or uneven noise. Worlds with even numbers were developed on, those with "
    "odd numbers were looked at once, after the last change. One run each.",
    jobs,
    lines,
)
