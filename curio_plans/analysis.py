"""What a run tells beyond its losses: latent space, acquisitions, beliefs against truth, the size of the patch.

Each function reads a :class:`~curio_plans.documents.History`, returns an :class:`xarray.Dataset` and draws nothing;
:mod:`curio_plans.report.figures` draws them. What an agent does not put into documents – its latent space – comes from
the agent itself, rebuilt by the same fold over the records as in a replay.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.stats import spearmanr
from sklearn.cluster import KMeans
from sklearn.model_selection import KFold

from agents.pool import make_pool
from agents.protocols import Agent, Config, HasLatent, Observation, Pool
from curio_plans.documents import IMAGE, BeliefMap, History
from curio_plans.floors import ridge_prediction
from curio_plans.report.evaluation import Evaluation, learning_curve

Build = Callable[[Config], Agent]


class AnalysisError(ValueError):
    """A run that cannot be analysed in this way; the message says why."""


def rebuild_agent(history: History, build: Build) -> Agent:
    """Return the agent of a run as it was at its end: made from the start document, fed all records.

    Parameters
    ----------
    history : History
        A run of the plan ``curiosity``.
    build : callable
        Makes an agent from its config, e.g. :func:`agents.registry.build`.

    Raises
    ------
    AnalysisError
        If the run has no agent or no image.
    """
    if history.start is None or "agent" not in history.start:
        raise AnalysisError("this run has no agent in its start document; only runs of the plan curiosity have one")
    if history.pool is None:
        raise AnalysisError("this run has no image, so its candidates are unknown; it ended before it began to decide")
    agent = build(history.start["agent"])
    agent.ingest(*history.records)
    return agent


def latent_clusters(history: History, build: Build, clusters: int = 3, seed: int = 0) -> xarray.Dataset:
    """Cluster the agent's latent space and map the classes back to where they are on the sample.

    Figures 1 and 3 of Vatsavai et al., Digital Discovery 2025: k-means over the latent coordinates of all candidates.

    Parameters
    ----------
    history : History
        A run of the plan ``curiosity``.
    build : callable
        See :func:`rebuild_agent`.
    clusters : int
        k, at least 2.
    seed : int
        Of k-means.

    Returns
    -------
    xarray.Dataset
        ``latent (candidate, axis)``; ``cluster (candidate)``, 0 for the largest class; ``size (cluster)``;
        ``patch (cluster, channel, y, x)``, the mean patch of each class; ``spectrum (cluster, step)``, the mean of its
        true spectra, or of those measured in it (NaN if none), as ``spectra_from`` in the attributes tells; coordinates
        ``x`` and ``y`` in nm along ``candidate``.

    Raises
    ------
    AnalysisError
        If the agent has no latent space or was not trained yet, or the pool has fewer than `clusters` candidates.
    """
    agent = rebuild_agent(history, build)
    pool = _pool(history)
    latent = agent.latent() if isinstance(agent, HasLatent) else None
    if latent is None:
        raise AnalysisError(f"the agent {agent.config['agent']!r} has no latent space, or was not trained yet")
    if not 2 <= clusters <= len(pool):
        raise AnalysisError(f"expected 2 … {len(pool)} clusters, got {clusters}")
    found = KMeans(clusters, n_init=10, random_state=seed).fit_predict(latent)
    order = np.argsort(-np.bincount(found, minlength=clusters), kind="stable")
    cluster = np.argsort(order)[found]
    if history.reference is not None:
        spectra, at, source = history.reference, np.arange(len(pool)), "truth"
    else:
        spectra, at, source = _measured_spectra(history), _measured(history), "measurements"
    return xarray.Dataset(
        {
            "latent": (("candidate", "axis"), latent),
            "cluster": ("candidate", cluster),
            "size": ("cluster", np.bincount(cluster, minlength=clusters)),
            "patch": (
                ("cluster", "channel", "patch_y", "patch_x"),
                np.stack([pool.patches[cluster == number].mean(axis=0) for number in range(clusters)]),
            ),
            "spectrum": (
                ("cluster", "step"),
                np.stack([_mean_or_nan(spectra[cluster[at] == number]) for number in range(clusters)]),
            ),
        },
        _positions(pool),
        {"agent": agent.config["agent"], "spectra_from": source},
    )


def acquisitions(history: History) -> xarray.Dataset:
    """Return where and why each point was measured, and how wrong the agent was there just before.

    Returns
    -------
    xarray.Dataset
        Along ``point``, in the order of measuring: ``candidate``; ``phase``; ``score`` and each of its parts as
        ``part_…``; ``think_time`` in s; ``travel`` from the point before and ``nearest``, the distance to the nearest
        earlier point, both in nm, NaN for the first; ``error``, the rms difference between the spectrum measured and
        the one predicted in the latest map before, and ``map_age``, how many observations that map lacked; both NaN
        where there was no map. Coordinates ``x`` and ``y`` in nm, requested.

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


def error_curve(history: History, evaluation: Evaluation | None = None) -> xarray.Dataset:
    """Return the error of the agent's predictions against the number of points: over the pool and where unmeasured.

    The unmeasured part of the pool is the test set of a run: the agent never saw it.

    Parameters
    ----------
    history : History
        A run whose truth is known.
    evaluation : Evaluation, optional
        From :func:`curio_plans.report.evaluate`; adds the floors.

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
    if curve is None or truth is None or pool is None:
        raise AnalysisError("the truth of this run is not known, or its agent predicts no spectra")
    unmeasured = {decision.observations: decision.unmeasured_mse for decision in history.decisions}
    final = history.maps[-1] if history.maps else None
    measured = _measured(history)
    if final is not None and final.prediction is not None:
        left = np.delete(np.arange(len(pool)), measured[: final.observations])
        unmeasured[final.observations] = float(((final.prediction - truth) ** 2)[left].mean())
    floor = ((truth.mean(axis=0) - truth) ** 2).mean(axis=1)
    floors = [np.delete(floor, measured[:count]).mean() for count in curve.points]
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


def belief_maps(history: History, number: int = -1) -> xarray.Dataset:
    """Return what the agent believed over the pool beside what was true: figure 5 of the paper.

    Parameters
    ----------
    history : History
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
    pool = _pool(history)
    if not history.maps or not -len(history.maps) <= number < len(history.maps):
        raise AnalysisError(
            f"this run has {len(history.maps)} maps of what its agent believed, none of number {number}"
        )
    belief = history.maps[number]
    measured = np.zeros(len(pool), dtype=bool)
    measured[_measured(history)[: belief.observations]] = True
    maps: dict[str, NDArray[Any]] = {**belief.maps, "measured": measured}
    attributes: dict[str, Any] = {"observations": belief.observations}
    if history.reference is not None and belief.prediction is not None:
        maps["error"] = np.sqrt(((belief.prediction - history.reference) ** 2).mean(axis=1))
        if "predicted_error" in maps and np.ptp(maps["predicted_error"][~measured]) > 0:
            found = spearmanr(maps["predicted_error"][~measured], maps["error"][~measured])
            attributes["rank_correlation"] = float(found.statistic)
    x, y = (pool.positions[:, axis].reshape(pool.grid) for axis in (0, 1))
    return xarray.Dataset(
        {name: (("row", "column"), values.reshape(pool.grid)) for name, values in maps.items()},
        {"x": ("column", x[0]), "y": ("row", y[:, 0])},
        attributes,
    )


def patch_sizes(
    history: History,
    build: Build,
    windows: Sequence[int] = (5, 7, 9, 11, 13),
    folds: int = 5,
    progress: Callable[[int, int], None] | None = None,
) -> xarray.Dataset:
    """Learn from the run's own points with patches of other sizes: figure S1 of the paper.

    For each window the image is cut anew, and k-fold cross-validation over the measured points tells how well spectra
    are predicted where they were left out: by the run's agent, folded over the rest, and by kernel ridge regression.
    Points whose largest patch does not fit into the image are left out everywhere, so that all windows compete for the
    same points. This trains the agent ``len(windows) · folds`` times.

    Parameters
    ----------
    history : History
        A run of an agent with a model.
    build : callable
        See :func:`rebuild_agent`.
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
        mean training spectrum. The attribute ``points`` tells how many points were used.

    Raises
    ------
    AnalysisError
        If a window does not fit, or too few points are left to train this agent.
    """
    initial = int(rebuild_agent(history, build).config.get("initial", 2))
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
    spectra = _measured_spectra(history)
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
                    values[row, column] = ((prediction[at[left]] - spectra[left]) ** 2).mean() / floor
            if progress is not None:
                progress(row * folds + column + 1, len(windows) * folds)
    return xarray.Dataset(
        {"agent_nmse": (("window", "fold"), agent_nmse), "ridge_nmse": (("window", "fold"), ridge_nmse)},
        {"window": list(windows)},
        {"points": len(usable)},
    )


def _agent_prediction(
    history: History, build: Build, pool: Pool, at: NDArray[np.int64], kept: NDArray[np.intp]
) -> NDArray[np.float32] | None:
    """Return what the run's agent predicts over `pool` from the observations `kept`."""
    agent = build(history.start["agent"] if history.start else {})
    agent.ingest(pool)
    for number in kept:
        seen = history.observations[number]
        agent.ingest(Observation(int(at[number]), seen.requested, seen.position, seen.spectrum, seen.time))
    return agent.report().prediction


def _recut(history: History, window: int) -> Pool:
    """Return every patch of `window` px of the run's image."""
    if history.frame is None or history.start is None:
        raise AnalysisError("this run has no image")
    imager = f"{history.microscope}_imager"
    configuration = history.configuration[IMAGE]
    names = list(configuration[f"{imager}_channels"])
    frame = history.frame[[names.index(name) for name in history.start["pool"]["channels"]]]
    x_min, x_max, y_min, y_max = (float(edge) for edge in configuration[f"{imager}_area"])
    try:
        return make_pool(frame, (x_min, x_max, y_min, y_max), window, stride=1)
    except ValueError as error:
        raise AnalysisError(str(error)) from error


def _nearest(pool: Pool, places: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the candidate at each place (n, 2) in nm; -1 where there is none."""
    distances = cdist(places, pool.positions)
    nearest = distances.argmin(axis=1)
    pixel = np.ptp(pool.positions[:, 0]) / max(pool.grid[1] - 1, 1)
    return np.where(distances.min(axis=1) < pixel / 2, nearest, -1)


def _latest_prediction(history: History, observations: int) -> BeliefMap | None:
    known = [belief for belief in history.maps if belief.observations <= observations and belief.prediction is not None]
    return known[-1] if known else None


def _pool(history: History) -> Pool:
    if history.pool is None:
        raise AnalysisError("this run has no image, so its candidates are unknown")
    return history.pool


def _measured(history: History) -> NDArray[np.int64]:
    return np.array([observation.index for observation in history.observations], dtype=np.int64)


def _measured_spectra(history: History) -> NDArray[np.float64]:
    if not history.observations:
        raise AnalysisError("nothing was measured in this run")
    return np.stack([observation.spectrum for observation in history.observations])


def _positions(pool: Pool) -> dict[str, tuple[str, NDArray[np.float64]]]:
    return {"x": ("candidate", pool.positions[:, 0]), "y": ("candidate", pool.positions[:, 1])}


def _mean_or_nan(spectra: NDArray[np.float64]) -> NDArray[np.float64]:
    return spectra.mean(axis=0) if len(spectra) else np.full(spectra.shape[1], np.nan)
