"""Where each point was measured, and why."""

import numpy as np
import xarray
from scipy.spatial.distance import cdist

from curio_plans.documents.agent_run import AgentRun
from curio_plans.documents.streams import BeliefMap
from curio_plans.study.common import AnalysisError


def acquisitions(history: AgentRun) -> xarray.Dataset:
    """Return where each point was measured, why, and how wrong the agent's prediction was there.

    Returns
    -------
    xarray.Dataset
        Along ``point``, in the order of measuring: ``candidate``; ``phase``; ``score`` and each of its parts as
        ``part_…``; ``think_time`` in s; ``travel`` from the point before and ``nearest``, the distance to the nearest
        point measured before, both in nm, NaN for the first; ``error``, the rms difference between the measured
        spectrum and its prediction in the last belief map before, and ``map_age``, the number of observations that
        this map lacked; both NaN where there was no map. Coordinates ``x`` and ``y``: the requested place in nm.

    Raises
    ------
    AnalysisError
        If nothing was measured by an agent.
    """
    number = min(len(history.observations), len(history.decisions))
    if not number:
        raise AnalysisError("no point of this run was measured by an agent")
    observations, decisions = history.observations[:number], history.decisions[:number]
    places = np.array([observation.requested for observation in observations])
    distances = cdist(places, places)
    nearest = np.array([np.nan, *(distances[row, :row].min() for row in range(1, number))])
    before = [_latest_prediction(history, decision.observations) for decision in decisions]
    error, age = np.full(number, np.nan), np.full(number, np.nan)
    for row, (belief, decision, observation) in enumerate(zip(before, decisions, observations, strict=True)):
        if belief is not None and belief.prediction is not None:
            error[row] = np.sqrt(((belief.prediction[observation.index] - observation.spectrum) ** 2).mean())
            age[row] = decision.observations - belief.observations
    parts = list(dict.fromkeys(part for decision in decisions for part in decision.parts))
    along = {
        "candidate": [observation.index for observation in observations],
        "phase": [decision.phase for decision in decisions],
        "score": [decision.score for decision in decisions],
        **{f"part_{part}": [decision.parts.get(part, np.nan) for decision in decisions] for part in parts},
        "think_time": [decision.think_time for decision in decisions],
        "travel": np.array([np.nan, *np.diag(distances, -1)]),
        "nearest": nearest,
        "error": error,
        "map_age": age,
    }
    data = xarray.Dataset(
        {name: ("point", np.asarray(values)) for name, values in along.items()},
        {"x": ("point", places[:, 0]), "y": ("point", places[:, 1])},
    )
    for name, unit in {"think_time": "s", "travel": "nm", "nearest": "nm", "x": "nm", "y": "nm"}.items():
        data[name].attrs["units"] = unit
    return data


def _latest_prediction(history: AgentRun, observations: int) -> BeliefMap | None:
    known = [belief for belief in history.maps if belief.observations <= observations and belief.prediction is not None]
    return known[-1] if known else None
