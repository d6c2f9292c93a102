"""A run as it happens, in a notebook: one output that changes, not one a line."""

import html
import time
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console

from curio_plans.session.live import LiveView

_PAUSE_S = 0.2
_NOTES = 3


def in_notebook() -> bool:
    """Tell whether this process is the kernel of a notebook, which can change what it has shown."""
    try:
        from IPython.core.getipython import get_ipython
    except ImportError:
        return False
    return hasattr(get_ipython(), "kernel")


class NotebookView(LiveView):
    """Shows a run of the plan ``curiosity`` in one output: progress, the last point, and the last remarks.

    Parameters
    ----------
    earlier : iterable of (name, document)
        The documents of the run that the one to be shown resumes.
    """

    def __init__(self, earlier: Iterable[tuple[str, Mapping[str, Any]]] = ()) -> None:
        super().__init__(Console(force_terminal=False, force_jupyter=False), earlier)
        self._header = self._row = self._now = ""
        self._notes: list[str] = []
        self._number, self._total = 0, 1
        self._handle: Any = None
        self._shown = 0.0

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Show the next document."""
        super().__call__(name, doc)
        if name == "stop":
            self._now = f"{doc['exit_status']}{': ' if doc['reason'] else ''}{doc['reason']}"
            self._show_all(at_once=True)

    def line(self, text: str, style: str = "") -> None:
        """Keep the line; the last one of each kind is shown."""
        if style == "bold":
            self._header = text
        elif style:
            self._notes = [*self._notes, text.strip()][-_NOTES:]
        else:
            self._row = text
        self._show_all()

    def show_points(self, number: int, total: int | None = None) -> None:
        """Show how many points there are, and of how many."""
        self._number, self._total = number, total or self._total
        self._show_all()

    def show_activity(self) -> None:
        """Show what is done now."""
        self._now = self.waiting_for
        self._show_all()

    def show_lines(self, current: float | None, target: float | None) -> None:
        """Show the lines of an image."""
        if current is not None:
            self._now = f"imaging, line {current:.0f} of {target:.0f}"
            self._show_all()

    def _show_all(self, *, at_once: bool = False) -> None:
        if not at_once and time.monotonic() - self._shown < _PAUSE_S:
            return
        from IPython.display import HTML, display

        self._shown = time.monotonic()
        shown = HTML(self._html())
        if self._handle is None:
            self._handle = display(shown, display_id=True)
        else:
            self._handle.update(shown)

    def _html(self) -> str:
        table = "\n".join(html.escape(text) for text in (self._header, self._row) if text)
        notes = "".join(f"<div>{html.escape(note)}</div>" for note in self._notes)
        return (
            f'<progress value="{self._number}" max="{self._total}" style="width: 20em"></progress> '
            f"{self._number} of {self._total} points, {html.escape(self._now)}"
            f'<pre style="margin: 0.3em 0">{table}</pre>{notes}'
        )
