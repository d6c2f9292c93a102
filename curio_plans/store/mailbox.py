"""Files between a run and those who watch and steer it: what it does now, what it is asked, what it answers.

Any process that can write to the data directory can ask, and what was asked survives the end of any process. In
``live/<uid of the run>`` of the data directory are ``now.json``, ``wanted.json``, ``asked/`` and ``answered/``.
"""

import json
import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from curio_plans.store.places import run_directory

_NOW, _WANTED, _ASKED, _ANSWERED = "now.json", "wanted.json", "asked", "answered"


class Mailbox:
    """What passes between one run and the others.

    Parameters
    ----------
    directory : Path or str
        The data directory.
    uid : str
        The full uid of the run.

    Raises
    ------
    JournalError
        If that cannot be the uid of a run.
    """

    def __init__(self, directory: Path | str, uid: str) -> None:
        self.uid = run_directory(directory, uid).name
        self._folder = Path(directory) / "live" / self.uid

    def tell(self, now: Mapping[str, Any]) -> None:
        """Say what the run does now, for :meth:`now`. It is not kept through a power cut: it would be wrong then."""
        self._write(self._folder / _NOW, now, keep=False)

    def now(self) -> dict[str, Any]:
        """Return what the run last said that it does; empty if nothing."""
        return _read(self._folder / _NOW) or {}

    def want(self, what: Mapping[str, Any]) -> None:
        """Say what the run wants from a human, for :meth:`wanted`; nothing if empty."""
        if what or (self._folder / _WANTED).exists():
            self._write(self._folder / _WANTED, what, keep=False)

    def wanted(self) -> dict[str, Any]:
        """Return what the run wants from a human; empty if nothing."""
        return _read(self._folder / _WANTED) or {}

    def ask(self, what: Mapping[str, Any]) -> str:
        """Ask something of the run; return the name under which it answers. What is asked first is answered first."""
        waiting = [int(told) for name, _ in self.asked() if (told := name.partition("-")[0]).isdecimal()]
        number = max([time.time_ns(), *(earlier + 1 for earlier in waiting)])  # a clock may be set back
        name = f"{number:020}-{secrets.token_hex(4)}"
        self._write(self._folder / _ASKED / f"{name}.json", what, keep=True)
        return name

    def asked(self) -> list[tuple[str, dict[str, Any]]]:
        """Return what was asked and not answered, with its names, in order."""
        try:
            names = sorted(entry.name for entry in os.scandir(self._folder / _ASKED) if entry.name.endswith(".json"))
        except FileNotFoundError:
            return []
        found = [(name.removesuffix(".json"), _read(self._folder / _ASKED / name)) for name in names]
        return [(name, what) for name, what in found if what is not None]

    def answer(self, name: str, answer: Mapping[str, Any]) -> None:
        """Answer what was asked under a name."""
        self._write(self._folder / _ANSWERED / f"{name}.json", answer, keep=True)
        (self._folder / _ASKED / f"{name}.json").unlink(missing_ok=True)

    def answered(self, name: str) -> dict[str, Any] | None:
        """Return the answer to what was asked under a name; None before it comes."""
        if Path(name).name != name:
            return None
        return _read(self._folder / _ANSWERED / f"{name}.json")

    def _write(self, path: Path, content: Mapping[str, Any], *, keep: bool) -> None:
        """Put a file in place as a whole; with `keep` it is on the disk before this returns."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = path.with_suffix(f".{secrets.token_hex(4)}.draft")
        with draft.open("w") as file:
            json.dump(content, file)
            if keep:
                file.flush()
                os.fsync(file.fileno())
        draft.replace(path)
        if keep:
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return None  # it is not there, or nobody of ours wrote it
    return content if isinstance(content, dict) else None
