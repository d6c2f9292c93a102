"""How wrong the agent was, and whether it knew."""

from typing import Any

import numpy as np
import xarray
from numpy.typing import NDArray
from scipy.stats import spearmanr

from curio_plans.documents.agent_run import AgentRun
from curio_plans.study import floors
from curio_plans.study.common import AnalysisError
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
        ``unmeasured_nmse`` (relative to the mean spectrum there; NaN if all true spectra are equal). With an
        `evaluation` also ``floor`` and ``floor_spread`` along ``kind`` and ``floor_points``: mean squared errors over
        the pool. Attribute ``mean_spectrum_mse``: the error of the mean spectrum over the pool.

    Raises
    ------
    AnalysisError
        If the truth is not known or the agent has no model.
    """
    curve, truth = learning_curve(history), history.reference
    if curve is None or truth is None:
        raise AnalysisError("the truth of this run is not known, or its agent predicts no spectra")
    unmeasured = {decision.observations: decision.unmeasured_mse for decision in history.decisions}
    final, measured = history.maps[-1] if history.maps else None, history.measured()
    if final is not None and final.prediction is not None:
        errors = ((final.prediction - truth) ** 2).mean(axis=1)
        unmeasured[final.observations] = floors.mean_or_nan(np.delete(errors, measured[: final.observations]))
    floor = floors.mean_spectrum_errors(truth)
    floor_unmeasured = [floors.mean_or_nan(np.delete(floor, measured[:count])) for count in curve.points]
    error = np.array([unmeasured[int(count)] for count in curve.points])
    data = xarray.Dataset(
        {
            "mse": ("points", curve.mse),
            "best": ("points", np.minimum.accumulate(curve.mse)),
            "unmeasured_mse": ("points", error),
            "unmeasured_nmse": ("points", floors.relative(error, floor_unmeasured)),
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
    """Return a belief map, what the agent believed over the pool, beside the truth: figure 5 of the paper.

    Parameters
    ----------
    history : AgentRun
        A run of an agent with a model.
    number : int
        Which of the run's belief maps; the last by default.

    Returns
    -------
    xarray.Dataset
        On ``row`` and ``column`` of the candidates, or on ``candidate`` where they form no grid: the agent's maps
        (``predicted_error``, ``exploration``, ``score`` …), ``measured``, and where the truth is known ``error``, the
        rms error of the predicted spectrum. Coordinates ``x`` and ``y`` in nm. Attributes: ``observations``, and
        ``rank_correlation`` (Spearman) of predicted and true
        error where nothing was measured: 1 if the agent knows where it is wrong, 0 if it has no idea.

    Raises
    ------
    AnalysisError
        If the run has no such map.
    """
    pool = history.pool
    if not -len(history.maps) <= number < len(history.maps):
        raise AnalysisError(f"this run has {len(history.maps)} belief maps, none of number {number}")
    belief = history.maps[number]
    known = np.zeros(len(pool), dtype=bool)
    known[history.measured()[: belief.observations]] = True
    maps: dict[str, NDArray[Any]] = {**belief.maps, "measured": known}
    attributes: dict[str, Any] = {"observations": belief.observations}
    if history.reference is not None and belief.prediction is not None:
        maps["error"] = np.sqrt(((belief.prediction - history.reference) ** 2).mean(axis=1))
        if "predicted_error" in maps and _varies(maps["predicted_error"][~known], maps["error"][~known]):
            found = spearmanr(maps["predicted_error"][~known], maps["error"][~known])
            attributes["rank_correlation"] = float(found.statistic)
    if pool.grid is None:
        coordinates = {name: ("candidate", pool.positions[:, axis]) for axis, name in enumerate("xy")}
        return xarray.Dataset({name: ("candidate", values) for name, values in maps.items()}, coordinates, attributes)
    x, y = (pool.positions[:, axis].reshape(pool.grid) for axis in (0, 1))
    return xarray.Dataset(
        {name: (("row", "column"), values.reshape(pool.grid)) for name, values in maps.items()},
        {"x": ("column", x[0]), "y": ("row", y[:, 0])},
        attributes,
    )


def _varies(*arrays: NDArray[Any]) -> bool:
    """Tell whether no array is empty or constant; of a constant one the rank correlation is not defined."""
    return all(values.size and np.ptp(values) > 0 for values in arrays)
