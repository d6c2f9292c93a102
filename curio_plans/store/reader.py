"""Reading what the journal has of a run, whatever state its files are in."""

import fcntl
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from curio_plans.store.codec import Array, Arrays, decode, file_name
from curio_plans.store.errors import JournalError
from curio_plans.store.lines import Line, Lines, open_lines, read_lines, split_lines
from curio_plans.store.places import parts
from curio_plans.store.structure import Structure

Document = tuple[str, dict[str, Any]]
Documents = list[Document]
Load = Callable[[Mapping[str, Any]], Array]


@dataclass(frozen=True)
class Summary:
    """What a list of runs says of one.

    Attributes
    ----------
    start, stop : dict or None
        The start and stop documents, where they can be read.
    points : int
        Events of the primary stream.
    damage : str
        What is damaged, and what to do; empty if nothing is, as far as was looked.
    """

    start: Mapping[str, Any] | None
    stop: Mapping[str, Any] | None
    points: int
    damage: str


def is_open(directory: Path | str, uid: str) -> bool:
    """Tell whether run `uid` is still being written, by this process or another."""
    return any(_is_locked(folder) for folder in parts(directory, uid))


def read_journal(directory: Path | str, uid: str) -> Documents:
    """Return the documents of run `uid`, equal to those the RunEngine emitted, types included (any mapping is a dict).

    Parameters
    ----------
    directory : Path or str
        The data directory.
    uid : str
        The full uid.

    Raises
    ------
    JournalError
        If there is no such run, or anything of it is damaged. A last line that is torn is left out: it was being
        written when the power went.
    """
    documents = []
    for document in walk(parts(directory, uid), uid):
        if isinstance(document, JournalError):
            raise JournalError(_told(document, uid))
        documents.append(document)
    if not documents:
        raise JournalError(_no_start(uid))
    return documents


def read_start(directory: Path | str, uid: str) -> dict[str, Any]:
    """Return the start document of run `uid`; nothing else of the run is looked at.

    Raises
    ------
    JournalError
        If it cannot be read.
    """
    failure = JournalError(_no_start(uid))
    for document in walk(parts(directory, uid), uid, read=_read_first_line):
        if not isinstance(document, JournalError):
            return document[1]
        failure = JournalError(_told(document, uid))
    raise failure


def is_sealed(directory: Path | str, uid: str) -> bool:
    """Tell whether run `uid` has checksums; those of version 0.1 have none.

    Raises
    ------
    JournalError
        If there is no such run, or it cannot be read.
    """
    return all(_read_first_line(folder).sealed for folder in parts(directory, uid))


def summarise(directory: Path | str, uid: str) -> Summary:
    """Return what a list of runs says of one; it looks at no more of the journal than that takes.

    The checksums of all lines are compared, those of arrays are not.

    Raises
    ------
    JournalError
        If there is no such run.
    """
    start: Mapping[str, Any] | None = None
    stop: Mapping[str, Any] | None = None
    primary: list[bytes] = []
    points: set[int] = set()
    damage = ""

    def wanted(line: Line) -> bool:
        return line.name in (b"start", b"descriptor", b"stop") or any(uid in line.body for uid in primary)

    for document in walk(parts(directory, uid), uid, wanted=wanted, load=_placeholder):
        if isinstance(document, JournalError):
            damage = damage or _told(document, uid)
            continue
        name, doc = document
        if name == "start":
            start = doc
        elif name == "stop":
            stop = doc
        elif name == "descriptor" and doc["name"] == "primary":
            primary.append(json.dumps(doc["uid"]).encode())
        elif name == "event":
            points.add(doc["seq_num"])
        elif name == "event_page":
            points.update(doc["seq_num"])
    if start is None:
        damage = damage or _no_start(uid)
    return Summary(start, stop, len(points), damage)


def walk(
    folders: Sequence[Path],
    uid: str,
    *,
    read: Callable[[Path], Lines] = read_lines,
    wanted: Callable[[Line], bool] = lambda _: True,
    load: Load | None = None,
    structure: Structure | None = None,
) -> Iterator[Document | JournalError]:
    """Go through the documents of a run; where one is damaged, yield the error and go on.

    What two folders have, because uniting them broke off, comes once.

    Parameters
    ----------
    folders : sequence of Path
        As :func:`curio_plans.store.places.parts` returns them.
    uid : str
        The full uid.
    read : callable
        Reads the lines in a folder.
    wanted : callable
        Tells which lines to look into; into those without checksums in any case.
    load : callable, optional
        Instead of reading array files.
    structure : Structure, optional
        With which to go on, where the start document is known from elsewhere.
    """
    structure = structure or Structure(uid)
    seen: set[tuple[str, str]] = set()
    for folder in folders:
        here = set()
        try:
            lines = read(folder)
        except (JournalError, OSError) as error:
            yield error if isinstance(error, JournalError) else JournalError(f"cannot read {folder}: {error}")
            continue
        for place, line in enumerate(lines.lines, start=1):
            if line.damage:
                yield lines.error(place, line.damage)
            if not line.body or (lines.sealed and not wanted(line)):
                continue
            try:
                name, raw = line.parse()
                doc = decode(raw, load or Arrays(folder).load)
                if not isinstance(doc, dict):
                    raise JournalError("it holds no document")
                identity = (name, str(doc.get("uid", doc.get("datum_id"))))
                here.add(identity)
                if identity in seen:
                    continue
                structure.check(name, doc)
            except (ValueError, RecursionError) as error:
                yield lines.error(place, error)
            else:
                yield name, doc
        seen |= here


def _placeholder(reference: Mapping[str, Any]) -> Array:
    """Stand for an array that nobody wants to see."""
    file_name(reference)
    return np.empty(())


def _read_first_line(folder: Path) -> Lines:
    with open_lines(folder) as file:
        return split_lines(folder, file.readline())


def _no_start(uid: str) -> str:
    return (
        f"the journal of run {uid} has no start document: it was torn at the very beginning; curio recover {uid} "
        "takes it out of the list"
    )


def _told(error: JournalError, uid: str) -> str:
    return f"{error}; curio recover {uid} rescues what is whole and keeps the original"


def _is_locked(folder: Path) -> bool:
    try:
        with open_lines(folder) as lines:
            fcntl.flock(lines, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (JournalError, OSError):
        return False  # what cannot be read is told by whoever reads it
    return False
