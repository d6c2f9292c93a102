"""What all commands share: the application, consoles, options, errors in one line, opening a storage."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from curio_plans.cli.metadata import value

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
    help=(
        "Let a microscope follow its curiosity.\n\n"
        "[bold]curio run[/] takes an image, then asks an agent again and again where to measure the next spectrum. "
        "Everything is kept as Bluesky documents: [bold]curio runs[/] lists them, [bold]curio show[/] draws one, "
        "[bold]curio replay[/] checks that the agent decides the same again."
    ),
)
console = Console()
errors = Console(stderr=True)

Data = Annotated[
    Path, typer.Option(help="Directory where runs are kept.", envvar="CURIO_DATA", show_default="./curio-data")
]
Tiled = Annotated[
    str | None,
    typer.Option(help="Address of a Tiled server to write to; default: a catalog in the data directory.",
                 envvar="CURIO_TILED_URI"),
]  # fmt: skip
Key = Annotated[
    str | None,
    typer.Option(help="API key of that server; better in the environment, as command lines can be seen.",
                 envvar="CURIO_TILED_API_KEY"),
]  # fmt: skip
Uid = Annotated[str, typer.Argument(help="A run's uid, the beginning of it, or the word latest.")]
DATA = Path("curio-data")


def tell_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Tell what was wrong with the input in one message, without a traceback, and exit with 2."""

    @functools.wraps(command)
    def told(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except (KeyError, IndexError):
            raise  # ours, not the user's
        except (ValueError, LookupError, OSError) as error:
            errors.print(
                f"[bold red]error:[/] {type(error).__name__}: " if not str(error) else "[bold red]error:[/] ", end=""
            )
            errors.print(str(error), markup=False, highlight=False, soft_wrap=True)
            raise typer.Exit(2) from error

    return told


def named_values(option: str, pairs: list[str] | None) -> dict[str, Any]:
    """Return the values of a repeatable option ``name=value``; one that is JSON counts as such, any other as text.

    Raises
    ------
    ValueError
        If one has no ``=``.
    """
    values = {}
    for pair in pairs or []:
        name, found, text = pair.partition("=")
        if not found:
            raise ValueError(f"expected {option} name=value, got {pair!r}")
        values[name] = value(text)
    return values


def connect(backend: str, options: Mapping[str, Any]) -> Any:
    """Return the backend of this name, connected.

    Raises
    ------
    ValueError
        If there is none, an option is wrong, or the instrument does not answer.
    """
    from ophyd_devices.backend import BackendError
    from ophyd_devices.registry import make_backend

    try:
        return make_backend(backend, **options)
    except BackendError as error:
        raise ValueError(str(error)) from error


def open_storage(data: Path, tiled: str | None, api_key: str | None, *, must_exist: bool = False) -> Any:
    """Open the storage that the options name; with `must_exist` its directory is not made.

    Raises
    ------
    ValueError
        If the directory must exist and does not.
    """
    from curio_plans.store.storage import Storage

    if must_exist and tiled is None and not data.exists():
        raise ValueError(f"there are no runs in {data}: no such directory; choose another with --data")
    if tiled is not None:
        return Storage.remote(tiled, api_key, data)
    return Storage.local(data, writable=not must_exist)


def report_run(documents: Any, path: Path | None) -> None:
    """Print the summary of a run; with a `path`, compare it with simple methods and draw it there as well."""
    from curio_plans import report
    from curio_plans.documents.agent_run import AgentRun, read_run
    from curio_plans.study.evaluation import evaluate, evaluation_rows

    history = read_run(documents)
    table = Table(box=None, show_header=False)
    for label, text in report.summary(history).items():
        table.add_row(f"[bold]{label}[/]", text)
    console.print(table)
    if path is None or history.frame is None:
        return
    evaluation = None
    if isinstance(history, AgentRun):
        with console.status("comparing with simple methods"):
            evaluation = evaluate(history)
    if isinstance(history, AgentRun) and evaluation is not None:
        losses = Table("loss (sum over the pool of spectral MSE)", "", box=None)
        for label, number in evaluation_rows(history, evaluation):
            losses.add_row(label, number)
        console.print(losses)
    console.print(f"figure: {report.save_figure(history, path, evaluation)}", soft_wrap=True)
