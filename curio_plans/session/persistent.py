"""The RunEngine's metadata, kept across sessions; several sessions may be open at the same time."""

import copy
import json
import sqlite3
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

SCAN_ID = "scan_id"
_TABLE = "CREATE TABLE IF NOT EXISTS metadata (key TEXT PRIMARY KEY, value TEXT NOT NULL)"
_STORE = "INSERT INTO metadata VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"


class MetadataError(OSError):
    """The file of the metadata cannot be read or written."""


class PersistentMetadata(MutableMapping[str, Any]):
    """A mapping from names to JSON values in an SQLite file, for ``RE.md``.

    Other sessions see a value as soon as it is assigned. A change inside a value is written when the mapping is next
    used, which the RunEngine does for each run, or by :meth:`flush`. Tuples are read back as lists.

    ``scan_id`` is special. The file keeps the highest number that any session drew, and each session reads the number
    that it drew last: its start document has that number whatever other sessions do. After a higher number is assigned,
    counting continues from it; a lower one has no effect. Delete ``scan_id`` to count from 1 again.

    Parameters
    ----------
    path : str or Path
        Created, with its directory, if it does not exist.
    timeout : float
        Seconds to wait for another session that is writing.

    Raises
    ------
    MetadataError
        If the file holds no metadata, or cannot be read or written; on every use.

    Examples
    --------
    >>> import tempfile
    >>> from bluesky import RunEngine
    >>> metadata = PersistentMetadata(Path(tempfile.mkdtemp()) / "metadata.db")
    >>> RE = RunEngine(metadata, scan_id_source=metadata.next_scan_id)
    >>> RE.md["operator"] = "Ada"
    >>> PersistentMetadata(metadata.path)["operator"]
    'Ada'
    """

    def __init__(self, path: str | Path, *, timeout: float = 30.0) -> None:
        self.path = Path(path).expanduser().resolve()
        self.timeout = timeout
        self._scan_id: int | None = None
        self._lent: dict[str, tuple[Any, str]] = {}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MetadataError(
                f"cannot keep metadata in {self.path}: {error}; choose another data directory"
            ) from error
        with self._transaction() as database:
            database.execute(_TABLE)

    def __getitem__(self, key: str) -> Any:
        self.flush()
        with self._transaction() as database:
            text = _fetch(database, key)
        if text is None:
            raise KeyError(key)
        if key == SCAN_ID and self._scan_id is not None:
            return self._scan_id
        value, known = self._lent.get(key, (None, None))
        if text != known:
            value = self._load(key, text)
            if isinstance(value, dict | list):
                self._lent[key] = (value, text)
        return value

    def __setitem__(self, key: str, value: Any) -> None:
        text = _dump(key, value)
        self._lent.pop(key, None)
        self.flush()
        with self._transaction() as database:
            if key == SCAN_ID:
                text = str(max(_scan_id(value), self._highest(database)))
            if text != _fetch(database, key):
                database.execute(_STORE, (key, text))
        if key == SCAN_ID:
            self._scan_id = int(value)

    def __delitem__(self, key: str) -> None:
        self._lent.pop(key, None)
        self.flush()
        with self._transaction() as database:
            found = database.execute("DELETE FROM metadata WHERE key = ?", (key,)).rowcount
        if key == SCAN_ID:
            self._scan_id = None
        if not found:
            raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        self.flush()
        with self._transaction() as database:
            rows = database.execute("SELECT key FROM metadata ORDER BY rowid").fetchall()
        return iter([key for (key,) in rows])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        return copy.deepcopy(dict(self), memo)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {str(self.path)!r} {dict(self)!r}>"

    def next_scan_id(self, md: Mapping[str, Any] | None = None) -> int:  # noqa: ARG002  the signature is Bluesky's
        """Return the next number, which no other session gets; the ``scan_id_source`` of a RunEngine.

        Parameters
        ----------
        md : mapping, optional
            Passed by the RunEngine; not used.

        Returns
        -------
        int
            One more than the highest number so far; 1 at first.
        """
        with self._transaction() as database:
            number = self._highest(database) + 1
            database.execute(_STORE, (SCAN_ID, str(number)))
        self._scan_id = number
        return number

    def flush(self) -> None:
        """Write changes inside values.

        Raises
        ------
        TypeError, ValueError
            If JSON cannot represent a changed value; the file then keeps the old one.
        """
        for key, (value, text) in list(self._lent.items()):
            del self._lent[key]
            changed = _dump(key, value)
            if changed != text:
                with self._transaction() as database:
                    database.execute(_STORE, (key, changed))
            self._lent[key] = (value, changed)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Open the file for one transaction, during which other sessions wait.

        Each has its own connection: none is left open, and threads and forked processes share none.
        """
        try:
            with closing(sqlite3.connect(self.path, self.timeout, isolation_level=None)) as database:
                database.execute("BEGIN IMMEDIATE")
                yield database
                database.execute("COMMIT")
        except sqlite3.Error as error:
            raise MetadataError(
                f"cannot use {self.path} for the metadata of the RunEngine: {error}; "
                "make it writable, or move it away to start with empty metadata"
            ) from error

    def _load(self, key: str, text: str) -> Any:
        try:
            return json.loads(text)
        except ValueError as error:
            raise MetadataError(
                f"{self.path}: the value of {key!r} is not JSON: {error}; delete it, del RE.md[{key!r}]"
            ) from error

    def _highest(self, database: sqlite3.Connection) -> int:
        text = _fetch(database, SCAN_ID)
        return 0 if text is None else _scan_id(self._load(SCAN_ID, text))


def _fetch(database: sqlite3.Connection, key: str) -> str | None:
    row = database.execute("SELECT value FROM metadata WHERE key = ?", (key,)).fetchone()
    return None if row is None else str(row[0])


def _scan_id(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"metadata {SCAN_ID!r}: expected a whole number, got {value!r}")
    return value


def _dump(key: str, value: Any) -> str:
    """Return `value` as JSON; raise TypeError or ValueError, with the name `key`, if JSON cannot represent it."""
    if not isinstance(key, str):
        raise TypeError(f"expected text as the name of metadata, got {key!r}")
    try:
        text = json.dumps(value, allow_nan=False)
    except TypeError as error:
        raise TypeError(f"metadata {key!r}: expected a value that JSON can represent: {error}") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"metadata {key!r}: expected a value that JSON can represent: {error}") from error
    _check_names(key, value)
    return text


def _check_names(key: str, value: Any) -> None:
    """Raise TypeError for a name that is not text; JSON would convert it."""
    if isinstance(value, Mapping):
        for name in value:
            if not isinstance(name, str):
                raise TypeError(f"metadata {key!r}: expected text as names, got {name!r}")
            _check_names(key, value[name])
    elif isinstance(value, list | tuple):
        for item in value:
            _check_names(key, item)
