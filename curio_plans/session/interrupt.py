"""Ctrl-C where there is no prompt to return to."""

import signal
import threading
from contextlib import suppress
from typing import Any, Self

from bluesky.utils import TransitionError


class PauseAtOnce:
    """A context manager for a RunEngine: Ctrl-C pauses it at once, and whoever started it ends the run.

    In a session at a prompt Bluesky's own is better: it waits for a checkpoint, and the run can be resumed.

    Examples
    --------
    >>> from bluesky import RunEngine
    >>> engine = RunEngine(context_managers=[PauseAtOnce])
    """

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def __enter__(self) -> Self:
        """Take over SIGINT."""
        self._before = signal.signal(signal.SIGINT, self._pause)
        return self

    def __exit__(self, *_: object) -> None:
        """Give SIGINT back."""
        signal.signal(signal.SIGINT, self._before)

    def _pause(self, *_: object) -> None:
        # Asking waits for the engine's loop, which a signal handler must not do.
        threading.Thread(target=self._request, daemon=True).start()

    def _request(self) -> None:
        with suppress(TransitionError):  # it is paused already, or at its end
            self._engine.request_pause(defer=False)
