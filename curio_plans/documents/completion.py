"""Complete a run whose process ended first: count its events, write its stop document."""

import uuid
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from curio_plans.documents.events import Document, Documents, events


def closing_stop(documents: Documents, by: str) -> dict[str, Any]:
    """Return an honest stop document for a run whose process ended before it.

    Its time is that of the last document: the last sign of life.
    """
    last = max(float(doc["time"]) for _, doc in documents if isinstance(doc.get("time"), int | float))
    when = f"{datetime.fromtimestamp(last).astimezone():%Y-%m-%d %H:%M:%S}"
    return {
        "uid": str(uuid.uuid4()),
        "run_start": documents[0][1]["uid"],
        "time": last,
        "exit_status": "fail",
        "reason": f"the process ended before the run, after {when}; closed by {by}",
        "num_events": dict(events_by_stream(documents)),
    }


def events_by_stream(documents: Iterable[Document]) -> Counter[str]:
    """Count the events of each stream; what a pause repeated counts once."""
    return Counter(event.stream for event in events(documents))
