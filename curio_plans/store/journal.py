"""The truth about a run: every document, on the disk before the next point begins."""

import fcntl
import hashlib
import json
import logging
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np

logger = logging.getLogger(__name__)

Documents = list[tuple[str, dict[str, Any]]]

INLINE = 16
"""Arrays of at most so many elements stand in the line itself; larger ones in a file of their own."""

_LINES = "documents.jsonl"
_FILE, _ARRAY, _SCALAR, _TUPLE, _DICT = "__npy__", "__array__", "__scalar__", "__tuple__", "__dict__"
_TAGS = frozenset((_FILE, _ARRAY, _SCALAR, _TUPLE, _DICT))


class JournalError(ValueError):
    """A journal that cannot be read, or a document that cannot be kept."""


class Journal:
    """A document callback ``journal(name, doc)`` that keeps each run in a directory of its own.

    The run *uid* becomes ``journal/<uid>/documents.jsonl``, one line a document, and beside it an ``.npy`` file for
    each array of more than 16 elements. Whatever a line refers to is on the disk before the line is, and the line is
    before the callback returns: a crash or a power cut costs at most the event in progress.

    Where the directory cannot be written any more – the disk is full, the share is gone, somebody made it read-only –
    the rest of the run is kept in a spare directory in the same form, and the user is told once. Everything in this
    module reads both as one; ``curio recover`` unites them. Only when no place is left is the error raised, so that the
    plan ends: what cannot be kept need not be measured.

    Runs may be interleaved. While a run is open its files are locked, so that another process can tell (`is_open`).

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
        self._runs: dict[str, list[RunFile | None]] = {}  # one for each place tried, the last one in use
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
        finally:
            if name == "stop":
                self._forget(uid)

    def close(self) -> None:
        """Close the runs that had no stop document."""
        for uid in list(self._runs):
            self._forget(uid)

    def _keep(self, uid: str, name: str, doc: Mapping[str, Any]) -> None:
        files = self._runs.setdefault(uid, [None])
        while True:
            try:
                file = files[-1] = files[-1] or RunFile.create(run_directory(self._places[len(files) - 1], uid))
                file.append(name, doc)
            except OSError as error:
                if len(files) == len(self._places):
                    raise
                # The file that failed stays open: its lock says that the run goes on.
                files.append(None)
                self._tell(
                    f"cannot write to {self._places[len(files) - 2]}: {error.strerror or error}. The run goes on, and "
                    f"is kept in {self._places[len(files) - 1]}; when there is room again, curio recover unites the two"
                )
            else:
                return

    def _forget(self, uid: str) -> None:
        self._owners.forget(uid)
        for file in self._runs.pop(uid, []):
            if file is not None:
                file.close()


class Owners:
    """Which run a document belongs to, when several may be open at once."""

    def __init__(self) -> None:
        self._open: set[str] = set()
        self._run: dict[str, str] = {}

    def run_of(self, name: str, doc: Mapping[str, Any]) -> str:
        """Return the uid of the run that `doc` belongs to, and remember what may refer to `doc`.

        Raises
        ------
        JournalError
            If that run is not open.
        """
        if name == "start":
            self._open.add(doc["uid"])
            return str(doc["uid"])
        run = doc.get("run_start")
        for key in ("descriptor", "resource", "stream_resource"):
            run = run or self._run.get(str(doc.get(key)))
        if run is None and len(self._open) == 1:
            (run,) = self._open
        if run not in self._open:
            raise JournalError(
                f"expected a document of a run that is open, got {name!r} of run {run!r}; "
                "subscribe before the run starts"
            )
        if name in ("descriptor", "resource", "stream_resource"):
            self._run[str(doc["uid"])] = str(run)
        return str(run)

    def forget(self, uid: str) -> None:
        """Take run `uid` for closed."""
        self._open.discard(uid)
        self._run = {key: run for key, run in self._run.items() if run != uid}


class RunFile:
    """The open journal of one run, locked; made by `create` or `reopen`, closed by `close` or ``with``.

    Attributes
    ----------
    documents : int
        How many it holds.
    """

    def __init__(self, directory: Path, descriptor: int, documents: int = 0) -> None:
        self.documents = documents
        self._directory = directory
        self._lines = descriptor
        self._size = os.fstat(descriptor).st_size
        self._arrays = len(list(directory.glob("*.npy")))

    @classmethod
    def create(cls, directory: Path) -> Self:
        """Begin the journal of a run.

        Raises
        ------
        JournalError
            If there is one already.
        """
        directory.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            directory.mkdir()
        except FileExistsError:
            raise JournalError(
                f"run {directory.name} is already in the journal; a run is written once, so move {directory} away first"
            ) from None
        lines = os.open(directory / _LINES, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        fcntl.flock(lines, fcntl.LOCK_EX)
        for changed in (directory, directory.parent, directory.parent.parent):
            _synchronise(changed)
        return cls(directory, lines)

    @classmethod
    def reopen(cls, directory: Path) -> Self:
        """Go on with the journal of a run that ended without a stop document; a torn last line is removed.

        Raises
        ------
        JournalError
            If there is none, a line in the middle is damaged, or another process is writing to it.
        """
        number = len(list(_parse(directory)))
        with _open_lines(directory) as file:
            whole = b"".join(file.read().splitlines(keepends=True)[:number])
        lines = os.open(directory / _LINES, os.O_WRONLY | os.O_APPEND)
        try:
            fcntl.flock(lines, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(lines, len(whole))
            if whole and not whole.endswith(b"\n"):
                _write(lines, b"\n")
        except BlockingIOError:
            os.close(lines)
            raise JournalError(f"run {directory.name} is still being measured; wait until it has ended") from None
        except OSError:
            os.close(lines)
            raise
        return cls(directory, lines, number)

    def __enter__(self) -> Self:
        """Return the file."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def append(self, name: str, doc: Mapping[str, Any]) -> None:
        """Put a document on the disk."""
        arrays = self._arrays
        try:
            line = json.dumps([name, self._encode(doc)], separators=(", ", ": ")) + "\n"
        except (TypeError, ValueError) as error:
            raise JournalError(
                f"expected a document of numbers, text and arrays, got a {name} with: {error}"
            ) from error
        if self._arrays > arrays:
            _synchronise(self._directory)
        try:
            _write(self._lines, line.encode())
            os.fsync(self._lines)
        except OSError:
            # Half a line must not stay: the stop document of the plan that fails now may still find room.
            os.ftruncate(self._lines, self._size)
            raise
        self._size += len(line.encode())
        self.documents += 1

    def close(self) -> None:
        """Close the file and give up its lock."""
        os.close(self._lines)

    def _encode(self, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return self._encode_array(value)
        if isinstance(value, np.generic):
            return {_SCALAR: self._encode(np.asarray(value))}
        if isinstance(value, tuple):
            return {_TUPLE: [self._encode(item) for item in value]}
        if isinstance(value, Mapping):
            if all(type(key) is str for key in value) and _TAGS.isdisjoint(value):
                return {key: self._encode(item) for key, item in value.items()}
            return {_DICT: [[self._encode(key), self._encode(item)] for key, item in value.items()]}
        if isinstance(value, list):
            return [self._encode(item) for item in value]
        return value

    def _encode_array(self, array: np.ndarray[Any, Any]) -> dict[str, Any]:
        plain = array.dtype.kind in "biuU" or (array.dtype.kind == "f" and array.dtype.itemsize <= 8)
        if array.dtype.kind == "O" or (plain and array.size <= INLINE):
            return {_ARRAY: self._encode(array.ravel().tolist()), "dtype": array.dtype.str, "shape": array.shape}
        name = f"{self._arrays:06}.npy"
        with (self._directory / name).open("wb") as file:
            np.save(file, array, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        self._arrays += 1
        return {_FILE: name}


def run_directory(directory: Path | str, uid: str) -> Path:
    """Return where the journal in the data directory keeps run `uid`."""
    if not uid or Path(uid).name != uid:
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
    """Return the directories that together hold the journal of run `uid`: its own, then those in spare directories.

    Raises
    ------
    JournalError
        If there is none.
    """
    found = [
        folder
        for place in (Path(directory), *spare_directories(directory))
        if (folder := run_directory(place, uid)).joinpath(_LINES).exists()
    ]
    if not found:
        raise JournalError(f"there is no run {uid} in the journal {Path(directory) / 'journal'}")
    return found


def journalled(directory: Path | str) -> list[str]:
    """Return the uids of the runs in the journal, in no particular order."""
    places = (Path(directory), *spare_directories(directory))
    return list({lines.parent.name: None for place in places for lines in (place / "journal").glob(f"*/{_LINES}")})


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
        If there is no such run, or a line other than the last is damaged. A last line that is torn is left out: it
        was being written when the power went.
    """
    return [(name, _decode(doc, folder)) for folder, name, doc in _united(parts(directory, uid))]


def read_start(directory: Path | str, uid: str) -> dict[str, Any]:
    """Return the start document of run `uid`."""
    for folder in parts(directory, uid):
        with _open_lines(folder) as lines:
            try:
                name, doc = json.loads(lines.readline())
            except ValueError:
                continue
        if name == "start":
            start: dict[str, Any] = _decode(doc, folder)
            return start
    raise JournalError(f"the journal of run {uid} has no start document: it was torn at the very beginning")


def summarise(directory: Path | str, uid: str) -> tuple[dict[str, Any], dict[str, Any] | None, int]:
    """Return start document, stop document if there is one, and number of points of a run.

    It looks at no more of the journal than that takes, and over damaged lines.
    """
    start = read_start(directory, uid)
    stop: dict[str, Any] | None = None
    primary: list[bytes] = []
    points: set[int] = set()
    for folder in parts(directory, uid):
        with _open_lines(folder) as lines:
            for line in lines:
                head = line[:14]
                if not (head.startswith((b'["descriptor"', b'["stop"')) or any(key in line for key in primary)):
                    continue
                try:
                    name, doc = json.loads(line)
                except ValueError:
                    continue
                if name == "stop":
                    stop = _decode(doc, folder)
                elif name == "descriptor" and doc["name"] == "primary":
                    primary.append(json.dumps(doc["uid"]).encode())
                elif name == "event":
                    points.add(doc["seq_num"])
                elif name == "event_page":
                    points.update(_decode(doc["seq_num"], folder))
    return start, stop, len(points)


def _is_locked(folder: Path) -> bool:
    with (folder / _LINES).open("rb") as lines:
        try:
            fcntl.flock(lines, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _open_lines(folder: Path) -> BinaryIO:
    try:
        return (folder / _LINES).open("rb")
    except FileNotFoundError:
        raise JournalError(f"there is no run {folder.name} in the journal {folder.parent}") from None


def _united(folders: Sequence[Path]) -> Iterator[tuple[Path, str, Any]]:
    """Yield folder, name and document, tags unresolved; what two parts have, because uniting them broke off, once."""
    seen: set[tuple[str, str]] = set()
    for folder in folders:
        here = set()
        for name, doc in _parse(folder):
            identity = (name, str(doc.get("uid", doc.get("datum_id"))))
            here.add(identity)
            if identity not in seen:
                yield folder, name, doc
        seen |= here


def _parse(folder: Path) -> Iterator[tuple[str, Any]]:
    """Yield name and document as the lines have them, tags unresolved."""
    with _open_lines(folder) as file:
        lines = file.read().split(b"\n")
    if not lines[-1]:
        del lines[-1]
    for number, line in enumerate(lines, start=1):
        try:
            name, doc = json.loads(line)
        except (ValueError, TypeError) as error:
            if number == len(lines):
                return
            raise JournalError(
                f"line {number} of {len(lines)} in {folder / _LINES} is damaged ({error}); what precedes it and what "
                "follows may be whole: mend or remove that line in a copy of the directory"
            ) from error
        yield name, doc


def _decode(value: Any, folder: Path) -> Any:
    if isinstance(value, list):
        return [_decode(item, folder) for item in value]
    if not isinstance(value, dict):
        return value
    if _FILE in value:
        return _load(folder / value[_FILE])
    if _ARRAY in value:
        return _array(_decode(value[_ARRAY], folder), np.dtype(value["dtype"]), value["shape"])
    if _SCALAR in value:
        return _decode(value[_SCALAR], folder)[()]
    if _TUPLE in value:
        return tuple(_decode(item, folder) for item in value[_TUPLE])
    if _DICT in value:
        return {_decode(key, folder): _decode(item, folder) for key, item in value[_DICT]}
    return {key: _decode(item, folder) for key, item in value.items()}


def _array(items: list[Any], dtype: np.dtype[Any], shape: list[int]) -> np.ndarray[Any, Any]:
    array = np.empty(math.prod(shape), dtype)
    # Element by element, as numpy would make an array of objects that are lists into one of more dimensions.
    for place, item in enumerate(items):
        array[place] = item
    return array.reshape(shape)


def _load(path: Path) -> np.ndarray[Any, Any]:
    try:
        array: np.ndarray[Any, Any] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise JournalError(
            f"expected an array in {path}, but it cannot be read: {error}; take the file from a backup of the data "
            f"directory, or what Tiled has of the run: read_documents(storage.catalog[{path.parent.name!r}])"
        ) from error
    return array


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _synchronise(directory: Path) -> None:
    """Put the names in a directory on the disk; without that a synchronised file may have none."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
