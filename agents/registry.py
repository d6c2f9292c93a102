"""From names to agents. Any package can add one: an entry point in the group ``curio.agents``.

The entry point is a function that takes keyword options, all with defaults, and returns an agent. All functions here
raise :class:`UnknownAgentError` for a name that is not installed. Only :func:`configure` and :func:`build` import what
an agent computes with.
"""

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.protocols import Agent, Config

if TYPE_CHECKING:
    from agents.options import Option

GROUP = "curio.agents"


class UnknownAgentError(ValueError):
    """No agent of this name is installed."""


def known_agents() -> tuple[str, ...]:
    """Return the names of all installed agents, sorted."""
    return tuple(sorted(_entry_points()))


def options(name: str) -> Mapping[str, Any]:
    """Return the options of an agent with their defaults."""
    return {key: parameter.default for key, parameter in inspect.signature(_recipe(name)).parameters.items()}


def describe_options(name: str) -> Mapping[str, "Option"]:
    """Return the default of each option of an agent, what its value must be, and what it does.

    Examples
    --------
    >>> describe_options("random")["seed"].expected
    'a whole number of at least 0'
    """
    from agents.options import describe

    return describe(_recipe(name))


def options_schema(name: str) -> Mapping[str, Any]:
    """Return the JSON schema of the options of an agent, for example to make a form from it."""
    from agents.options import schema

    return {**schema(_recipe(name)), "title": name}


def configure(name: str, **chosen: Any) -> dict[str, Any]:
    """Return the full config of an agent: what a plan takes and a start document stores.

    Raises
    ------
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
    return _recipe(name)(**chosen)


def _recipe(name: str) -> Callable[..., Agent]:
    found = _entry_points().get(name)
    if found is None:
        raise UnknownAgentError(f"there is no agent {name!r}; known are {', '.join(known_agents())}")
    recipe: Callable[..., Agent] = found.load()
    return recipe


def _entry_points() -> Mapping[str, EntryPoint]:
    # Installing a package changes its directory, so that a running session finds a new agent.
    paths = [Path(path) for path in sys.path]
    return _search(tuple((str(path), path.stat().st_mtime_ns) for path in paths if path.exists()))


@functools.lru_cache(maxsize=1)
def _search(_: tuple[tuple[str, int], ...]) -> Mapping[str, EntryPoint]:
    return {found.name: found for found in reversed(tuple(entry_points(group=GROUP)))}
