"""What all commands share: the application, options, errors in one message, and where runs are stored."""

import functools
import inspect
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from curio_plans.cli.metadata import value
from curio_plans.cli.output import streams, tell_error

FAILED, REFUSED, INTERRUPTED, NO_READER = 1, 2, 130, 141
"""Exit codes: a run or check failed, the input was refused, Ctrl-C, standard output was closed by its reader."""

STORAGE = "Storage"
Data = Annotated[
    Path,
    typer.Option(
        help="Directory of the stored runs.",
        envvar="CURIO_DATA",
        show_default="./curio-data",
        rich_help_panel=STORAGE,
    ),
]
Tiled = Annotated[
    str | None,
    typer.Option(
        help="Address of a Tiled server that also gets the runs. By default a catalog in the data directory does.",
        envvar="CURIO_TILED_URI",
        rich_help_panel=STORAGE,
    ),
]
Key = Annotated[
    str | None,
    typer.Option(
        help="API key of the Tiled server. Better set in the environment: others can see command lines.",
        envvar="CURIO_TILED_API_KEY",
        rich_help_panel=STORAGE,
    ),
]
Uid = Annotated[str, typer.Argument(help="A run: its uid, the first characters of it, or the word latest.")]
Certificate = Annotated[
    Path | None, typer.Option(help="Certificate (PEM) with which to speak HTTPS.", show_default="HTTP")
]
CertificateKey = Annotated[
    Path | None, typer.Option(help="Key of that certificate (PEM).", show_default="in the certificate's file")
]
DATA = Path("curio-data")


class Application(typer.Typer):
    """The command line application; its output survives a closed pipe and any character set."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command that the command line names."""
        streams.install()
        try:
            return super().__call__(*args, **kwargs)
        finally:
            streams.tell_losses()
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process ends: Ctrl-C could only show a traceback


@dataclass(frozen=True)
class Place:
    """Where runs are stored.

    Attributes
    ----------
    data : Path
        The data directory; it has the journal.
    tiled : str or None
        Address of a Tiled server; None for the catalog in the data directory.
    api_key : str or None
        What that server asks for.
    """

    data: Path
    tiled: str | None = None
    api_key: str | None = None

    def open(self, *, must_exist: bool = False) -> Any:
        """Open the storage; with `must_exist` the data directory is not made.

        Raises
        ------
        ValueError
            If the directory must exist and does not.
        """
        from curio_plans.store.storage import Storage

        if must_exist and self.tiled is None:
            if not self.data.exists():
                raise ValueError(f"there are no runs in {self.data}: no such directory; choose another with --data")
            if not self.data.is_dir():
                raise ValueError(
                    f"expected a directory of runs, but {self.data} is a file; choose a directory with --data"
                )
        if self.tiled is not None:
            return Storage.remote(self.tiled, self.api_key, self.data)
        return Storage.local(self.data, writable=not must_exist)


def flowing(docstring: str | None) -> str:
    """Return a docstring whose paragraphs, except indented ones, are a line each, so that any terminal can wrap it."""
    paragraphs = inspect.cleandoc(docstring or "").split("\n\n")
    return "\n\n".join(text if text.startswith(" ") else " ".join(text.split()) for text in paragraphs)


def tell_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Tell what was wrong with the input in one message, without a traceback, and exit with 2."""

    @functools.wraps(command)
    def told(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except (KeyError, IndexError):
            raise  # an error of this program, not of its user
        except (ValueError, LookupError, OSError) as error:
            tell_error(error)
            raise typer.Exit(REFUSED) from error

    return told


def figure_file(chosen: Path | None, default: Path) -> Path:
    """Return where to draw a figure: the option ``--output``, or the default.

    Raises
    ------
    ValueError
        If the option names no image file.
    """
    if chosen is None:
        return default
    if chosen.is_dir():
        raise ValueError(f"--output {chosen}: expected a file, this is a directory; add a name such as run.png")
    if not chosen.suffix:
        raise ValueError(f"--output {chosen}: expected a name with an ending that tells the format; add .png or .pdf")
    return chosen


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
        if not found or not name:
            raise ValueError(f"expected {option} name=value, got {pair!r}; put a name and = in front of the value")
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
