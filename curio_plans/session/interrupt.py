"""Pausing a run at once, where there is no prompt to return to: by Ctrl-C, or for another reason."""

import signal
import threading
from collections.abc import Callable
from typing import Any, Self

from bluesky.utils import TransitionError  # type: ignore[attr-defined]  # it has no public place

_RETRY_S = 0.05


class PauseAtOnce:
    """A context manager for a RunEngine: Ctrl-C pauses it at once, and whoever started it ends the run.

    In a session at a prompt Bluesky's own is better: it waits for a checkpoint, and the run can be resumed.

    Parameters
    ----------
    engine : RunEngine
        The engine, which enters this while it executes a plan.
    also : callable, optional
        Is given a function that pauses the engine, to call it for reasons of its own, and None when the time for that
        is over.

    Examples
    --------
    >>> from bluesky import RunEngine
    >>> engine = RunEngine(context_managers=[PauseAtOnce])
    """

    def __init__(self, engine: Any, also: Callable[[Callable[[], None] | None], Any] = lambda _: None) -> None:
        self._engine, self._also = engine, also
        self._over = threading.Event()

    def __enter__(self) -> Self:
        """Take over SIGINT."""
        self._before = signal.signal(signal.SIGINT, lambda *_: self.pause())
        self._also(self.pause)
        return self

    def __exit__(self, *_: object) -> None:
        """Give SIGINT back."""
        self._over.set()
        self._also(None)
        signal.signal(signal.SIGINT, self._before)

    def pause(self) -> None:
        """Let the engine pause as soon as it can; returns at once, and may be called from any thread."""
        # Asking waits for the engine's loop, which neither a signal handler nor the loop itself must do.
        threading.Thread(target=self._request, name="pausing", daemon=True).start()

    def _request(self) -> None:
        while not self._over.is_set():
            try:
                self._engine.request_pause(defer=False)
            except TransitionError:  # it does not run yet, or it is ending already
                self._over.wait(_RETRY_S)
            else:
                return
