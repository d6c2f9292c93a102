"""A Bluesky status for work that runs in a thread."""

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any, Self


class FutureStatus:
    """A `bluesky.protocols.Status` that follows a future."""

    def __init__(self, future: "Future[Any]") -> None:
        self._future = future

    @classmethod
    def finished(cls) -> Self:
        """Return a status that is done."""
        future: Future[None] = Future()
        future.set_result(None)
        return cls(future)

    @property
    def done(self) -> bool:
        """Whether the work has ended, well or not."""
        return self._future.done()

    @property
    def success(self) -> bool:
        """Whether the work has ended well."""
        return self.done and self.exception() is None

    def exception(self, timeout: float | None = 0.0) -> BaseException | None:
        """Return what the work raised; None while it goes on, or if it ended well.

        Raises
        ------
        TimeoutError
            If it has not ended after `timeout` s; None waits for ever.
        """
        if timeout == 0.0 and not self.done:
            return None
        try:
            return self._future.exception(timeout)
        except CancelledError as error:
            return error

    def add_callback(self, callback: Callable[[Any], None]) -> None:
        """Call ``callback(status)`` when the work has ended; at once if it has."""
        self._future.add_done_callback(lambda _: callback(self))


def in_thread(work: Callable[[], Any], name: str) -> FutureStatus:
    """Do `work` in a daemon thread of its own; the status follows it."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except Exception as error:  # noqa: BLE001  whatever it raises belongs to the status
            future.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return FutureStatus(future)
