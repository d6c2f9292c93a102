"""Tell whether a run is whole: in the journal, and in Tiled; and since when."""

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import xxhash

from curio_plans.documents.completion import events_by_stream
from curio_plans.store.errors import JournalError
from curio_plans.store.lines import read_lines
from curio_plans.store.places import journalled, parts
from curio_plans.store.reader import Documents, is_open, is_sealed, read_journal
from curio_plans.store.rescue import originals

RECORD = "verified.json"
"""The file in a data directory that remembers when a run was last found whole."""


@dataclass(frozen=True)
class Verification:
    """Whether a run is whole.

    Attributes
    ----------
    uid : str
        The run.
    journal : str
        What is wrong with it in the journal; empty if nothing is.
    tiled : str
        What Tiled does not have, or has otherwise; empty if it has it all.
    remarks : tuple of str
        What a reader should know, though nothing is wrong.
    since : datetime or None
        Of a whole run: since when it is known to be so. Checksums prove it since it was measured; a run without them is
        known to be unchanged since it was first verified. Of a damaged run: when it was last found whole, if ever.
    """

    uid: str
    journal: str = ""
    tiled: str = ""
    remarks: tuple[str, ...] = ()
    since: datetime | None = None

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.journal or self.tiled)


def verify(directory: Path | str, uid: str, catalog: Callable[[], Any]) -> Verification:
    """Read all of a run, and compare it with its checksums and with what Tiled has.

    Parameters
    ----------
    directory : Path or str
        The data directory. It remembers that the run was found whole, where it can be written.
    uid : str
        The full uid.
    catalog : callable
        Gives the Tiled catalog.
    """
    if uid not in journalled(directory):
        return Verification(uid, tiled=_unreadable(catalog, uid), remarks=("not in this journal: only Tiled has it",))
    if is_open(directory, uid):
        return Verification(uid, remarks=("still being measured",))
    record = _Record(Path(directory))
    digest = ""
    try:
        documents = read_journal(directory, uid)
        if not (sealed := is_sealed(directory, uid)):
            digest = _digest(directory, uid)
            record.check_unchanged(uid, digest)
        _check_numbers(documents)
    except (JournalError, OSError) as error:
        return Verification(uid, str(error), since=record.last_whole(uid))
    record.keep(uid, digest)
    return Verification(
        uid,
        tiled=_wrong_in_tiled(catalog, documents),
        remarks=_remarks(directory, uid, documents, sealed=sealed),
        since=datetime.fromtimestamp(documents[-1][1]["time"]).astimezone() if sealed else record.first_whole(uid),
    )


def forget(directory: Path | str, uid: str) -> None:
    """Forget that a run was verified: it is about to be changed on purpose."""
    _Record(Path(directory)).drop(uid)


class _Record:
    """When runs were found whole, and the digests of those without checksums."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / RECORD
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
            self._runs: dict[str, dict[str, str]] = {uid: entry for uid, entry in found.items() if _is_entry(entry)}
        except (OSError, ValueError, AttributeError, RecursionError):
            self._runs = {}

    def check_unchanged(self, uid: str, digest: str) -> None:
        entry = self._runs.get(uid, {})
        if entry.get("digest") not in (None, digest):
            raise JournalError(
                f"the journal of run {uid} has no checksums, and is not what it was when it was last verified, "
                f"{entry['last']}: bring it back from a backup, or delete its entry in {self._path} if you changed it"
            )

    def first_whole(self, uid: str) -> datetime | None:
        return self._time(uid, "first")

    def last_whole(self, uid: str) -> datetime | None:
        return self._time(uid, "last")

    def keep(self, uid: str, digest: str) -> None:
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        first = self._runs.get(uid, {}).get("first", now)
        self._runs[uid] = {"first": first, "last": now, **({"digest": digest} if digest else {})}
        self._write()

    def drop(self, uid: str) -> None:
        if self._runs.pop(uid, None) is not None:
            self._write()

    def _time(self, uid: str, key: str) -> datetime | None:
        with suppress(ValueError, KeyError):
            return datetime.fromisoformat(self._runs[uid][key]).astimezone()
        return None

    def _write(self) -> None:
        draft = self._path.with_suffix(f".{os.getpid()}")
        with suppress(OSError):  # an archive that cannot be written remembers nothing
            draft.write_text(json.dumps(self._runs, indent=1), encoding="utf-8")
            draft.replace(self._path)


def _is_entry(entry: object) -> bool:
    return isinstance(entry, dict) and all(isinstance(value, str) for value in entry.values())


def _digest(directory: Path | str, uid: str) -> str:
    """Return the XXH3 (128 bit) of names and contents of all files of a run."""
    total = xxhash.xxh3_128()
    for folder in parts(directory, uid):
        for path in sorted(path for path in folder.iterdir() if path.is_file()):
            total.update(f"{path.name} {path.stat().st_size} ".encode())
            total.update(path.read_bytes())
    return total.hexdigest()


def _check_numbers(documents: Documents) -> None:
    """Raise JournalError if the stop document tells of more events than there are."""
    name, stop = documents[-1]
    told: object = stop.get("num_events") if name == "stop" else None
    if not isinstance(told, Mapping):
        return
    found = events_by_stream(documents)
    lacking = [
        f"{number - found[stream]} of {number} events of {stream!r}"
        for stream, number in told.items()
        if isinstance(number, int) and number > found[stream]
    ]
    if lacking:
        raise JournalError(f"its stop document tells of events that are not there: {', '.join(lacking)}")


def _remarks(directory: Path | str, uid: str, documents: Documents, *, sealed: bool) -> tuple[str, ...]:
    torn = sum(len(read_lines(folder).torn) for folder in parts(directory, uid))
    remarks = [
        "" if sealed else "without checksums: stored by version 0.1",
        "" if documents[-1][0] == "stop" else "without a stop document: its process ended before it",
        f"{torn} bytes at its end are no document: they were being written when the process ended" if torn else "",
        "; ".join(f"rescued from {original}" for original in originals(directory, uid)),
        "" if len(parts(directory, uid)) == 1 else "in several places: curio recover unites them",
    ]
    return tuple(remark for remark in remarks if remark)


def _wrong_in_tiled(catalog: Callable[[], Any], documents: Documents) -> str:
    from curio_plans.store.tiled_check import TiledCopy

    try:
        copy = TiledCopy(catalog(), documents)
        if copy.missing:
            return f"it lacks {copy.missing}"
        if copy.surplus:
            return f"it has {copy.surplus} more than the journal"
        if copy.different:
            return f"it has other values of {copy.different}"
    except Exception as error:  # noqa: BLE001 - whatever is wrong there
        return f"it cannot be read: {str(error)[:300] or type(error).__name__}"
    return ""


def _unreadable(catalog: Callable[[], Any], uid: str) -> str:
    from curio_plans.store.tiled_reader import read_documents

    try:
        read_documents(catalog()[uid])
    except Exception as error:  # noqa: BLE001 - whatever is wrong there
        return f"it cannot be read: {str(error)[:300] or type(error).__name__}"
    return ""
