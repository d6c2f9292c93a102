"""The truth about a run: every document, on the disk before the next point begins."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from curio_plans.store.errors import JournalError
from curio_plans.store.order import note_start
from curio_plans.store.owners import Owners
from curio_plans.store.places import run_directory, spare_directories
from curio_plans.store.run_file import RunFile

logger = logging.getLogger(__name__)


class Journal:
    """A document callback ``journal(name, doc)`` that keeps each run in a folder of its own.

    The run *uid* becomes ``journal/<uid>/documents.jsonl``, one line a document, and beside it an ``.npy`` file for
    each array of more than 16 elements. Whatever a line refers to is on the disk before the line is, and the line is
    before the callback returns: a crash or a power cut costs at most the event in progress.

    Where the directory cannot be written any more – the disk is full, the share is gone, somebody made it read-only –
    the rest of the run is kept in a spare directory in the same form, and the user is told once. A folder that is
    deleted while its run is measured is made again, with the beginning of the run, of which 64 MB stay in memory.
    Everything that reads runs reads all parts as one; ``curio recover`` unites them. Only when no place is left is the
    error raised, so that the plan ends: what cannot be kept need not be measured.

    Runs may be interleaved. While a run is open its files are locked, so that another process can tell
    (:func:`~curio_plans.store.reader.is_open`).

    Parameters
    ----------
    directory : Path or str
        The data directory.
    spares : sequence of Path, optional
        Where to go on when that fails, in order; by default `spare_directories`. Only those are found again by reading.
    tell : callable
        Shows a text to the user.

    Examples
    --------
    >>> from bluesky import RunEngine
    >>> engine = RunEngine()
    >>> token = engine.subscribe(Journal("my-data"))
    """

    def __init__(
        self,
        directory: Path | str,
        *,
        spares: Sequence[Path] | None = None,
        tell: Callable[[str], Any] = logger.warning,
    ) -> None:
        self.directory = Path(directory)
        self._places = [self.directory, *(spare_directories(directory) if spares is None else spares)]
        self._tell = tell
        self._runs: dict[str, _OpenRun] = {}
        self._owners = Owners()

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Keep the next document.

        Raises
        ------
        OSError
            If it can be written nowhere.
        JournalError
            If it cannot be expressed, or belongs to no open run.
        """
        uid = self._owners.run_of(name, doc)
        try:
            self._keep(uid, name, doc)
        except JournalError:
            if name == "start":  # nothing was measured, and there is nothing to read
                self._runs[uid].discard()
                self._forget(uid)
            raise
        else:
            if name == "start":
                note_start(self.directory, uid)
        finally:
            if name == "stop":
                self._forget(uid)

    def close(self) -> None:
        """Close the runs that had no stop document."""
        for uid in list(self._runs):
            self._forget(uid)

    def _keep(self, uid: str, name: str, doc: Mapping[str, Any]) -> None:
        run = self._runs.setdefault(uid, _OpenRun())
        while True:
            place = self._places[run.place]
            try:
                run.opened(run_directory(place, uid)).append(name, doc)
            except OSError as error:
                if not run.give_up(len(self._places)):
                    raise
                self._tell(_moved(place, self._places[run.place], error))
            else:
                return

    def _forget(self, uid: str) -> None:
        self._owners.forget(uid)
        if uid in self._runs:
            self._runs.pop(uid).close()


def _moved(place: Path, next_place: Path, error: OSError) -> str:
    if next_place == place:
        return (
            f"the folder of the run in {place} was deleted or moved. It is made again with the beginning of the run, "
            "and the run goes on"
        )
    return (
        f"cannot write to {place}: {error.strerror or error}. The run goes on, and is kept in {next_place}; when there "
        "is room again, curio recover unites the two"
    )


@dataclass
class _OpenRun:
    """The files of a run that goes on: those of the places that failed, and the one in use."""

    place: int = 0
    file: RunFile | None = None
    failed: list[RunFile] = field(default_factory=list)
    deleted: bool = False

    def opened(self, folder: Path) -> RunFile:
        """Return the file in use, made in `folder` if there is none."""
        if self.file is None:
            new = self.failed[-1].copy_to(folder, whole=self.deleted) if self.failed else RunFile.create(folder)
            self.file = new
        return self.file

    def give_up(self, places: int) -> bool:
        """Go to the next of so many places; where the file was deleted, make it again in the same.

        Where no place is left, the file stays in use: a shorter document, like the stop document, may still find room.
        """
        deleted = self.file is not None and not self.file.is_there
        if not deleted and self.place + 1 == places:
            return False
        if self.file is not None:
            self.failed.append(self.file)  # it stays open: its lock says that the run goes on
            self.file = None
        self.deleted = self.deleted or deleted
        self.place += not deleted
        return True

    def discard(self) -> None:
        if self.file is not None:
            self.file.discard()

    def close(self) -> None:
        for file in (*self.failed, *([] if self.file is None else [self.file])):
            file.close()
