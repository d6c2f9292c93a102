"""Putting runs in order after a fault: journals united, rescued, closed; Tiled given what it misses."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curio_plans.documents.completion import closing_stop
from curio_plans.store.places import parts, run_directory
from curio_plans.store.reader import read_journal
from curio_plans.store.run_file import RunFile


@dataclass(frozen=True)
class Recovery:
    """What was done for one run.

    Attributes
    ----------
    uid : str
        The run.
    rescued : str
        What was damaged in its journal, how much is whole, and where the original is; empty if nothing was damaged.
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
    rescued: str = ""
    united: int = 0
    closed: bool = False
    missing: str = ""
    problem: str = ""

    @property
    def was_in_order(self) -> bool:
        """Whether there was nothing to do."""
        return self == Recovery(self.uid)

    def __str__(self) -> str:
        """Say it in words."""
        done = [
            self.rescued,
            f"{self.united} documents brought home from a spare directory" if self.united else "",
            "closed: it had no stop document" if self.closed else "",
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
    with RunFile.reopen(home) if home in folders else RunFile.create(home) as file:
        new = documents[file.documents :]
        for name, doc in new:
            file.append(name, doc)
    for folder in spare:
        shutil.rmtree(folder)
    return len(new)


def close_unfinished(
    directory: Path | str, uid: str, by: str, heads: Callable[[str], Mapping[str, Any]] = lambda _: {}
) -> bool:
    """Give run `uid` the stop document it lacks, in the journal; return whether it lacked one.

    Parameters
    ----------
    directory : Path or str
        The data directory.
    uid : str
        The full uid.
    by : str
        Who closes it, for the reason in the stop document.
    heads : callable
        Gives the ``start`` and ``stop`` documents that Tiled has: where it has the stop document, that is taken.

    Raises
    ------
    OSError, JournalError
        As `unite`.
    """
    unite(directory, uid)
    documents = read_journal(directory, uid)
    if documents[-1][0] == "stop":
        return False
    stop = heads(uid).get("stop") or closing_stop(documents, by)
    with RunFile.reopen(run_directory(directory, uid)) as file:
        file.append("stop", stop)
    return True
