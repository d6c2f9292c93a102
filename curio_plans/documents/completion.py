"""Complete a run whose process ended first: count its events, write its stop document."""

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any


def closing_stop(documents: Sequence[tuple[str, Mapping[str, Any]]], by: str) -> dict[str, Any]:
    """Return an honest stop document for a run whose process ended before it.

    Its time is that of the last document: the last sign of life.
    """
    last = max(float(doc["time"]) for _, doc in documents if isinstance(doc.get("time"), float))
    when = f"{datetime.fromtimestamp(last).astimezone():%Y-%m-%d %H:%M:%S}"
    return {
        "uid": str(uuid.uuid4()),
        "run_start": documents[0][1]["uid"],
        "time": last,
        "exit_status": "fail",
        "reason": f"the process ended before the run, after {when}; closed by {by}",
        "num_events": dict(events_by_stream(documents)),
    }


def events_by_stream(documents: Iterable[tuple[str, Mapping[str, Any]]]) -> Counter[str]:
    """Count the events of each stream; what a pause repeated counts once."""
    streams: dict[str, str] = {}
    events: set[tuple[str, int]] = set()
    for name, doc in documents:
        if name == "descriptor":
            streams[doc["uid"]] = doc["name"]
        elif name == "event":
            events.add((streams[doc["descriptor"]], doc["seq_num"]))
        elif name == "event_page":
            events.update((streams[doc["descriptor"]], number) for number in doc["seq_num"])
    return Counter(stream for stream, _ in events)
