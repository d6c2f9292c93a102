"""The scale of the study of the own agent: samples, budgets, seeds; and what its parts share."""

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.drawings import Key
from benchmarks.runner import Arrays, Job, parse_agent
from benchmarks.statistics import RESAMPLES, interval, with_interval
from benchmarks.study import ACTIN, BEPS, PAPER

Values = NDArray[np.float64]

WINDOW = 9

FULL, ANYWHERE, BASELINE, FLOOR = "curio", "curio:choice=random", "gp-variance", "random"


@dataclass(frozen=True)
class Study:
    """The scale of the study.

    Attributes
    ----------
    samples : mapping of name to str
        What :func:`benchmarks.problems.open_problem` takes.
    budgets : tuple of int
        Four numbers of points, ascending.
    seeds, fewer, few : int
        Repetitions: of the learning curves, of other comparisons, and of parts without a comparison.
    initial : int or None
        Points to start from, for agents that have them; None for their own.
    others : mapping of name to str
        Further samples, only for the comparison with the strongest simple method, see :func:`later`.
    drawn : int
        Number of worlds (:mod:`benchmarks.worlds`) that were developed on, and of those that were not.
    """

    samples: Mapping[str, str]
    budgets: tuple[int, int, int, int] = (50, 100, 150, 200)
    seeds: int = 10
    fewer: int = 5
    few: int = 3
    initial: int | None = None
    others: Mapping[str, str] = field(default_factory=dict)
    drawn: int = 12

    @property
    def worlds(self) -> dict[str, str]:
        """The samples that are worlds of the twin."""
        return {name: sample for name, sample in self.samples.items() if sample.startswith("twin")}

    @property
    def later_worlds(self) -> list[str]:
        """Those of :attr:`others` that are worlds of the twin."""
        return [name for name, sample in self.others.items() if sample.startswith("twin")]

    @property
    def longest(self) -> int:
        """Points of the agent itself: a fifth more than the last budget, to see whether it stops."""
        return self.budgets[-1] * 6 // 5

    def jobs(self, agents: Iterable[str], seeds: int, points: int | None = None) -> dict[Key, Job]:
        """Return the jobs of `agents` on all samples by (sample, agent, seed), seeds outermost.

        All have as many points as the last budget, or `points`; the agent itself :attr:`longest`.
        """
        return {
            (name, agent, seed): Job(
                sample,
                WINDOW,
                points or (self.longest if agent == FULL else self.budgets[-1]),
                configured(agent, seed, self.initial),
            )
            for seed in range(seeds)
            for name, sample in self.samples.items()
            for agent in agents
        }


@dataclass(frozen=True)
class Results:
    """The finished jobs of a part.

    Attributes
    ----------
    study : Study
    jobs : mapping of Key to Job
    outcomes : mapping of Key to Arrays
        Of the finished jobs.
    cache : Path
        Directory of the finished jobs.
    images : Path
        Directory for figures.
    """

    study: Study
    jobs: Mapping[Key, Job]
    outcomes: Mapping[Key, Arrays]
    cache: Path
    images: Path

    def seeds(self, sample: str, *agents: str) -> list[int]:
        """Return the seeds for which all `agents` have finished on a sample."""
        found = [{key[2] for key in self.outcomes if key[:2] == (sample, agent)} for agent in agents]
        return sorted(set.intersection(*found))

    def nmse(self, sample: str, agent: str, count: int, seeds: Iterable[int] | None = None) -> Values:
        """Return the NMSE where unmeasured after `count` points for each of the finished `seeds`, (S,)."""
        chosen = self.seeds(sample, agent) if seeds is None else seeds
        return np.array([nmse_at(self.outcomes[sample, agent, seed], count) for seed in chosen])

    def both(self, sample: str, one: str, other: str, counts: tuple[int, int]) -> tuple[Values, Values]:
        """Return the NMSE of two agents after `counts` points, paired by seed."""
        seeds = self.seeds(sample, one, other)
        return self.nmse(sample, one, counts[0], seeds), self.nmse(sample, other, counts[1], seeds)

    @property
    def samples(self) -> list[str]:
        """The samples with a finished job."""
        return [name for name in self.study.samples if any(key[0] == name for key in self.outcomes)]


@dataclass(frozen=True)
class Part:
    """A part of the study.

    Attributes
    ----------
    title, text : str
        What the page says about it.
    jobs : callable
        Returns the jobs by key, in the order in which they should be run.
    lines : callable
        Writes figures and returns the lines of Markdown with the results.
    borrowed : callable, optional
        Returns jobs of other studies that are shown where they are finished.
    """

    title: str
    text: str
    jobs: Callable[[Study], dict[Key, Job]]
    lines: Callable[[Results], list[str]]
    borrowed: Callable[[Study], dict[Key, Job]] = lambda _: {}


def shared(directory: Path) -> dict[str, str]:
    """Return the samples of the study: three that were measured, three worlds of the twin."""
    measured = {name: str(directory / f"{name}.npz") for name in (PAPER, BEPS, ACTIN)}
    return measured | {f"twin, seed {seed}": f"twin:seed={seed}" for seed in range(3)}


def later(directory: Path) -> dict[str, str]:
    """Return the samples on which nothing was developed before version 0.2: two that were measured, three worlds."""
    measured = {name: str(directory / f"{name}.npz") for name in ("cits_nanoscale12", "pto_beps_vartbo")}
    return measured | {f"twin, seed {seed}": f"twin:seed={seed}" for seed in range(11, 14)}


def configured(agent: str, seed: int, initial: int | None = None) -> dict[str, Any]:
    """Return the full config of an agent, see :func:`benchmarks.runner.parse_agent`, which is slow for every seed."""
    config = _configured(agent, initial)
    return {**config, "seed": seed} if "seed" in config else dict(config)


@functools.cache
def _configured(agent: str, initial: int | None) -> dict[str, Any]:
    return parse_agent(agent, 0, initial)


def nmse_at(outcome: Arrays, count: int) -> float:
    """Return an agent's NMSE where unmeasured after `count` points; NaN where it had no model yet."""
    (found,) = np.nonzero(outcome["counts"] == count)
    if not found.size:
        return float("nan")
    return float(outcome["unmeasured_mse"][found[0]] / outcome["unmeasured_floor"][found[0]])


def points_to(outcome: Arrays, nmse: float) -> float:
    """Return how many points an agent needed until it first had an NMSE; infinite if it never had."""
    reached = np.flatnonzero(outcome["unmeasured_mse"] / outcome["unmeasured_floor"] <= nmse)
    return float(outcome["counts"][reached[0]]) if reached.size else float("inf")


def cell(values: Values) -> str:
    """Return the mean of values (S,) over seeds and its 95 % interval, as text."""
    return with_interval(float(values.mean()), *interval(values))


def geometric(pairs: Iterable[tuple[Values, ...]]) -> tuple[float, float, float]:
    """Return the ratio of the means of paired values (S,), geometric mean over samples, and its 95 % interval.

    The interval is that of a bootstrap over seeds, for each sample on its own. A sample without seeds counts for
    nothing. NaN where a mean is not positive, or where there is no sample.
    """
    rng = np.random.default_rng(0)
    logarithms = []
    for one, other in pairs:
        if not len(one):
            continue
        drawn = rng.integers(len(one), size=(RESAMPLES, len(one)))
        drawn[0] = np.arange(len(one))  # the first is the sample itself
        above, below = one[drawn].mean(axis=1), other[drawn].mean(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            logarithms.append(np.log(above / below))
    if not logarithms:
        return float("nan"), float("nan"), float("nan")
    ratios = np.exp(np.mean(logarithms, axis=0))
    low, high = np.nanpercentile(ratios, [2.5, 97.5]) if np.isfinite(ratios).any() else (np.nan, np.nan)
    return float(ratios[0]), float(low), float(high)


def percent(ratio: tuple[float, float, float]) -> str:
    """Return by how much a ratio with its interval differs from 1, in percent, as text."""
    value, low, high = (100 * (number - 1) for number in ratio)
    return "–" if np.isnan(value) else f"{value:+.1f} % ({low:+.1f} … {high:+.1f})"
