"""Commands about stored runs: runs, show, serve."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from curio_plans.cli.common import DATA, Data, Key, Place, Tiled, Uid, figure_file
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
        for found in storage.runs()[:limit]:
            when = f"{found.time:%Y-%m-%d %H:%M:%S}"
            points = "" if found.points is None else str(found.points)
            status = found.exit_status or "no stop"
            if status == "success" and found.reason:
                status += f", {found.reason}"
            table.add_row(
                escape(found.uid[:8]), when, escape(found.plan_name), escape(found.agent or ""), points, escape(status)
            )
    if not table.rows:
        warn(f"there are no runs in {data} yet; curio run makes one")
    console.print(table)


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
    ssl_certfile: Annotated[
        Path | None, typer.Option(help="Certificate (PEM) with which to speak HTTPS.", show_default="HTTP")
    ] = None,
    ssl_keyfile: Annotated[
        Path | None, typer.Option(help="Key of that certificate (PEM).", show_default="in the certificate's file")
    ] = None,
) -> None:
    """Serve the stored runs over HTTP, with Tiled's web page, until Ctrl-C.

    For this computer only, or for the network:

        curio serve
        curio serve --host 0.0.0.0 --port 8010

    The key is shown only in a terminal: the output of a service ends up in a log.
    """
    with Progress("loading the server"):
        from curio_plans.store.serve import serve as serve_directory

    serve_directory(
        data,
        host=host,
        port=port,
        api_key=api_key,
        certificate=ssl_certfile,
        certificate_key=ssl_keyfile,
        show_key=sys.stdout.isatty(),
    )
