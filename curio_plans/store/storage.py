"""Keeping runs and finding them again: a journal, which is the truth, and a Tiled catalog, where people read."""

import shutil
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from curio_plans.store.errors import AmbiguousRun, RunNotFound, StorageError, require_directory
from curio_plans.store.journal import (
    Documents,
    Journal,
    JournalError,
    is_open,
    journalled,
    read_journal,
    read_start,
    summarise,
)
from curio_plans.store.recovery import Recovery, close_unfinished, missing_in_tiled, unite

_CANDIDATES = 5


@dataclass(frozen=True)
class RunInfo:
    """One run in a list.

    Attributes
    ----------
    uid : str
        Its unique name.
    time : datetime
        When it started, in local time.
    plan_name : str
        The plan.
    agent : str or None
        Who decided, if anyone.
    points : int or None
        Spectra measured so far; None if that cannot be told.
    exit_status : str or None
        ``success``, ``abort`` or ``fail``; None while it goes on, and for good if it was killed.
    reason : str
        Why it ended, where its stop document says so.
    """

    uid: str
    time: datetime
    plan_name: str
    agent: str | None
    points: int | None
    exit_status: str | None
    reason: str


class Storage:
    """A place where runs are kept; made by `Storage.local` or `Storage.remote`, closed by ``with`` or `close`.

    Examples
    --------
    >>> from bluesky import RunEngine
    >>> engine = RunEngine()
    >>> with Storage.local("my-data") as storage:
    ...     storage.attach(engine)
    ...     runs = storage.runs()
    """

    def __init__(
        self,
        directory: Path | str,
        connect: Callable[[], Any],
        *,
        place: str,
        remote: bool,
        writable: bool = True,
        tell: Callable[[str], None] | None = None,
        capacity: int = 256,
        patience: float = 60.0,
    ) -> None:
        self.directory = require_directory(directory) if writable else Path(directory)
        self._connect, self._place, self._remote = connect, place, remote
        self._options: dict[str, Any] = {"capacity": capacity, "patience": patience}
        if tell is not None:
            self._options["tell"] = tell
        self._client: Any = None
        self._opening = threading.RLock()
        self._journal = Journal(self.directory) if tell is None else Journal(self.directory, tell=tell)
        self._writer: Any = None
        self._attached: list[tuple[Any, int]] = []

    @classmethod
    def local(cls, directory: Path | str, **options: Any) -> Self:
        """Keep runs in a directory, with a Tiled catalog that needs no server.

        Several processes may use the directory at once.

        Parameters
        ----------
        directory : Path or str
            Made if it is not there.
        **options
            ``tell``, a callable for messages to the user; ``capacity``, documents that may wait for Tiled;
            ``patience``, seconds without progress after which Tiled is given up for a run; ``writable=False`` to read
            the journal of an archive that cannot be written.

        Raises
        ------
        StorageError
            If the directory cannot be written.
        """

        def connect() -> Any:
            from curio_plans.store.catalog import open_app

            return open_app(directory)

        return cls(directory, connect, place=f"{Path(directory)}", remote=False, **options)

    @classmethod
    def remote(cls, uri: str, api_key: str | None, directory: Path | str, **options: Any) -> Self:
        """Keep runs on a Tiled server, and the journal in a directory.

        Parameters
        ----------
        uri : str
            Address of the server.
        api_key : str or None
            What it asks for; None if nothing.
        directory : Path or str
            For the journal; made if it is not there.
        **options
            As in `local`.

        Raises
        ------
        StorageError
            If the directory cannot be written, or the server does not answer or refuses.
        """
        storage = cls(
            directory, lambda: _connect_to(uri, api_key), place=f"{Path(directory)} and {uri}", remote=True, **options
        )
        _ = storage.catalog
        return storage

    def __enter__(self) -> Self:
        """Return the storage."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the storage."""
        self.close()

    def close(self) -> None:
        """Write what is left, and let go of the engines and of Tiled."""
        for engine, token in self._attached:
            engine.unsubscribe(token)
        self._attached.clear()
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._journal.close()
        if self._client is not None:
            self._client.context.close()
            self._client = None

    def attach(self, engine: Any) -> None:
        """Keep everything that a RunEngine emits from now on.

        Raises
        ------
        StorageError
            If the directory cannot be written, or Tiled not be opened.
        """
        from curio_plans.store.tiled_writer import BackgroundWriter

        require_directory(self.directory)
        if self._writer is None:
            self._writer = BackgroundWriter(self.catalog, **self._options)
        for callback in (self._journal, self._writer):
            self._attached.append((engine, engine.subscribe(callback)))

    @property
    def catalog(self) -> Any:
        """The Tiled client of all runs, ``catalog[uid]``; opening it for the first time takes some seconds."""
        with self._opening:
            if self._client is None:
                self._client = self._connect()
            # Databroker's v1 and v2 switch all clients over, so each time anew:
            return self._client.v3 if hasattr(self._client, "v3") else self._client

    @property
    def failures(self) -> Mapping[str, str]:
        """What went wrong in Tiled since `attach`, by the uid of the run."""
        return {} if self._writer is None else dict(self._writer.failures)

    def runs(self) -> list[RunInfo]:
        """Return the runs, newest first."""
        found: dict[str, RunInfo] = {}
        for uid in journalled(self.directory):
            try:
                start, stop, points = summarise(self.directory, uid)
            except JournalError:
                continue
            found[uid] = _info(start, stop, points)
        if self._remote:
            found = {**self._runs_in_tiled(), **found}
        return sorted(found.values(), key=lambda run: run.time, reverse=True)

    def resolve(self, text: str) -> str:
        """Return the uid of the run that is meant.

        Parameters
        ----------
        text : str
            A uid, the beginning of one, or ``latest``.

        Raises
        ------
        RunNotFound
            If there is none.
        AmbiguousRun
            If there are several.
        """
        if text in journalled(self.directory):
            return text
        started = self._started()
        if not started:
            raise RunNotFound(f"there are no runs in {self._place} yet")
        newest = sorted(started, key=lambda uid: started[uid], reverse=True)
        if text == "latest":
            return newest[0]
        if text in started:
            return text
        matches = [uid for uid in newest if text and uid.startswith(text)]
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise AmbiguousRun(f"{text!r} may be any of {_listed(matches)}; give more of the uid")
        raise RunNotFound(f"there is no run {text!r} in {self._place}; the newest are {_listed(newest)}")

    def documents(self, uid: str) -> Documents:
        """Return the documents of a run.

        From the journal they are the original ones. From Tiled, for a run that was measured on another computer,
        arrays and values are the same, but the uids of events are made up.

        Parameters
        ----------
        uid : str
            As in `resolve`.

        Raises
        ------
        RunNotFound, AmbiguousRun
            If not exactly one run is meant.
        JournalError
            If the journal of the run is damaged.
        """
        uid = self.resolve(uid)
        if uid in journalled(self.directory):
            return read_journal(self.directory, uid)
        from curio_plans.store.tiled_reader import read_documents

        return read_documents(self.catalog[uid])

    def lineage(self, uid: str) -> Documents:
        """Return the documents of a run after those of the runs that it resumes, oldest first.

        Parameters
        ----------
        uid : str
            As in `resolve`.

        Raises
        ------
        RunNotFound, AmbiguousRun
            If not exactly one run is meant, or one that it resumes is not here.
        JournalError
            If the journal of one is damaged.
        """
        documents = self.documents(uid)
        while earlier := documents[0][1].get("resumes"):
            documents = self.documents(earlier) + documents
        return documents

    def resumable(self, uid: str) -> Documents:
        """Return what `lineage` does, of a run that has ended; one whose process ended before it is closed.

        Raises
        ------
        RunNotFound, AmbiguousRun
            If not exactly one run is meant.
        StorageError
            If it is still being measured.
        """
        uid = self.resolve(uid)
        if uid in journalled(self.directory):
            self.close_unfinished(uid, "resume")
        return self.lineage(uid)

    def repair(self, uid: str) -> None:
        """Put a run into Tiled as the journal has it; what Tiled has of that run is replaced.

        Parameters
        ----------
        uid : str
            As in `resolve`.

        Raises
        ------
        RunNotFound, AmbiguousRun
            If not exactly one run is meant.
        StorageError
            If the run is still going on, is not in this journal, or Tiled does not take it now either.
        """
        from curio_plans.store.catalog import arrays_of
        from curio_plans.store.tiled_writer import insert

        uid = self._require_ended(uid)
        documents = read_journal(self.directory, uid)
        catalog = self.catalog
        try:
            if uid in catalog:
                catalog.delete_contents(uid, recursive=True, external_only=False)
            if not self._remote:
                # A process that is killed may leave an array that the catalog never heard of, and that is in the way.
                shutil.rmtree(arrays_of(self.directory, uid), ignore_errors=True)
            insert(catalog, documents)
            missing = missing_in_tiled(catalog, documents)
        except Exception as error:
            raise StorageError(f"Tiled does not take run {uid}: {error}") from error
        if missing:
            raise StorageError(f"Tiled did not keep all of run {uid}: it lacks {missing}; try again")
        if self._writer is not None:
            self._writer.failures.pop(uid, None)

    def recover(self, uid: str) -> Recovery:
        """Put a run in order: unite its journal, close it where its process did not, give Tiled what it misses.

        What Tiled has in part is deleted and inserted anew, so that nothing is there twice.

        Parameters
        ----------
        uid : str
            As in `resolve`.

        Returns
        -------
        Recovery
            What was done. What stood against it is told in its `problem`.

        Raises
        ------
        RunNotFound, AmbiguousRun
            If not exactly one run is meant.
        """
        uid = self.resolve(uid)
        united, closed, missing = 0, False, ""
        try:
            self._require_ended(uid)
            united = unite(self.directory, uid)
            closed = close_unfinished(self.directory, uid, "curio recover")
            missing = missing_in_tiled(self.catalog, read_journal(self.directory, uid))
            if missing:
                self.repair(uid)
            elif self._writer is not None:
                self._writer.failures.pop(uid, None)  # it came through after all
        except Exception as error:  # noqa: BLE001 - whatever stands against one run, the others are put in order
            return Recovery(uid, united, closed, problem=str(error) or type(error).__name__)
        return Recovery(uid, united, closed, missing)

    def close_unfinished(self, uid: str, by: str) -> None:
        """Give a run the stop document it lacks, in the journal and in Tiled.

        Parameters
        ----------
        uid : str
            As in `resolve`.
        by : str
            Who closes it, for the reason in the stop document.

        Raises
        ------
        RunNotFound, AmbiguousRun
            If not exactly one run is meant.
        StorageError
            If the run is still going on, or is not in this journal.
        """
        if close_unfinished(self.directory, self._require_ended(uid), by):
            with suppress(StorageError):  # what Tiled does not take now, it gets from `recover`
                self.repair(uid)

    def _require_ended(self, uid: str) -> str:
        """Return the full uid of a run in the journal that nobody is writing."""
        uid = self.resolve(uid)
        if uid not in journalled(self.directory):
            raise StorageError(f"run {uid} is not in the journal {self.directory}; repair it where it was measured")
        if is_open(self.directory, uid):
            raise StorageError(f"run {uid} is still being measured; repair it when it has ended")
        if self._writer is not None and not self._writer.has_let_go(uid):
            raise StorageError(f"Tiled still does not answer to the last attempt to write run {uid}; try again later")
        return uid

    def _started(self) -> dict[str, float]:
        """Return when each run started."""
        started: dict[str, float] = {}
        for uid in journalled(self.directory):
            try:
                started[uid] = float(read_start(self.directory, uid)["time"])
            except JournalError:
                continue
        if self._remote:
            started = {uid: run.time.timestamp() for uid, run in self._runs_in_tiled(count=False).items()} | started
        return started

    def _runs_in_tiled(self, *, count: bool = True) -> dict[str, RunInfo]:
        import httpx

        from curio_plans.store.tiled_reader import count_points

        found = {}
        try:
            for uid, run in self.catalog.items():
                start, stop = run.metadata.get("start"), run.metadata.get("stop")
                if start is None:
                    continue
                points = (stop or {}).get("num_events", {}).get("primary", 0)
                if not stop and count:
                    points = count_points(run)
                found[uid] = _info(start, stop or None, points)
        except httpx.HTTPError as error:
            raise StorageError(f"Tiled does not answer at {self._place}: {error}") from error
        return found


def _connect_to(uri: str, api_key: str | None) -> Any:
    import httpx
    from tiled.client import from_context
    from tiled.client.context import Context

    try:
        # Tiled itself would try for the better part of a minute.
        httpx.get(uri, timeout=10.0)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise StorageError(f"there is no Tiled server at {uri}: {error}") from error
    context = None
    try:
        context, path = Context.from_any_uri(uri, api_key=api_key)
        return from_context(context, node_path_parts=path)
    except Exception as error:
        if context is not None:
            context.close()
        raise StorageError(
            f"the Tiled server at {uri} does not let us in: {error}; check its address and key"
        ) from error


def _info(start: Mapping[str, Any], stop: Mapping[str, Any] | None, points: int | None) -> RunInfo:
    agent = start.get("agent")
    return RunInfo(
        uid=str(start["uid"]),
        time=datetime.fromtimestamp(start["time"]).astimezone(),
        plan_name=str(start.get("plan_name", "")),
        agent=str(agent["agent"]) if isinstance(agent, Mapping) and "agent" in agent else None,
        points=points,
        exit_status=None if stop is None else str(stop["exit_status"]),
        reason="" if stop is None else str(stop.get("reason", "")),
    )


def _listed(uids: list[str]) -> str:
    shown = ", ".join(uid[:8] for uid in uids[:_CANDIDATES])
    return f"{shown} …" if len(uids) > _CANDIDATES else shown
