"""What a run does at the moment, in words; and a file in which other processes can read it."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from bluesky.utils import Msg

from curio_plans.documents.streams import DECISION, DRIFT
from curio_plans.store.mailbox import Mailbox

_ACTIVITIES = {
    ("set", DECISION): "thinking",
    ("set", "scanner"): "moving",
    ("trigger", "imager"): "imaging",
    ("trigger", "spectrometer"): "measuring",
    ("trigger", "reference"): "reading the true spectra",
    ("trigger", DRIFT): "comparing images",
    ("trigger", DECISION): "updating the maps",
}


class Activity:
    """Two hooks of a RunEngine that find out what it waits for. A subclass shows it.

    Attributes
    ----------
    waiting_for : str
        What the run is doing, in words, such as ``"imaging"`` or ``"thinking"``.
    tip : str
        ``"engaged"`` or ``"withdrawn"``, as last commanded; empty before that.
    """

    def __init__(self) -> None:
        self.waiting_for = "starting"
        self.tip = ""
        self._started: dict[Any, dict[str, None]] = {}  # by group; a dict is a set in order
        self._awaited: Any = None

    def message(self, message: Msg) -> None:
        """Note what a message of the plan starts, and what it waits for; assign it to ``RE.msg_hook``."""
        if message.command in ("set", "trigger"):
            self._started.setdefault(message.kwargs.get("group"), {})[activity(message)] = None
            if message.command == "set" and message.obj.name.endswith("_tip") and message.args:
                self.tip = str(message.args[0])
        elif message.command == "wait":
            self._awaited = message.args[0] if message.args else message.kwargs.get("group")

    def waiting(self, statuses: Iterable[Any] | None) -> None:
        """Show what the plan waits for; assign it to ``RE.waiting_hook``."""
        if statuses is None:
            self.show_lines(None, None)
            return
        started = self._started.pop(self._awaited, {})
        unfinished = [status for status in statuses if not status.done]
        if unfinished and started:
            self.waiting_for = " and ".join(started)
            self.show_activity()
        for status in unfinished:
            if hasattr(status, "watch"):
                status.watch(self._progress)

    def show_activity(self) -> None:
        """Show that something else is done now."""

    def show_lines(self, current: float | None, target: float | None) -> None:
        """Show so many of the lines of an image; None when there is none any more."""

    def _progress(self, *, current: float | None = None, target: float | None = None, **_: Any) -> None:
        if current is not None and target is not None:  # a status without progress tells only its name
            self.show_lines(current, target)


class Broadcast(Activity):
    """Lets other processes know what a run does: a document callback, and the hooks of an :class:`Activity`.

    A thread writes, so that a plan waits for no file.

    Parameters
    ----------
    directory : Path or str
        The data directory.
    every : float
        Seconds between two looks at whether something changed.
    """

    def __init__(self, directory: Path | str, every: float = 0.2) -> None:
        super().__init__()
        self._directory, self._every = directory, every
        self._lines: tuple[float, float] | None = None
        self._mailbox: Mailbox | None = None
        self._over = threading.Event()
        self._more: Callable[[], Mapping[str, Any]] = dict

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Begin with a start document, and end with a stop document."""
        if name == "start":
            self._over = threading.Event()
            self._mailbox = Mailbox(self._directory, doc["uid"])
            self.waiting_for = "starting"
            arguments = (self._mailbox, self._over)
            threading.Thread(target=self._tell, args=arguments, name="broadcast", daemon=True).start()
        elif name == "stop":
            self._over.set()

    def show_lines(self, current: float | None, target: float | None) -> None:
        """Note the line of an image."""
        self._lines = None if current is None or target is None else (current, target)

    def _now(self) -> dict[str, Any]:
        lines = self._lines
        doing = self.waiting_for if lines is None else f"{self.waiting_for}, line {lines[0]:.0f} of {lines[1]:.0f}"
        return {"doing": doing, "tip": self.tip, "pid": os.getpid()}

    def _tell(self, mailbox: Mailbox, over: threading.Event) -> None:
        told: dict[str, Any] = {}
        while not over.wait(self._every):
            now = self._now()
            if now != told:
                told = now
                try:
                    mailbox.tell({**now, "time": time.time()})
                except OSError:
                    return  # the journal has trouble of the same kind, and tells it


def both(*hooks: Callable[[Any], Any]) -> Callable[[Any], None]:
    """Return a hook that calls several."""

    def call(argument: Any) -> None:
        for hook in hooks:
            hook(argument)

    return call


def activity(message: Msg) -> str:
    """Return in words what a message with the command ``set`` or ``trigger`` makes a device do."""
    name = message.obj.name
    device = name if name in (DECISION, DRIFT) else name.rpartition("_")[2]
    if (message.command, device) == ("set", "tip"):
        return "approaching" if message.args[0] == "engaged" else "withdrawing"
    return _ACTIVITIES.get((message.command, device), f"waiting for {name}")
