"""Ending a run in order when the process is told to end: signals, a closed output, a callback that ends the program."""

import atexit
import functools
import logging
import mmap
import os
import signal
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import FrameType
from typing import Any, Self

from bluesky import RunEngine
from bluesky.preprocessors import msg_mutator
from bluesky.utils import Msg, RunEngineControlException, TransitionError  # type: ignore[attr-defined]

from curio_plans.store.callbacks import CallbackExitError

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name))
"""What ends a run: Ctrl-C, a service manager, a closed terminal, Ctrl-backslash."""

_RETRY_S = 0.05
_RESERVE = 2**26
_NO_MEMORY = "no memory is left for the documents of the run; it ends here"


class _InOneLine(logging.Filter):
    """Tells of a run that was ended on request without a traceback: where the plan was is of no interest."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Take the traceback out; pass over what only concerns tracing, which we do not use."""
        if record.exc_info and isinstance(record.exc_info[1], RunEngineControlException):
            record.exc_info = None
        return record.msg != "No open traces left to close!"


_IN_ONE_LINE = _InOneLine()


class OrderlyEngine(RunEngine):
    """A RunEngine whose runs end in order and say why.

    When a callback ends the program, the run ends, with the tip withdrawn; otherwise ``sys.exit()`` in a callback would
    end the engine's event loop, and the engine would wait for ever. The reason given to :meth:`abort` goes into the
    stop document; otherwise it would be lost where the plan closes its run itself. The log has one line of such a run,
    without a traceback.

    Some memory is kept in reserve. Where a callback, such as one that stores documents, finds none, the reserve lets
    the plan withdraw the tip and close its run.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.log.logger.addFilter(_IN_ONE_LINE)
        self._abortion = ""
        self._reserve: mmap.mmap | None = None
        self.preprocessors.append(functools.partial(msg_mutator, msg_proc=self._explain))

    def abort(self, reason: str = "") -> Any:
        """End a run that is paused or going on; its exit status is ``abort``."""
        self._abortion = reason
        return super().abort(reason)  # type: ignore[no-untyped-call]

    def _explain(self, message: Msg) -> Msg:
        if message.command == "open_run":
            self._abortion = ""
            with suppress(OSError):  # there is none to reserve
                self._reserve = mmap.mmap(-1, _RESERVE)  # it takes none before it is written to
        if message.command != "close_run" or not self._abortion or message.kwargs.get("reason"):
            return message
        return message._replace(kwargs={**message.kwargs, "reason": self._abortion})

    def emit_sync(self, name: Any, doc: Mapping[str, Any]) -> None:
        """Give a document to the callbacks.

        Raises
        ------
        CallbackExitError
            In place of SystemExit and KeyboardInterrupt.
        MemoryError
            If a callback raises one.
        """
        try:
            super().emit_sync(name, doc)  # type: ignore[no-untyped-call]
        except (SystemExit, KeyboardInterrupt) as error:
            raise CallbackExitError(error, name) from error
        except MemoryError:
            if self._reserve is not None:
                self._reserve.close()
            raise MemoryError(_NO_MEMORY) from None


def leave_in_order(engine: Any) -> None:
    """Let SIGTERM and SIGHUP end a session in order: first its run, with the tip withdrawn, then the process.

    Without this they end the process at once: a service manager, a closed terminal or a logout would leave the tip on
    the surface, and a run without a stop document. Ctrl-C stays with the RunEngine and the prompt.

    Parameters
    ----------
    engine : RunEngine
        Of the session; called in the main thread.
    """

    def receive(number: int, _: FrameType | None) -> None:
        if engine.state.is_idle:
            raise SystemExit(128 + number)
        if not ending.is_set():
            ending.set()
            threading.Thread(target=end_run, args=(number,), name="leaving", daemon=True).start()

    def end_run(number: int) -> None:
        engine.abort(f"the process received {signal.Signals(number).name}")
        while not left.wait(_RETRY_S):
            # IPython lets nothing end it from within a cell, so again until it is at its prompt.
            if engine.state.is_idle:
                os.kill(os.getpid(), number)

    def leave() -> None:
        left.set()
        for number in taken:
            signal.signal(number, signal.SIG_IGN)

    ending, left = threading.Event(), threading.Event()
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    taken = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    for number in taken:
        signal.signal(number, receive)
    atexit.register(leave)  # what ends the session is not interrupted


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
