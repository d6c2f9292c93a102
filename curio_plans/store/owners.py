"""Which run a document belongs to, when several may be open at once."""

from collections.abc import Mapping
from typing import Any

from curio_plans.store.errors import JournalError


class Owners:
    """Tells which of the open runs a document belongs to.

    ``event_model.RunRouter`` would do that, too, but it turns each event into a page of one: documents would not come
    back as they were emitted.
    """

    def __init__(self) -> None:
        self._open: set[str] = set()
        self._run: dict[str, str] = {}

    def run_of(self, name: str, doc: Mapping[str, Any]) -> str:
        """Return the uid of the run that `doc` belongs to, and remember what may refer to `doc`.

        Raises
        ------
        JournalError
            If that run is not open.
        """
        if name == "start":
            self._open.add(doc["uid"])
            return str(doc["uid"])
        run = doc.get("run_start")
        for key in ("descriptor", "resource", "stream_resource"):
            run = run or self._run.get(str(doc.get(key)))
        if run is None and len(self._open) == 1:
            (run,) = self._open
        if run not in self._open:
            raise JournalError(
                f"expected a document of a run that is open, got {name!r} of run {run!r}; "
                "subscribe before the run starts"
            )
        if name in ("descriptor", "resource", "stream_resource"):
            self._run[str(doc["uid"])] = str(run)
        return str(run)

    def forget(self, uid: str) -> None:
        """Take run `uid` for closed."""
        self._open.discard(uid)
        self._run = {key: run for key, run in self._run.items() if run != uid}
