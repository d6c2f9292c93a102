"""Keeping runs and finding them again: a journal, which is the truth, and a Tiled catalog, where people read."""

import functools
import logging
import math
import shutil
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from curio_plans.documents.start import normalise
from curio_plans.store.callbacks import end_runs_in_order
from curio_plans.store.errors import AmbiguousRun, JournalError, RunNotFound, StorageError, require_directory
from curio_plans.store.journal import Journal
from curio_plans.store.mailbox import Mailbox
from curio_plans.store.order import in_order
from curio_plans.store.places import journalled
from curio_plans.store.presence import Presence, require_alone
from curio_plans.store.reader import Documents, is_open, is_sealed, read_journal, read_start
from curio_plans.store.recovery import Recovery, close_unfinished, unite
from curio_plans.store.rescue import finish_rescues, originals, rescue
from curio_plans.store.run_info import RunInfo, circle, info_of, read_info
from curio_plans.store.structure import Structure
from curio_plans.store.verification import Verification, forget, verify

logger = logging.getLogger(__name__)

_CANDIDATES = 5


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
        self._unusable: StorageError | None = None
        self._opening = threading.RLock()
        self._journal = Journal(self.directory) if tell is None else Journal(self.directory, tell=tell)
        self._writer: Any = None
        self._presence: Presence | None = None
        self._on_close: list[Callable[[], Any]] = []

    @classmethod
    def local(cls, directory: Path | str, **options: Any) -> Self:
        """Keep runs in a directory, with a Tiled catalog that needs no server.

        Several processes of one machine may use the directory at once; processes of others may read it.

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
        while self._on_close:
            self._on_close.pop()()
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._journal.close()
        self._close_client()
        if self._presence is not None:
            self._presence.end()
            self._presence = None

    def _close_client(self) -> None:
        if self._client is not None:
            self._client.context.close()
            self._client = None

    def attach(self, engine: Any) -> None:
        """Keep everything that a RunEngine emits from now on.

        From now on it also refuses metadata that could not be read back, see
        :func:`curio_plans.documents.start.normalise`, and a callback that ends the program fails the run. Where the
        catalog of the data directory cannot be opened, runs are kept in the journal alone, and the user is told.

        Raises
        ------
        StorageError
            If the directory cannot be written, another machine writes into it, or the Tiled server does not answer.
        """
        require_directory(self.directory)
        if self._presence is None:
            self._presence = Presence(self.directory, alone=not self._remote)
        callbacks: list[Any] = [self._journal]
        if (writer := self._background_writer()) is not None:
            callbacks.append(writer)
        for callback in callbacks:
            self._on_close.append(functools.partial(engine.unsubscribe, engine.subscribe(callback)))
        self._refuse_unreadable_metadata(engine)
        if (undo := end_runs_in_order(engine)) is not None:
            self._on_close.append(undo)

    def _refuse_unreadable_metadata(self, engine: Any) -> None:
        """Let a RunEngine refuse what could not be read back before a run starts, whoever made it."""
        before = getattr(engine, "md_normalizer", None)
        if before not in (None, normalise):
            engine.md_normalizer = lambda md: normalise(before(md))
            self._on_close.append(functools.partial(setattr, engine, "md_normalizer", before))

    def _background_writer(self) -> Any:
        from curio_plans.store.tiled_writer import BackgroundWriter

        if self._writer is None:
            try:
                self._writer = BackgroundWriter(self.catalog, **self._options)
            except StorageError as error:
                if self._remote:
                    raise
                self._options.get("tell", logger.warning)(f"runs are kept in the journal alone: {error}")
        return self._writer

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
        """Return the runs, newest first; a run that cannot be read is among them, and says so."""
        found = {uid: read_info(self.directory, uid) for uid in journalled(self.directory)}
        if self._remote:
            found = {**self._runs_in_tiled(), **found}
        times = {uid: run.time.timestamp() for uid, run in found.items()}
        return [found[uid] for uid in reversed(in_order(self.directory, times))]

    def resolve(self, text: str) -> str:
        """Return the uid of the run that is meant.

        Parameters
        ----------
        text : str
            A uid, the beginning of one, or ``latest``: the newest that is not damaged.

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
        newest = in_order(self.directory, started)[::-1]
        if text == "latest":
            return self._first_whole(newest)
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
        StorageError
            If Tiled cannot give the run.
        """
        uid = self.resolve(uid)
        if uid in journalled(self.directory):
            return read_journal(self.directory, uid)
        from curio_plans.store.tiled_reader import read_documents

        try:
            return read_documents(self.catalog[uid])
        except StorageError:
            raise
        except Exception as error:
            raise StorageError(
                f"Tiled cannot give run {uid}: {error!r:.300}; curio verify tells what it has"
            ) from error

    def mailbox(self, uid: str) -> Mailbox:
        """Return what passes between a run, its full `uid`, and those who watch and steer it: `steer` of a plan."""
        return Mailbox(self.directory, uid)

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
            If the journal of one is damaged, or the runs resume each other in a circle.
        """
        documents = self.documents(uid)
        seen = [documents[0][1]["uid"]]
        while resumed := documents[0][1].get("resumes"):
            documents = self.documents(resumed) + documents
            seen.append(documents[0][1]["uid"])
            if seen[-1] in seen[:-1]:
                raise JournalError(circle(seen))
        self._check_sense(seen, documents)
        return documents

    def _check_sense(self, uids: list[str], documents: Documents) -> None:
        """Raise JournalError if documents without checksums make no sense."""
        here = set(journalled(self.directory))
        if all(is_sealed(self.directory, uid) for uid in uids if uid in here):
            return
        from curio_plans.documents.events import DocumentError
        from curio_plans.documents.sense import check_sense

        try:
            check_sense(documents)
        except DocumentError as error:
            raise JournalError(
                f"run {uids[0]} has no checksums, and is not what was written: {error}; bring it back from a backup"
            ) from error

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
        JournalError
            If the journal of the run is damaged.
        StorageError
            If the run is still going on, is not in this journal, or Tiled does not take it now either.
        """
        from curio_plans.store.catalog import arrays_of
        from curio_plans.store.tiled_check import TiledCopy
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
            missing = TiledCopy(catalog, documents).missing
        except Exception as error:
            raise StorageError(f"Tiled does not take run {uid}: {error}") from error
        if missing:
            raise StorageError(f"Tiled did not keep all of run {uid}: it lacks {missing}; try again")
        if self._writer is not None:
            self._writer.failures.pop(uid, None)

    def prepare_recovery(self) -> str:
        """Replace a catalog that cannot be used by a new one, and finish what an earlier recovery began.

        Call it once before :meth:`recover`, which fills the new catalog from the journal.

        Returns
        -------
        str
            What was wrong with the catalog, and where it is now; empty if nothing was.

        Raises
        ------
        StorageError
            If a RunEngine is attached to this storage, or the directory cannot be written.
        """
        from curio_plans.store.catalog import set_aside
        from curio_plans.store.catalog_damage import catalog_of, damage

        require_directory(self.directory)
        require_alone(self.directory)
        finish_rescues(self.directory)
        reason = "" if self._remote else damage(self.directory)
        deleted = self._client is not None and not self._remote and not catalog_of(self.directory).exists()
        if not reason and not deleted:
            return ""
        if self._on_close:
            raise StorageError(
                f"the Tiled catalog cannot be used ({reason or 'it was deleted'}); detach or close this storage first"
            )
        self._close_client()
        self._unusable = None
        if not reason:
            return "the Tiled catalog was deleted"
        return f"the Tiled catalog could not be used ({reason}); it is kept in {set_aside(self.directory)}"

    def recover(self, uid: str) -> Recovery:
        """Put a run in order: unite its journal, rescue what is whole, close it, give Tiled what it misses.

        What Tiled has in part is deleted and inserted anew, so that nothing is there twice. Where Tiled has more than
        the journal, it is left as it is.

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
        done = Recovery(self.resolve(uid))
        try:
            self._require_ended(done.uid)
            forget(self.directory, done.uid)
            for step in (self._rescue, self._unite, self._close, self._complete_tiled):
                done = step(done)
        except Exception as error:  # noqa: BLE001 - whatever stands against one run, the others are put in order
            return replace(done, problem=str(error) or type(error).__name__)
        return done

    def verify(self, uid: str) -> Verification:
        """Tell whether a run is whole: all of it is read, and compared with its checksums and with what Tiled has.

        Parameters
        ----------
        uid : str
            As in `resolve`.

        Raises
        ------
        RunNotFound, AmbiguousRun
            If not exactly one run is meant.
        """
        return verify(self.directory, self.resolve(uid), self._catalog_once)

    def _catalog_once(self) -> Any:
        """Return the catalog; where it could not be opened, say so again at once."""
        if self._unusable is not None:
            raise self._unusable
        try:
            return self.catalog
        except StorageError as error:
            self._unusable = error
            raise

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
        uid = self._require_ended(uid)
        if close_unfinished(self.directory, uid, by):
            forget(self.directory, uid)
            with suppress(StorageError):  # what Tiled does not take now, it gets from `recover`
                self.repair(uid)

    def _rescue(self, done: Recovery) -> Recovery:
        try:
            read_journal(self.directory, done.uid)
        except JournalError:
            return replace(done, rescued=str(rescue(self.directory, done.uid, self._heads_in_tiled(done.uid))))
        return done

    def _unite(self, done: Recovery) -> Recovery:
        if done.uid not in journalled(self.directory):
            return done  # nothing of it was whole
        return replace(done, united=unite(self.directory, done.uid))

    def _close(self, done: Recovery) -> Recovery:
        if done.uid not in journalled(self.directory):
            return done
        return replace(done, closed=close_unfinished(self.directory, done.uid, "curio recover", self._heads_in_tiled))

    def _complete_tiled(self, done: Recovery) -> Recovery:
        from curio_plans.store.tiled_check import TiledCopy

        if done.uid not in journalled(self.directory):
            return done
        documents, catalog = read_journal(self.directory, done.uid), self.catalog
        try:
            copy = TiledCopy(catalog, documents)
            surplus, missing = copy.surplus, copy.missing
        except Exception as error:  # noqa: BLE001 - what cannot be read is replaced
            surplus, missing = "", f"the run, which could not be read there ({str(error)[:80] or type(error).__name__})"
        if surplus:
            if originals(self.directory, done.uid):
                return done  # what could not be rescued is there
            raise StorageError(f"Tiled has {surplus} that the journal lacks, so it is left as it is")
        if missing:
            self.repair(done.uid)
        elif self._writer is not None:
            self._writer.failures.pop(done.uid, None)  # it came through after all
        return replace(done, missing=missing)

    def _heads_in_tiled(self, uid: str) -> dict[str, dict[str, Any]]:
        """Return the start and stop documents that Tiled has of a run; none if it does not answer."""
        from curio_plans.store.tiled_check import heads_in_tiled

        try:
            return heads_in_tiled(self.catalog, uid)
        except Exception:  # noqa: BLE001 - the journal alone must do
            return {}

    def _require_ended(self, uid: str) -> str:
        """Return the full uid of a run in the journal that nobody is writing."""
        uid = self.resolve(uid)
        if uid not in journalled(self.directory):
            raise StorageError(f"run {uid} is not in the journal {self.directory}; repair it where it was measured")
        require_alone(self.directory)
        if is_open(self.directory, uid):
            raise StorageError(f"run {uid} is still being measured; repair it when it has ended")
        if self._writer is not None and not self._writer.has_let_go(uid):
            raise StorageError(f"Tiled still does not answer to the last attempt to write run {uid}; try again later")
        return uid

    def _first_whole(self, uids: list[str]) -> str:
        """Return the first run that is not damaged."""
        here = set(journalled(self.directory))
        for uid in uids:
            if uid not in here or not read_info(self.directory, uid).damaged:
                return uid
        raise RunNotFound(f"all runs in {self._place} are damaged: {_listed(uids)}; curio verify tells what is wrong")

    def _started(self) -> dict[str, float]:
        """Return when each run started; before all others, where that cannot be read."""
        started: dict[str, float] = {}
        for uid in journalled(self.directory):
            try:
                started[uid] = float(read_start(self.directory, uid)["time"])
            except JournalError:
                started[uid] = -math.inf
        if self._remote:
            started = {uid: run.time.timestamp() for uid, run in self._runs_in_tiled(count=False).items()} | started
        return started

    def _runs_in_tiled(self, *, count: bool = True) -> dict[str, RunInfo]:
        import httpx

        from curio_plans.store.tiled_reader import count_points

        found = {}
        try:
            for uid, run in self.catalog.items():
                start, stop = run.metadata.get("start"), run.metadata.get("stop") or None
                try:
                    structure = Structure(uid)
                    structure.check("start", start)
                    if stop is not None:
                        structure.check("stop", stop)
                except JournalError as error:
                    damage = f"what Tiled has of it makes no sense: {error}"
                    found[uid] = RunInfo(uid, datetime.fromtimestamp(0).astimezone(), damaged=damage)
                    continue
                points = (stop or {}).get("num_events", {}).get("primary", 0)
                if stop is None and count:
                    points = count_points(run)
                found[uid] = info_of(start, stop, points)
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


def _listed(uids: list[str]) -> str:
    shown = ", ".join(uid[:8] for uid in uids[:_CANDIDATES])
    return f"{shown} …" if len(uids) > _CANDIDATES else shown
