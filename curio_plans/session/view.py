"""What a session shows of its runs."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bluesky.utils import Msg, ProgressBarManager
from rich.console import Console

from curio_plans.session.live import LiveView
from curio_plans.session.notebook import NotebookView, in_notebook

Documents = Iterable[tuple[str, Mapping[str, Any]]]


class SessionView:
    """A document callback and hooks of a RunEngine: for the plan ``curiosity`` the lines of ``curio run``.

    In a notebook that is one output that changes; see :class:`~curio_plans.session.notebook.NotebookView`. Any other
    plan has the table and the progress bars of Bluesky. Subscribe it before `table`.

    Parameters
    ----------
    table : BestEffortCallback
        Its table is switched off for runs that are shown here.
    stored : callable
        Gives the documents of a run that another resumes.
    console : Console, optional
        Where to print; by default standard output, or the output of the cell.
    """

    def __init__(self, table: Any, stored: Callable[[str], Documents], console: Console | None = None) -> None:
        self._table, self._stored = table, stored
        self._notebook = console is None and in_notebook()
        self._console = Console() if console is None else console
        self._bars = ProgressBarManager()
        self._view: LiveView | None = None

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Show the next document."""
        if name == "start":
            self._begin(doc)
        if self._view is not None:
            self._view(name, doc)
        if name == "stop":
            self._end()

    def message(self, message: Msg) -> None:
        """Note what a message starts; for ``RE.msg_hook``."""
        if self._view is not None:
            self._view.message(message)

    def waiting(self, statuses: Iterable[Any] | None) -> None:
        """Show what is waited for; for ``RE.waiting_hook``."""
        if self._view is not None:
            self._view.waiting(statuses)
        else:
            self._bars(statuses)

    def state(self, new: str, _: str) -> None:
        """Make room for the prompt while a run is paused; for ``RE.state_hook``."""
        if self._view is not None:
            if new == "running":
                self._view.go_on()
            else:
                self._view.pause()

    def _begin(self, start: Mapping[str, Any]) -> None:
        self._end()
        if start.get("plan_name") == "curiosity":
            self._table.disable_table()
            earlier = self._stored(start["resumes"]) if "resumes" in start else ()
            self._view = NotebookView(earlier) if self._notebook else LiveView(self._console, earlier)
            self._view.go_on()

    def _end(self) -> None:
        self._table.enable_table()
        if self._view is not None:
            self._view.pause()
            self._view = None


def show_live(engine: Any, stored: Callable[[str], Documents] = lambda _: ()) -> SessionView:
    """Let a RunEngine show its runs as they happen, in a notebook, a terminal or a script; return what shows them.

    Parameters
    ----------
    engine : RunEngine
        Its three hooks are set.
    stored : callable, optional
        Gives the documents of a run that another resumes, e.g. :meth:`curio_plans.Storage.resumable`.
    """
    from bluesky.callbacks.best_effort import BestEffortCallback

    table = BestEffortCallback()
    table.disable_plots()
    table.disable_heading()
    table.disable_baseline()
    view = SessionView(table, stored)
    engine.subscribe(view)
    engine.subscribe(table)
    engine.msg_hook, engine.waiting_hook, engine.state_hook = view.message, view.waiting, view.state
    return view
