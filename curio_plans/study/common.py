"""What all questions to a stored run share: errors, the rebuilt agent, measured spectra, results as text."""

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from agents.protocols import Agent, Config, for_agent
from curio_plans.documents.agent_run import AgentRun
from curio_plans.documents.prior_runs import check_prior_runs

Build = Callable[[Config], Agent]
"""Makes an agent from its config, e.g. :func:`agents.registry.build`."""

Progress = Callable[[int, int], None]
"""Is called with (steps done, steps in all)."""


class AnalysisError(ValueError):
    """A run that cannot be analysed in this way; the message says why."""


class ReplayError(ValueError):
    """A run that cannot be replayed, or not with this agent."""


def rebuild_agent(history: AgentRun, build: Build) -> Agent:
    """Return the agent of a run as it was at its end: made from the start document, fed all records.

    Parameters
    ----------
    history : AgentRun
        With the prior runs of its agent, if any.
    build : callable
        Makes an agent from its config, e.g. :func:`agents.registry.build`.

    Raises
    ------
    PriorRunError
        If a prior run is missing or was changed.
    """
    check_prior_runs(history.start, history.past)
    agent = build(history.config)
    agent.ingest(*for_agent(agent, history.records))
    return agent


def measured_spectra(history: AgentRun) -> NDArray[np.float64]:
    """Return the measured spectra (n, K), in order; raise AnalysisError if there are none."""
    if not history.observations:
        raise AnalysisError("nothing was measured in this run")
    return np.stack([observation.spectrum for observation in history.observations])


def describe_config(config: Config) -> str:
    """Return the config of an agent as text: its name, then its options."""
    return ", ".join(str(value) if key == "agent" else f"{key}={value}" for key, value in config.items())


def as_lines(rows: Iterable[tuple[str, str]]) -> str:
    """Return labelled text as lines, the texts below each other."""
    rows = list(rows)
    width = max(len(label) for label, _ in rows)
    return "\n".join(f"{label:<{width}}  {text}" for label, text in rows)
