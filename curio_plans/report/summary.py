"""The facts of a run that a reader wants first."""

import numpy as np

from curio_plans.documents.history import History


class ReportError(ValueError):
    """A run of which there is nothing to report."""


def summary(history: History) -> dict[str, str]:
    """Return the facts of a run that a reader wants first, as labelled text."""
    start = history.start
    if start is None:
        raise ReportError("expected the documents of a run, got none")
    facts = {"uid": str(start["uid"]), "plan": str(start.get("plan_name", "unknown"))}
    facts["status"] = str(history.stop["exit_status"]) if history.stop else "no stop document: running, or ended badly"
    sample = start.get("sample", {}).get("sample", {})
    facts["sample"] = ", ".join(str(sample[key]) for key in ("kind", "file") if key in sample)
    if "seed" in sample:
        facts["sample"] += f", seed {sample['seed']}"
    if "agent" in start:
        facts["agent"] = ", ".join(
            str(value) if key == "agent" else f"{key}={value}" for key, value in start["agent"].items()
        )
        if start.get("learned_from"):
            facts["learned from"] = ", ".join(
                f"{run['uid'][:8]} ({run['observations']} spectra)" for run in start["learned_from"]
            )
        facts["points"] = f"{len(history.observations)} measured of {start['points']} planned"
    if history.ending is not None:
        facts["ended"] = history.ending.reason
    if (estimate := history.estimate) is not None:
        facts["error"] = f"last estimated {estimate}, of which noise {estimate.noise:.3g}"
    if history.pool is not None:
        rows, columns = history.pool.grid
        facts["pool"] = f"{len(history.pool)} candidates ({rows} × {columns}), window {start['pool']['window']} px"
    if history.decisions:
        seconds = np.array([decision.think_time for decision in history.decisions if decision.phase != "initial"])
        if seconds.size:
            facts["thinking"] = f"{seconds.mean():.2f} s a decision on average, {seconds.sum():.0f} s in all"
    if history.observations:
        facts["instrument time"] = f"{history.observations[-1].time / 60:.1f} min"
    return facts
