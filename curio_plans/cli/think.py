"""The command think, and what other commands need to let an agent think elsewhere."""

import functools
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from curio_plans.cli.common import Certificate, CertificateKey, named_values
from curio_plans.cli.options import AGENT
from curio_plans.cli.output import Progress, console

AgentAt = Annotated[
    str | None,
    typer.Option(
        help="Address where the agent thinks: that of a [bold]curio think[/], such as http://127.0.0.1:8765; here for "
        "this computer.",
        envvar="CURIO_AGENT_AT",
        show_default="here",
        rich_help_panel=AGENT,
    ),
]
ElsewhereRule = Annotated[
    list[str] | None,
    typer.Option(
        "--elsewhere",
        help="What happens while that place does not answer: wait=300 and slow=900 seconds, then=pause, local or end, "
        "withdraw_after=20 seconds; repeatable.",
        metavar="NAME=VALUE",
        rich_help_panel=AGENT,
    ),
]
PlaceKey = Annotated[
    str | None,
    typer.Option(
        "--agent-key",
        help="Key of that place. Whoever is logged in sees command lines: set the environment variable instead.",
        envvar="CURIO_THINK_KEY",
        rich_help_panel=AGENT,
    ),
]


def think(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for the network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)] = 8765,
    key: Annotated[
        str | None,
        typer.Option(
            help="Key to ask runs for, at least 16 letters and digits; needed unless only this computer can connect. "
            "Better set in the environment: others can see command lines.",
            envvar="CURIO_THINK_KEY",
            show_default="none",
        ),
    ] = None,
    ssl_certfile: Certificate = None,
    ssl_keyfile: CertificateKey = None,
    limit: Annotated[int, typer.Option("--limit-mb", help="Largest request in MB.", min=1)] = 512,
) -> None:
    """Let agents think here for runs on other computers, until Ctrl-C.

    On the computer that thinks, for example one with a GPU, with a key in CURIO_THINK_KEY:

        curio think --host 0.0.0.0

    On the computer at the instrument, with the same key there:

        curio run --agent-at http://gpu:8765

    Agents are found here, as everywhere: their packages need not be installed at the instrument. They think one after
    the other, with the number of threads in their options. A place that is restarted is given what it lost: decisions
    are those of an agent that was never interrupted.
    """
    with Progress("loading the server"):
        from agents.registry import build
        from curio_plans.elsewhere.server import serve

    def tell(text: str) -> None:
        console.print(text, soft_wrap=True, highlight=False, markup=False)

    serve(
        build, host, port, key, certificate=ssl_certfile, certificate_key=ssl_keyfile, tell=tell,
        body_limit=limit * 2**20,
    )  # fmt: skip


def agent_place(at: str | None, rule: list[str] | None, settings: Any = None) -> dict[str, Any] | None:
    """Return where the agent of a run thinks, as the command line says, else as the settings do; None for here.

    Raises
    ------
    ValueError
        If it says what happens elsewhere, and not where that is.
    """
    from curio_plans.rules.elsewhere import HERE

    kept = None if settings is None else settings.agent_at
    chosen = named_values("--elsewhere", rule)
    if at == HERE or (at is None and kept is None):
        if chosen:
            raise ValueError("--elsewhere says how to wait for an agent that thinks elsewhere; give --agent-at as well")
        return None
    told = {} if kept is None else kept.rule()
    return {**told, **({} if at is None else {"address": at}), **chosen}


def connector(key: str | None, settings: Any = None) -> Callable[..., Any]:
    """Return what connects to a place with the key of the command line or its environment, else of the settings."""
    from curio_plans.elsewhere.client import connect

    kept = None if settings is None or settings.agent_at is None else settings.agent_at.key
    return functools.partial(connect, key=key or kept)


def builder(place: Mapping[str, Any] | None, connect: Callable[..., Any]) -> Callable[..., Any]:
    """Return what makes agents of configs: here, or at a place."""
    if place is None:
        from agents.registry import build

        return build
    from curio_plans.rules.elsewhere import Elsewhere
    from curio_plans.validation import validated

    built: Callable[..., Any] = connect(validated(Elsewhere, dict(place), "agent_at"))
    return built
