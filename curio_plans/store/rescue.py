"""Rescue what is whole of a run whose journal is damaged; the damaged original is kept aside."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from curio_plans.documents.completion import closing_stop
from curio_plans.store.errors import JournalError
from curio_plans.store.lines import Line, Lines, read_lines
from curio_plans.store.places import LINES, parts, run_directory
from curio_plans.store.reader import Documents, is_open, walk
from curio_plans.store.run_file import RunFile
from curio_plans.store.structure import Structure

_STAMP, _STAMP_LENGTH = "%Y%m%d-%H%M%S-%f", 22


@dataclass(frozen=True)
class Rescue:
    """What was rescued of a run.

    Attributes
    ----------
    kept : int
        Documents that are whole.
    lost : int
        Documents that are damaged or missing, as far as that can be told.
    reason : str
        What is wrong with the first of them.
    original : Path
        Where the damaged journal is now.
    """

    kept: int
    lost: int
    reason: str
    original: Path

    def __str__(self) -> str:
        """Say it in words."""
        return (
            f"{self.kept} documents rescued, {self.lost} lost: {self.reason}; the original is kept in {self.original}"
        )


def rescue(directory: Path | str, uid: str, heads: Mapping[str, Mapping[str, Any]]) -> Rescue:
    """Replace the damaged journal of run `uid` by what is whole of it.

    A document is whole if its line and its arrays are what was written, and the descriptor of an event is there. Lines
    in a wrong place are put in order. Where the start or the stop document is damaged, that of Tiled takes its place.
    A journal in which nothing was written yet is put aside.

    Parameters
    ----------
    directory : Path or str
        The data directory.
    uid : str
        The full uid.
    heads : mapping
        The ``start`` and ``stop`` documents that Tiled has, as far as it has them.

    Raises
    ------
    JournalError
        If the run is still being measured, or there are documents, but nothing can be read.
    OSError
        If the data directory cannot be written.
    """
    if is_open(directory, uid):
        raise JournalError(f"run {uid} is still being measured; wait until it has ended")
    home, folders = run_directory(directory, uid), parts(directory, uid)
    reason = next((str(found) for found in walk(folders, uid) if isinstance(found, JournalError)), "it is empty")
    documents, lost = _whole(folders, uid, heads)
    if not documents and lost:
        raise JournalError(f"nothing of run {uid} can be rescued ({reason}); bring {home} back from a backup")
    aside = Path(directory) / "damaged"
    new = aside / "new" / uid
    shutil.rmtree(new, ignore_errors=True)
    if documents:
        with RunFile.create(new) as file:
            for name, doc in documents:
                file.append(name, doc)
    original = aside / f"{uid}-{datetime.now():{_STAMP}}"
    original.mkdir(parents=True)
    for number, folder in enumerate(dict.fromkeys((home, *folders))):
        if folder.exists():
            shutil.move(folder, original / str(number))
    if documents:
        new.rename(home)
    return Rescue(len(documents), lost, reason, original)


def finish_rescues(directory: Path | str) -> None:
    """Bring home what was rescued by a process that ended before it could do that."""
    for new in (Path(directory) / "damaged" / "new").glob("*"):
        home = run_directory(directory, new.name)
        if not home.exists() and (new / LINES).exists():
            new.rename(home)


def originals(directory: Path | str, uid: str) -> list[Path]:
    """Return where the damaged journals of run `uid` are kept, of which something was rescued."""
    aside = Path(directory) / "damaged"
    return sorted(path for path in aside.glob("*") if path.name[:-_STAMP_LENGTH] == f"{uid}-")


def _whole(folders: Sequence[Path], uid: str, heads: Mapping[str, Mapping[str, Any]]) -> tuple[Documents, int]:
    """Return the whole documents of a run, completed with `heads`, and how many were lost."""
    lost = 0

    def ordered(folder: Path) -> Lines:
        nonlocal lost
        lines = read_lines(folder)
        whole = {line.number: Line(line.number, line.body) for line in lines.lines if line.body}
        damaged = sum(not line.body for line in lines.lines)
        lost += max(damaged, max(whole, default=0) - len(whole))
        return replace(lines, lines=tuple(whole[number] for number in sorted(whole)))

    def read(structure: Structure) -> Documents:
        nonlocal lost
        lost, documents = 0, []
        for found in walk(folders, uid, read=ordered, structure=structure):
            if isinstance(found, JournalError):
                lost += 1
            else:
                documents.append(found)
        return documents

    documents = read(structure := Structure(uid))
    if not documents and _accepts(structure, "start", heads):
        documents = read(structure)
        if documents:
            documents.insert(0, ("start", dict(heads["start"])))
    if documents and documents[-1][0] != "stop":
        if _accepts(structure, "stop", heads):
            stop = dict(heads["stop"])
        else:
            stop = closing_stop(documents, "curio recover")
            stop["reason"] = (
                f"{lost} documents were damaged, the stop document perhaps among them; closed by curio recover"
            )
        documents.append(("stop", stop))
    return documents, lost


def _accepts(structure: Structure, name: str, heads: Mapping[str, Mapping[str, Any]]) -> bool:
    try:
        structure.check(name, heads.get(name))
    except JournalError:
        return False
    return True
