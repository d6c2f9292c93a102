"""All that a command prints: consoles and streams that survive a closed pipe and any character set.

Results go to standard output. Progress, warnings and errors go to standard error.
"""

import codecs
import errno
import io
import os
import select
import sys
import threading
import unicodedata
from collections.abc import Callable
from typing import Any, Self, TextIO

from rich.console import Console
from rich.text import Text

from curio_plans.cli.unread import Unread

console = Console()
"""Standard output: results."""

errors = Console(stderr=True)
"""Standard error: progress, warnings, errors."""

_PLAIN = {
    "–": "-", "—": "-", "−": "-", "×": "x", "·": ".", "→": "->", "±": "+-", "≤": "<=", "≥": ">=", "≈": "~",
    "µ": "u", "μ": "u", "λ": "lambda", "β": "beta", "σ": "sigma", "°": " deg", "‘": "'", "’": "'", "“": '"', "”": '"',
}  # fmt: skip
_SUBSTITUTE = "curio.substitute"
_LAST_S = 1.0


class StandardStreams:
    """Standard output and standard error of this process.

    Attributes
    ----------
    lost : str
        Why standard output has no reader any more: its pipe or its terminal was closed. Empty while it has one.
    incomplete : str
        Why some of the output could not be written although it has a reader, such as a full disk. Else empty.
    """

    def __init__(self) -> None:
        self.lost = self.incomplete = ""
        self._descriptors: list[_Descriptor] = []
        self._on_loss: Callable[[], Any] | None = None
        self._watched = False

    def install(self) -> None:
        """Let `sys.stdout` and `sys.stderr` write whatever happens: nothing that is printed raises from now on.

        Text that has no reader is dropped. A character that the stream cannot encode is replaced by a similar one. A
        second call changes nothing.
        """
        for descriptor in (0, 1, 2):
            try:
                os.fstat(descriptor)
            except OSError:  # closed; the next file that is opened would become standard output
                os.open(os.devnull, os.O_RDWR)
        sys.stdout = self._lasting(sys.stdout, 1)
        sys.stderr = self._lasting(sys.stderr, 2)

    def when_lost(self, action: Callable[[], Any] | None) -> None:
        """Call `action` once, from any thread, as soon as standard output has no reader; None calls nothing.

        It is called at once where the reader has gone already.
        """
        self._on_loss = action
        if not self._watched:
            self._watched = True
            threading.Thread(target=self._watch, name="output", daemon=True).start()
        if self.lost:
            self._tell_loss()

    def stop_blocking(self) -> None:
        """Let no reader hold up who prints from now on, such as a terminal after Ctrl-S or a pager.

        What cannot be written at once waits for its reader, see :class:`curio_plans.cli.unread.Unread`; at the end of
        the process only for a second.
        """
        for descriptor in self._descriptors:
            descriptor.unread = descriptor.unread or Unread(descriptor.write_now)

    def wait_for_reader(self) -> None:
        """Wait until all is read, however long that takes, and from now on whenever something is printed."""
        self._finish(None)

    def _finish(self, seconds: float | None) -> None:
        for descriptor in self._descriptors:
            if descriptor.unread is not None:
                descriptor.unread.finish(seconds)
                descriptor.unread = None if seconds is None else descriptor.unread

    def tell_losses(self) -> None:
        """Say on standard error that some of the output could not be written, if that is so."""
        if isinstance(sys.stdout, _LastingText):
            sys.stdout.flush()
        if self.incomplete:
            warn(f"some of the output could not be written: {self.incomplete}; the command itself is not affected")
        self._finish(_LAST_S)

    def failed(self, error: OSError, descriptor: int) -> None:
        """Note that a write failed."""
        if error.errno not in (errno.EPIPE, errno.EIO):
            self.incomplete = self.incomplete or error.strerror or str(error)
        elif descriptor == 1 and not self.lost:
            self.lost = "its pipe was closed" if error.errno == errno.EPIPE else "its terminal was closed"
            self._tell_loss()

    def _lasting(self, stream: TextIO | None, descriptor: int) -> TextIO:
        if stream is None:
            stream = open(descriptor, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        if not isinstance(stream, io.TextIOWrapper) or isinstance(stream, _LastingText):
            return stream  # a notebook's own, or installed already
        stream.flush()
        self._descriptors.append(_Descriptor(stream.fileno(), self.failed))
        buffer = io.BufferedWriter(self._descriptors[-1])
        return _LastingText(
            buffer, stream.encoding, _SUBSTITUTE, line_buffering=True, write_through=stream.write_through
        )

    def _tell_loss(self) -> None:
        action, self._on_loss = self._on_loss, None
        if action is not None:
            action()

    def _watch(self) -> None:
        """Wait until the reader closes its end, which is told without writing."""
        try:
            descriptor = sys.stdout.fileno()
            lost = errno.EIO if os.isatty(descriptor) else errno.EPIPE
        except (OSError, ValueError):  # no descriptor, such as in a notebook
            return
        poll = select.poll()
        poll.register(descriptor, 0)  # errors and hang-ups are always reported
        ((_, events),) = poll.poll()
        if events & (select.POLLERR | select.POLLHUP):
            self.failed(OSError(lost, os.strerror(lost)), 1)


class _LastingText(io.TextIOWrapper):
    """What is installed."""


class _Descriptor(io.FileIO):
    """A file descriptor that takes whatever is written; `failed` hears of what could not be passed on."""

    def __init__(self, descriptor: int, failed: Callable[[OSError, int], None]) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self._failed = failed
        self.unread: Unread | None = None

    def write(self, data: Any) -> int:
        if self.unread is None:
            return self._write_some(data)
        self.unread.take(bytes(data))
        return len(data)

    def write_now(self, data: bytes) -> None:
        """Write all of `data`, however long that takes."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._write_some(rest) :]

    def _write_some(self, data: Any) -> int:
        try:
            while (written := super().write(data)) is None:  # its reader is slow
                select.select([], [self], [])
        except OSError as error:
            self._failed(error, self.fileno())
            return len(data)
        return written


class Progress:
    """Says on standard error what a command is doing: a spinner on a terminal, a line for each step elsewhere.

    Examples
    --------
    >>> with Progress("loading the agent") as progress:
    ...     progress.step("opening the catalog")
    """

    def __init__(self, step: str) -> None:
        spinner = "dots" if errors.encoding.startswith("utf") else "line"
        self._status = errors.status(Text(step), spinner=spinner) if errors.is_terminal else None
        self._first = step

    def __enter__(self) -> Self:
        """Show the first step."""
        if self._status is not None:
            self._status.start()
        else:
            self.step(self._first)
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the spinner."""
        if self._status is not None:
            self._status.stop()

    def step(self, text: str) -> None:
        """Show the next step."""
        if self._status is not None:
            self._status.update(Text(text))
        else:
            errors.print(f"{text} …", markup=False, highlight=False, soft_wrap=True)

    def detail(self, text: str) -> None:
        """Show how far the step is; on a terminal only."""
        if self._status is not None:
            self._status.update(Text(text))


def warn(text: str) -> None:
    """Print a warning on standard error."""
    errors.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)


def tell_error(error: Exception) -> None:
    """Print on standard error what was wrong."""
    errors.print("[bold red]error:[/] ", end="")
    text = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.filename and error.strerror:
        text = f"cannot use {error.filename}: {error.strerror}; check the path and its permissions"
    errors.print(text, markup=False, highlight=False, soft_wrap=True)


def _substitute(error: UnicodeError) -> tuple[str, int]:
    """Replace characters that a stream cannot encode by similar ASCII; an error handler of :mod:`codecs`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_similar(character) for character in error.object[error.start : error.end]), error.end


def _similar(character: str) -> str:
    if character in _PLAIN:
        return _PLAIN[character]
    return unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode() or "?"


codecs.register_error(_SUBSTITUTE, _substitute)
streams = StandardStreams()
"""Standard output and standard error."""
