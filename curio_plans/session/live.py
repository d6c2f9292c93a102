"""A run as it happens, in a terminal: one line a point, and a progress bar."""

from collections.abc import Iterable, Mapping
from typing import Any, Self

import numpy as np
from bluesky.utils import Msg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from curio_plans.documents.history import History
from curio_plans.documents.streams import (
    DECISION,
    DRIFT,
    DriftEstimate,
    Ending,
    Entry,
    Escalated,
    Exclusions,
    Point,
    Reference,
    Rejected,
)

_HEADER = (
    f"{'point':>6}  {'phase':<8} {'x / nm':>8} {'y / nm':>8} {'score':>8} {'height':>9} {'NMSE':>6} {'error':>6} "
    f"{'thought':>8}"
)
_ACTIVITIES = {
    ("set", DECISION): "thinking",
    ("set", "scanner"): "moving",
    ("trigger", "imager"): "imaging",
    ("trigger", "spectrometer"): "measuring",
    ("trigger", "reference"): "reading the true spectra",
    ("trigger", DRIFT): "comparing images",
    ("trigger", DECISION): "updating the maps",
}


class LiveView:
    """A document callback and two hooks of a RunEngine that show a run of the plan ``curiosity``.

    Parameters
    ----------
    console : Console
        Where to print. Without a terminal there are lines but no progress bar.
    earlier : iterable of (name, document)
        The documents of the run that the one to be shown resumes.

    Attributes
    ----------
    waiting_for : str
        What the run is doing, in words, such as ``"imaging"`` or ``"thinking"``.

    Examples
    --------
    >>> from bluesky import RunEngine
    >>> from bluesky.utils import Msg
    >>> from rich.console import Console
    >>> engine = RunEngine()
    >>> with LiveView(Console()) as view:
    ...     token = engine.subscribe(view)
    ...     engine.msg_hook, engine.waiting_hook = view.message, view.waiting
    """

    def __init__(self, console: Console, earlier: Iterable[tuple[str, Mapping[str, Any]]] = ()) -> None:
        self.console = console
        self.waiting_for = "starting"
        self._history = History(earlier)
        self._started: dict[Any, dict[str, None]] = {}  # by group; a dict is a set in order
        self._awaited: Any = None
        self._points = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._point = self._points.add_task(self.waiting_for, total=None)
        self._lines = self._points.add_task("image", visible=False)
        self._floor = self._mean_spectrum_mse()

    def __enter__(self) -> Self:
        """Show the progress bar."""
        self.go_on()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the progress bar."""
        self.pause()

    def pause(self) -> None:
        """Remove the progress bar while a human is asked."""
        if self.console.is_terminal:
            self._points.stop()

    def go_on(self) -> None:
        """Show the progress bar, on a terminal."""
        if self.console.is_terminal:
            self._points.start()

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Show the next document."""
        if name == "start":
            self._points.update(self._point, total=doc.get("points"))
            self.console.print(_HEADER, style="bold", highlight=False)
        for entry in self._history(name, doc):
            self._show(entry)

    def _show(self, entry: Entry) -> None:
        match entry:
            case Point():
                self._show_point()
            case Reference():
                self._floor = self._mean_spectrum_mse()
            case Rejected():
                self._say(f"bad spectrum, attempt {entry.attempt}: {entry.reason}")
            case Exclusions():
                number = int(entry.candidates.sum())
                self._say(f"excluded {number} candidate{'s'[: number > 1]}: {entry.reason}")
            case DriftEstimate():
                self._show_drift(entry)
            case Escalated():
                self._say("a closer look: the error stays high here")
            case Ending():
                self._say(f"the run ends: {entry.reason}")

    def message(self, message: Msg) -> None:
        """Note what a message of the plan starts, and what it waits for; assign it to ``RE.msg_hook``."""
        if message.command in ("set", "trigger"):
            self._started.setdefault(message.kwargs.get("group"), {})[activity(message)] = None
        elif message.command == "wait":
            self._awaited = message.args[0] if message.args else message.kwargs.get("group")

    def waiting(self, statuses: Iterable[Any] | None) -> None:
        """Show what the plan waits for; assign it to ``RE.waiting_hook``."""
        if statuses is None:
            self._points.update(self._lines, visible=False)
            return
        started = self._started.pop(self._awaited, {})
        unfinished = [status for status in statuses if not status.done]
        if unfinished and started:
            self.waiting_for = " and ".join(started)
            self._points.update(self._point, description=self.waiting_for)
        for status in unfinished:
            if hasattr(status, "watch"):
                status.watch(self._show_lines)

    def _show_lines(self, *, current: float | None = None, target: float | None = None, **_: Any) -> None:
        if current is None or target is None:  # a status without progress tells only its name
            return
        self._points.update(self._lines, completed=current, total=target, visible=True)

    def _mean_spectrum_mse(self) -> float:
        truth = self._history.reference
        return float("nan") if truth is None else float(((truth - truth.mean(axis=0)) ** 2).mean())

    def _show_drift(self, found: DriftEstimate) -> None:
        x, y = found.shift
        outcome = "corrected" if found.accepted else "not believed, the earlier correction stays"
        self._say(f"drift {x:+.1f}, {y:+.1f} nm since the first image, confidence {found.confidence:.2f}: {outcome}")

    def _say(self, text: str) -> None:
        self.console.print(f"{'':>6}  {text}", style="yellow", highlight=False, markup=False)

    def _show_point(self) -> None:
        history = self._history
        if not history.observations:
            return
        number = len(history.outcomes)
        self._points.update(self._point, completed=number)
        observation, decision = history.observations[-1], history.decisions[number - 1]
        x, y = observation.position
        nmse = decision.map_mse / self._floor if self._floor > 0 else float("nan")
        error = float("nan") if decision.estimate is None else decision.estimate.error
        row = (
            f"{number:>6}  {decision.phase:<8} {x:>8.1f} {y:>8.1f} {_number(decision.score, '8.3g')} "
            f"{np.ptp(observation.spectrum):>9.3g} {_number(nmse, '6.3f')} {_number(error, '6.3f')} "
            f"{decision.think_time:>6.2f} s"
        )
        self.console.print(row, highlight=False)


def _number(value: float, form: str) -> str:
    return f"{value:>{form}}" if np.isfinite(value) else f"{'–':>{form.split('.')[0]}}"


def activity(message: Msg) -> str:
    """Return in words what a message with the command ``set`` or ``trigger`` makes a device do."""
    name = message.obj.name
    device = name if name in (DECISION, DRIFT) else name.rpartition("_")[2]
    if (message.command, device) == ("set", "tip"):
        return "approaching" if message.args[0] == "engaged" else "withdrawing"
    return _ACTIVITIES.get((message.command, device), f"waiting for {name}")
