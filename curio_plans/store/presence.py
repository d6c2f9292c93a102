"""Which machine writes into a data directory: one at a time, because locks and databases do not reach further.

Each process that measures has a file in ``in-use`` and touches it again and again. How old the file of another machine
is, the file system tells, so that the clocks of the two need not agree.
"""

import json
import os
import platform
import tempfile
import threading
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from curio_plans.store.errors import StorageError

FOLDER = "in-use"
"""The folder in a data directory."""

BEAT_S = 10.0
"""Seconds between two touches."""

GONE_S = 60.0
"""A machine whose files are older, in seconds, was switched off or has lost the directory."""

_BOOT = Path("/proc/sys/kernel/random/boot_id")


def machine() -> str:
    """Return what this machine is called here: another one after each start, the same in all containers on it."""
    return _BOOT.read_text().strip() if _BOOT.exists() else f"{platform.node()}-{uuid.getnode():012x}"


def require_alone(directory: Path | str) -> None:
    """Raise StorageError if another machine writes into a data directory now.

    The files of machines that are gone are removed.
    """
    folder = Path(directory) / FOLDER
    files = sorted(folder.glob("*.json"))
    others = [(file, told) for file in files if (told := _read(file)).get("machine") != machine()]
    if not others:
        return
    with tempfile.TemporaryFile(dir=folder) as probe:
        now = os.fstat(probe.fileno()).st_mtime
    for file, told in others:
        with suppress(FileNotFoundError):
            age = now - file.stat().st_mtime
            if age < GONE_S:
                raise StorageError(
                    f"the data directory {directory} is in use by another machine: {told.get('host', 'unknown')}, "
                    f"process {told.get('process', 'unknown')}, {max(age, 0.0):.0f} s ago. Locks and the catalog do "
                    "not reach from one machine to another: measure and recover on one at a time, or use a directory "
                    "for each. Reading is possible"
                )
            file.unlink()


class Presence:
    """Says that this process writes into a data directory, until :meth:`end`.

    Parameters
    ----------
    directory : Path or str
        The data directory.
    alone : bool
        Whether no other machine may: True where the catalog is in the directory. Journals alone do not meet, as each
        run has a folder of its own.

    Raises
    ------
    StorageError
        If another machine does so although it may not. Where both begin at once, both may be refused.
    """

    def __init__(self, directory: Path | str, *, alone: bool = True) -> None:
        self._file = Path(directory) / FOLDER / f"{machine()}-{os.getpid()}-{uuid.uuid4().hex[:8]}.json"
        self._over = threading.Event()
        with suppress(OSError):  # no room for it: the runs go to a spare directory of this machine
            self._file.parent.mkdir(exist_ok=True)
            self._write()
        try:
            if alone:
                require_alone(directory)
        except StorageError:
            self._file.unlink(missing_ok=True)
            raise
        threading.Thread(target=self._beat, name="presence", daemon=True).start()

    def end(self) -> None:
        """Take the file away."""
        self._over.set()
        with suppress(OSError):
            self._file.unlink()

    def _write(self) -> None:
        self._file.write_text(json.dumps({"machine": machine(), "host": platform.node(), "process": os.getpid()}))

    def _beat(self) -> None:
        while not self._over.wait(BEAT_S):
            with suppress(OSError):
                try:
                    os.utime(self._file)
                except FileNotFoundError:  # somebody removed it, perhaps with the directory, which is not ours to make
                    self._write()


def _read(file: Path) -> dict[str, Any]:
    try:
        told = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}
