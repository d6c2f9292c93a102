"""How long an agent thinks: seconds for a decision, against the size of the pool and the number of observations.

A run waits for a decision: learn from the newest observation, then suggest. The agent has ingested all observations
before; agents with an option ``initial`` get them as initial points, so that they train once and not after each.
Budget: `paper-latent` needs minutes for 64 000 candidates or 5 000 observations (its first training, which is reported
separately as *setup*); ``--quick`` takes seconds. Finished cells are kept.
"""

import hashlib
import itertools
import json
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import track
from scipy.ndimage import gaussian_filter
from scipy.stats import linregress
from threadpoolctl import threadpool_limits

from agents.pool import make_pool
from agents.protocols import Context, Observation, Pool
from agents.registry import build, options
from benchmarks import figures
from benchmarks.runner import parse_agent
from benchmarks.strategies import CACHE, Cache, Quick, console, show

STEPS, WINDOW, DECISIONS = 64, 9, 3
POOLS, OBSERVATIONS = (1024, 4096, 16384, 65536), (50, 200, 1000, 5000)

app = typer.Typer(rich_markup_mode="rich")


@app.command()
def latency(
    agent: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME or NAME:option=value,…; repeat it for more.", show_default="paper-latent, random, grid"
        ),
    ] = None,
    pool: Annotated[
        list[int] | None, typer.Option(help="Candidates, a square number; repeat it.", show_default=str(POOLS))
    ] = None,
    observations: Annotated[
        list[int] | None,
        typer.Option(help="Observations before the decision; repeat it.", show_default=str(OBSERVATIONS)),
    ] = None,
    cross: Annotated[bool, typer.Option(help="Every pool with every number, instead of one at a time.")] = False,
    cache: Cache = CACHE,
    output: Annotated[Path, typer.Option(help="Where to put table and figure.")] = Path("bench-output"),
    quick: Quick = False,
) -> None:
    """Time decisions on one thread, and tell how the time grows.

    The pool varies with the fewest observations, and the observations with the smallest pool that holds the most of
    them; --cross measures every combination.

        python -m benchmarks.latency --agent paper-latent --agent my-agent --pool 1024 --pool 4096
    """
    agents = agent or ["random", "grid", "paper-latent"]
    pools, numbers = sorted(pool or POOLS), sorted(observations or OBSERVATIONS)
    if quick:
        agents, pools, numbers = agent or ["random", "paper-latent:filters=2"], [256, 576], [20, 40]
    wrong = [size for size in pools if round(size**0.5) ** 2 != size]
    if wrong:
        raise typer.BadParameter(f"a pool is a square: {wrong[0]} is none; take {round(wrong[0] ** 0.5) ** 2}")
    roomy = next((size for size in pools if size > numbers[-1] + DECISIONS), None)
    if roomy is None:
        raise typer.BadParameter(f"no pool holds {numbers[-1]} observations; add a larger one with --pool")
    cells = [
        cell
        for cell in itertools.product(agents, pools, numbers)
        if cell[1] > cell[2] + DECISIONS and (cross or cell[2] == numbers[0] or cell[1] == roomy)
    ]
    rows = [measure(*cell, cache) for cell in track(cells, "cells", console=Console(stderr=True))]
    table = pd.DataFrame(rows)
    output.mkdir(parents=True, exist_ok=True)
    table.to_csv(output / "latency.csv", index=False)
    show(table.round(4), "seconds on one thread")
    show(growth(table, numbers[0], roomy), "growth of the time of a decision: the exponent; 1 is linear")
    console.print(f"figure: {figures.save(_draw(table, numbers[0], roomy), output / 'latency.png')}")


def measure(agent: str, candidates: int, observations: int, cache: Path) -> dict[str, object]:
    """Return agent, pool, observations, and seconds: ``setup``, ``decision`` (median) and ``slowest``."""
    known = options(agent.partition(":")[0])
    config = parse_agent(agent, 0, observations)
    if "start" in known:
        config["start"] = "random"  # as many clusters as observations are not what a run has
    name = json.dumps([config, candidates, observations], sort_keys=True)
    path = cache / f"latency-{hashlib.sha256(name.encode()).hexdigest()[:16]}.json"
    if path.exists():
        return dict(json.loads(path.read_text()))
    pool = synthetic_pool(candidates)
    numbers = np.random.default_rng(1)
    spectra = numbers.normal(size=(candidates, STEPS)).cumsum(axis=1)
    context = Context(budget=observations + DECISIONS)
    order = numbers.permutation(candidates)[:observations]
    with threadpool_limits(1):
        thinker = build(config)
        started = time.perf_counter()
        thinker.ingest(pool, *(_observe(pool, spectra, int(index), n) for n, index in enumerate(order)))
        (suggestion,) = thinker.suggest(1, context)  # type: ignore[misc]
        setup = time.perf_counter() - started
        seconds = []
        for number in range(DECISIONS):
            observation = _observe(pool, spectra, suggestion.index, observations + number)
            started = time.perf_counter()
            thinker.ingest(observation)
            (suggestion,) = thinker.suggest(1, context)  # type: ignore[misc]
            seconds.append(time.perf_counter() - started)
    row = {
        "agent": agent,
        "pool": candidates,
        "observations": observations,
        "setup": setup,
        "decision": float(np.median(seconds)),
        "slowest": max(seconds),
    }
    cache.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(row))
    return row


def synthetic_pool(candidates: int) -> Pool:
    """Return a square pool cut from a smooth random image."""
    side = round(candidates**0.5) + WINDOW - 1
    image = gaussian_filter(np.random.default_rng(0).normal(size=(side, side)), 3)
    return make_pool(image[None], (0.0, side, 0.0, side), WINDOW, stride=1)


def growth(table: pd.DataFrame, fewest: int, roomy: int) -> pd.DataFrame:
    """Return for each agent the exponents of the decision time in the pool and in the observations.

    They are the slopes of straight lines through the logarithms, at `fewest` observations and in the pool `roomy`.
    """
    rows = []
    for agent, group in table.groupby("agent", sort=False):
        row: dict[str, object] = {"agent": agent}
        for column, part in _series(group, fewest, roomy).items():
            x, y = np.log(part[[column, "decision"]].to_numpy(dtype=np.float64)).T
            row[f"exponent in {column}"] = f"{linregress(x, y).slope:.2f}" if len(x) > 1 else "–"
        rows.append(row)
    return pd.DataFrame(rows)


def _series(group: pd.DataFrame, fewest: int, roomy: int) -> dict[str, pd.DataFrame]:
    return {"pool": group[group["observations"] == fewest], "observations": group[group["pool"] == roomy]}


def _observe(pool: Pool, spectra: np.ndarray, index: int, number: int) -> Observation:
    place = pool.positions[index]
    return Observation(index, place, place, spectra[index], float(number))


def _draw(table: pd.DataFrame, fewest: int, roomy: int) -> Figure:
    drawing = Figure(figsize=(9, 3.8), layout="constrained")
    panels = dict(zip(("pool", "observations"), drawing.subplots(1, 2, sharey=True), strict=True))
    for (agent, group), colour in zip(table.groupby("agent", sort=False), figures.COLOURS, strict=False):
        for column, part in _series(group, fewest, roomy).items():
            rows = part.sort_values(column)
            panels[column].loglog(rows[column], rows["decision"], "o-", color=colour, ms=4, label=agent)
    panels["pool"].set(xlabel=f"candidates, {fewest} observations", ylabel="seconds a decision")
    panels["observations"].set(xlabel=f"observations, {roomy} candidates")
    panels["pool"].legend(fontsize=7)
    return drawing


if __name__ == "__main__":
    app()
