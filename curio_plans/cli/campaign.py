"""The command campaign: many runs in one go."""

import functools
import math
import os
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from curio_plans.cli.common import DATA, FAILED, INTERRUPTED, Data, Key, Place, Tiled
from curio_plans.cli.output import Progress, console, errors, warn
from curio_plans.cli.selection import TWIN_PIXELS, Instrument


def campaign(
    path: Annotated[Path, typer.Argument(help="The campaign, a TOML file; see above.", metavar="FILE")],
    workers: Annotated[
        int | None, typer.Option(help="Processes on this computer, one run each.", min=1, show_default="one a core")
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="Address of a Dask scheduler whose workers do the runs, such as tcp://head:8786.", metavar="ADDRESS"
        ),
    ] = None,
    catalog: Annotated[
        bool,
        typer.Option(
            help="At the end, put the runs into the Tiled catalog of the data directory: 2 to 3 s each, one after the "
            "other. curio recover does it later."
        ),
    ] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything and list the runs; do none.")] = False,
    data: Data = DATA,
    tiled: Tiled = None,
    api_key: Key = None,
) -> None:
    """Let agents × samples × settings × seeds run, on this computer or on a Dask cluster.

    A file names them; the numbers are those that [bold]curio run[/] would find:

        agents = ["random", { agent = "curio", initial = 20, label = "curio, 20 first" }]

        samples = ["map.npz", { twin = { effects = "realistic" }, pixels = 64 }]

        settings = [{}, { label = "ahead", lookahead = 1 }]

        seeds = 10

        run = { points = 100 }

    Then:

        curio campaign compare.toml --dry-run

        curio campaign compare.toml --workers 4

    Each run is stored like any other. One table has all: campaigns/NAME.parquet in the data directory, one row for
    each decision. A campaign that was interrupted goes on with the same command. A run that fails is told and tried
    again once; exits with 1 if one failed twice.
    """
    with Progress("checking the campaign"):
        from agents.registry import build
        from curio_plans.campaign import Campaign, Results
        from curio_plans.campaign.job import Server, stored_rows
        from ophyd_devices.registry import check_backend

        jobs = Campaign.read(path).jobs(lambda config: dict(build(config).config), check_backend)
    results = Results(data, path.stem)
    done = results.done(jobs)
    if dry_run:
        _list(jobs, done)
        return
    place = Place(data, tiled, api_key)
    with Progress("looking for stored runs"):
        place.open().close()  # makes the directory, and sees whether the server answers
        missing = {job.name: job for job in jobs if job.name not in done}
        for name, rows in stored_rows(data, missing.values()).items():
            results.keep(missing[name], rows)
            done.add(name)
    if done:
        console.print(f"{len(done)} of {len(jobs)} runs are done already", highlight=False)
    left = [job for job in jobs if job.name not in done]
    work = functools.partial(do, campaign=path.stem, server=None if tiled is None else Server(tiled, api_key))
    failed: list[Any] = []
    try:
        if left:
            failed = _run(work, left, len(jobs), results, data, workers, scheduler)
    except KeyboardInterrupt:
        console.print("[yellow]interrupted; what was finished is kept, and the same command goes on[/]")
        raise typer.Exit(INTERRUPTED) from None
    finally:
        table = results.write(jobs)
    _summarise(table)
    console.print(f"table: {table}", soft_wrap=True, highlight=False, markup=False)
    if catalog and tiled is None:
        _fill_catalog(place, results.uids(jobs))
    if failed:
        errors.print(f"{len(failed)} runs failed twice; the same command tries them again", style="bold red")
        raise typer.Exit(FAILED)


def do(job: Any, campaign: str, server: Any = None) -> Any:
    """Do a job; called in a worker."""
    from agents.registry import build
    from curio_plans.campaign.job import measure

    return measure(job, campaign, server, build=build, connect=connect)


def connect(job: Any) -> Any:
    """Return the microscope of a job."""
    pixels = TWIN_PIXELS if job.pixels is None and job.backend == "twin" else job.pixels
    return Instrument(job.backend, job.options, pixels).connect()


def _run(
    work: Any, jobs: list[Any], total: int, results: Any, data: Path, workers: int | None, scheduler: str | None
) -> list[Any]:
    """Do jobs and keep their runs; return those that failed twice."""
    from curio_plans.campaign.cluster import finished
    from curio_plans.store.journal import Journal
    from curio_plans.store.presence import Presence

    failed = []

    def ready(client: Any) -> None:
        errors.print(f"{len(jobs)} runs on {sum(client.nthreads().values())} workers", highlight=False)

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    cores = min(workers or os.cpu_count() or 1, len(jobs))
    with ExitStack() as stack:
        stack.callback(Presence(data).end)
        journal = stack.enter_context(closing(Journal(data)))
        bar = stack.enter_context(Bar(*columns, console=errors, disable=not errors.is_terminal))
        task = bar.add_task("runs", total=total, completed=total - len(jobs))
        for one in finished(work, jobs, workers=cores, scheduler=scheduler, ready=ready):
            if one.again:
                warn(f"{one.job}: {one.error}; it is tried again")
                continue
            if one.result is None:
                failed.append(one.job)
                warn(f"{one.job} failed twice: {one.error}")
            else:
                for name, doc in one.result.documents:
                    journal(name, doc)
                results.keep(one.job, one.result.rows)
            bar.update(task, advance=1, description=escape(str(one.job)))
            if not errors.is_terminal:
                errors.print(f"{one.job}: {'failed' if one.error else 'done'}", markup=False, highlight=False)
    return failed


def _fill_catalog(place: Place, uids: list[str]) -> None:
    """Put runs into the catalog of the data directory."""
    with Progress("opening the catalog") as progress, place.open() as storage:
        known = set(storage.catalog)
        missing = [uid for uid in uids if uid not in known]
        for number, uid in enumerate(missing, start=1):
            progress.detail(f"putting run {number} of {len(missing)} into the catalog")
            try:
                storage.repair(uid)
            except (ValueError, LookupError, OSError) as error:
                warn(f"{error}; curio recover {uid[:8]} tries again")


def _list(jobs: list[Any], done: set[str]) -> None:
    table = Table("agent", "sample", "settings", "seed", "", box=None)
    for job in jobs:
        state = "done" if job.name in done else ""
        table.add_row(*(escape(str(value)) for value in job.labels.values()), state)
    console.print(table)
    console.print(f"{len(jobs)} runs, {len(done)} done", highlight=False)


def _summarise(path: Path) -> None:
    """Show the last errors of each agent on each sample."""
    from pyarrow import compute, parquet

    table = parquet.read_table(path)
    if not len(table):
        return
    last = table.filter(compute.equal(table["phase"], "end"))
    keys = ["sample", "settings", "agent"]
    grouped = last.group_by(keys).aggregate(
        [("job", "count"), ("points", "mean"), ("nmse", "mean"), ("nmse", "stddev"), ("ridge_nmse", "mean")]
    )
    shown = Table(*keys, "runs", "points", "NMSE", "NMSE of ridge", box=None)
    for row in grouped.sort_by([(key, "ascending") for key in keys]).to_pylist():
        spread = f" ± {row['nmse_stddev']:.3f}" if row["nmse_stddev"] > 0 else ""
        shown.add_row(
            *(escape(row[key]) for key in keys), str(row["job_count"]), f"{row['points_mean']:.0f}",
            f"{_number(row['nmse_mean'])}{spread}", _number(row["ridge_nmse_mean"]),
        )  # fmt: skip
    console.print(shown)


def _number(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "–"
