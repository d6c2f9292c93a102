"""What bad spectra do to an agent: some are replaced by spikes, by noise, or by loops that did not switch."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.drawings import Key
from benchmarks.own.study import BASELINE, FULL, Part, Results, Study, geometric, percent
from benchmarks.page import markdown
from benchmarks.problems import Problem
from benchmarks.runner import Job

TRUSTING = "curio:robust=false"
AGENTS = (FULL, TRUSTING, BASELINE)

SHARE = 0.15
SPIKED, SPIKES = (1, 5), (2.0, 8.0)
"""How many steps of a spectrum have a spike, and how high it is, in ranges of the spectra."""

BAD = "{}, bad spectra"


@dataclass(frozen=True)
class BadJob(Job):
    """A job on a sample where a `share` of the spectra goes wrong; which ones, the agent's seed decides."""

    share: float = SHARE

    def problem(self) -> Problem:
        """Return the problem with bad measurements; what is there stays the same."""
        problem = super().problem()
        numbers = np.random.default_rng([self.agent["seed"], 1])
        spectra = spoil(problem.spectra, self.share, numbers)
        return dataclasses.replace(problem, spectra=spectra)


def spoil(spectra: NDArray[np.float64], share: float, numbers: np.random.Generator) -> NDArray[np.float64]:
    """Return `spectra` (N, K) of which a `share` is bad: a third each has spikes, is white noise, did not switch."""
    spoiled = spectra.copy()
    size, steps = spectra.shape
    extent, deviation = float(np.median(np.ptp(spectra, axis=1))), float(spectra.std())
    for number, index in enumerate(numbers.permutation(size)[: round(share * size)]):
        if number % 3 == 0:
            where = numbers.choice(steps, numbers.integers(SPIKED[0], SPIKED[1] + 1), replace=False)
            signs = numbers.choice([-1.0, 1.0], len(where))
            spoiled[index, where] += signs * numbers.uniform(*SPIKES, len(where)) * extent
        elif number % 3 == 1:
            spoiled[index] = spectra.mean() + deviation * numbers.standard_normal(steps)
        else:
            spoiled[index] = spectra[index, 0] + 0.02 * extent * numbers.standard_normal(steps)
    return spoiled


def jobs(study: Study) -> dict[Key, Job]:
    """Return the jobs, with bad spectra and, for what they are compared with, without."""
    clean = study.jobs(AGENTS, study.fewer)
    bad = {
        (name, BAD.format(agent), seed): BadJob(job.sample, job.window, study.budgets[-1], job.agent)
        for (name, agent, seed), job in clean.items()
    }
    return clean | bad


def lines(results: Results) -> list[str]:
    """Return a table of relative errors."""
    rows = []
    for agent in AGENTS:
        for count in (results.study.budgets[1], results.study.budgets[-1]):
            row = {"agent": agent, "points": str(count)}
            pairs = {name: results.both(name, BAD.format(agent), agent, (count, count)) for name in results.samples}
            row["all"] = percent(geometric(pairs.values()))
            each = {name: f"{one.mean() / two.mean() - 1:+.0%}" for name, (one, two) in pairs.items() if len(one)}
            rows.append(row | each)
    return [markdown(pd.DataFrame(rows).fillna("–"))]


PART = Part(
    "Bad spectra",
    f"{SHARE:.0%} of the spectra are replaced: one third has {SPIKED[0]} to {SPIKED[1]} spikes of {SPIKES[0]:g} to "
    f"{SPIKES[1]:g} times the range, one third is white noise, one third never switched. How much larger is the NMSE "
    "against the clean truth than without bad spectra? Geometric mean over the samples with a 95 % bootstrap interval, "
    "and each sample.",
    jobs,
    lines,
)
