"""What all analyses share: errors, the rebuilt agent, what was measured."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from agents.protocols import Agent, Config
from curio_plans.documents.agent_run import AgentRun
from curio_plans.documents.prior_runs import check_past

Build = Callable[[Config], Agent]
"""Makes an agent from its config, e.g. :func:`agents.registry.build`."""


class AnalysisError(ValueError):
    """A run that cannot be analysed in this way; the message says why."""


class ReplayError(ValueError):
    """A run that cannot be replayed, or not with this agent."""


def rebuild_agent(history: AgentRun, build: Build) -> Agent:
    """Return the agent of a run as it was at its end: made from the start document, fed all records.

    Parameters
    ----------
    history : AgentRun
        With the prior runs that its agent learned from, if any.
    build : callable
        Makes an agent from its config, e.g. :func:`agents.registry.build`.

    Raises
    ------
    PastError
        If a prior run that the agent learned from is missing or changed.
    """
    check_past(history)
    agent = build(history.config)
    agent.ingest(*history.records)
    return agent


def measured(history: AgentRun) -> NDArray[np.int64]:
    """Return the measured candidates (n,), in order."""
    return np.array(history.measured(), dtype=np.int64)


def measured_spectra(history: AgentRun) -> NDArray[np.float64]:
    """Return the measured spectra (n, K), in order; raise AnalysisError if there are none."""
    if not history.observations:
        raise AnalysisError("nothing was measured in this run")
    return np.stack([observation.spectrum for observation in history.observations])
