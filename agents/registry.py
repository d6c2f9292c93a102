"""From names to agents. Any package can add one: an entry point in the group ``curio.agents``.

The entry point is a function that takes keyword options, all with defaults, and returns an agent.
"""

import inspect
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from agents.protocols import Agent, Config

GROUP = "curio.agents"


class UnknownAgentError(ValueError):
    """There is no agent of this name."""


def known_agents() -> tuple[str, ...]:
    """Return the names of all installed agents, sorted."""
    return tuple(sorted(found.name for found in entry_points(group=GROUP)))


def options(name: str) -> Mapping[str, Any]:
    """Return the options of an agent with their defaults.

    Raises
    ------
    UnknownAgentError
        If there is no such agent.
    """
    return {key: parameter.default for key, parameter in inspect.signature(_recipe(name)).parameters.items()}


def configure(name: str, **chosen: Any) -> dict[str, Any]:
    """Return the full config of an agent: what a plan takes and a start document keeps.

    Raises
    ------
    UnknownAgentError
        If there is no such agent.
    ValueError
        If there is no such option, or its value is out of range.

    Examples
    --------
    >>> configure("random", seed=3)
    {'agent': 'random', 'seed': 3}
    """
    return dict(build({"agent": name, **chosen}).config)


def build(config: Config) -> Agent:
    """Make the agent that `config` describes; options that are left out have their defaults.

    Raises
    ------
    UnknownAgentError
        If there is no such agent.
    ValueError
        If there is no such option, or its value is out of range.
    """
    if "agent" not in config:
        raise ValueError(f"expected a config {{'agent': name, …options}}, got {dict(config)}")
    name = config["agent"]
    chosen = {key: value for key, value in config.items() if key != "agent"}
    known = options(name)
    unknown = sorted(set(chosen) - set(known))
    if unknown:
        takes = f"takes {', '.join(known)}" if known else "takes none"
        raise ValueError(f"the agent {name!r} has no option {', '.join(unknown)}; it {takes}")
    agent: Agent = _recipe(name)(**chosen)
    return agent


def _recipe(name: str) -> Any:
    found = [point for point in entry_points(group=GROUP) if point.name == name]
    if not found:
        raise UnknownAgentError(f"there is no agent {name!r}; known are {', '.join(known_agents())}")
    return found[0].load()
