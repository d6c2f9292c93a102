"""How large a patch should be, by cross-validation over the run's own points."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import xarray
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist
from sklearn.model_selection import KFold

from agents.protocols import Pool
from curio_plans.documents.agent_run import AgentRun
from curio_plans.study.common import AnalysisError, Build, Progress, measured_spectra
from curio_plans.study.floors import relative, ridge_prediction


def patch_sizes(
    history: AgentRun,
    build: Build,
    windows: Sequence[int] = (5, 7, 9, 11, 13),
    folds: int = 5,
    progress: Progress | None = None,
) -> xarray.Dataset:
    """Train the run's agent with patches of other sizes: figure S1 of the paper.

    For each window the image is cut into new patches, and k-fold cross-validation over the measured points tells how
    well the spectra that were left out are predicted: by the run's agent, fed with the rest, and by kernel ridge
    regression. Points whose largest patch does not fit into the image are left out for all windows, so that all are
    compared on the same points. This trains the agent ``len(windows) · folds`` times.

    Parameters
    ----------
    history : AgentRun
        A run of an agent with a model.
    build : callable
        Makes an agent from its config.
    windows : sequence of int
        Sides of a patch in px.
    folds : int
        Parts of the cross-validation, at least 2.
    progress : callable, optional
        Called with (trainings done, trainings in all).

    Returns
    -------
    xarray.Dataset
        ``agent_nmse`` and ``ridge_nmse`` along ``window`` and ``fold``: the validation error relative to that of the
        mean training spectrum; NaN where the spectra left out all equal it, and for an agent without a model. The
        attribute ``points`` is the number of points that were used.

    Raises
    ------
    AnalysisError
        If a window does not fit, or too few points are left to train this agent.
    """
    initial = int(history.config.get("initial", 2))
    if not windows or folds < 2:
        raise AnalysisError(f"expected at least one window and 2 folds, got {list(windows)} and {folds}")
    pools = {window: _recut(history, window) for window in windows}
    places = np.array([observation.requested for observation in history.observations])
    index = {window: _nearest(pool, places) for window, pool in pools.items()}
    usable = np.flatnonzero(np.all([found >= 0 for found in index.values()], axis=0))
    if len(usable) < 2 * folds or len(usable) * (folds - 1) // folds < initial:
        raise AnalysisError(
            f"{len(usable)} points lie far enough from the edge for a window of {max(windows)} px; with {folds} folds "
            "that is too few to train this agent; choose smaller windows"
        )
    spectra = measured_spectra(history)
    agent_nmse, ridge_nmse = (np.full((len(windows), folds), np.nan) for _ in range(2))
    splits = list(KFold(folds, shuffle=True, random_state=0).split(usable))
    for row, (window, pool) in enumerate(pools.items()):
        for column, (train, test) in enumerate(splits):
            kept, left = usable[train], usable[test]
            floor = ((spectra[kept].mean(axis=0) - spectra[left]) ** 2).mean()
            at = index[window]
            predictions = (_agent_prediction(history, build, pool, at, kept),
                           ridge_prediction(pool, spectra[kept], at[kept]))  # fmt: skip
            for values, prediction in zip((agent_nmse, ridge_nmse), predictions, strict=True):
                if prediction is not None:
                    values[row, column] = relative(((prediction[at[left]] - spectra[left]) ** 2).mean(), floor)
            if progress is not None:
                progress(row * folds + column + 1, len(windows) * folds)
    return xarray.Dataset(
        {"agent_nmse": (("window", "fold"), agent_nmse), "ridge_nmse": (("window", "fold"), ridge_nmse)},
        {"window": list(windows)},
        {"points": len(usable)},
    )


def _agent_prediction(
    history: AgentRun, build: Build, pool: Pool, at: NDArray[np.int64], kept: NDArray[np.intp]
) -> NDArray[np.float32] | None:
    """Return what the run's agent predicts over `pool` from the observations `kept`."""
    agent = build(history.config)
    agent.ingest(pool)
    for number in kept:
        agent.ingest(replace(history.observations[number], index=int(at[number])))
    return agent.report().prediction


def _recut(history: AgentRun, window: int) -> Pool:
    """Return all patches of `window` px of the run's image."""
    try:
        return history.images[0].pool({**history.start["pool"], "window": window, "stride": 1})
    except ValueError as error:
        raise AnalysisError(str(error)) from error


def _nearest(pool: Pool, places: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the candidate at each place (n, 2) in nm; -1 where there is none."""
    distances = cdist(places, pool.positions)
    nearest = distances.argmin(axis=1)
    apart = np.asarray(KDTree(pool.positions).query(pool.positions, k=2)[0])  # to itself, and to the nearest other
    return np.where(distances.min(axis=1) < apart[:, 1].min() / 2, nearest, -1)
