"""Would it have paid? Agents on a measured sample, against measuring half of its grid."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import griddata

from agents.protocols import Agent, Context, Observation, Pool, Question
from curio_plans.study import floors
from curio_plans.study.common import AnalysisError, Build, Progress

LEAST = 40
"""A sample with fewer candidates is not tried."""
BUDGET = 250
"""Most points that an agent measures; one that needs more does not pay in the time of a trial."""
LOOKS = 14
"""Number of points of a learning curve."""


@dataclass(frozen=True, eq=False)
class Tried:
    """One agent, with several seeds.

    Attributes
    ----------
    name : str
    counts : (n,) int
        Numbers of measured points.
    errors : (seeds, n) float64
        Mean squared error where nothing was measured, relative to the mean spectrum; NaN after the target was reached.
    reached : (seeds,) float64
        Points with which the target was reached; NaN if it was not.
    """

    name: str
    counts: NDArray[np.int64]
    errors: NDArray[np.float64]
    reached: NDArray[np.float64]

    @property
    def points(self) -> float:
        """The median number of points to reach the target; infinite if half of the seeds did not."""
        return float(np.median(np.where(np.isnan(self.reached), np.inf, self.reached)))


@dataclass(frozen=True, eq=False)
class Trial:
    """What a trial found.

    Attributes
    ----------
    candidates : int
        Places of the sample.
    half : int
        Half of them: a checkerboard of the grid, every second place without one.
    target : float
        The error between those, relative to the mean spectrum: linearly interpolated, or by a kernel ridge regression
        from patch and position, whichever is better.
    budget : int
        Most points that an agent was given.
    tried : tuple of Tried
        The agents, the best first.
    modelled : float
        The error between the half if the model of the best agent has it; NaN if that agent has no model.
    """

    candidates: int
    half: int
    target: float
    budget: int
    tried: tuple[Tried, ...]
    modelled: float = np.nan

    def verdict(self, seconds: float | None = None) -> list[str]:
        """Return in sentences whether choosing points would have paid, at so many `seconds` a spectrum."""
        sentences = self._verdict(seconds)
        if np.isfinite(self.modelled) and self.modelled < self.target:
            sentences.append(
                f"With the model of {self.tried[0].name}, half of the grid would give an error of {self.modelled:.3f}."
            )
        return sentences

    def _verdict(self, seconds: float | None) -> list[str]:
        best = self.tried[0]
        goal = f"the error of half of the grid ({self.target:.3f})"
        if not np.isfinite(best.points):
            no = f"It would not have paid: no agent reaches {goal} with {self.budget} points in most of its runs."
            return [no, "Measure the grid."]
        saved = self.half - best.points
        instead = f"instead of {self.half}{_minutes(saved, seconds)}"
        first = f"{best.name} reaches {goal} with {best.points:.0f} points {instead}."
        if saved <= 0:
            return [first, "It would not have paid: half of the grid takes no more points."]
        chance = next((one.points for one in self.tried if one.name == "random"), None)
        if chance is None:
            return [first]
        if chance <= best.points:
            return [first, "Choosing would not have paid: as many random points are as good."]
        if not np.isfinite(chance):
            return [first, f"Random points do not reach it with {self.budget}."]
        less = chance - best.points
        return [first, f"Random points need {chance:.0f}: choosing saves {less:.0f}{_minutes(less, seconds)}."]


def _minutes(points: float, seconds: float | None) -> str:
    return "" if seconds is None else f", which is {points * seconds / 60:.1f} min less at {seconds:g} s a spectrum"


def trial(
    pool: Pool,
    truth: NDArray[np.float64],
    axis: NDArray[np.float64],
    build: Build,
    configs: Mapping[str, Sequence[Mapping[str, Any]]],
    budget: int = BUDGET,
    progress: Progress | None = None,
) -> Trial:
    """Let agents measure a sample of which every spectrum is known, until they know it as well as half of its grid.

    An agent without a model is judged by a kernel ridge regression on its points, from patch and position.

    Parameters
    ----------
    pool : Pool
        N candidates.
    truth : (N, K)
        Their spectra.
    axis : (K,)
        The spectral axis.
    build : callable
        Makes an agent from its config.
    configs : mapping of str to sequence of config
        The agents by name, one config for each seed.
    budget : int
        Most points of each; at most half of the candidates.
    progress : callable, optional
        Called with (runs done, runs in all).

    Raises
    ------
    AnalysisError
        If there are too few candidates, all spectra are equal, or an agent cannot run by itself.
    """
    if len(pool) < LEAST:
        raise AnalysisError(f"a trial needs at least {LEAST} candidates, this sample has {len(pool)}")
    if floors.mean_spectrum_mse(truth) == 0:
        raise AnalysisError("all spectra are equal: nothing can be learned, and there is nothing to try")
    every = half_of(pool)
    ridge = floors.ridge_prediction(pool, truth[every], every, "patch and position")
    target = min(_error(known, truth, every) for known in (_interpolated(pool, truth, every), ridge))
    budget = min(budget, len(every))
    counts = np.unique(np.geomspace(min(10, budget), budget, LOOKS).astype(np.int64))
    tried, done, runs = [], 0, sum(map(len, configs.values()))
    for name, seeds in configs.items():
        errors, reached = np.full((len(seeds), len(counts)), np.nan), np.full(len(seeds), np.nan)
        for number, config in enumerate(seeds):
            for place, error in enumerate(_errors(build(config), pool, truth, axis, counts)):
                errors[number, place] = error
                if error <= target:
                    reached[number] = counts[place]
                    break
            done += 1
            if progress is not None:
                progress(done, runs)
        tried.append(Tried(name, counts, errors, reached))
    tried.sort(key=lambda one: (one.points, np.nanmin(one.errors)))
    best = build(configs[tried[0].name][0])
    modelled = _modelled(best, pool, truth, axis, every)
    return Trial(len(pool), len(every), target, budget, tuple(tried), modelled)


def half_of(pool: Pool) -> NDArray[np.int64]:
    """Return every second candidate: a checkerboard of the grid; without one, every second place."""
    if pool.grid is None:
        return np.arange(0, len(pool), 2)
    row, column = np.divmod(np.arange(len(pool)), pool.grid[1])
    return np.flatnonzero((row + column) % 2 == 0)


def _interpolated(pool: Pool, truth: NDArray[np.float64], known: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return all spectra from the `known` ones: linear between them, the nearest one outside."""
    places, spectra = pool.positions[known], truth[known]
    nearest = griddata(places, spectra, pool.positions, method="nearest")
    if min(np.ptp(places, axis=0)) == 0:  # on a line
        return np.asarray(nearest)
    linear = griddata(places, spectra, pool.positions, method="linear")
    return np.where(np.isfinite(linear), linear, nearest)


def _modelled(
    agent: Agent, pool: Pool, truth: NDArray[np.float64], axis: NDArray[np.float64], known: NDArray[np.int64]
) -> float:
    """Return the error of an agent that is given the `known` spectra; NaN if it has no model."""
    agent.ingest(pool)
    for number, index in enumerate(known.tolist()):
        place = pool.positions[index]
        agent.ingest(Observation(index, place, place, truth[index], float(number), axis))
    prediction: Any = agent.report(Context(len(known))).prediction
    return np.nan if prediction is None else _error(prediction, truth, known)


def _errors(
    agent: Agent, pool: Pool, truth: NDArray[np.float64], axis: NDArray[np.float64], counts: NDArray[np.int64]
) -> Any:
    """Yield the error of an agent at each of `counts`, measuring in between."""
    context = Context(int(counts[-1]))
    agent.ingest(pool)
    chosen: list[int] = []
    for count in counts:
        while len(chosen) < count:
            answer = agent.suggest(1, context)
            if isinstance(answer, Question):
                raise AnalysisError(f"the agent asks {answer.text!r}, and in a trial nobody answers; choose another")
            index = answer[0].index
            place = pool.positions[index]
            agent.ingest(Observation(index, place, place, truth[index], float(len(chosen)), axis))
            chosen.append(index)
        prediction: Any = agent.report(context).prediction
        if prediction is None:
            prediction = floors.ridge_prediction(pool, truth[chosen], chosen, "patch and position")
        yield _error(prediction, truth, chosen)


def _error(prediction: NDArray[Any], truth: NDArray[np.float64], measured: Sequence[int] | NDArray[np.int64]) -> float:
    """Return the mean squared error where nothing was measured, relative to the mean spectrum there."""
    errors = ((prediction.astype(np.float64) - truth) ** 2).mean(axis=1)
    floor = floors.mean_spectrum_errors(truth)
    return float(np.delete(errors, measured).mean() / np.delete(floor, measured).mean())
