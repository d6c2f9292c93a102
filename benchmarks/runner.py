"""Agents on samples, without devices: the same decisions as in a run, only faster. Finished jobs are kept as files."""

import dataclasses
import functools
import hashlib
import itertools
import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from threadpoolctl import threadpool_limits

from agents.protocols import Agent, Context, EstimatesError, HasLatent, Observation, Past, Question
from agents.registry import build, configure
from benchmarks.problems import Problem, open_problem
from curio_plans.campaign import finished
from curio_plans.documents.start import versions
from curio_plans.study.floors import KINDS, mean_spectrum_errors, ridge_prediction

Arrays = dict[str, NDArray[Any]]

WORST = 10
"""The mean error is recorded for this number of worst places: figure 7 of the paper."""


@dataclass(frozen=True)
class Job:
    """One agent on one sample.

    Attributes
    ----------
    sample : str
        See :func:`benchmarks.problems.open_problem`.
    window : int
        Side of a patch in px.
    points : int
        The budget, initial points included.
    agent : mapping
        The full config, seed included.
    stride : int or None
        Distance between candidates in px.
    """

    sample: str
    window: int
    points: int
    agent: dict[str, Any]
    stride: int | None = None

    @property
    def name(self) -> str:
        """The name of the file that keeps the outcome; different for different jobs."""
        facts = {**dataclasses.asdict(self), "sample": _identity(self.sample)}
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
        return f"{self.agent['agent']}-{digest}.npz"

    def problem(self) -> Problem:
        """Return the sample as a pool with all its spectra."""
        return open_problem(self.sample, self.window, self.stride)

    def outcome(self) -> Arrays:
        """Run it; see :func:`explore`."""
        return explore(self.problem(), build(self.agent), self.points)


def _identity(sample: str) -> str:
    """Return the digest of a file, which stays the same when it is moved; the name of a sample of the twin."""
    path = Path(sample)
    return _digest(path, path.stat().st_mtime_ns) if path.is_file() else sample


@functools.cache
def _digest(path: Path, _: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def parse_agent(text: str, seed: int, initial: int | None = None) -> dict[str, Any]:
    """Return the full config of an agent given as ``NAME[:option=value,…]``, with `seed` and `initial` if it has them.

    Raises
    ------
    ValueError
        If there is no such agent or option.
    """
    name, _, pairs = text.partition(":")
    options: dict[str, Any] = {}
    for pair in filter(None, pairs.split(",")):
        key, found, value = pair.partition("=")
        if not found:
            raise ValueError(f"expected NAME:option=value,…, got {pair!r} in {text!r}")
        options[key] = _value(value)
    known = configure(name)
    common = {"seed": seed, **({} if initial is None else {"initial": initial})}
    return configure(name, **{**{key: value for key, value in common.items() if key in known}, **options})


def explore(
    problem: Problem, agent: Agent, points: int, past: Sequence[Past] = (), avoid: Sequence[int] = ()
) -> Arrays:
    """Let `agent` measure `points` candidates of `problem`, exactly as in a run of the plan ``curiosity``.

    It learns from the prior runs `past` first, in the time of the first decision. The candidates `avoid` are not
    available.

    Returns
    -------
    mapping of arrays
        ``chosen``, ``phases``, ``seconds``, ``acquired_mse`` (points,): each decision, its think time, training
        included, and the error of the agent's prediction for the spectrum that was then measured (NaN: no prediction).
        ``counts``, ``pool_mse``, ``unmeasured_mse``, ``unmeasured_floor``, ``worst_mse`` (m,): the agent's own
        predictions after so many observations: errors over the pool, over what was never measured, that of the mean
        spectrum there, and the mean error at the ten worst places; m = 0 for an agent without a model.
        ``ridge_counts`` (4,), ``ridge_pool_mse``, ``ridge_unmeasured_mse`` (kinds, 4), ``ridge_unmeasured_floor``
        (4,): the same of kernel ridge regressions on the points the agent chose, at each quarter of the budget.
        ``estimate`` (m, 6), ``true_error``, ``covered`` (m,): of an agent that estimates its error, the fields of
        :class:`~agents.protocols.Estimate` after so many observations; the true value of its error; and the share of
        the unmeasured candidates whose error lies between the maps ``error_low`` and ``error_high``.
        ``place_mse`` (N,), ``map_…`` (N,) and ``latent`` (N, L): the agent's final error at each candidate, its last
        belief maps, and its latent coordinates; for agents that have them.
    """
    chosen: list[int] = []
    phases, seconds, acquired, rows = [], [], [], []
    estimates, truths = [], []
    prediction: NDArray[Any] | None = None
    context = Context(budget=points, avoid=tuple(avoid))
    started = time.perf_counter()
    agent.ingest(*past, problem.pool)
    for number in range(points):
        suggestions = agent.suggest(1, context)
        if isinstance(suggestions, Question):
            raise RuntimeError(  # noqa: TRY004  nothing is of the wrong type
                f"the agent asks {suggestions.text!r}, and a benchmark has nobody to answer"
            )
        seconds.append(time.perf_counter() - started)
        index = suggestions[0].index
        place = problem.pool.positions[index]
        chosen.append(index)
        phases.append(suggestions[0].phase)
        started = time.perf_counter()
        agent.ingest(Observation(index, place, place, problem.spectra[index], float(number), problem.axis))
        acquired.append(np.nan if prediction is None else ((prediction[index] - problem.spectra[index]) ** 2).mean())
        report = agent.report(context)
        prediction = report.prediction
        thinking = time.perf_counter() - started
        if prediction is not None:
            rows.append((number + 1, *_errors(problem, prediction, chosen)))
            if isinstance(agent, EstimatesError) and (estimate := agent.estimate()) is not None:
                estimates.append(dataclasses.astuple(estimate))
                truths.append(_beliefs(problem, prediction, report.maps, chosen))
        started = time.perf_counter() - thinking  # the next decision's time begins with learning from this observation
    table = np.array(rows, dtype=np.float64).reshape(-1, 5)
    final: Arrays = {f"map_{name}": values for name, values in report.maps.items()}
    latent = agent.latent() if isinstance(agent, HasLatent) else None
    if latent is not None:
        final["latent"] = latent
    if estimates:
        final["estimate"] = np.array(estimates)
        final["true_error"], final["covered"] = np.array(truths).T
    if prediction is not None:
        final["place_mse"] = ((prediction - problem.truth) ** 2).mean(axis=1)
    return {
        "chosen": np.array(chosen),
        "phases": np.array(phases),
        "seconds": np.array(seconds),
        "acquired_mse": np.array(acquired),
        "counts": table[:, 0].astype(np.int64),
        **dict(zip(("pool_mse", "unmeasured_mse", "unmeasured_floor", "worst_mse"), table[:, 1:].T, strict=True)),
        **_ridge(problem, chosen),
        **final,
    }


def run_job(job: Job, cache: Path) -> Path:
    """Run `job`, unless its outcome is in `cache` already; return the file."""
    path = cache / job.name
    if path.exists():
        return path
    job.problem()  # opening the sample does not count as time of the job
    with threadpool_limits(1):
        started = time.process_time()
        outcome = job.outcome()
        spent = time.process_time() - started
    facts = {**dataclasses.asdict(job), "cpu_s": spent, "versions": dict(versions())}
    cache.mkdir(parents=True, exist_ok=True)
    # Written under another name first: a job that is killed leaves no incomplete file that would count as done.
    part = path.with_suffix(f".{os.getpid()}.part")
    with part.open("wb") as file:
        np.savez_compressed(file, facts=np.array(json.dumps(facts)), **outcome)  # type: ignore[arg-type]
    part.replace(path)
    return path


def run_jobs(jobs: Sequence[Job], cache: Path, workers: int = 1, until: float = float("inf")) -> None:
    """Run all `jobs` that `cache` does not have, with a progress bar on stderr.

    They run in `workers` processes of this computer or, if the environment variable ``DASK_SCHEDULER_ADDRESS`` names a
    Dask scheduler, on its workers, which must reach `cache` under the same name.

    None starts after the time `until` of the monotonic clock. Ctrl-C loses only the jobs that are running.
    """
    left = [job for job in jobs if not (cache / job.name).exists()]
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("jobs", total=len(jobs), completed=len(jobs) - len(left))
        for job in _finished(left, cache, workers, until):
            progress.update(bar, advance=1, description=f"{Path(job.sample).stem}, {job.agent['agent']}")


def load(job: Job, cache: Path) -> tuple[dict[str, Any], Arrays]:
    """Return facts (job, CPU time, versions) and arrays of a finished job.

    Raises
    ------
    FileNotFoundError
        If it is not finished.
    """
    with np.load(cache / job.name, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files if name != "facts"}
        return json.loads(str(archive["facts"])), arrays


def _finished(jobs: Sequence[Job], cache: Path, workers: int, until: float) -> Iterable[Job]:
    """Yield the jobs as they finish; several workers are a Dask cluster, see :mod:`curio_plans.campaign.cluster`."""
    in_time = itertools.takewhile(lambda _: time.monotonic() < until, jobs)
    if workers == 1 and "DASK_SCHEDULER_ADDRESS" not in os.environ:
        for job in in_time:
            run_job(job, cache)
            yield job
        return
    for end in finished(functools.partial(run_job, cache=cache.resolve()), in_time, workers=workers, ahead=1):
        if not end.error:
            yield end.job
        elif not end.again:
            raise RuntimeError(f"{end.job} failed twice: {end.error}")


def _errors(problem: Problem, prediction: NDArray[Any], chosen: Sequence[int]) -> tuple[float, float, float, float]:
    mse, floor = ((prediction - problem.truth) ** 2).mean(axis=1), mean_spectrum_errors(problem.truth)
    worst = np.sort(mse)[-WORST:].mean()
    return float(mse.mean()), *_unmeasured(mse, floor, chosen), float(worst)


def _beliefs(
    problem: Problem, prediction: NDArray[Any], maps: Mapping[str, NDArray[Any]], chosen: Sequence[int]
) -> tuple[float, float]:
    """Return the error as :class:`Estimate` defines it, and the share of unmeasured candidates that the maps cover."""
    left = np.delete(np.arange(len(prediction)), chosen)
    found = ((prediction[left] - problem.spectra[left]) ** 2).mean(axis=1)
    covered = np.nan
    if {"error_low", "error_high"} <= set(maps):
        covered = ((maps["error_low"][left] <= found) & (found <= maps["error_high"][left])).mean()
    return float(found.mean() / problem.spectra.var(axis=0).mean()), float(covered)


def _unmeasured(mse: NDArray[Any], floor: NDArray[Any], chosen: Sequence[int]) -> tuple[float, float]:
    left = np.delete(np.arange(len(mse)), chosen)
    return (float(mse[left].mean()), float(floor[left].mean())) if left.size else (np.nan, np.nan)


def _ridge(problem: Problem, chosen: Sequence[int]) -> Arrays:
    counts = np.unique([max(len(chosen) * quarter // 4, 2) for quarter in (1, 2, 3, 4)])
    pool_mse, unmeasured_mse, floors = (np.empty((len(KINDS), len(counts))) for _ in range(3))
    for row, kind in enumerate(KINDS):
        for column, count in enumerate(counts):
            measured = chosen[:count]
            prediction = ridge_prediction(problem.pool, problem.spectra[measured], measured, kind)
            pool_mse[row, column], unmeasured_mse[row, column], floors[row, column], _ = _errors(
                problem, prediction, measured
            )
    return {
        "ridge_counts": counts,
        "ridge_pool_mse": pool_mse,
        "ridge_unmeasured_mse": unmeasured_mse,
        "ridge_unmeasured_floor": floors[0],
    }


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
