"""How fast is a campaign on 1, 2 … workers, and what does it cost beside the runs? Takes about two minutes.

Budget: with the defaults, 24 runs of a second each for each number of workers, then 2 000 pieces of empty work.
"""

import functools
import os
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from agents.registry import build
from curio_plans.campaign import Campaign, Measured, Results, finished
from curio_plans.cli.campaign import do
from curio_plans.store.journal import Journal
from curio_plans.store.storage import Storage
from ophyd_devices.registry import check_backend

FILE = """
agents = ["curio"]
samples = [{{ twin = {{}}, pixels = 32 }}]
seeds = {runs}
run = {{ points = {points}, window = 5 }}
"""
console = Console(width=120)


def nothing(_: int) -> None:
    """Work that is only handed over."""


def keep(journal: Journal, measured: Measured) -> None:
    """Write a run into the journal, as the command does."""
    for name, doc in measured.documents:
        journal(name, doc)


def main(
    workers: Annotated[list[int] | None, typer.Option(help="Numbers of workers.", show_default="1 and 2")] = None,
    runs: Annotated[int, typer.Option(help="Runs for each number of workers.", min=2)] = 24,
    points: Annotated[int, typer.Option(help="Points of each run.", min=2)] = 30,
) -> None:
    """Measure runs per minute, what the client computes for each, and what empty work and the catalog cost."""
    table = Table("workers", "start / s", "runs / min", "speed-up", "client's CPU a run / ms", box=None)
    single = 0.0
    for count in workers or [1, 2]:
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            file = directory / "scaling.toml"
            file.write_text(FILE.format(runs=runs, points=points))
            jobs = Campaign.read(file).jobs(lambda config: dict(build(config).config), check_backend)
            results = Results(directory, "scaling")
            work, journal = functools.partial(do, campaign="scaling"), Journal(directory)
            began = time.perf_counter()
            ends = finished(work, jobs, workers=count)
            warm = [next(ends) for _ in range(count)]  # the first run of each worker loads the libraries
            started, spent = time.perf_counter(), time.process_time()
            done = 0
            for end in ends:
                assert end.result is not None, end.error
                keep(journal, end.result)
                results.keep(end.job, end.result.rows)
                done += 1
            seconds, cpu = time.perf_counter() - started, time.process_time() - spent
            rate = 60 * done / seconds
            single = single or rate
            table.add_row(
                str(count), f"{started - began:.1f}", f"{rate:.1f}", f"{rate / single:.2f}", f"{1000 * cpu / done:.0f}"
            )
            if count == (workers or [1, 2])[-1]:
                with Storage.local(directory) as storage:
                    _ = storage.catalog
                    began = time.perf_counter()
                    for end in warm:
                        assert end.result is not None
                        keep(journal, end.result)
                        storage.repair(end.result.rows[0]["uid"])
                    catalog = (time.perf_counter() - began) / len(warm)
                size = sum(path.stat().st_size for path in (directory / "journal").rglob("*")) / len(jobs)
    console.print(table)
    began, count = time.perf_counter(), 2000
    ends = finished(nothing, range(count), workers=1)
    next(ends)
    began = time.perf_counter()
    for _ in ends:
        pass
    each = (time.perf_counter() - began) / (count - 1)
    console.print(f"empty work: {1000 * each:.2f} ms each; the catalog: {catalog:.1f} s a run")
    console.print(f"the journal: {size / 1e6:.2f} MB a run; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    typer.run(main)
