"""Where the journal of a run lies: in the data directory, or in a spare one when that could not be written."""

import hashlib
import os
import tempfile
from pathlib import Path

from curio_plans.store.errors import JournalError

LINES = "documents.jsonl"
"""The file of a run's documents, in a folder that has the run's uid as its name."""


def run_directory(directory: Path | str, uid: str) -> Path:
    """Return where the journal in the data directory keeps run `uid`."""
    if not uid or Path(uid).name != uid or "\0" in uid:
        raise JournalError(f"expected the uid of a run, got {uid!r}")
    return Path(directory) / "journal" / uid


def spare_directories(directory: Path | str) -> list[Path]:
    """Return where the runs of a data directory go on when it cannot be written: one's own state, then temporary files.

    ``$XDG_STATE_HOME/curio`` (``~/.local/state/curio``) and ``$TMPDIR/curio-<user>``, in each a directory that is named
    after the data directory and a digest of its full path.
    """
    full = Path(directory).resolve()
    name = f"{full.name}-{hashlib.sha256(os.fsencode(full)).hexdigest()[:12]}"
    state = os.environ.get("XDG_STATE_HOME") or Path("~/.local/state").expanduser()
    return [Path(state) / "curio" / name, Path(tempfile.gettempdir()) / f"curio-{os.getuid()}" / name]


def parts(directory: Path | str, uid: str) -> list[Path]:
    """Return the folders that together hold the journal of run `uid`: its own, then those in spare directories.

    Raises
    ------
    JournalError
        If there is none.
    """
    found = [
        folder
        for place in (Path(directory), *spare_directories(directory))
        if os.path.lexists((folder := run_directory(place, uid)) / LINES)
    ]
    if not found:
        raise JournalError(f"there is no run {uid} in the journal {Path(directory) / 'journal'}")
    return found


def journalled(directory: Path | str) -> list[str]:
    """Return the uids of the runs in the journal, in no particular order."""
    places = (Path(directory), *spare_directories(directory))
    folders = (folder for place in places for folder in (place / "journal").glob("*/"))
    # A broken link is there, too: the run is damaged, not gone.
    return list({folder.name: None for folder in folders if os.path.lexists(folder / LINES)})
