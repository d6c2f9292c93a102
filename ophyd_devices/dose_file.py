"""The file of a dose log: JSON lines. One session at a time may add lines; any other change is noticed."""

import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from filelock import FileLock, Timeout

from ophyd_devices.place import Place, as_place

Entry = Place | Literal["tip", "sample"]
"""A spectrum at a place (x, y) in nm, or what was replaced."""

PATIENCE_S = 1.0
"""How long to wait for the lock: another session may just be reading."""
_BEGINNINGS = (b'{"loop": [', b'{"replaced": "', b'{"session": {')
"""How each line begins; a last line without an end that begins like this was torn by a crash."""


class DoseLogError(ValueError):
    """The dose log is damaged, was changed, or belongs to another session. Nothing was measured."""


class _Session(NamedTuple):
    """Who owns the file."""

    pid: int
    host: str
    since: str

    @classmethod
    def own(cls) -> "_Session":
        return cls(os.getpid(), socket.gethostname(), datetime.now(UTC).isoformat(timespec="seconds"))

    def __str__(self) -> str:
        own = self.own()
        which = "another microscope of this process" if self[:2] == own[:2] else f"process {self.pid} on {self.host}"
        return f"{which}, since {self.since}"


class DoseFile:
    """The lines of a dose log, and who may add to them.

    Parameters
    ----------
    path : path
        The file; it is made with its first line. An empty file ``….lock`` beside it holds the lock.

    Raises
    ------
    DoseLogError
        If the path is not that of a file in an existing directory.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).resolve()
        if not self.path.parent.is_dir():
            raise DoseLogError(f"{self.path}: its directory does not exist; make it, or correct the path")
        if self.path.exists() and not self.path.is_file():
            raise DoseLogError(f"{self.path} is not a file; correct the path")
        self._lock = FileLock(f"{self.path}.lock", timeout=PATIENCE_S, thread_local=False)
        self._known = b""  # the content, as far as this session has read or written it

    @property
    def owned(self) -> bool:
        """Whether this session may add lines."""
        return self._lock.is_locked

    def read(self) -> list[Entry]:
        """Return the entries that were added since the last call.

        Raises
        ------
        DoseLogError
            If a line is no entry of a dose log, or the file was deleted or changed. A last line that was torn by a
            crash is dropped: what it announces was never done.
        """
        content = self._content()
        if not content.startswith(self._known):
            raise self._changed("was changed by another program")
        lines = self._lines(content, len(self._known))
        self._known = content[: len(content) - len(_torn(content))]
        return [line for line in lines if not isinstance(line, _Session)]

    def take(self) -> list[Entry]:
        """Become the owner and return what others have added; as the owner, make sure that nobody changed the file.

        Raises
        ------
        DoseLogError
            If another session owns it, or the file was deleted, changed or damaged, or cannot be written.
        """
        if self.owned:
            self._check_untouched()
            return []
        self._acquire()
        before = self._known
        try:
            entries = self.read()
            self._append({"session": _Session.own()._asdict()})
        except BaseException:
            self._known = before  # what was read is not counted yet
            self._lock.release()
            raise
        return entries

    def look(self) -> list[Entry]:
        """Return what others have added, if this session could :meth:`take` the file; raises like it."""
        if self.owned:
            self._check_untouched()
            return []
        self._acquire()
        try:
            return self.read()
        finally:
            self._lock.release()

    def append(self, entry: Entry) -> None:
        """Add a line and wait until it is on the disk. Only the owner may.

        Raises
        ------
        DoseLogError
            If the file cannot be written; it is then as before.
        """
        self._append({"replaced": entry} if isinstance(entry, str) else {"loop": entry})

    def restore(self) -> None:
        """Write the file as this session knows it, after it was deleted or damaged.

        Raises
        ------
        DoseLogError
            If another session owns the file, or it cannot be written.
        """
        owned, new = self.owned, self.path.with_name(f"{self.path.name}.new")
        if not owned:
            self._acquire()
        try:
            with new.open("wb") as file:
                file.write(self._known)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self.path)
        except OSError as error:
            raise self._unwritable(error) from error
        finally:
            if not owned:
                self._lock.release()

    def release(self) -> None:
        """Let other sessions become the owner."""
        if self.owned:
            self._lock.release()

    def _acquire(self) -> None:
        try:
            self._lock.acquire()
        except Timeout:
            sessions = [line for line in self._lines(self._content()) if isinstance(line, _Session)]
            raise DoseLogError(
                f"{self.path} belongs to {sessions[-1] if sessions else 'another session'}: only one session at a "
                "time may take spectra with a tip. Close the microscope there, or end that session; this one may do "
                "everything else"
            ) from None
        except OSError as error:
            raise DoseLogError(f"{self.path} cannot be locked ({error}); check the rights to its directory") from error

    def _append(self, content: dict[str, Any]) -> None:
        line = json.dumps(content).encode() + b"\n"
        if self._known and not self._known.endswith(b"\n"):
            line = b"\n" + line
        try:
            with self.path.open("r+b" if self._known else "w+b", buffering=0) as file:
                file.truncate(len(self._known))  # without what a crash has left
                file.seek(len(self._known))
                try:
                    rest = memoryview(line)
                    while rest:
                        rest = rest[file.write(rest) :]
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(len(self._known))
                    raise
        except OSError as error:
            raise self._unwritable(error) from error
        self._known += line

    def _content(self) -> bytes:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            if self._known:
                raise self._changed("was deleted") from None
            return b""
        except OSError as error:
            raise DoseLogError(f"{self.path} cannot be read ({error}); correct the path or the rights") from error

    def _check_untouched(self) -> None:
        """Raise DoseLogError if the file is not as this session, its owner, has left it."""
        content = self._content()
        if len(content) > len(self._known) and content.startswith(self._known):
            raise DoseLogError(
                f"another program wrote to {self.path} while this session owned it; nothing was measured. Close the "
                "microscope and start again: that counts what was added"
            )
        if content != self._known:
            raise self._changed("was changed by another program")

    def _unwritable(self, error: OSError) -> DoseLogError:
        return DoseLogError(f"{self.path} cannot be written ({error}); make room on the disk, or correct the rights")

    def _changed(self, what: str) -> DoseLogError:
        return DoseLogError(
            f"{self.path} {what} while this session used it; nothing was measured. Put it back, or let "
            f"afm.backend.doses.restore() write the {len(self._known.splitlines())} lines that this session knows"
        )

    def _lines(self, content: bytes, start: int = 0) -> "list[Entry | _Session]":
        """Return what the lines of `content` say, from the byte `start` on."""
        new, number = content[start : len(content) - len(_torn(content))], 1 + content.count(b"\n", 0, start)
        return [self._parse(line, n) for n, line in enumerate(new.split(b"\n"), start=number) if line.strip()]

    def _parse(self, line: bytes, number: int) -> "Entry | _Session":
        try:
            match json.loads(line):
                case {"loop": place}:
                    return as_place(place)
                case {"replaced": "tip" | "sample" as replaced}:
                    return "tip" if replaced == "tip" else "sample"
                case {"session": {"pid": int(pid), "host": str(host), "since": str(since)}}:
                    return _Session(pid, host, since)
        except (ValueError, RecursionError):
            pass
        raise DoseLogError(
            f"{self.path}, line {number}: expected an entry of a dose log, got {line[:80]!r}; restore the file from a "
            "backup, correct the line, or start a new file for a new tip and a new sample"
        )


def _torn(content: bytes) -> bytes:
    """Return the last line of `content` if a crash has torn it, else nothing."""
    tail = content[content.rfind(b"\n") + 1 :]
    written = tail.rstrip(b"\0")  # after a power failure, blocks that were not written read as zeros
    try:
        json.loads(written or b"{")
    except (ValueError, RecursionError):
        begins = any(written.startswith(beginning) or beginning.startswith(written) for beginning in _BEGINNINGS)
        return tail if begins else b""
    return tail[len(written) :]
