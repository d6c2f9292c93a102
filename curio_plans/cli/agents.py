"""The command agents: who can decide, and with which options."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from curio_plans.cli.output import Progress, console


def agents(
    name: Annotated[
        str | None, typer.Argument(help="Explain the options of this agent.", show_default="all agents in short")
    ] = None,
) -> None:
    """List the agents that can decide, with their options.

    All agents in short, then one in full:

        curio agents
        curio agents curio

    Choose one for a run, and an option of it:

        curio run --agent farthest-point -o seed=3
    """
    with Progress("loading the agents"):
        from agents.registry import known_agents

        described = [_describe(known) for known in (known_agents() if name is None else (name,))]
    if name is None:
        _tell_all(described)
    else:
        _tell_one(described[0])


@dataclass(frozen=True)
class _Description:
    name: str
    text: str
    options: Mapping[str, Any]

    @property
    def summary(self) -> str:
        return " ".join(self.text.partition("\n\n")[0].split())


def _describe(name: str) -> _Description:
    """Describe an agent by the function that makes it: its docstring and its options.

    Raises
    ------
    ValueError
        If there is no such agent, or it cannot be loaded.
    """
    from importlib.metadata import entry_points

    from agents.registry import GROUP, describe_options

    try:
        options = describe_options(name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"the agent {name!r} cannot be loaded: {error}; mend or remove its package") from error
    (recipe,) = entry_points(group=GROUP, name=name)
    return _Description(name, inspect.getdoc(recipe.load()) or "", options)


def _tell_all(described: Sequence[_Description]) -> None:
    table = Table("agent", "what it does", "options and their defaults", box=None)
    for agent in described:
        listed = ", ".join(f"{key}={option.default}" for key, option in agent.options.items())
        table.add_row(f"[bold]{agent.name}[/]", escape(agent.summary), escape(listed))
    console.print(table)
    console.print("what the options of one mean: curio agents NAME", highlight=False)


def _tell_one(agent: _Description) -> None:
    console.print(f"[bold]{agent.name}[/]: {escape(agent.summary)}", highlight=False)
    if not agent.options:
        console.print("It has no options.")
        return
    table = Table("option", "default", "value", "meaning", box=None)
    for key, option in agent.options.items():
        table.add_row(f"[bold]{key}[/]", *map(escape, (str(option.default), option.expected, option.help)))
    console.print(table)
    key, option = next(iter(agent.options.items()))
    console.print(f"use: curio run --agent {agent.name} -o {key}={option.default}", highlight=False, markup=False)
