"""Putting runs in order after a fault: journals united, unfinished runs closed, Tiled given what it misses."""

import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curio_plans.documents.completion import closing_stop, events_by_stream
from curio_plans.store.journal import Documents, RunFile, parts, read_journal, run_directory


@dataclass(frozen=True)
class Recovery:
    """What was done for one run.

    Attributes
    ----------
    uid : str
        The run.
    united : int
        Documents brought home from spare directories.
    closed : bool
        Whether it got the stop document that it lacked.
    missing : str
        What Tiled did not have, and has now; empty if nothing.
    problem : str
        Why the run could not be put in order; empty if it could.
    """

    uid: str
    united: int = 0
    closed: bool = False
    missing: str = ""
    problem: str = ""

    @property
    def was_in_order(self) -> bool:
        """Whether there was nothing to do."""
        return not (self.united or self.closed or self.missing or self.problem)

    def __str__(self) -> str:
        """Say it in words."""
        done = [
            f"{self.united} documents brought home from a spare directory" if self.united else "",
            "closed: its process had ended before it" if self.closed else "",
            f"put into Tiled: {self.missing}" if self.missing else "",
            f"not in order: {self.problem}" if self.problem else "",
        ]
        return "; ".join(text for text in done if text) or "in order"


def unite(directory: Path | str, uid: str) -> int:
    """Bring the documents of run `uid` home from the spare directories; return how many.

    When this breaks off, it can be done again.

    Raises
    ------
    OSError
        If the data directory still cannot be written.
    JournalError
        If the run is still going on, or damaged.
    """
    home = run_directory(directory, uid)
    folders = parts(directory, uid)
    spare = [folder for folder in folders if folder != home]
    if not spare:
        return 0
    documents = read_journal(directory, uid)
    if home not in folders:
        with suppress(OSError):
            home.rmdir()  # left where not even the start document found room
    with RunFile.reopen(home) if home in folders else RunFile.create(home) as file:
        new = documents[file.documents :]
        for name, doc in new:
            file.append(name, doc)
    for folder in spare:
        shutil.rmtree(folder)
    return len(new)


def close_unfinished(directory: Path | str, uid: str, by: str) -> bool:
    """Give run `uid` the stop document it lacks, in the journal; return whether it lacked one.

    Parameters
    ----------
    directory : Path or str
        The data directory.
    uid : str
        The full uid.
    by : str
        Who closes it, for the reason in the stop document.

    Raises
    ------
    OSError, JournalError
        As `unite`.
    """
    unite(directory, uid)
    documents = read_journal(directory, uid)
    if documents[-1][0] == "stop":
        return False
    with RunFile.reopen(run_directory(directory, uid)) as file:
        file.append("stop", closing_stop(documents, by))
    return True


def missing_in_tiled(catalog: Any, documents: Documents) -> str:
    """Say what a catalog does not have of a run; empty if it has every event and the stop document."""
    from curio_plans.store.tiled_reader import count_points, missing_columns

    uid = documents[0][1]["uid"]
    if uid not in catalog:
        return "the run"
    run = catalog[uid]
    lacking = []
    for stream, number in events_by_stream(documents).items():
        found = count_points(run, stream)
        if found != number:
            lacking.append(f"{number - found} of {number} events of {stream!r}")
        elif columns := missing_columns(run, stream):
            lacking.append(f"{', '.join(columns)} of {stream!r}")
    name, last = documents[-1]
    if name == "stop" and (run.metadata.get("stop") or {}).get("uid") != last["uid"]:
        lacking.append("the stop document")
    return ", ".join(lacking)
