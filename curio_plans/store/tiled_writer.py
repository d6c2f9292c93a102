"""Documents into Tiled, on a thread of their own: readable a second after they were measured; the plan goes on."""

import copy
import logging
import queue
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from bluesky_tiled_plugins.writing.tiled_writer import RunNormalizer, _RunWriter

from curio_plans.documents.events import Events
from curio_plans.store.owners import Owners

logger = logging.getLogger(__name__)

Tell = Callable[[str], None]

_BUILTIN: dict[str, type] = {"number": float, "integer": int, "boolean": bool, "string": str}
_NEVER = 1_000_000_000
"""A batch size that is not reached: this module decides when to write."""

_BATCH = 64 * 2**20
"""Bytes of arrays after which events are written, however few: a server bounds the size of a request."""

_TICK, _QUIET = 0.1, 5.0
"""Seconds between looks at a writer one waits for, and seconds until the user is told."""


class CastError(ValueError):
    """A value that its data key's declared type or shape cannot hold."""


class StrictNormalizer(RunNormalizer):
    """Give every value the type its data key declares, or raise: a column or an array has one type for a whole run.

    Without this, a number that is 0 in the first event and 0.5 in the second ends a run in Tiled, and an array that
    changes its length is padded in silence. An event that the RunEngine repeats after a pause, with the sequence
    number of one that is complete, is left out.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._events = Events()

    def start(self, doc: Mapping[str, Any]) -> None:
        """Begin a run."""
        self._events("start", doc)
        super().start(doc)

    def descriptor(self, doc: Mapping[str, Any]) -> None:
        """Remember what is declared."""
        self._events("descriptor", doc)
        super().descriptor(doc)

    def event(self, doc: Mapping[str, Any]) -> None:
        """Cast the data of an event.

        Raises
        ------
        CastError
            If a cast would change a value.
        """
        for event in self._events("event", doc):
            self._cast(doc, event.descriptor["data_keys"])

    def _cast(self, doc: Mapping[str, Any], declared: Mapping[str, Mapping[str, Any]]) -> None:
        filled = doc.get("filled", {})
        data = {
            key: cast(key, value, declared[key]) if filled.get(key, "external" not in declared[key]) else value
            for key, value in doc["data"].items()
        }
        super().event({**doc, "data": data})


def cast(key: str, value: Any, declared: Mapping[str, Any]) -> Any:
    """Return `value` in the type and shape that the data key `key` declares.

    Raises
    ------
    CastError
        If that would change it.
    """
    if declared["dtype"] == "array":
        return _cast_array(key, value, declared)
    kind = np.dtype(declared["dtype_numpy"]) if isinstance(declared.get("dtype_numpy"), str) else None
    wanted: Any = _BUILTIN[declared["dtype"]] if kind is None or kind.kind in "USO" else kind.type
    try:
        with np.errstate(all="ignore"):
            result = wanted(value)
            # As Python's own numbers: numpy would round one side of a comparison to the type of the other.
            before, after = (getattr(number, "item", lambda n=number: n)() for number in (value, result))
            same = bool(before == after) or (bool(before != before) and bool(after != after))
    except (TypeError, ValueError, OverflowError):
        same = False
    if not same:
        raise CastError(
            f"expected {key!r} to be {kind or declared['dtype']} as its descriptor says, got {value!r}; "
            "let the device describe what it reads"
        )
    return result


def _cast_array(key: str, value: Any, declared: Mapping[str, Any]) -> Any:
    array = np.asarray(value)
    shape = tuple(declared["shape"])
    fits = len(shape) == array.ndim and all(want in (None, got) for want, got in zip(shape, array.shape, strict=True))
    if not fits:
        raise CastError(
            f"expected {key!r} to have the shape {shape} as its descriptor says, got {array.shape}; an array keeps its "
            "shape during a stream, so give another length another stream"
        )
    if None in shape or not isinstance(declared.get("dtype_numpy"), str):
        return value
    wanted = np.dtype(declared["dtype_numpy"])
    if array.dtype == wanted:
        return array
    with np.errstate(all="ignore"):
        result = array.astype(wanted)
    if not np.array_equal(result, array, equal_nan=wanted.kind in "fc"):
        raise CastError(f"expected {key!r} to be {wanted} as its descriptor says, got {array.dtype} that do not fit")
    return result


class RunWriter(_RunWriter):
    """Writes one run, when told to: the writer of the library with a `flush`."""

    def __init__(self, client: Any) -> None:
        # SQLite has no column for a small array, so all arrays are arrays.
        super().__init__(client, batch_size=_NEVER, max_array_size=0)

    def flush(self) -> None:
        """Write the events that have come since the last time."""
        for name, rows in self._internal_data_cache.items():
            if rows:
                self._write_internal_data(rows, desc_node=self._desc_nodes[name])
                rows.clear()
        for doc in list(self._external_data_cache.values()):
            self._write_external_data(doc)
        self._external_data_cache.clear()


class Insertion:
    """The documents of one run on their way into Tiled, in the caller's thread."""

    def __init__(self, client: Any) -> None:
        self._writer = RunWriter(client.include_data_sources())
        self._normalizer = StrictNormalizer()
        self._normalizer.subscribe(self._writer)
        self._bytes = 0

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Take the next document; events are written by `flush`, at the stop document, and when they become many."""
        accept_text_arrays()
        self._normalizer(name, doc)
        self._bytes += sum(getattr(value, "nbytes", 0) for value in doc.get("data", {}).values())
        if self._bytes >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Write what has come so far."""
        accept_text_arrays()
        self._writer.flush()
        self._bytes = 0


def insert(client: Any, documents: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
    """Write one complete or broken-off run into a catalog that does not have it."""
    insertion = Insertion(client)
    for name, doc in documents:
        insertion(name, doc)
    insertion.flush()


def accept_text_arrays() -> None:
    """Have zarr not warn of each array of text, like the names of channels; it does not say so in another way.

    This stays in force, as `warnings.catch_warnings` is not made for threads, and the warning comes from Tiled's.
    """
    warnings.filterwarnings("ignore", message=r"The data type \(FixedLengthUTF32")


class BackgroundWriter:
    """A document callback ``writer(name, doc)`` that has a thread write to Tiled.

    The callback puts a copy of the document into a queue and returns; when the queue is full it waits, which slows
    the plan and drops nothing. The thread writes what has come every half second, so that data can be read about a
    second after they were measured. At a stop document the callback waits until the whole run can be read.

    Whatever goes wrong in Tiled, the plan goes on: the rest of that run is not written, one message says so, and the
    next run is tried again. The journal has it all.

    Parameters
    ----------
    client : tiled.client.container.Container
        The catalog of runs.
    capacity : int
        Documents in the queue.
    interval : float
        Seconds from an event to its being written.
    patience : float
        Seconds without any progress after which Tiled is given up for a run.
    tell : callable, optional
        Gets messages for the user; by default they are logged as warnings.

    Attributes
    ----------
    failures : dict of str to str
        What went wrong, by the uid of the run.
    steps : int
        Grows whenever the thread has got something done.
    """

    def __init__(
        self,
        client: Any,
        *,
        capacity: int = 256,
        interval: float = 0.5,
        patience: float = 60.0,
        tell: Tell = logger.warning,
    ) -> None:
        if capacity < 1:
            raise ValueError(f"expected room for at least one document, got a capacity of {capacity}")
        self.failures: dict[str, str] = {}
        self.tell, self.patience = tell, patience
        self.steps = 0
        self._client, self._interval = client, interval
        self._queue: queue.Queue[_Item | None] = queue.Queue(capacity)
        self._owners = Owners()
        self._written: dict[str, threading.Event] = {}
        self._insertions: dict[str, Insertion] = {}
        self._unflushed: dict[str, int] = {}
        self._failing = threading.Lock()
        self._busy = ""
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="tiled-writer", daemon=True)
        self._thread.start()

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Have the next document written; at a stop document, wait until its run is."""
        uid = self._owners.run_of(name, doc)
        if name == "start":
            self._written[uid] = threading.Event()
        if uid not in self.failures:
            # What a device does to its arrays after this point is none of the thread's business.
            self._put(_Item(uid, name, copy.deepcopy(dict(doc))))
        if name == "stop":
            self._wait(uid)
            self._owners.forget(uid)
            del self._written[uid]

    @property
    def waiting(self) -> int:
        """Documents that are not yet in Tiled, about."""
        return self._queue.qsize() + sum(self._unflushed.copy().values())

    def has_let_go(self, uid: str) -> bool:
        """Wait until the thread does nothing more for a run that failed; tell whether it came to that."""
        deadline = time.monotonic() + self.patience
        while self._busy == uid and time.monotonic() < deadline:
            time.sleep(_TICK)
        return self._busy != uid

    def close(self) -> None:
        """Write what is left and end the thread."""
        if self._closed:
            return
        self._closed = True
        try:
            self._queue.put(None, timeout=self.patience)
        except queue.Full:
            return
        self._thread.join(self.patience)

    def _put(self, item: "_Item") -> None:
        progress = _Progress(self, f"Tiled is slower than the plan, which waits for it (run {item.uid[:8]})")
        while True:
            try:
                self._queue.put(item, timeout=_TICK)
            except queue.Full:
                if not progress.made():
                    self._fail(item.uid, f"it took nothing for {self.patience:g} s")
                    return
            else:
                return

    def _wait(self, uid: str) -> None:
        progress = _Progress(self, "waiting for Tiled to take {} documents")
        while not self._written[uid].wait(_TICK):
            if not progress.made():
                self._fail(uid, f"it took nothing for {self.patience:g} s")

    def _work(self) -> None:
        due: float | None = None
        while True:
            try:
                item = self._queue.get(timeout=None if due is None else max(0.0, due - time.monotonic()))
            except queue.Empty:
                pass
            else:
                if item is None:
                    self._flush()
                    return
                self._take(item)
            if not self._unflushed:
                due = None
            elif due is None:
                due = time.monotonic() + self._interval
            elif time.monotonic() >= due:
                self._flush()
                due = None

    def _take(self, item: "_Item") -> None:
        uid = self._busy = item.uid
        if uid not in self.failures:
            try:
                if item.name == "start":
                    self._insertions[uid] = Insertion(self._client)
                self._insertions[uid](item.name, item.doc)
            except Exception as error:  # noqa: BLE001 - whatever Tiled does, the plan goes on
                self._fail(uid, error)
            else:
                self._unflushed[uid] = self._unflushed.get(uid, 0) + 1
        if item.name == "stop" or uid in self.failures:
            self._insertions.pop(uid, None)
            self._unflushed.pop(uid, None)
        if item.name == "stop":
            self._set_written(uid)
        self.steps += 1
        self._busy = ""

    def _flush(self) -> None:
        for uid in list(self._unflushed):
            del self._unflushed[uid]
            self._busy = uid
            try:
                self._insertions[uid].flush()
            except Exception as error:  # noqa: BLE001 - as above
                self._fail(uid, error)
            self.steps += 1
            self._busy = ""

    def _fail(self, uid: str, reason: object) -> None:
        with self._failing:
            if uid in self.failures:
                return
            self.failures[uid] = str(reason) or type(reason).__name__
        logger.debug("run %s", uid, exc_info=reason if isinstance(reason, Exception) else None)
        self.tell(
            f"Tiled does not take run {uid[:8]} any more: {self.failures[uid]}. The run goes on and its data are safe "
            f"in the journal; put them into Tiled later with curio recover, or storage.repair({uid[:8]!r})"
        )
        self._set_written(uid)

    def _set_written(self, uid: str) -> None:
        written = self._written.get(uid)
        if written is not None:  # else the plan has given up waiting
            written.set()


@dataclass(frozen=True)
class _Item:
    uid: str
    name: str
    doc: dict[str, Any]


class _Progress:
    """Watches a writer that someone waits for: says so after a while, and notices when it stands still."""

    def __init__(self, writer: BackgroundWriter, message: str) -> None:
        self._writer, self._message = writer, message
        self._started = self._moved = time.monotonic()
        self._steps = writer.steps

    def made(self) -> bool:
        now = time.monotonic()
        if self._message and now - self._started > _QUIET:
            self._writer.tell(self._message.format(self._writer.waiting))
            self._message = ""
        if self._writer.steps != self._steps:
            self._steps, self._moved = self._writer.steps, now
        return now - self._moved < self._writer.patience
