"""The lines of a journal: one document each, with a checksum; and what is wrong with them.

A line is ``["name", {document}]``. The document ends with the key ``__check__``: the number of the line, from 1, and
the XXH3 (64 bit, hexadecimal) of ``<uid of the run> <number> <the line without this key>``. So a changed line, one of
another run, and one that is missing, double or in another place are noticed. Journals of version 0.1 have no checksums.
"""

import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import xxhash

from curio_plans.store.codec import CHECK
from curio_plans.store.errors import JournalError
from curio_plans.store.places import LINES

_TAIL = re.compile(rb', "' + CHECK.encode() + rb'": \[([0-9]{1,12}), "([0-9a-f]{16})"\]\}\]$')
_TAIL_LENGTH = 64
_NAME = re.compile(rb'\["([a-z_]{1,20})", ')


@dataclass(frozen=True)
class Line:
    """One line of a journal.

    Attributes
    ----------
    number : int
        Which document of the run it is, from 1: as its checksum says; where it lies, if it has none.
    body : bytes
        The line without its checksum; empty if it is damaged.
    damage : str
        What is wrong with it; empty if nothing is.
    """

    number: int
    body: bytes
    damage: str = ""

    @property
    def name(self) -> bytes:
        """The name of the document, as far as that can be told without parsing the line."""
        found = _NAME.match(self.body)
        return b"" if found is None else found[1]

    def parse(self) -> tuple[str, dict[str, Any]]:
        """Return name and document, tags unresolved.

        Raises
        ------
        ValueError
            If that is not what the line holds.
        """
        try:
            name, doc = json.loads(self.body)
        except json.JSONDecodeError as error:
            raise ValueError(f"it is no JSON: {error.msg} at character {error.pos}") from None
        except RecursionError:
            raise ValueError("it is nested too deep") from None
        except TypeError:
            raise ValueError("it is no name with a document") from None
        if not (isinstance(name, str) and isinstance(doc, dict)):
            raise ValueError("it is no name with a document")  # noqa: TRY004
        return name, doc


@dataclass(frozen=True)
class Lines:
    """The lines of one journal file.

    Attributes
    ----------
    folder : Path
        Where it lies.
    lines : tuple of Line
        In the order of the file.
    sealed : bool
        Whether they have checksums.
    torn : bytes
        What comes after the last complete line: it was being written when the process ended.
    """

    folder: Path
    lines: tuple[Line, ...]
    sealed: bool
    torn: bytes = b""

    def parse(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield name and document of each line, tags unresolved.

        Raises
        ------
        JournalError
            At a line that is damaged.
        """
        for place, line in enumerate(self.lines, start=1):
            if line.damage:
                raise self.error(place, line.damage)
            try:
                yield line.parse()
            except ValueError as error:
                raise self.error(place, error) from error

    def error(self, place: int, reason: object) -> JournalError:
        """Return what to raise for the line at a place in the file, from 1."""
        return JournalError(f"line {place} of {len(self.lines)} in {self.folder / LINES} is damaged: {reason}")


def sealed_line(uid: str, number: int, body: bytes) -> bytes:
    """Return document `number` of a run as a line with checksum; `body` is ``["name", {document}]``."""
    return b'%s, "%s": [%d, "%s"]}]\n' % (body[:-2], CHECK.encode(), number, _checksum(uid, number, body))


def read_lines(folder: Path) -> Lines:
    """Read the journal in a folder; damaged lines are told, not raised.

    Raises
    ------
    JournalError
        If there is none, or it is no file.
    OSError
        If it cannot be read.
    """
    with open_lines(folder) as file:
        return split_lines(folder, file.read())


def split_lines(folder: Path, content: bytes) -> Lines:
    """Return the lines of a journal in `folder` with this content."""
    *complete, last = content.split(b"\n")
    found = [*complete, last] if last else complete
    tails = [_TAIL.search(line, max(0, len(line) - _TAIL_LENGTH)) for line in found]
    sealed = any(tails)
    lines = []
    for place, (line, tail) in enumerate(zip(found, tails, strict=True), start=1):
        lines.append(_checked(folder.name, place, line, tail) if sealed else Line(place, line))
    torn = b""
    if lines and _is_torn(lines[-1], sealed=sealed, ended=not last):
        torn = found[-1]
        del lines[-1]
    return Lines(folder, tuple(lines), sealed, torn)


def open_lines(folder: Path) -> BinaryIO:
    """Open the journal in a folder for reading.

    Raises
    ------
    JournalError
        If there is none, or it is no file: what a link points at is nobody's journal, and a pipe would block.
    OSError
        If it cannot be read.
    """
    path = folder / LINES
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        raise JournalError(f"there is no run {folder.name} in the journal {folder.parent}") from None
    if not stat.S_ISREG(found.st_mode):
        raise JournalError(
            f"expected a file with the documents of run {folder.name}, but {path} is none; bring it back from a "
            f"backup, or move {folder} away"
        )
    return path.open("rb")


def dump(name: str, doc: Mapping[str, Any]) -> bytes:
    """Return the body of a line; the document is what :func:`curio_plans.store.codec.encode` made.

    Raises
    ------
    TypeError, ValueError
        If JSON cannot hold it.
    """
    return json.dumps([name, doc], separators=(", ", ": ")).encode()


def in_order(lines: Iterable[Line]) -> list[Line]:
    """Return the lines that are whole, each once, in the order in which they were written."""
    whole = {line.number: line for line in lines if line.body}
    return [whole[number] for number in sorted(whole)]


def _checked(uid: str, place: int, line: bytes, tail: "re.Match[bytes] | None") -> Line:
    if tail is None:
        return Line(place, b"", "it has no checksum")
    number, body = int(tail[1]), line[: tail.start()] + b"}]"
    if tail[2] != _checksum(uid, number, body):
        return Line(place, b"", "it is not what was written (its checksum differs)")
    if number != place:
        return Line(number, body, f"it was written as line {number}")
    return Line(number, body)


def _is_torn(line: Line, *, sealed: bool, ended: bool) -> bool:
    if sealed:
        return bool(line.damage) and not ended
    try:
        json.loads(line.body)
    except (ValueError, RecursionError):
        return True
    return False


def _checksum(uid: str, number: int, body: bytes) -> bytes:
    return xxhash.xxh3_64_hexdigest(b"%s %d %s" % (os.fsencode(uid), number, body)).encode()
