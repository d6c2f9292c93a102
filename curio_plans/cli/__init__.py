"""The command ``curio``: here names become agents and backends, and plans meet a RunEngine.

One module for each topic. All that is printed goes through :mod:`curio_plans.cli.output`. What takes long to import is
imported where it is used: help and a mistyped command answer at once.
"""

from curio_plans.cli.agents import agents
from curio_plans.cli.common import Application, flowing, tell_errors
from curio_plans.cli.export import export
from curio_plans.cli.history import explain, recover, replay, resume
from curio_plans.cli.instrument import doctor, ioc
from curio_plans.cli.measure import run
from curio_plans.cli.reports import report
from curio_plans.cli.runs import runs, serve, show, verify
from curio_plans.cli.schema import schema

COMMANDS = {
    "Measure": (run, resume, agents, schema),
    "Stored runs": (runs, show, replay, explain, report, export, verify, recover),
    "Instruments and servers": (doctor, ioc, serve),
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
for panel, commands in COMMANDS.items():
    for command in commands:
        app.command(help=flowing(command.__doc__), rich_help_panel=panel)(tell_errors(command))

__all__ = ["app"]
