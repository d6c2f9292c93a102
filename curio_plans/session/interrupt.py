"""Ending a run in order when the process is told to end: signals, a closed output, a callback that ends the program."""

import signal
import threading
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, Self

from bluesky import RunEngine
from bluesky.utils import TransitionError  # type: ignore[attr-defined]  # it has no public place

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name))
"""What ends a run: Ctrl-C, a service manager, a closed terminal, Ctrl-backslash."""

_RETRY_S = 0.05


class CallbackExitError(RuntimeError):
    """A document callback tried to end the program in the middle of a run."""


class OrderlyEngine(RunEngine):
    """A RunEngine whose run ends in order, with the tip withdrawn, when a callback ends the program.

    Without this, ``sys.exit()`` in a callback ends the engine's event loop, and the engine waits for ever.
    """

    def emit_sync(self, name: Any, doc: Mapping[str, Any]) -> None:
        """Give a document to the callbacks.

        Raises
        ------
        CallbackExitError
            In place of SystemExit and KeyboardInterrupt.
        """
        try:
            super().emit_sync(name, doc)  # type: ignore[no-untyped-call]
        except (SystemExit, KeyboardInterrupt) as error:
            raise CallbackExitError(
                f"a callback raised {type(error).__name__} at the {name.name} document; the run ends here"
            ) from error


class Interruption:
    """A context in which signals, and whatever else calls :meth:`pause`, pause a RunEngine once, at once.

    Whoever started the engine then ends the run. Further signals change nothing: the run is ending already. A signal
    that the process ignores, such as SIGHUP under nohup, is still ignored.

    Parameters
    ----------
    engine : RunEngine
        Executes the plan in the main thread.
    also : callable, optional
        Is given :meth:`pause`, to call it for reasons of its own, and None when the time for that is over.

    Attributes
    ----------
    received : signal.Signals or None
        The first signal.

    Examples
    --------
    >>> from bluesky import RunEngine
    >>> engine = RunEngine(context_managers=[])
    >>> with Interruption(engine) as interruption:
    ...     uids = engine([])
    """

    def __init__(self, engine: Any, also: Callable[[Callable[[], None] | None], Any] = lambda _: None) -> None:
        self.received: signal.Signals | None = None
        self._engine, self._also = engine, also
        self._over, self._pausing = threading.Event(), threading.Event()
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        """Take over the signals; only the main thread may."""
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._receive)
        self._also(self.pause)
        return self

    def __exit__(self, *_: object) -> None:
        """Give the signals back."""
        self._over.set()
        self._also(None)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def pause(self) -> None:
        """Let the engine pause as soon as it can; returns at once, and may be called from any thread."""
        if not self._pausing.is_set():
            self._pausing.set()
            # Asking waits for the engine's loop, which neither a signal handler nor the loop itself must do.
            threading.Thread(target=self._request, name="pausing", daemon=True).start()

    def _receive(self, number: int, _: FrameType | None) -> None:
        self.received = self.received or signal.Signals(number)
        if str(self._engine.state) == "paused":  # whoever asks the user stops asking
            raise KeyboardInterrupt
        self.pause()

    def _request(self) -> None:
        while not self._over.is_set():
            try:
                self._engine.request_pause(defer=False)
            except TransitionError:  # it does not run yet, or it is ending already
                self._over.wait(_RETRY_S)
            else:
                return
