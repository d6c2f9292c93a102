"""What people ask of a run while it goes on: what stands of it at any moment.

What can be asked, and with which values, is said in :mod:`curio_plans.documents.acts`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from agents.protocols import Pool

Area = tuple[tuple[float, float], ...]
"""The corners (x, y) of a polygon in nm, as the first image shows the places."""

Mask = NDArray[np.bool_]


def inside(area: Area, positions: NDArray[np.float64]) -> Mask:
    """Return which positions (N, 2) lie in a polygon, those on its edge included where they are left or below.

    A ray from the position to the right crosses the edges an odd number of times. (Shimrat, Communications of the ACM
    5, 434, 1962)
    """
    x, y = positions[:, 0], positions[:, 1]
    odd = np.zeros(len(positions), dtype=bool)
    for (x0, y0), (x1, y1) in zip(area, (*area[1:], area[0]), strict=True):
        if y0 == y1:
            continue
        crosses = (y0 > y) != (y1 > y)
        odd ^= crosses & (x < x0 + (y - y0) / (y1 - y0) * (x1 - x0))
    return odd


@dataclass(frozen=True)
class Standing:
    """What stands of all acts so far. The fold of an act is :meth:`after`.

    Attributes
    ----------
    picks : tuple of int
        Candidates to measure before the agent is asked again, in order.
    excluded : mapping of int to Area
        The areas that are excluded, by number.
    areas : int
        How many areas were ever excluded.
    region : Area or None
        Where to measure only.
    prefer : bool
        Whether that is given up when nothing is left there.
    skipped : tuple of int
        Suggestions that a human refused.
    points, map_every : int or None
        What replaces these values of the request; None for what it says.
    until : dict or None
        What replaces the rule for the end; empty for no rule, None for what the request says.
    image, paused, ends : bool
        Whether an image is wanted, the run pauses, and is to end.
    approve, seconds : str, float
        Whether suggestions wait for a human, and for how long.
    """

    picks: tuple[int, ...] = ()
    excluded: Mapping[int, Area] = field(default_factory=dict)
    areas: int = 0
    region: Area | None = None
    prefer: bool = False
    skipped: tuple[int, ...] = ()
    points: int | None = None
    map_every: int | None = None
    until: Mapping[str, Any] | None = None
    image: bool = False
    paused: bool = False
    ends: bool = False
    approve: str = "off"
    seconds: float = 0.0

    def after(self, act: str, values: Mapping[str, Any], candidate: int, pool: Pool | None) -> Self:
        """Return what stands after an act with its values; `candidate` is the one that it means, −1 for none."""
        changes: dict[str, Any] = {}
        match act:
            case "pick":
                changes = {"picks": (*self.picks, candidate)}
            case "exclude":
                number = self.areas + 1
                area = _corners(values["area"])
                gone = set() if pool is None else set(np.flatnonzero(inside(area, pool.positions)).tolist())
                kept = tuple(pick for pick in self.picks if pick not in gone)
                changes = {"excluded": {**self.excluded, number: area}, "areas": number, "picks": kept}
            case "include":
                chosen = values.get("number")
                left = {number: area for number, area in self.excluded.items() if chosen not in (None, number)}
                changes = {"excluded": left}
            case "restrict":
                changes = {"region": _corners(values["area"]), "prefer": bool(values.get("prefer", False))}
            case "free":
                changes = {"region": None}
            case "points":
                changes = {"points": int(values["points"]), "ends": False}
            case "until":
                changes = {"until": values.get("rule") or {}, "ends": False}
            case "map_every":
                changes = {"map_every": int(values["map_every"])}
            case "image":
                changes = {"image": True}
            case "pause" | "go":
                changes = {"paused": act == "pause"}
            case "end":
                changes = {"ends": True, "paused": False}
            case "approve":
                changes = {"approve": str(values["mode"]), "seconds": float(values["seconds"])}
            case "skip":
                changes = {"skipped": (*self.skipped, candidate)}
        return replace(self, **changes)

    def avoided(self, pool: Pool, taken: Mask) -> Mask:
        """Return which candidates (N,) of a pool a human does not want; `taken` are measured or out of use anyway."""
        avoid = np.zeros(len(pool), dtype=bool)
        avoid[list(self.skipped)] = True
        for area in self.excluded.values():
            avoid |= inside(area, pool.positions)
        if self.region is not None:
            outside = ~inside(self.region, pool.positions)
            if not self.prefer or bool((~outside & ~avoid & ~taken).any()):
                avoid |= outside
        return avoid

    @property
    def avoids(self) -> bool:
        """Whether there is anything that a human does not want."""
        return bool(self.skipped or self.excluded or self.region is not None)


def candidates_of(act: str, values: Mapping[str, Any], candidate: int, pool: Pool | None) -> tuple[int, ...]:
    """Return the candidates that an act is about."""
    if act in ("exclude", "restrict") and pool is not None:
        return tuple(np.flatnonzero(inside(_corners(values["area"]), pool.positions)).tolist())
    return (candidate,) if candidate >= 0 else ()


def nearest(pool: Pool, x: float, y: float, among: Mask | None = None) -> tuple[int, float]:
    """Return the candidate nearest to a place, and its distance in nm; of those in `among` (N,) only, if given."""
    distances = np.hypot(pool.positions[:, 0] - x, pool.positions[:, 1] - y)
    if among is not None:
        distances = np.where(among, distances, math.inf)
    found = int(distances.argmin())
    return found, float(distances[found])


def describe_act(act: str, values: Mapping[str, Any]) -> str:
    """Return in words what an act asks for."""
    words: Callable[[], str] | None = {
        "exclude": lambda: f"measure no further in an area{_extent(values['area'])}",
        "include": lambda: (
            f"take back exclusion {values['number']}" if "number" in values else "take back all exclusions"
        ),
        "restrict": lambda: (
            f"{'prefer' if values.get('prefer') else 'measure only in'} an area{_extent(values['area'])}"
        ),
        "points": lambda: f"measure {values['points']} points in total",
        "until": lambda: f"end by {_rule(values)}",
        "map_every": lambda: f"record maps {_every(values['map_every'])}",
        "answer": lambda: f"answer {values['text']!r}",
        "note": lambda: f"note: {values['text']}",
        "approve": lambda: _APPROVAL[values["mode"]].format(values["seconds"]),
    }.get(act)
    return _PLAIN.get(act, act) if words is None else words()


_PLAIN = {
    "pick": "measure next at", "free": "measure everywhere again", "image": "take an image now", "pause": "pause",
    "go": "go on", "end": "end after this point", "abort": "abort", "accept": "accept the suggestion",
    "skip": "skip the suggestion",
}  # fmt: skip
_APPROVAL = {
    "off": "follow suggestions at once",
    "veto": "follow a suggestion after {:g} s without a veto",
    "accept": "follow a suggestion after a yes",
}


def _every(points: int) -> str:
    return f"every {points} points" if points else "at the end only"


def _rule(values: Mapping[str, Any]) -> str:
    rule = ", ".join(f"{name} {value}" for name, value in (values.get("rule") or {}).items())
    return rule or "no rule but the number of points"


def _corners(area: Sequence[Sequence[float]]) -> Area:
    return tuple((float(x), float(y)) for x, y in area)


def _extent(area: Area) -> str:
    x, y = zip(*area, strict=True)
    return f" (x {min(x):.0f} … {max(x):.0f}, y {min(y):.0f} … {max(y):.0f} nm)"
