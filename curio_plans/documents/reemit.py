"""Give stored documents to callbacks again: a table, a plot, another catalog."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import event_model
import numpy as np

from curio_plans.documents.completion import closing_stop
from curio_plans.documents.events import Document, DocumentError

Callback = Callable[[str, Mapping[str, Any]], Any]

_REMEDY = "read the run from its journal, or repair it with curio recover"


def reemit(
    documents: Iterable[Document],
    *callbacks: Callback,
    pace: float | None = None,
    sleep: Callable[[float], Any] = time.sleep,
) -> None:
    """Give stored documents to callbacks, in order, as the RunEngine did.

    All are checked before the first is emitted. A run without a stop document, because its process died, gets one that
    says so: a callback may rely on it.

    Parameters
    ----------
    documents : iterable of (name, document)
        One run, or several one after the other.
    *callbacks : callable
        ``callback(name, doc)``, e.g. a BestEffortCallback.
    pace : float, optional
        1 waits between the documents as long as the run took, 10 a tenth of it; by default there is no wait.
    sleep : callable
        Waits for a number of seconds.

    Raises
    ------
    DocumentError
        If documents are out of order, incomplete, or not valid under event-model.
    ValueError
        If `pace` is not positive.
    """
    if pace is not None and not pace > 0:
        raise ValueError(f"expected a positive pace, got {pace}; 1 is as fast as the run was")
    complete = [document for run in runs(documents) for document in run]
    before: float | None = None
    for name, doc in complete:
        now = doc.get("time")
        if pace is not None and isinstance(now, int | float):
            if before is not None and now > before:
                sleep((now - before) / pace)
            before = now
        for callback in callbacks:
            callback(name, doc)


def runs(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Yield the documents of each run, checked and complete with a stop document.

    Raises
    ------
    DocumentError
        If documents are out of order, incomplete, or not valid under event-model.
    """
    run: list[Document] = []
    known: set[str] = set()
    for name, doc in documents:
        if name == "start":
            yield from _closed(run)
            run, known = [], {doc["uid"]}
        elif not run:
            raise DocumentError(f"expected the start document of a run first, got {name!r}; {_REMEDY}")
        elif run[-1][0] == "stop":
            raise DocumentError(f"expected nothing after the stop document of a run, got {name!r}; {_REMEDY}")
        for reference in ("run_start", "descriptor", "resource", "stream_resource"):
            if reference in doc and doc[reference] not in known:
                raise DocumentError(
                    f"{name!r} {doc.get('uid', '')} comes before the {reference} {doc[reference]} that it belongs to, "
                    f"or that is missing; {_REMEDY}"
                )
        known.add(str(doc.get("uid")))
        _validate(name, doc)
        run.append((name, doc))
    yield from _closed(run)


def _closed(run: list[Document]) -> Iterator[list[Document]]:
    if run:
        stop = [] if run[-1][0] == "stop" else [("stop", closing_stop(run, "the program that replays it"))]
        yield [*run, *stop]


def _validate(name: str, doc: Mapping[str, Any]) -> None:
    try:
        kind = event_model.DocumentNames[name]
        event_model.schema_validators[kind].validate(_plain(doc))
    except KeyError:
        raise DocumentError(f"expected a document of the event model, got one named {name!r}; {_REMEDY}") from None
    except Exception as error:
        raise DocumentError(
            f"{name!r} {doc.get('uid', '')} is not valid under event-model: {error}; {_REMEDY}"
        ) from error


def _plain(value: Any) -> Any:
    """Return what a schema can check: plain values. It does not look into arrays, so an empty list stands for each."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return []
    return value.item() if isinstance(value, np.generic) else value
