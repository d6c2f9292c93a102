"""A run as it happens, in a terminal: one line a point, and a progress bar."""

from collections.abc import Iterable, Mapping
from typing import Any, Self

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from curio_plans.documents.history import History
from curio_plans.documents.streams import (
    Answered,
    Entry,
    Image,
    Point,
    Reference,
    RejectedImage,
)
from curio_plans.documents.words import say
from curio_plans.session.activity import Activity

_HEADER = (
    f"{'point':>6}  {'phase':<8} {'x / nm':>8} {'y / nm':>8} {'score':>8} {'height':>9} {'NMSE':>6} {'error':>6} "
    f"{'thought':>8}"
)


class LiveView(Activity):
    """A document callback and two hooks of a RunEngine that show a run of the plan ``curiosity``.

    Parameters
    ----------
    console : Console
        Where to print. Without a terminal there are lines but no progress bar.
    earlier : iterable of (name, document)
        The documents of the run that the one to be shown resumes.

    Examples
    --------
    >>> from bluesky import RunEngine
    >>>     >>> from rich.console import Console
    >>> engine = RunEngine()
    >>> with LiveView(Console()) as view:
    ...     token = engine.subscribe(view)
    ...     engine.msg_hook, engine.waiting_hook = view.message, view.waiting
    """

    def __init__(self, console: Console, earlier: Iterable[tuple[str, Mapping[str, Any]]] = ()) -> None:
        super().__init__()
        self.console = console
        self._history = History(earlier)
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
            self.show_points(len(self._history.outcomes), doc.get("points"))
            self.line(_HEADER, "bold")
        for entry in self._history(name, doc):
            self._show(entry)

    def _show(self, entry: Entry) -> None:
        match entry:
            case Point():
                self._show_point()
            case Reference():
                self._floor = self._mean_spectrum_mse()
            case Image() | RejectedImage() | Answered():
                pass  # the progress bar and the prompt have shown it
            case _:
                if text := say(entry):
                    self.line(f"{'':>6}  {text}", "yellow")

    def show_points(self, number: int, total: int | None = None) -> None:
        """Show how many points there are, and of how many."""
        known = self._points.tasks[self._point].total
        self._points.update(self._point, completed=number, total=known if total is None else total)

    def show_activity(self) -> None:
        """Show what is done now beside the progress bar."""
        self._points.update(self._point, description=self.waiting_for)

    def show_lines(self, current: float | None, target: float | None) -> None:
        """Show the lines of an image in a bar of their own."""
        self._points.update(self._lines, completed=current, total=target, visible=current is not None)

    def _mean_spectrum_mse(self) -> float:
        truth = self._history.reference
        return float("nan") if truth is None else float(((truth - truth.mean(axis=0)) ** 2).mean())

    def line(self, text: str, style: str = "") -> None:
        """Print one line."""
        self.console.print(text, style=style, highlight=False, markup=False)

    def _show_point(self) -> None:
        history = self._history
        if not history.observations:
            return
        number = len(history.outcomes)
        self.show_points(number)
        observation, decision = history.observations[-1], history.decisions[number - 1]
        x, y = observation.position
        nmse = decision.map_mse / self._floor if self._floor > 0 else float("nan")
        error = float("nan") if decision.estimate is None else decision.estimate.error
        row = (
            f"{number:>6}  {decision.phase:<8} {x:>8.1f} {y:>8.1f} {_number(decision.score, '8.3g')} "
            f"{np.ptp(observation.spectrum):>9.3g} {_number(nmse, '6.3f')} {_number(error, '6.3f')} "
            f"{decision.think_time:>6.2f} s"
        )
        self.line(row)


def _number(value: float, form: str) -> str:
    return f"{value:>{form}}" if np.isfinite(value) else f"{'–':>{form.split('.')[0]}}"
