"""Commands about stored runs: runs, verify, show, serve."""

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from curio_plans.cli.common import DATA, FAILED, Certificate, CertificateKey, Data, Key, Place, Tiled, Uid, figure_file
from curio_plans.cli.output import Progress, console, warn
from curio_plans.cli.reports import print_summary


def runs(
    data: Data = DATA,
    tiled: Tiled = None,
    api_key: Key = None,
    limit: Annotated[int, typer.Option(help="Number of runs to list.", min=1)] = 20,
) -> None:
    """List the stored runs, newest first.

    The last 20, or the last 100 of another directory:

        curio runs
        curio runs --limit 100 --data my-data
    """
    with Place(data, tiled, api_key).open(must_exist=True) as storage:
        table = Table("uid", "time", "plan", "agent", "points", "status", box=None)
        listed = storage.runs()[:limit]
        for found in listed:
            points = "" if found.points is None else str(found.points)
            cells = (found.uid[:8], f"{found.time:%Y-%m-%d %H:%M:%S}", found.plan_name, found.agent or "", points)
            table.add_row(*map(escape, (*cells, _status(found))), style="red" if found.damaged else None)
    if not listed:
        warn(f"there are no runs in {data} yet; curio run makes one")
    console.print(table)
    for found in listed:
        if found.damaged:
            warn(f"damaged: {found.damaged}")


def verify(
    uid: Uid = "latest",
    every: Annotated[bool, typer.Option("--all", help="All runs instead of one.")] = False,
    data: Data = DATA,
    tiled: Tiled = None,
    api_key: Key = None,
) -> None:
    """Check that stored runs are whole, in the journal and in Tiled.

    The last run, or all:

        curio verify
        curio verify --all

    All of a run is read and compared with its checksums, then with what Tiled has. Exits with 1 if a run is damaged,
    or Tiled lacks a part of it; [bold]curio recover[/] repairs what can be repaired.
    """
    with Place(data, tiled, api_key).open(must_exist=True) as storage, Progress("reading the runs") as progress:
        uids = [run.uid for run in storage.runs()] if every else [storage.resolve(uid)]
        found = []
        for number, each in enumerate(uids, start=1):
            progress.detail(f"run {number} of {len(uids)}")
            found.append(storage.verify(each))
    table = Table("run", "journal", "Tiled", "known to be whole", "remarks", box=None)
    for one in found:
        journal = "damaged" if one.journal else "whole"
        tiled_has = "not looked at" if one.journal else "incomplete" if one.tiled else "whole"
        since = "" if one.since is None else f"{'last' if one.journal else 'since'} {one.since:%Y-%m-%d %H:%M:%S}"
        cells = (one.uid[:8], journal, tiled_has, since, "; ".join(one.remarks))
        table.add_row(*map(escape, cells), style=None if one.is_whole else "red")
    console.print(table)
    for one in found:
        for where, wrong in (("journal", one.journal), ("Tiled", one.tiled)):
            if wrong:
                warn(f"{one.uid[:8]}, {where}: {wrong}")
    console.print(f"{sum(one.is_whole for one in found)} of {len(found)} runs are whole", highlight=False)
    if not all(one.is_whole for one in found):
        raise typer.Exit(FAILED)


def show(
    uid: Uid = "latest",
    data: Data = DATA,
    tiled: Tiled = None,
    api_key: Key = None,
    output: Annotated[
        Path | None, typer.Option(help="File of the figure.", show_default="in figures/ of the data directory")
    ] = None,
    figure: Annotated[bool, typer.Option(help="Compare the run with simple methods and draw it.")] = True,
) -> None:
    """Summarise a run and draw it.

    The last run, or one by the first characters of its uid:

        curio show
        curio show 3f1c --output run.png
    """
    with Progress("loading the stored run"), Place(data, tiled, api_key).open(must_exist=True) as storage:
        uid = storage.resolve(uid)
        documents = storage.lineage(uid)
    print_summary(documents, figure_file(output, data / "figures" / f"{uid}.png") if figure else None)


def serve(
    data: Data = DATA,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)] = 8000,
    api_key: Annotated[
        str | None,
        typer.Option(
            help="Key to ask for. Whoever is logged in sees command lines: set the environment variable instead.",
            envvar="CURIO_SERVE_API_KEY",
            show_default="made once, kept in the data directory",
        ),
    ] = None,
    ssl_certfile: Certificate = None,
    ssl_keyfile: CertificateKey = None,
    while_open: Annotated[
        bool, typer.Option("--while-open", hidden=True, help="End when standard input is closed.")
    ] = False,
) -> None:
    """Serve the stored runs over HTTP until Ctrl-C, with a page that shows them as they happen.

    For this computer only, or for the network:

        curio serve
        curio serve --host 0.0.0.0 --port 8010

    The key is shown only in a terminal: the output of a service ends up in a log.
    """
    with Progress("loading the server"):
        from curio_plans.page.routes import add_page
        from curio_plans.store.serve import serve as serve_directory

    if while_open:
        threading.Thread(target=_end_with_input, daemon=True).start()
    serve_directory(
        data,
        host=host,
        port=port,
        api_key=api_key,
        certificate=ssl_certfile,
        certificate_key=ssl_keyfile,
        show_key=sys.stdout.isatty(),
        add=lambda tiled: add_page(tiled, data),
    )


def _end_with_input() -> None:
    """End this process as soon as the one that started it has closed its end of the pipe, or is gone."""
    while sys.stdin.read(1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _status(run: Any) -> str:
    if run.damaged:
        return "damaged"
    status = run.exit_status or "no stop"
    return f"{status}, {run.reason}" if status == "success" and run.reason else status
