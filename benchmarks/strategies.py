"""Compare strategies: any agents on any samples, over seeds, beside the floors.

Budget: a job of `paper-latent` with 200 points on a 41 × 41 pool takes about a minute on one core, one of a
model-free agent a second; ``--quick`` takes about ten seconds in all.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from rich.console import Console
from rich.table import Table

from benchmarks import figures, statistics
from benchmarks.problems import open_problem
from benchmarks.runner import Job, parse_agent, run_jobs

CACHE = Path("bench-results")
RANDOM_POINTS = "paper-latent:start=random,random_probability=1.0"
"""The paper's random baseline: the same networks, learning from random points."""
FLOOR = "random"
"""This agent always runs: kernel ridge regressions on its points are the floors."""

Cache = Annotated[
    Path, typer.Option(help="Where finished jobs are kept, one file each; jobs that are there are not run again.")
]
Workers = Annotated[int, typer.Option(help="Processes, one thread each.", min=1)]
Quick = Annotated[bool, typer.Option(help="A small twin, narrow networks, few points: only to see whether it runs.")]

Samples = Annotated[Path | None, typer.Option(help="Directory of the measured samples.", envvar="CURIO_SAMPLES")]
Seeds = Annotated[int | None, typer.Option(help="Largest number of seeds.", min=1, show_default="all")]
Minutes = Annotated[float, typer.Option(help="Start no further job after so many minutes.", min=0)]
PageDirectory = Annotated[Path, typer.Option(help="Directory of the page and of its images.")]

app = typer.Typer(rich_markup_mode="rich")
console = Console(width=160)


def plan_jobs(
    samples: Sequence[str], agents: Sequence[str], budgets: Sequence[int], seeds: int, window: int, initial: int | None
) -> dict[tuple[str, str, int], Job]:
    """Return the jobs by (sample, strategy, seed), seeds outermost so that finished jobs are paired.

    Agents without a seed run once. With several budgets the sample's name contains the budget.
    """
    jobs = {}
    for seed, budget, sample, agent in itertools.product(range(seeds), budgets, samples, agents):
        config = parse_agent(agent, seed, initial)
        if seed and "seed" not in config:
            continue
        name = open_problem(sample, window).name
        key = (name if len(budgets) == 1 else f"{name}, {budget} points", agent, seed)
        jobs[key] = Job(sample, window, budget, config)
    return jobs


@app.command()
def strategies(
    sample: Annotated[
        list[str] | None,
        typer.Option(help="An npz file with image and spectra, or twin:seed=0,pixels=64,steps=64; repeat it for more."),
    ] = None,
    agent: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME or NAME:option=value,…; repeat it for more. The first is what others are compared with.",
            show_default=f"{RANDOM_POINTS}, paper-latent and grid",
        ),
    ] = None,
    points: Annotated[list[int] | None, typer.Option(help="Budget; repeat it for more.", show_default="200")] = None,
    seeds: Annotated[int, typer.Option(help="Repetitions, the same for all strategies.", min=1)] = 3,
    initial: Annotated[int | None, typer.Option(help="Points to start from, for agents that have them.")] = None,
    window: Annotated[int, typer.Option(help="Side of a patch in px.", min=3)] = 9,
    workers: Workers = 1,
    cache: Cache = CACHE,
    output: Annotated[Path, typer.Option(help="Where to put tables and figure.")] = Path("bench-output"),
    quick: Quick = False,
) -> None:
    """Let agents explore fully measured samples, and compare what they learned.

    Another person's data and an agent of your own:

        python -m benchmarks.strategies --sample theirs.npz --agent random --agent my-agent:depth=3 --seeds 10

    Each strategy is judged twice: by its [bold]own model[/], and by kernel ridge regressions on the points it chose,
    which separates a good choice of points from a good model. [bold]NMSE[/] is the error where nothing was measured,
    over that of the mean spectrum there. [bold]loss[/] is the sum over the pool of the spectral mean squared error,
    after the last point and, by the published convention, its minimum over the trajectory.
    """
    samples = sample or ["twin"]
    agents = agent or [RANDOM_POINTS, "paper-latent", "grid"]
    budgets = points or [200]
    if quick:
        samples, budgets, seeds, initial = sample or ["twin:pixels=24,steps=16"], [14], 2, 8
        agents = agent or [f"{RANDOM_POINTS},filters=4", "paper-latent:filters=4"]
    agents = list(dict.fromkeys([*agents, FLOOR]))
    try:
        jobs = plan_jobs(samples, agents, budgets, seeds, window, initial)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    run_jobs(list(jobs.values()), cache, workers)
    table = statistics.curves(jobs, cache)
    summary, tests = statistics.summarise(table), statistics.compare(table, agents[0])
    output.mkdir(parents=True, exist_ok=True)
    table.to_parquet(output / "curves.parquet")
    summary.to_csv(output / "summary.csv", index=False)
    tests.to_csv(output / "tests.csv", index=False)
    show(
        statistics.readable(summary),
        f"losses and errors after the last point, mean and 95 % interval over {seeds} seeds",
    )
    if len(tests):
        show(statistics.readable_tests(tests), f"paired differences to {agents[0]} (negative: better)")
    console.print(f"figure: {figures.save(figures.learning_curves(table), output / 'curves.png')}")
    console.print(f"tables: {output / 'curves.parquet'}, summary.csv, tests.csv")


def directory_of(samples: Path | None, *, quick: bool) -> Path:
    """Return the directory of the measured samples; a quick run needs none.

    Raises
    ------
    typer.BadParameter
        If it is needed and was not named.
    """
    if samples is None and not quick:
        raise typer.BadParameter("name the directory of the measured samples with --samples or CURIO_SAMPLES")
    return samples or Path()


def show(table: pd.DataFrame, title: str) -> None:
    """Print `table`."""
    shown = Table(*table.columns, title=title, box=None)
    for row in table.itertuples(index=False):
        shown.add_row(*map(str, row))
    console.print(shown)


if __name__ == "__main__":
    app()
