"""Read a stored run in which an agent decided."""

from collections.abc import Iterable, Mapping
from typing import Any

from curio_plans.documents.history import History
from curio_plans.documents.prior_runs import check_past, recall
from curio_plans.documents.streams import DocumentError, Stored


class ReplayError(ValueError):
    """A run that cannot be replayed at all."""


def exploration(documents: Iterable[tuple[str, Mapping[str, Any]]], stored: Stored | None = None) -> History:
    """Return the history of a run in which an agent can have decided, after those `stored` that it learned from.

    Raises
    ------
    ReplayError
        If this is not a run of an agent, it has no image, or its documents are not in order; if an earlier run that
        the agent learned from is not there, or not what it was.
    """
    documents = list(documents)
    try:
        history = History(documents, recall(documents, stored))
        check_past(history)
    except DocumentError as error:
        raise ReplayError(str(error)) from error
    if history.start is None or "agent" not in history.start:
        raise ReplayError(
            "this run has no agent in its start document; only runs of the plan curiosity can be replayed"
        )
    if history.pool is None:
        raise ReplayError("this run has no image, so its candidates are unknown; it ended before it began to decide")
    return history
