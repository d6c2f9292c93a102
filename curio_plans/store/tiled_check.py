"""Compare what Tiled has of a run with what the journal has."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from curio_plans.documents.completion import events_by_stream
from curio_plans.store.reader import Documents
from curio_plans.store.tiled_reader import count_points, missing_columns, read_stream


def missing_in_tiled(catalog: Any, documents: Documents) -> str:
    """Say what a catalog does not have of a run; empty if it has every event and the stop document."""
    uid = documents[0][1]["uid"]
    if uid not in catalog:
        return "the run"
    run = catalog[uid]
    lacking = []
    for stream, number in events_by_stream(documents).items():
        found = count_points(run, stream)
        if found < number:
            lacking.append(f"{number - found} of {number} events of {stream!r}")
        elif columns := missing_columns(run, stream):
            lacking.append(f"{', '.join(columns)} of {stream!r}")
    name, last = documents[-1]
    if name == "stop" and heads_in_tiled(catalog, uid).get("stop", {}).get("uid") != last["uid"]:
        lacking.append("the stop document")
    return ", ".join(lacking)


def surplus_in_tiled(catalog: Any, documents: Documents) -> str:
    """Say what events a catalog has of a run that the journal lacks; empty if there are none."""
    uid = documents[0][1]["uid"]
    if uid not in catalog:
        return ""
    here = events_by_stream(documents)
    there = {stream: count_points(catalog[uid], stream) for stream in catalog[uid].base}
    return ", ".join(
        f"{number - here[stream]} events of {stream!r}" for stream, number in there.items() if number > here[stream]
    )


def different_in_tiled(catalog: Any, documents: Documents) -> str:
    """Say in which data keys a catalog has other values of a run than the journal; empty if in none."""
    run = catalog[documents[0][1]["uid"]]
    streams = {doc["uid"]: doc["name"] for name, doc in documents if name == "descriptor"}
    events: dict[str, dict[int, Mapping[str, Any]]] = {}
    for doc in (doc for name, doc in documents if name == "event"):
        events.setdefault(streams[doc["descriptor"]], {}).setdefault(doc["seq_num"], doc["data"])
    return ", ".join(
        f"{key} of {stream!r}" for stream, rows in events.items() for key in _different_columns(run, stream, rows)
    )


def heads_in_tiled(catalog: Any, uid: str) -> dict[str, dict[str, Any]]:
    """Return the start and stop documents that a catalog has of a run."""
    if uid not in catalog:
        return {}
    metadata = catalog[uid].metadata
    return {name: dict(metadata[name]) for name in ("start", "stop") if metadata.get(name)}


def _different_columns(run: Any, stream: str, rows: Mapping[int, Mapping[str, Any]]) -> Iterator[str]:
    found = read_stream(run, stream)
    for key, column in found.data_vars.items():
        for number, value in zip(found["seq_num"].values.tolist(), column.values, strict=True):
            if number in rows and not _same(rows[number][str(key)], value):
                yield str(key)
                break


def _same(one: Any, other: Any) -> bool:
    kind = np.asarray(one).dtype.kind
    return np.array_equal(np.asarray(one), np.asarray(other), equal_nan=kind in "fc")
