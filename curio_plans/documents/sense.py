"""Check that documents without checksums make sense, before anything relies on them."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from curio_plans.documents.events import Document, DocumentError, Documents, events
from curio_plans.documents.history import History
from curio_plans.documents.reemit import runs
from curio_plans.documents.start import FormatError, check_format


def check_sense(documents: Documents) -> None:
    """Raise DocumentError unless documents can be what a RunEngine and our plans emitted.

    They are in order and valid under event-model, each value is of the kind that its data key declares, and what
    decisions and observations refer to exists. A changed digit may go unnoticed: that is what checksums are for.

    Parameters
    ----------
    documents : sequence of (name, document)
        Of one run, after those of the runs that it resumes.
    """
    try:
        for start in (doc for name, doc in documents if name == "start"):
            check_format(start)
        for _ in runs(documents):
            pass
        _check_values(documents)
        _check_references(History(documents))
    except (DocumentError, FormatError):
        raise
    except Exception as error:
        raise DocumentError(
            f"the documents of run {documents[0][1].get('uid')} make no sense: {error!r:.200}"
        ) from error


@contextmanager
def making_sense_of(documents: Documents) -> Iterator[None]:
    """Tell what is wrong with stored documents where reading them fails; a context for whatever reads them.

    Checksums do not protect from a program that writes nonsense, nor from a plan that uses our names for its own.

    Raises
    ------
    DocumentError
        In place of an error that documents without sense have led to. Any other error stays as it is.
    """
    try:
        yield
    except (DocumentError, FormatError, OSError):
        raise
    except (ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        check_sense(documents)
        raise


def _check_values(documents: Iterable[Document]) -> None:
    for event in events(documents):
        keys = event.descriptor["data_keys"].keys()
        if not keys == event.data.keys() == event.doc["timestamps"].keys():
            raise DocumentError(f"event {event.doc['uid']} has other data keys than its descriptor: {sorted(keys)}")
        for key, declared in event.descriptor["data_keys"].items():
            value = event.data[key]
            if not _is_kind(value, declared):
                raise DocumentError(
                    f"event {event.doc['uid']} has {value!r:.60} as {key!r}, which is declared as {declared['dtype']}"
                )


def _is_kind(value: Any, declared: Mapping[str, Any]) -> bool:
    kind = declared["dtype"]
    if kind == "string":
        return isinstance(value, str)
    try:
        numpy_kind = declared.get("dtype_numpy")
        array = np.asarray(value, np.dtype(numpy_kind) if isinstance(numpy_kind, str) else None)
    except (TypeError, ValueError, OverflowError):
        return False
    if kind == "array":
        return array.ndim > 0
    return array.ndim == 0 and array.dtype.kind in "biuf" and (kind != "integer" or bool(np.isfinite(array)))


def _check_references(history: History) -> None:
    """Raise DocumentError where a decision or an observation refers to what is not there."""
    start = history.start or {}
    records = len(history.records) + len(start.get("learned_from", []))
    candidates = None if history.pool is None else len(history.pool)
    limits = [
        (f"decision {decision.number}", what, number, most)
        for decision in history.decisions
        for what, number, most in (
            ("records", decision.records, records),
            ("observations", decision.observations, len(history.observations)),
            ("candidate", decision.candidate, None if candidates is None else candidates - 1),
        )
    ]
    limits += [
        (f"the spectrum of event {uid}", "candidate", observation.index, None if candidates is None else candidates - 1)
        for uid, observation in zip(history.observation_uids, history.observations, strict=True)
    ]
    for who, what, number, most in limits:
        if number < 0 or (most is not None and number > most):
            raise DocumentError(f"{who} tells of {what} {number}, expected 0 to {'any' if most is None else most}")
