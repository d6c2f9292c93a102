"""How wrong the agent was, and whether it knew."""

from typing import Any

import numpy as np
import xarray
from numpy.typing import NDArray
from scipy.stats import spearmanr

from curio_plans.documents.agent_run import AgentRun
from curio_plans.study.common import AnalysisError, measured
from curio_plans.study.evaluation import Evaluation, learning_curve


def error_curve(history: AgentRun, evaluation: Evaluation | None = None) -> xarray.Dataset:
    """Return the error of the agent's predictions against the number of points: over the pool and where unmeasured.

    The unmeasured part of the pool is the test set of a run: the agent never saw it.

    Parameters
    ----------
    history : AgentRun
        A run whose truth is known.
    evaluation : Evaluation, optional
        From :func:`curio_plans.study.evaluate`; adds the floors.

    Returns
    -------
    xarray.Dataset
        Along ``points``: ``mse`` over the pool, ``best`` so far (the published convention), ``unmeasured_mse``,
        ``unmeasured_nmse`` (relative to the mean spectrum there). With an `evaluation` also ``floor`` and
        ``floor_spread`` along ``kind`` and ``floor_points``: mean squared errors over the pool.

    Raises
    ------
    AnalysisError
        If the truth is not known or the agent has no model.
    """
    curve, truth, pool = learning_curve(history), history.reference, history.pool
    if curve is None or truth is None:
        raise AnalysisError("the truth of this run is not known, or its agent predicts no spectra")
    unmeasured = {decision.observations: decision.unmeasured_mse for decision in history.decisions}
    final = history.maps[-1] if history.maps else None
    points = measured(history)
    if final is not None and final.prediction is not None:
        left = np.delete(np.arange(len(pool)), points[: final.observations])
        unmeasured[final.observations] = float(((final.prediction - truth) ** 2)[left].mean())
    floor = ((truth.mean(axis=0) - truth) ** 2).mean(axis=1)
    floors = [np.delete(floor, points[:count]).mean() for count in curve.points]
    error = np.array([unmeasured[int(count)] for count in curve.points])
    data = xarray.Dataset(
        {
            "mse": ("points", curve.mse),
            "best": ("points", np.minimum.accumulate(curve.mse)),
            "unmeasured_mse": ("points", error),
            "unmeasured_nmse": ("points", error / np.array(floors)),
        },
        {"points": curve.points},
        {"mean_spectrum_mse": float(floor.mean())},
    )
    if evaluation is not None:
        curves = list(evaluation.floors.values())
        data["floor"] = (("kind", "floor_points"), np.stack([found.mse for found in curves]))
        data["floor_spread"] = (("kind", "floor_points"), np.stack([found.spread for found in curves]))
        data = data.assign_coords(kind=list(evaluation.floors), floor_points=curves[0].points)
    return data


def belief_maps(history: AgentRun, number: int = -1) -> xarray.Dataset:
    """Return what the agent believed over the pool beside what was true: figure 5 of the paper.

    Parameters
    ----------
    history : AgentRun
        A run of an agent with a model.
    number : int
        Which of the run's maps; the last by default.

    Returns
    -------
    xarray.Dataset
        On ``row`` and ``column`` of the candidates: the agent's maps (``predicted_error``, ``exploration``, ``score``
        …), ``measured``, and where the truth is known ``error``, the rms error of the predicted spectrum. Coordinates
        ``x`` and ``y`` in nm. Attributes: ``observations``, and ``rank_correlation`` (Spearman) of predicted and true
        error where nothing was measured: 1 if the agent knows where it is wrong, 0 if it has no idea.

    Raises
    ------
    AnalysisError
        If the run has no such map.
    """
    pool = history.pool
    if not history.maps or not -len(history.maps) <= number < len(history.maps):
        raise AnalysisError(
            f"this run has {len(history.maps)} maps of what its agent believed, none of number {number}"
        )
    belief = history.maps[number]
    known = np.zeros(len(pool), dtype=bool)
    known[measured(history)[: belief.observations]] = True
    maps: dict[str, NDArray[Any]] = {**belief.maps, "measured": known}
    attributes: dict[str, Any] = {"observations": belief.observations}
    if history.reference is not None and belief.prediction is not None:
        maps["error"] = np.sqrt(((belief.prediction - history.reference) ** 2).mean(axis=1))
        if "predicted_error" in maps and np.ptp(maps["predicted_error"][~known]) > 0:
            found = spearmanr(maps["predicted_error"][~known], maps["error"][~known])
            attributes["rank_correlation"] = float(found.statistic)
    x, y = (pool.positions[:, axis].reshape(pool.grid) for axis in (0, 1))
    return xarray.Dataset(
        {name: (("row", "column"), values.reshape(pool.grid)) for name, values in maps.items()},
        {"x": ("column", x[0]), "y": ("row", y[:, 0])},
        attributes,
    )
