"""The command ``curio``: here names become agents and backends, and plans meet a RunEngine.

One module for each topic. All that is printed goes through :mod:`curio_plans.cli.output`. What takes long to import is
imported where it is used: help and a mistyped command answer at once.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from curio_plans.cli.agents import agents
from curio_plans.cli.campaign import campaign
from curio_plans.cli.common import Application, flowing, tell_errors
from curio_plans.cli.export import export
from curio_plans.cli.history import explain, recover, replay, resume
from curio_plans.cli.instrument import doctor, ioc, nanonis_sim
from curio_plans.cli.look import look
from curio_plans.cli.measure import run
from curio_plans.cli.reports import report
from curio_plans.cli.runs import runs, serve, show, verify
from curio_plans.cli.schema import schema
from curio_plans.cli.session import ipython, profile
from curio_plans.cli.steer import steer
from curio_plans.cli.think import think
from curio_plans.cli.trial import trial
from curio_plans.session.log import open_log

COMMANDS: Mapping[str, Sequence[Callable[..., None]]] = {
    "Measure": (run, look, trial, campaign, resume, steer, agents, schema),
    "Stored runs": (runs, show, replay, explain, report, export, verify, recover),
    "Sessions": (ipython, profile),
    "Instruments and servers": (doctor, ioc, nanonis_sim, think, serve),
}

app = Application(
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
    help=(
        "Let a microscope follow its curiosity.\n\n"
        "[bold]curio run[/] takes an image, then repeatedly asks an agent where to measure the next spectrum. "
        "Everything is stored as Bluesky documents: [bold]curio runs[/] lists the runs, [bold]curio show[/] draws one, "
        "[bold]curio replay[/] checks that the agent makes the same decisions again.\n\n"
        "Try it on the simulated microscope: [bold]curio run --points 40[/]"
    ),
)


@app.callback()
def common(
    log_file: Annotated[
        Path | None, typer.Option(help="Also write a log into this file.", envvar="CURIO_LOG_FILE")
    ] = None,
    log_level: Annotated[
        str, typer.Option(help="The least level in it: DEBUG, INFO, WARNING or ERROR.", envvar="CURIO_LOG_LEVEL")
    ] = "INFO",
    log_json: Annotated[bool, typer.Option(help="One JSON object a line.", envvar="CURIO_LOG_JSON")] = False,
) -> None:
    """Do what holds for every command."""
    if log_file is None:
        return
    if log_level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise typer.BadParameter(f"expected DEBUG, INFO, WARNING or ERROR, got {log_level!r}", param_hint="--log-level")
    try:
        open_log(log_file, log_level, json_lines=log_json)
    except OSError as error:
        raise typer.BadParameter(f"cannot write {log_file}: {error.strerror}", param_hint="--log-file") from error


for panel, commands in COMMANDS.items():
    for command in commands:
        app.command(help=flowing(command.__doc__), rich_help_panel=panel)(tell_errors(command))

__all__ = ["app"]
