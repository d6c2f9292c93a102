"""What it is worth to mind the way: minutes, not points, to a given error."""

import numpy as np
import pandas as pd

from benchmarks.drawings import Key
from benchmarks.own.study import FULL, Part, Results, Study, Values, geometric, percent, points_to
from benchmarks.page import markdown
from benchmarks.runner import Arrays, Job

LOOP_S, SETTLE_S = 1.6, 0.01
"""The time of a spectrum, and the settling time of the twin's scanner."""

VELOCITIES = {"as the twin's": 2000.0, "slow": 100.0}
"""Of the scanner, in nm/s."""


def near(velocity: float) -> str:
    """Return the agent that minds the way of a scanner with this velocity."""
    return f"{FULL}:travel={velocity * LOOP_S:g}"


def jobs(study: Study) -> dict[Key, Job]:
    """Return the jobs, on the worlds of the twin alone: the velocities are the twin's."""
    agents = (FULL, *map(near, VELOCITIES.values()))
    return {key: job for key, job in study.jobs(agents, study.fewer).items() if key[0] in study.worlds}


def lines(results: Results) -> list[str]:
    """Return a table of minutes."""
    rows = []
    for label, velocity in VELOCITIES.items():
        for count in results.study.budgets[:3]:
            pairs, minutes, runs = [], [], 0
            for name in results.samples:
                seeds = results.seeds(name, FULL, near(velocity))
                if not seeds:
                    continue
                target = results.nmse(name, FULL, count, seeds).mean()
                times = np.array([
                    [_time(results, (name, agent, seed), velocity, target) for agent in (near(velocity), FULL)]
                    for seed in seeds
                ])  # (S, 2)  # fmt: skip
                reached = times[np.isfinite(times).all(axis=1)]
                runs += len(seeds)
                minutes += [*reached / 60]
                pairs.append((reached[:, 0], reached[:, 1]))
            if not minutes:
                continue
            alike, minding = np.mean(minutes, axis=0)[::-1]
            rows.append({
                "scanner": f"{label}, {velocity:g} nm/s", "NMSE as after points": count,
                "pairs": f"{len(minutes)} of {runs}",
                "min, travel=0": f"{alike:.2f}", f"min, travel={LOOP_S:g} s · velocity": f"{minding:.2f}",
                "change of time": percent(geometric(pairs)),
            })  # fmt: skip
    return [markdown(pd.DataFrame(rows))]


def _time(results: Results, key: Key, velocity: float, target: float) -> float:
    """Return the time in s until an NMSE is first reached; infinite if it never is."""
    outcome = results.outcomes[key]
    needed = points_to(outcome, target)
    if np.isinf(needed):
        return needed
    return float(_clock(results.jobs[key], outcome, velocity)[int(needed) - 1])


def _clock(job: Job, outcome: Arrays, velocity: float) -> Values:
    """Return when each spectrum was finished, in s; the tip starts over the centre."""
    places = job.problem().pool.positions
    path = np.vstack([places.mean(axis=0), places[outcome["chosen"]]])
    ways = np.hypot(*np.diff(path, axis=0).T)
    return np.asarray(np.cumsum(ways / velocity + SETTLE_S + LOOP_S))


PART = Part(
    "The way to the next point",
    "Simulated minutes until the NMSE first falls to what `curio` has on average after so many points, on the samples "
    f"of the twin (2000 nm wide). A point takes {LOOP_S:g} s for the spectrum, the move at the scanner's velocity, and "
    f"{SETTLE_S:g} s to settle. `travel` is the distance that the scanner moves in the time of one spectrum. Geometric "
    "mean over the samples, 95 % bootstrap interval over seeds; only pairs of runs that both reach the target.",
    jobs,
    lines,
)
