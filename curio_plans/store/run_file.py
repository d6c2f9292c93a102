"""The journal of one run, open for writing."""

import errno
import fcntl
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from curio_plans.store.codec import FILE, Array, Arrays, encode
from curio_plans.store.errors import JournalError
from curio_plans.store.lines import dump, read_lines, sealed_line
from curio_plans.store.places import LINES

KEPT = 2**26
"""Bytes of a run that stay in memory, in case its folder is deleted while it is measured."""

_HEADS = ("start", "descriptor", "resource", "stream_resource")


@dataclass(frozen=True)
class _Document:
    """A document as it is written: the body of its line, and the content of its array files by name."""

    name: str
    body: bytes
    arrays: Mapping[str, memoryview]

    @property
    def size(self) -> int:
        return len(self.body) + sum(content.nbytes for content in self.arrays.values())


class RunFile:
    """The open journal of one run, locked; made by `create` or `reopen`, closed by `close` or ``with``.

    Attributes
    ----------
    folder : Path
        Where it lies.
    documents : int
        How many it holds.
    """

    def __init__(self, folder: Path, descriptor: int, documents: int = 0, *, sealed: bool = True) -> None:
        self.folder, self.documents = folder, documents
        self._descriptor, self._sealed = descriptor, sealed
        self._size = os.fstat(descriptor).st_size
        self._arrays = Arrays(folder, _next_number(folder) if documents else 0)
        self._memory: list[_Document] = []
        self._room = KEPT

    @classmethod
    def create(cls, folder: Path) -> Self:
        """Begin the journal of a run.

        Raises
        ------
        JournalError
            If there is one already.
        """
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.mkdir(exist_ok=True)
        try:
            descriptor = os.open(folder / LINES, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        except FileExistsError:
            raise JournalError(
                f"run {folder.name} is already in the journal; a run is written once, so move {folder} away first"
            ) from None
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        for changed in (folder, folder.parent, folder.parent.parent):
            _synchronise(changed)
        return cls(folder, descriptor)

    @classmethod
    def reopen(cls, folder: Path) -> Self:
        """Go on with the journal of a run that ended without a stop document; a torn last line is removed.

        Raises
        ------
        JournalError
            If there is none, a line is damaged, or another process is writing to it.
        """
        lines = read_lines(folder)
        documents = sum(1 for _ in lines.parse())
        descriptor = os.open(folder / LINES, os.O_RDWR | os.O_APPEND)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, os.fstat(descriptor).st_size - len(lines.torn))
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                _write(descriptor, b"\n")
        except BlockingIOError:
            os.close(descriptor)
            raise JournalError(f"run {folder.name} is still being measured; wait until it has ended") from None
        except OSError:
            os.close(descriptor)
            raise
        return cls(folder, descriptor, documents, sealed=lines.sealed or not documents)

    def copy_to(self, folder: Path, *, whole: bool) -> Self:
        """Begin the journal of the same run elsewhere, with what the documents to come refer to.

        Parameters
        ----------
        folder : Path
            As for `create`.
        whole : bool
            Take all documents along that are still in memory.
        """
        copy = type(self).create(folder)
        copy._arrays.number = self._arrays.number
        try:
            for document in self._memory:
                if whole or document.name in _HEADS:
                    for name, content in document.arrays.items():
                        copy._arrays.write(name, content)
                    copy._put(document)
            _synchronise(folder)
        except OSError:
            copy.close()
            raise
        return copy

    def __enter__(self) -> Self:
        """Return the file."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    @property
    def is_there(self) -> bool:
        """Whether the file still is where it was made: it may have been deleted, or moved."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), (self.folder / LINES).stat())
        except OSError:
            return False

    def append(self, name: str, doc: Mapping[str, Any]) -> None:
        """Put a document on the disk.

        Raises
        ------
        OSError
            If there is no room, or the file was deleted.
        JournalError
            If it holds what cannot be written and read back.
        """
        if not self.is_there:
            raise FileNotFoundError(errno.ENOENT, "it was deleted or moved", str(self.folder))
        arrays: dict[str, memoryview] = {}

        def save(array: Array) -> dict[str, str]:
            reference, arrays[reference[FILE]] = self._arrays.save(array)
            return reference

        try:
            body = dump(name, encode(doc, save))
        except (TypeError, ValueError) as error:
            raise JournalError(
                f"expected a document of numbers, text and arrays, got a {name} with: {error}"
            ) from error
        if arrays:
            _synchronise(self.folder)
        self._put(_Document(name, body, arrays))

    def close(self) -> None:
        """Close the file and give up its lock."""
        os.close(self._descriptor)

    def discard(self) -> None:
        """Remove a journal that has no document yet."""
        for path in (self.folder / LINES, *self.folder.glob("*.npy")):
            path.unlink(missing_ok=True)
        self.folder.rmdir()

    def _put(self, document: _Document) -> None:
        line = document.body + b"\n"
        if self._sealed:
            line = sealed_line(self.folder.name, self.documents + 1, document.body)
        try:
            _write(self._descriptor, line)
            os.fsync(self._descriptor)
        except OSError:
            # Half a line must not stay: the stop document of the plan that fails now may still find room.
            os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(line)
        self.documents += 1
        self._remember(document)

    def _remember(self, document: _Document) -> None:
        if document.name not in _HEADS:
            if document.size > self._room:
                self._room = 0  # from now on none, so that what is kept has no gaps
                return
            self._room -= document.size
        self._memory.append(document)


def _next_number(folder: Path) -> int:
    return 1 + max((int(path.stem) for path in folder.glob("*.npy") if path.stem.isdecimal()), default=-1)


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _synchronise(directory: Path) -> None:
    """Put the names in a directory on the disk; without that a synchronised file may have none."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
