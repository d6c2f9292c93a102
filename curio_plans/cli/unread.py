"""Output that nobody reads yet: kept for a while, and written by a thread of its own."""

import threading
from collections import deque
from collections.abc import Callable

ROOM = 1 << 20
"""Bytes that are kept, some ten thousand lines."""


class Unread:
    """Takes output at once, and writes it as fast as it is read.

    Where more than :data:`ROOM` bytes wait, what comes then is left out, and a line in its place says how much.

    Parameters
    ----------
    write : callable
        Writes bytes; it blocks until there is a reader, and raises nothing.
    """

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._waiting: deque[bytes] = deque()
        self._size = self._left_out = 0
        self._changed = threading.Condition()
        self._over = False
        self._thread = threading.Thread(target=self._pass_on, name="unread output", daemon=True)
        self._thread.start()

    def take(self, data: bytes) -> None:
        """Take some output; returns at once."""
        with self._changed:
            if self._size + len(data) > ROOM:
                self._left_out += len(data)
                return
            self._note_gap()
            self._keep(data)

    def finish(self, seconds: float | None = None) -> None:
        """Wait until all is read, but no longer than so many seconds; take nothing more."""
        with self._changed:
            self._note_gap()
            self._over = True
            self._changed.notify()
        self._thread.join(seconds)

    def _note_gap(self) -> None:
        if self._left_out:
            self._keep(f"\n[{self._left_out} bytes were left out here: nobody read the output]\n".encode())
            self._left_out = 0

    def _keep(self, data: bytes) -> None:
        self._waiting.append(data)
        self._size += len(data)
        self._changed.notify()

    def _pass_on(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._over)
                if not self._waiting:
                    return
                data = self._waiting.popleft()
            self._write(data)
            with self._changed:
                self._size -= len(data)
