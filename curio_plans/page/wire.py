"""What the page is told of a run, as JSON values."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from curio_plans.page.runs import described
from curio_plans.page.view import COLUMNS, RunView
from curio_plans.report.drawing import ERRORS


@dataclass(frozen=True)
class News:
    """What a watcher does not know yet.

    Attributes
    ----------
    message : dict
        All of it.
    unchanging : dict
        The same when nothing is new.
    known : dict
        What the watcher knows afterwards: so many of each kind.
    grown : bool
        Whether the journal grew.
    over : bool
        Whether nothing will follow.
    """

    message: dict[str, Any]
    unchanging: dict[str, Any]
    known: dict[str, int]
    grown: bool
    over: bool


def about(view: RunView) -> dict[str, Any]:
    """Return what the page must know of a run before it draws."""
    history, start, pool = view.history, view.start, view.history.pool
    spectra = history.spectroscopy if view.rows["points"] or view.rows["rejected"] else None
    return {
        "uid": view.uid,
        **described(start),
        "time": start.get("time"),
        "scan": start.get("scan_id"),
        "resumes": start.get("resumes"),
        "arguments": start.get("plan_args"),
        "config": start.get("agent"),
        "experiment": start.get("experiment"),
        "columns": {table: view.columns(table) for table in COLUMNS},
        "errors": ERRORS,
        "grid": None if pool is None else pool.grid,
        "candidates": 0 if pool is None else len(pool),
        "truth": view.knows_truth,
        "spectra": None if spectra is None else {
            "quantity": spectra.quantity or "spectrum",
            "unit": spectra.unit or "a.u.",
            "axis": spectra.axis,
            "axis_name": spectra.axis_name,
            "axis_unit": spectra.axis_unit,
        },
        **_changing(view),
        "counts": _counts(view),
        "log": view.log[-500:],
        "maps": view.maps,
        "images": view.images,
        "phases": view.phases,
    }  # fmt: skip


def news(view: RunView, known: Mapping[str, int]) -> News:
    """Return what a watcher who knows so many of each kind does not know yet."""
    counts = _counts(view)
    since = {name: min(max(0, known.get(name, 0)), count) for name, count in counts.items()}
    new: dict[str, Any] = {
        "rows": {table: view.rows[table][since[table] :] for table in COLUMNS},
        "log": view.log[since["log"] :],
        "maps": view.maps[since["maps"] :],
        "images": view.images[since["images"] :],
    }
    nothing = {"rows": {table: [] for table in COLUMNS}, "log": [], "maps": [], "images": []}
    changing = _changing(view)
    rest = {"counts": counts, "phases": view.phases, **changing}
    over = changing["state"] not in ("running", "dead")
    return News({**new, **rest}, {**nothing, **rest}, counts, since != counts, over)


def plain(value: Any) -> Any:
    """Return JSON values; what is not finite becomes None, what JSON does not know its text."""
    if isinstance(value, bool | str | int | None):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value)


def _counts(view: RunView) -> dict[str, int]:
    rows = {table: len(view.rows[table]) for table in COLUMNS}
    return {**rows, "log": len(view.log), "maps": len(view.maps), "images": len(view.images)}


def _changing(view: RunView) -> dict[str, Any]:
    """Return what may change without a new row."""
    state, reason = view.state()
    live = {**view.mailbox.now(), **view.mailbox.wanted()} if state == "running" else {}
    return {
        "state": state, "reason": reason, "damage": view.damage, "points": view.budget,
        "live": {name: value for name, value in live.items() if name != "time"}, "standing": view.standing,
        "steered": view.is_steered and state in ("running", "dead"),
    }  # fmt: skip
