"""Compare what Tiled has of a run with what the journal has."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from curio_plans.documents.completion import events_by_stream
from curio_plans.store.reader import Documents
from curio_plans.store.tiled_reader import TiledStream


class TiledCopy:
    """What a catalog has of a run, beside the documents in the journal. Each part is asked for once.

    Parameters
    ----------
    catalog : Container
        A Tiled catalog.
    documents : sequence of (name, document)
        What the journal has.
    """

    def __init__(self, catalog: Any, documents: Documents) -> None:
        self._documents = documents
        self._run = catalog.get(documents[0][1]["uid"])

    @cached_property
    def _streams(self) -> dict[str, TiledStream]:
        return {} if self._run is None else {name: TiledStream(self._run, name) for name in self._run.base}

    @cached_property
    def missing(self) -> str:
        """What the catalog does not have; empty if it has every event and the stop document."""
        if self._run is None:
            return "the run"
        lacking = []
        for name, number in events_by_stream(self._documents).items():
            stream = self._streams.get(name)
            found = 0 if stream is None else stream.number
            if found < number:
                lacking.append(f"{number - found} of {number} events of {name!r}")
            elif stream is not None and stream.missing_columns:
                lacking.append(f"{', '.join(stream.missing_columns)} of {name!r}")
        kind, last = self._documents[-1]
        if kind == "stop" and (self._run.metadata.get("stop") or {}).get("uid") != last["uid"]:
            lacking.append("the stop document")
        return ", ".join(lacking)

    @cached_property
    def surplus(self) -> str:
        """What events the catalog has that the journal lacks; empty if there are none."""
        here = events_by_stream(self._documents)
        return ", ".join(
            f"{stream.number - here[name]} events of {name!r}"
            for name, stream in self._streams.items()
            if stream.number > here[name]
        )

    @cached_property
    def different(self) -> str:
        """In which data keys the catalog has other values than the journal; empty if in none."""
        names = {doc["uid"]: doc["name"] for name, doc in self._documents if name == "descriptor"}
        events: dict[str, dict[int, Mapping[str, Any]]] = {}
        for doc in (doc for name, doc in self._documents if name == "event"):
            events.setdefault(names[doc["descriptor"]], {}).setdefault(doc["seq_num"], doc["data"])
        return ", ".join(
            f"{key} of {name!r}" for name, rows in events.items() for key in _different(self._streams[name], rows)
        )


def heads_in_tiled(catalog: Any, uid: str) -> dict[str, dict[str, Any]]:
    """Return the start and stop documents that a catalog has of a run."""
    if uid not in catalog:
        return {}
    metadata = catalog[uid].metadata
    return {name: dict(metadata[name]) for name in ("start", "stop") if metadata.get(name)}


def _different(stream: TiledStream, rows: Mapping[int, Mapping[str, Any]]) -> Iterator[str]:
    found = stream.read()
    for key, column in found.data_vars.items():
        for number, value in zip(found["seq_num"].values.tolist(), column.values, strict=True):
            if number in rows and not _same(rows[number][str(key)], value):
                yield str(key)
                break


def _same(one: Any, other: Any) -> bool:
    kind = np.asarray(one).dtype.kind
    return np.array_equal(np.asarray(one), np.asarray(other), equal_nan=kind in "fc")
