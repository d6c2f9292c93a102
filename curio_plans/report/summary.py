"""The facts of a run that a reader wants first."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from agents.protocols import Pool
from curio_plans.documents.history import History
from curio_plans.documents.start import is_of_agent
from curio_plans.documents.streams import Point, Rejected
from curio_plans.study.common import describe_config


class ReportError(ValueError):
    """A run of which there is nothing to report."""


def summary(history: History) -> dict[str, str]:
    """Return the facts of a run that a reader wants first, as labelled text."""
    start = history.start
    if start is None:
        raise ReportError("expected the documents of a run, got none")
    facts = {
        "uid": str(start["uid"]),
        "plan": str(start.get("plan_name", "unknown")),
        "status": str(history.stop["exit_status"]) if history.stop else "no stop document: running, or ended badly",
        "sample": _sample(start.get("sample")),
        **(_of_agent(history, start) if is_of_agent(start) else _of_other(history)),
    }
    if rejected := history.of(Rejected):
        facts["rejected"] = _reasons([bad.reason for bad in rejected])
    if history.ending is not None:
        facts["ended"] = history.ending.reason
    if (estimate := history.estimate) is not None:
        facts["error"] = f"last estimated {estimate}, of which noise {estimate.noise:.3g}"
    if history.pool is not None:
        facts["pool"] = _pool(history.pool, start["pool"])
    seconds = np.array([decision.think_time for decision in history.decisions if decision.phase != "initial"])
    if seconds.size:
        facts["thinking"] = f"{seconds.mean():.2f} s a decision on average, {seconds.sum():.0f} s in all"
    if places := _places([decision.place for decision in history.decisions if decision.place is not None]):
        facts["thought at"] = places
    if history.time:
        measuring = sum(last - first for first, last in history.spans)
        facts["instrument time"] = f"{measuring / 60:.1f} min from the first to the last measurement"
    return {label: text for label, text in facts.items() if text}


def _pool(pool: Pool, recipe: Mapping[str, Any]) -> str:
    grid = "no grid" if pool.grid is None else "{} × {}".format(*pool.grid)
    reflected = ", reflected at the edge" if recipe.get("edge") == "reflect" else ""
    return f"{len(pool)} candidates ({grid}), window {recipe['window']} px{reflected}"


def _sample(described: Any) -> str:
    """Return what is known of the sample; plans of a user's own may describe it with any value."""
    if not isinstance(described, Mapping):
        return "" if described is None else str(described)
    sample = described.get("sample", {})
    if not isinstance(sample, Mapping):
        return str(sample)
    text = ", ".join(str(sample[key]) for key in ("kind", "file") if key in sample)
    return f"{text}, seed {sample['seed']}" if "seed" in sample else text


def _of_agent(history: History, start: Mapping[str, Any]) -> dict[str, str]:
    prior = [f"{run['uid'][:8]} ({run['observations']} spectra)" for run in start.get("learned_from", [])]
    return {
        "agent": describe_config(start["agent"]),
        "learned from": ", ".join(prior),
        "points": f"{len(history.observations)} measured of {start['points']} planned",
    }


def _places(places: Sequence[Mapping[str, Any]]) -> str:
    """Return where decisions were thought, with the number of each where there are several."""
    counted = Counter(f"{place.get('address', 'here')} ({place['host']}, {place['device']})" for place in places)
    if len(counted) == 1:
        return next(iter(counted))
    return ", ".join(f"{text}: {count}" for text, count in counted.items())


def _of_other(history: History) -> dict[str, str]:
    numbers = {"images": len(history.images), "points": len(history.of(Point))}
    return {label: f"{number} measured" for label, number in numbers.items() if number}


def _reasons(reasons: Sequence[str]) -> str:
    """Count reasons, and give an example of the commonest one; they differ in their numbers."""
    kinds = [re.sub(r"\d+(\.\d+)?(e[-+]?\d+)?", "#", reason) for reason in reasons]
    kind, count = Counter(kinds).most_common(1)[0]
    example = reasons[kinds.index(kind)]
    often = "" if count == len(reasons) else f", {count} of them"
    return f"{len(reasons)} spectra{often}: {example}"
