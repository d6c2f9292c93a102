"""Commands about stored runs: runs, show, serve."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from curio_plans.cli.common import DATA, Data, Key, Tiled, Uid, app, console, open_storage, report_run, tell_errors


@app.command()
@tell_errors
def runs(
    data: Data = DATA,
    tiled: Tiled = None,
    api_key: Key = None,
    limit: Annotated[int, typer.Option(help="Show so many, newest first.", min=1)] = 20,
) -> None:
    """List the stored runs, newest first."""
    with open_storage(data, tiled, api_key, must_exist=True) as storage:
        table = Table("uid", "time", "plan", "agent", "points", "status", box=None)
        for found in storage.runs()[:limit]:
            when = f"{found.time:%Y-%m-%d %H:%M:%S}"
            points = "" if found.points is None else str(found.points)
            status = found.exit_status or "no stop"
            if status == "success" and found.reason:
                status += f", {found.reason}"
            table.add_row(found.uid[:8], when, found.plan_name, found.agent or "", points, status)
    console.print(table)


@app.command()
@tell_errors
def show(
    uid: Uid = "latest",
    data: Data = DATA,
    tiled: Tiled = None,
    api_key: Key = None,
    output: Annotated[
        Path | None, typer.Option(help="Where to put the figure.", show_default="figures/ in the data directory")
    ] = None,
    figure: Annotated[bool, typer.Option(help="Compare with simple methods and draw the run.")] = True,
) -> None:
    """Summarise a run and draw it."""
    with open_storage(data, tiled, api_key, must_exist=True) as storage:
        uid = storage.resolve(uid)
        documents = storage.lineage(uid)
    report_run(documents, (output or data / "figures" / f"{uid}.png") if figure else None)


@app.command()
@tell_errors
def serve(
    data: Data = DATA,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at.")] = 8000,
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

    The key is shown in a terminal alone: what a service prints ends up in a log.
    """
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
