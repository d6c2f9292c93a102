"""The runs of a data directory as the page lists them, and the views of those that somebody looks at."""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from curio_plans.page.view import RunView
from curio_plans.store.errors import JournalError, RunNotFound
from curio_plans.store.order import in_order
from curio_plans.store.places import LINES, journalled, parts
from curio_plans.store.reader import read_start

_VIEWS = 16
"""Views that stay in memory; one of 10 000 points takes some 50 MB."""

SIDE = 64
"""Pixels of the longer side of a small picture, at most."""


class Runs:
    """All runs of a data directory. It may be used from several threads.

    Parameters
    ----------
    directory : Path
        The data directory.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._lock = threading.RLock()
        self._starts: dict[str, Mapping[str, Any]] = {}
        self._lines: dict[str, tuple[tuple[int, int], dict[str, Any]]] = {}
        self._views: OrderedDict[str, RunView] = OrderedDict()

    def list(self, search: str, limit: int, offset: int) -> dict[str, Any]:
        """Return so many runs, newest first, of those that have all words of `search` in what a list says of them."""
        with self._lock:
            found = {uid: self._start(uid) for uid in journalled(self.directory)}
            self._starts = {uid: start for uid, start in found.items() if start}
            words = search.lower().split()
            said = {uid: " ".join(map(str, (uid, *described(start).values()))).lower() for uid, start in found.items()}
            chosen = [uid for uid in found if all(word in said[uid] for word in words)]
            times = {uid: float(found[uid].get("time", 0)) for uid in chosen}
            chosen = in_order(self.directory, times)[::-1]
            lines = [self._line(uid) for uid in chosen[offset : offset + limit]]
        return {"runs": lines, "found": len(chosen), "directory": str(self.directory.resolve())}

    def view(self, uid: str) -> RunView:
        """Return the view of a run, up to date.

        Raises
        ------
        RunNotFound
            If there is no such run.
        """
        with self._lock:
            view = self._views.get(uid)
            try:
                if view is None:
                    if uid not in journalled(self.directory):
                        raise RunNotFound(f"there is no run {uid!r} here")
                    view = RunView(self.directory, uid)
                view.update()
            except JournalError as error:
                self._views.pop(uid, None)
                raise RunNotFound(str(error)) from error
            self._views[uid] = view
            self._views.move_to_end(uid)
            while len(self._views) > _VIEWS:
                self._views.popitem(last=False)
            return view

    @property
    def lock(self) -> threading.RLock:
        """Held while a view is read or changed."""
        return self._lock

    def _start(self, uid: str) -> Mapping[str, Any]:
        if uid in self._starts:
            return self._starts[uid]
        try:
            return read_start(self.directory, uid)
        except (ValueError, OSError):
            return {}

    def _line(self, uid: str) -> dict[str, Any]:
        """Return what the list says of a run; what it said before, where its files are the same."""
        try:
            stats = [(folder / LINES).lstat() for folder in parts(self.directory, uid)]
        except (JournalError, OSError):
            return {"uid": uid, "state": "damaged", "reason": "it was taken away"}
        stamp = (sum(stat.st_size for stat in stats), max(stat.st_mtime_ns for stat in stats))
        known = self._lines.get(uid)
        if known is None or known[0] != stamp:
            known = (stamp, self._describe(uid))
            self._lines[uid] = known
        line = dict(known[1])
        if line["state"] in ("running", "dead"):
            line["state"], line["reason"] = self._views[uid].state() if uid in self._views else self.view(uid).state()
        return line

    def _describe(self, uid: str) -> dict[str, Any]:
        kept = uid in self._views
        try:
            view = self.view(uid)
        except RunNotFound as error:
            return {"uid": uid, "state": "damaged", "reason": str(error)}
        state, reason = view.state()
        last = view.rows["decisions"][-1] if view.rows["decisions"] else None
        line = {
            "uid": uid,
            "time": view.start.get("time"),
            **described(view.start),
            "points": len(view.rows["points"]),
            "planned": view.budget,
            "state": state,
            "reason": view.damage or reason,
            "error": None if last is None else last[7],
            "nmse": None if last is None else last[12],
            "picture": bool(view.images),
        }
        if not kept and state != "running":
            self._views.pop(uid, None)
        return line


def described(start: Mapping[str, Any]) -> dict[str, str]:
    """Return what people search for: sample, operator, plan, agent."""
    experiment, agent, sample = (start.get(key) for key in ("experiment", "agent", "sample"))
    told = experiment if isinstance(experiment, Mapping) else {}
    mounted = sample.get("sample", {}) if isinstance(sample, Mapping) else {}
    kind = mounted.get("name") or mounted.get("kind") or mounted.get("path") if isinstance(mounted, Mapping) else ""
    named = told.get("sample")
    return {
        "sample": str(named.get("name", named) if isinstance(named, Mapping) else named or kind or ""),
        "operator": str(told.get("operator", "")),
        "plan": str(start.get("plan_name", "")),
        "agent": str(agent.get("agent", "")) if isinstance(agent, Mapping) else "",
    }
