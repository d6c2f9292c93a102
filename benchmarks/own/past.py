"""What an earlier run is worth on another area of the same sample, and what it costs where it has nothing to say."""

import functools
import json
from dataclasses import dataclass

import numpy as np
import pandas as pd

from agents.protocols import Observation, Past, Pool
from agents.registry import build
from benchmarks.drawings import Key
from benchmarks.own.study import (
    FULL,
    WINDOW,
    Part,
    Results,
    Study,
    cell,
    configured,
    geometric,
    percent,
    points_to,
)
from benchmarks.page import markdown
from benchmarks.problems import Problem, open_problem
from benchmarks.runner import Arrays, Job, explore

ALONE, SAME, OTHER, MISLEADING = "alone", "same sample", "another sample", "misleading"

VARIANTS = {
    ALONE: "no earlier run",
    SAME: "the other area of the same sample",
    OTHER: "an area of another sample",
    MISLEADING: "the same, with its spectra at wrong places",
}


@dataclass(frozen=True)
class PastJob(Job):
    """A job on the right part of a sample, after a run on the left part of the same or of another one.

    Attributes
    ----------
    past : str
        The sample of the earlier run; empty for none.
    past_points : int
        What that run measured.
    shuffled : bool
        Whether its spectra are shuffled among its places.
    """

    past: str = ""
    past_points: int = 0
    shuffled: bool = False

    def problem(self) -> Problem:
        """Return the right part, without a pixel of the left."""
        return area(self.sample, self.window, "right")

    def outcome(self) -> Arrays:
        """Run the earlier run, unless it was the last of this process, and then this one."""
        past = []
        if self.past:
            config = json.dumps(self.agent, sort_keys=True)
            past = [earlier(self.past, self.window, self.past_points, config, shuffled=self.shuffled)]
        return explore(self.problem(), build(self.agent), self.points, past)


@functools.lru_cache(maxsize=12)
def area(sample: str, window: int, side: str) -> Problem:
    """Return the part to the ``left`` or ``right`` of a sample, candidates 1 px apart; the two share no pixel."""
    whole = open_problem(sample, window, 1)
    rows, columns = whole.pool.grid
    kept = (columns - window + 1) // 2
    grid = np.arange(rows * columns).reshape(rows, columns)
    index = (grid[:, :kept] if side == "left" else grid[:, columns - kept :]).ravel()
    pool = Pool(whole.pool.positions[index], whole.pool.patches[index], (rows, kept))
    return Problem(f"{whole.name}, {side}", pool, whole.spectra[index], whole.truth[index], whole.axis)


@functools.lru_cache(maxsize=12)
def earlier(sample: str, window: int, points: int, config: str, *, shuffled: bool) -> Past:
    """Return the run of an agent on the left part of a sample."""
    problem = area(sample, window, "left")
    chosen = _chosen(sample, window, points, config)
    spectra = chosen.copy()
    if shuffled:
        spectra = np.random.default_rng(0).permutation(chosen)
    observations = tuple(
        Observation(int(index), place, place, problem.spectra[other], float(number), problem.axis)
        for number, (index, other) in enumerate(zip(chosen, spectra, strict=True))
        for place in [problem.pool.positions[index]]
    )
    return Past(f"{sample}, left", problem.pool, observations)


@functools.lru_cache(maxsize=12)
def _chosen(sample: str, window: int, points: int, config: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return explore(area(sample, window, "left"), build(json.loads(config)), points)["chosen"]


def jobs(study: Study) -> dict[Key, Job]:
    """Return the jobs, on the worlds of the twin; the other one of a world is the next."""
    found: dict[Key, Job] = {}
    worlds = list(study.worlds)
    for seed in range(study.fewer):
        for number, name in enumerate(worlds):
            sample, other = study.worlds[name], study.worlds[worlds[(number + 1) % len(worlds)]]
            for variant, past in {ALONE: "", SAME: sample, OTHER: other, MISLEADING: other}.items():
                points = study.budgets[-1] if past else 0
                shuffled = variant == MISLEADING
                config = configured(FULL, seed, study.initial)
                found[name, variant, seed] = PastJob(
                    sample, WINDOW, study.budgets[1], config, 1, past, points, shuffled
                )
    return found


def lines(results: Results) -> list[str]:
    """Return tables: NMSE against points, and the points that an earlier run saves."""
    first, second, *_ = results.study.budgets
    counts = (first // 4, first // 2, first, second)
    rows = []
    for name in results.samples:
        for variant in VARIANTS:
            if seeds := results.seeds(name, variant):
                cells = {str(count): cell(results.nmse(name, variant, count, seeds)) for count in counts}
                rows.append({"sample": name, "learned from": VARIANTS[variant], "runs": str(len(seeds)), **cells})
    return [markdown(pd.DataFrame(rows)), *_saved(results, (first, second)), *_changed(results, counts)]


def _saved(results: Results, counts: tuple[int, int]) -> list[str]:
    """Say how many points are needed with an earlier run for what is reached without it."""
    rows = []
    for name in results.samples:
        row = {"sample": name}
        for count in counts:
            seeds = results.seeds(name, ALONE, SAME)
            if not seeds:
                continue
            target = results.nmse(name, ALONE, count, seeds).mean()
            needed = [points_to(results.outcomes[name, SAME, seed], target) for seed in seeds]
            middle = float(np.median(needed))
            row[f"points for {count}"] = f"{middle:g}, factor {count / middle:.2g}" if np.isfinite(middle) else "more"
        rows.append(row)
    title = (
        "Points needed after an earlier run on the same sample to reach the error of a run without one, median over "
        "seeds:\n"
    )
    return [title, markdown(pd.DataFrame(rows).fillna("–"))]


def _changed(results: Results, counts: tuple[int, ...]) -> list[str]:
    rows = []
    for variant in (SAME, OTHER, MISLEADING):
        row = {"learned from": VARIANTS[variant]}
        for count in counts:
            pairs = [results.both(name, variant, ALONE, (count, count)) for name in results.samples]
            row[f"{count} points"] = percent(geometric(pairs))
        rows.append(row)
    title = "Change of the NMSE by learning from an earlier run, geometric mean over the samples:\n"
    return [title, markdown(pd.DataFrame(rows))]


PART = Part(
    "Learning from an earlier run",
    "Two areas of a sample of the twin share no pixel. An earlier run of the agent has measured one of them; how fast "
    "is the other one learned? Another sample has the same physics, so an agent may learn from it as well. If the "
    "spectra of that sample are shuffled among its places (*misleading*), there is nothing to learn.",
    jobs,
    lines,
)
