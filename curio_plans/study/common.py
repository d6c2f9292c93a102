"""What all analyses share: errors, the rebuilt agent, what was measured."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from agents.protocols import Agent, Config, Pool
from curio_plans.documents.history import History
from curio_plans.documents.prior_runs import PastError, check_past

Build = Callable[[Config], Agent]
"""Makes an agent from its config, e.g. :func:`agents.registry.build`."""


class AnalysisError(ValueError):
    """A run that cannot be analysed in this way; the message says why."""


def rebuild_agent(history: History, build: Build) -> Agent:
    """Return the agent of a run as it was at its end: made from the start document, fed all records.

    Parameters
    ----------
    history : History
        A run of the plan ``curiosity``; with the earlier runs that its agent learned from, if any.
    build : callable
        Makes an agent from its config, e.g. :func:`agents.registry.build`.

    Raises
    ------
    AnalysisError
        If the run has no agent or no image, or an earlier run that the agent learned from is missing.
    """
    if history.start is None or "agent" not in history.start:
        raise AnalysisError("this run has no agent in its start document; only runs of the plan curiosity have one")
    if history.pool is None:
        raise AnalysisError("this run has no image, so its candidates are unknown; it ended before it began to decide")
    try:
        check_past(history)
    except PastError as error:
        raise AnalysisError(str(error)) from error
    agent = build(history.start["agent"])
    agent.ingest(*history.records)
    return agent


def pool_of(history: History) -> Pool:
    """Return the candidates of a run; raise AnalysisError if it has no image."""
    if history.pool is None:
        raise AnalysisError("this run has no image, so its candidates are unknown")
    return history.pool


def measured(history: History) -> NDArray[np.int64]:
    """Return the measured candidates (n,), in order."""
    return np.array([observation.index for observation in history.observations], dtype=np.int64)


def measured_spectra(history: History) -> NDArray[np.float64]:
    """Return the measured spectra (n, K), in order; raise AnalysisError if there are none."""
    if not history.observations:
        raise AnalysisError("nothing was measured in this run")
    return np.stack([observation.spectrum for observation in history.observations])
