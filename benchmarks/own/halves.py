"""What structure alone explains: the error on a half of the image where nothing was ever measured."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agents.registry import build
from benchmarks.drawings import Key
from benchmarks.own.study import FULL, WINDOW, Part, Results, Study, cell, configured
from benchmarks.page import markdown
from benchmarks.runner import Arrays, Job, explore


@dataclass(frozen=True)
class HalfJob(Job):
    """A job that may only measure in the left part of the image."""

    measurable: float = 0.5

    def outcome(self) -> Arrays:
        """Run it; also the errors on what was not measured to the ``left``, and to the ``right``."""
        problem = self.problem()
        columns = np.arange(len(problem.pool)) % problem.pool.grid[1]
        right = columns >= self.measurable * problem.pool.grid[1]
        found = explore(problem, build(self.agent), self.points, avoid=np.flatnonzero(right).tolist())
        measured = np.isin(np.arange(len(right)), found["chosen"])
        floor = ((problem.truth - problem.truth.mean(axis=0)) ** 2).mean(axis=1)

        def nmse(where: NDArray[np.bool_]) -> NDArray[np.float64]:
            return np.array(found["place_mse"][where].mean() / floor[where].mean())

        return {**found, "left": nmse(~right & ~measured), "right": nmse(right)}


def jobs(study: Study) -> dict[Key, Job]:
    """Return the jobs."""
    return {
        (name, FULL, seed): HalfJob(sample, WINDOW, study.budgets[1], configured(FULL, seed, study.initial))
        for seed in range(study.few)
        for name, sample in study.samples.items()
    }


def lines(results: Results) -> list[str]:
    """Return a table of both errors."""
    rows = []
    for name in results.samples:
        outcomes = [results.outcomes[name, FULL, seed] for seed in results.seeds(name, FULL)]
        row = {"sample": name, "runs": str(len(outcomes))}
        for side, title in (("left", "map, where measured"), ("right", "structure only, where never")):
            row[title] = cell(np.array([float(outcome[side]) for outcome in outcomes]))
        rows.append(row)
    return [markdown(pd.DataFrame(rows))]


PART = Part(
    "Structure and position",
    "Only the left half of the image may be measured. On the left, structure and position explain the spectra; on the "
    "right, except close to the boundary, structure alone. NMSE where nothing was measured; above 1 is worse than the "
    "mean spectrum of the whole sample, which this agent cannot know.",
    jobs,
    lines,
)
