"""The classes in the agent's latent space, and where they lie on the sample."""

import numpy as np
import xarray
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from agents.protocols import HasLatent, Pool
from curio_plans.documents.agent_run import AgentRun
from curio_plans.study.common import AnalysisError, Build, measured_spectra, rebuild_agent


def latent_clusters(history: AgentRun, build: Build, clusters: int = 3, seed: int = 0) -> xarray.Dataset:
    """Cluster the agent's latent space, and map the classes back to the sample.

    Figures 1 and 3 of Vatsavai et al., Digital Discovery 2025: k-means over the latent coordinates of all candidates.

    Parameters
    ----------
    history : AgentRun
        A run of the plan ``curiosity``.
    build : callable
        See :func:`~curio_plans.study.common.rebuild_agent`.
    clusters : int
        k, at least 2.
    seed : int
        Of k-means.

    Returns
    -------
    xarray.Dataset
        ``latent (candidate, axis)``; ``cluster (candidate)``, 0 for the largest class; ``size (cluster)``;
        ``patch (cluster, channel, y, x)``, the mean patch of each class; ``spectrum (cluster, step)``, the mean of its
        true spectra, or of those measured in it (NaN if none); the attribute ``spectra_from`` says which; coordinates
        ``x`` and ``y`` in nm along ``candidate``.

    Raises
    ------
    AnalysisError
        If the agent has no latent space or was not trained yet, or the pool has fewer than `clusters` candidates.
    """
    agent = rebuild_agent(history, build)
    pool = history.pool
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
        spectra, at, source = measured_spectra(history), np.array(history.measured()), "measurements"
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


def _positions(pool: Pool) -> dict[str, tuple[str, NDArray[np.float64]]]:
    return {"x": ("candidate", pool.positions[:, 0]), "y": ("candidate", pool.positions[:, 1])}


def _mean_or_nan(spectra: NDArray[np.float64]) -> NDArray[np.float64]:
    return spectra.mean(axis=0) if len(spectra) else np.full(spectra.shape[1], np.nan)
