"""What ``run`` and ``resume`` share: a RunEngine that stores a run, shows it, and reports on it."""

import functools
import logging
import select
import shlex
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, TextIO, cast

import typer
from rich.prompt import Prompt

from curio_plans.cli.common import DATA, FAILED, INTERRUPTED, NO_READER, Place
from curio_plans.cli.output import Progress, console, errors, streams, tell_error, warn
from curio_plans.cli.reports import print_summary

if TYPE_CHECKING:
    from curio_plans.session.settings import Settings

Documents = Sequence[tuple[str, Mapping[str, Any]]]
AT_THE_TERMINAL = "interrupted at the terminal"
_UNHEARD = logging.NullHandler()
_LOOK = 0.2
"""Seconds between two looks at what others ask, while the terminal asks."""


def make_engine(settings: "Settings | None" = None) -> Any:
    """Return a RunEngine for a command, which publishes where the settings say; `keep_run` takes care of signals."""
    from curio_plans.session.interrupt import OrderlyEngine
    from curio_plans.session.log import publish

    # What goes wrong is told once, in our own words: without a handler of anybody, nothing goes to standard error.
    logging.getLogger("bluesky").addHandler(_UNHEARD)
    engine = OrderlyEngine({}, context_managers=[])
    if settings is not None and settings.publish is not None:
        publish(engine, settings.publish.zmq, settings.publish.prefix)
    return engine


def keep_run(
    engine: Any, afm: Any, plan: Callable[..., Any], storage: Any, place: Place, figure: bool, earlier: Documents = ()
) -> None:
    """Execute a plan that takes `ask`; store its run, show it, and report on it.

    Parameters
    ----------
    engine : RunEngine
        From `make_engine`.
    afm : AFM
        Its baseline is recorded.
    plan : callable
        Returns the plan; takes the step that gets an agent's question answered.
    storage : Storage
        Opened from `place`.
    place : Place
        Where that storage is.
    figure : bool
        Compare the run with simple methods and draw it.
    earlier : sequence of (name, document)
        The documents of the run that it resumes.

    Raises
    ------
    typer.Exit
        If the run did not come to its end; its code says why.
    """
    from bluesky.callbacks.core import make_callback_safe
    from bluesky.preprocessors import SupplementalData

    from curio_plans.documents.start import normalise
    from curio_plans.run.desk import Desk
    from curio_plans.session.activity import Broadcast, both
    from curio_plans.session.interrupt import Interruption
    from curio_plans.session.live import LiveView
    from curio_plans.session.persistent import PersistentMetadata

    with Progress(f"opening the catalog in {place.tiled or place.data}"):
        metadata = PersistentMetadata(place.data / "metadata.db")
        engine.md, engine.scan_id_source, engine.md_normalizer = metadata, metadata.next_scan_id, normalise
        storage.attach(engine)
    abortion = _Abortion()
    engine.preprocessors.append(SupplementalData(baseline=afm.baseline))
    started: list[str] = []
    engine.subscribe(lambda _, doc: started.append(doc["uid"]), "start")
    desk = Desk(lambda text: console.print(text, style="bold yellow", markup=False))
    try:
        streams.stop_blocking()
        with LiveView(console, earlier) as view, Interruption(engine, streams.when_lost) as interruption:
            safe = functools.partial(make_callback_safe, logger=logging.getLogger(__name__))
            broadcast = Broadcast(storage.directory)
            for shown in (view, broadcast):
                engine.subscribe(safe(shown))
            engine.msg_hook = both(safe(view.message), safe(broadcast.message))
            engine.waiting_hook = both(safe(view.waiting), safe(broadcast.waiting))
            waiting = _Typing(lambda: storage.mailbox(started[-1]).asked())
            steered = plan(ask=desk.ask, steer=storage.mailbox)
            _execute(engine, steered, desk, view, abortion, interruption, waiting)
        if interruption.received is None:
            streams.wait_for_reader()
    except Exception as error:
        if started:
            _tell_failure(error, started[-1], place)
        raise
    if abortion.reason:
        _tell_abortion(abortion, storage, started, place)
    if started:
        path = place.data / "figures" / f"{started[-1]}.png" if figure else None
        try:
            print_summary(storage.lineage(started[-1]), path)
        except (ValueError, LookupError, OSError) as error:
            warn(f"the run is complete and stored, but the report on it failed: {error}")
        _tell_where(started[-1], place)


@dataclass
class _Abortion:
    """Why a run is aborted; empty while it is not.

    Attributes
    ----------
    reason : str
        In words.
    code : int
        The exit code of the command.
    """

    reason: str = ""
    code: int = INTERRUPTED


def _execute(
    engine: Any, plan: Any, desk: Any, view: Any, abortion: _Abortion, interruption: Any, typing: "_Typing"
) -> None:
    """Execute a plan and answer its questions, or abort it; `abortion` then says why."""
    from bluesky.utils import RunEngineInterrupted

    proceed = functools.partial(engine, plan)
    while True:
        try:
            proceed()
        except RunEngineInterrupted:
            if not streams.lost and interruption.received is None and desk.question is not None:
                abortion.reason = _answer(desk, view, typing)
            if interruption.received not in (None, signal.SIGINT):
                abortion.reason = f"the process received {interruption.received.name}"
                abortion.code = 128 + interruption.received
            elif streams.lost:
                abortion.reason, abortion.code = f"standard output has no reader: {streams.lost}", NO_READER
            elif interruption.received is not None or desk.question is None:
                abortion.reason = AT_THE_TERMINAL
            if abortion.reason:
                engine.abort(abortion.reason)
                return
            proceed = engine.resume
        else:
            return


class _AnsweredElsewhere(Exception):
    """Somebody who steers the run has answered."""


class _Typing:
    """What is typed at the terminal, line by line, unless somebody else asks something of the run first.

    Parameters
    ----------
    asked : callable
        Returns what others ask.
    """

    def __init__(self, asked: Callable[[], Sequence[Any]]) -> None:
        self._asked = asked

    def readline(self) -> str:
        """Return the next line.

        Raises
        ------
        EOFError
            If there is none any more.
        _AnsweredElsewhere
            If others ask something.
        """
        # Only a terminal gives one line at a time; of anything else, lines may wait unseen in the buffer.
        while sys.stdin.isatty() and not select.select([sys.stdin], [], [], _LOOK)[0]:
            if self._asked():
                raise _AnsweredElsewhere
        if not (line := sys.stdin.readline()):
            raise EOFError
        return line


def _answer(desk: Any, view: Any, typing: "_Typing") -> str:
    """Ask the user what the agent asks. Return why there is no answer, or nothing."""
    view.pause()
    try:
        choices = list(desk.question.choices)
        desk.answer(Prompt.ask("your answer", choices=choices, console=console, stream=cast("TextIO", typing)))
    except _AnsweredElsewhere:
        console.print()
    except KeyboardInterrupt:
        return AT_THE_TERMINAL
    except EOFError:
        return f"the agent asked {desk.question.text!r}, and standard input is closed"
    view.go_on()
    return ""


def _tell_abortion(abortion: _Abortion, storage: Any, started: Sequence[str], place: Place) -> NoReturn:
    if not started:
        warn(f"{abortion.reason}; nothing was measured")
    elif abortion.reason == AT_THE_TERMINAL:
        console.print("[yellow]interrupted; what was measured is kept[/]")
        print_summary(storage.lineage(started[-1]), None)
        _tell_where(started[-1], place)
    else:
        warn(f"the run was ended: {abortion.reason}; what was measured is kept")
    if started:
        errors.print(f"go on: curio resume {started[-1][:8]}{_option(place)}", highlight=False, soft_wrap=True)
    raise typer.Exit(abortion.code)


def _tell_failure(error: Exception, uid: str, place: Place) -> NoReturn:
    """Tell why a run failed; only a defect shows a traceback."""
    from curio_plans.rules.quality import QualityError
    from curio_plans.run.thinker import ThinkingError
    from ophyd_devices.backend import BackendError

    if isinstance(error, BackendError | QualityError | ThinkingError | OSError):
        tell_error(error)
    else:
        errors.print_exception()  # a defect, or an agent of one's own
    errors.print("the run failed; what was measured is kept", style="yellow")
    where = f"{uid[:8]}{_option(place)}"
    errors.print(f"look: curio show {where}   go on: curio resume {where}", highlight=False, soft_wrap=True)
    raise typer.Exit(FAILED) from error


def _tell_where(uid: str, place: Place) -> None:
    def line(text: str) -> None:
        console.print(text, soft_wrap=True, highlight=False, markup=False)

    line(f"data:   {place.tiled or place.data.resolve()}")
    if place.tiled is None:
        line("python: from curio_plans import Run")
        line(f"        Run.open({str(place.data)!r}, {uid[:8]!r}).points  # an xarray Dataset")
    line(f"again:  curio show {uid[:8]}{_option(place)}   curio replay {uid[:8]}{_option(place)}")


def _option(place: Place) -> str:
    return f" --data {shlex.quote(str(place.data))}" if place.data != DATA else ""
