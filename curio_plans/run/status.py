"""A Bluesky status for work that runs in a thread."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any, Self, TypeVar

T = TypeVar("T")


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


class Worker:
    """A daemon thread that does one piece of work after the other; an interpreter that ends does not wait for it."""

    def __init__(self, name: str) -> None:
        self._work: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def submit(self, work: Callable[[], T]) -> "Future[T]":
        """Do `work` after all that was submitted before."""
        future: Future[T] = Future()
        self._work.put((future, work))
        return future

    def close(self) -> None:
        """Let the thread end after what it is doing; what was submitted and not begun is cancelled."""
        while not self._work.empty():
            if (entry := self._work.get()) is not None:
                entry[0].cancel()
        self._work.put(None)

    def _run(self) -> None:
        while (entry := self._work.get()) is not None:
            future, work = entry
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(work())
            except Exception as error:  # noqa: BLE001  whatever it raises belongs to the future
                future.set_exception(error)


def in_thread(work: Callable[[], Any], name: str) -> FutureStatus:
    """Do `work` in a daemon thread of its own; the status follows it."""
    worker = Worker(name)
    status = FutureStatus(worker.submit(work))
    status.add_callback(lambda _: worker.close())
    return status
