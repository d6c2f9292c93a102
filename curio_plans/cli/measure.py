"""Commands that measure: run; and agents, those who can decide."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from curio_plans.cli.common import DATA, Data, Key, Tiled, app, console, open_storage, report_run, tell_errors


@app.command()
@tell_errors
def run(
    sample: Annotated[
        Path | None,
        typer.Option(help="A measured sample: npz with image (H,W) or (C,H,W) and spectra (H,W,K). Default: the twin."),
    ] = None,
    extent: Annotated[
        float | None, typer.Option(help="Width in nm of a sample file that has no extent_nm; else 1 px counts as 1 nm.")
    ] = None,
    agent: Annotated[str, typer.Option(help="Who decides; see [bold]curio agents[/].")] = "paper-latent",
    points: Annotated[int, typer.Option(help="Spectra in total, initial ones included.")] = 100,
    initial: Annotated[
        int | None, typer.Option(help="Points the agent starts from.", show_default="the agent's own, mostly 30")
    ] = None,
    window: Annotated[int, typer.Option(help="Side in px of the patch the agent sees around each candidate.")] = 9,
    stride: Annotated[
        int | None,
        typer.Option(help="Distance between candidates in px.", show_default="the least that gives up to 2500"),
    ] = None,
    pixels: Annotated[
        int | None, typer.Option(help="Side of the image in px; a recorded sample has its own.", show_default="128")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the agent, and of the twin's world.")] = 0,
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option", "-o", help="An option of the agent, name=value; repeat it for more.", metavar="NAME=VALUE"
        ),
    ] = None,
    lookahead: Annotated[
        int, typer.Option(help="1: think about the next point while the present one is measured.", min=0, max=1)
    ] = 0,
    real_time: Annotated[bool, typer.Option(help="Let simulated actions take their real time.")] = False,
    data: Data = DATA,
    tiled: Tiled = None,
    api_key: Key = None,
    figure: Annotated[bool, typer.Option(help="Compare with simple methods and draw the run at its end.")] = True,
) -> None:
    """Image, then measure where the agent is curious.

    Without --sample a simulated ferroelectric is measured:

        curio run --points 100

    With it, a measured sample answers in place of the instrument:

        curio run --sample pfm.npz --window 9 --points 200
    """
    from agents.registry import build, configure
    from ophyd_devices.afm import AFM
    from ophyd_devices.registry import make_backend

    config = configure(agent, **_agent_options(agent, seed, initial, option or []))
    if sample is None:
        if extent is not None:
            raise ValueError("--extent belongs to a measured sample; give --sample as well, or leave it out")
        backend = make_backend("twin", seed=seed, real_time=real_time)
    else:
        backend = make_backend("recorded", path=sample, extent_nm=extent, real_time=real_time)
    afm = AFM(backend, name="afm")
    try:
        if pixels is not None or sample is None:
            side = 128 if pixels is None else pixels
            afm.imager.pixels.put((side, side))
        if "assumed" in str(backend.describe()["sample"].get("extent_source", "")):
            console.print("[yellow]the sample file has no extent: 1 px counts as 1 nm (see --extent)[/]")
        arguments = {
            "agent": config, "points": points, "build": build,
            "window": window, "stride": stride, "lookahead": lookahead,
        }  # fmt: skip
        _measure(afm, arguments, data, tiled, api_key, figure)
    finally:
        afm.close()


@app.command()
def agents() -> None:
    """List the agents that can decide, with their options."""
    from agents.registry import known_agents, options

    table = Table("agent", "options and their defaults", box=None)
    for name in known_agents():
        table.add_row(name, ", ".join(f"{key}={value}" for key, value in options(name).items()))
    console.print(table)


def _agent_options(agent: str, seed: int, initial: int | None, pairs: list[str]) -> dict[str, Any]:
    from agents.registry import options

    known = options(agent)
    chosen: dict[str, Any] = {"seed": seed} if "seed" in known else {}
    if initial is not None:
        if "initial" not in known:
            raise ValueError(f"the agent {agent!r} has no initial points; leave out --initial")
        chosen["initial"] = initial
    for pair in pairs:
        name, found, value = pair.partition("=")
        if not found:
            raise ValueError(f"expected --option name=value, got {pair!r}")
        chosen[name] = _value(value)
    return chosen


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _measure(
    afm: Any, arguments: dict[str, Any], data: Path, tiled: str | None, api_key: str | None, figure: bool
) -> None:
    from bluesky import RunEngine
    from bluesky.preprocessors import SupplementalData
    from bluesky.simulators import check_limits
    from bluesky.utils import RunEngineInterrupted

    from curio_plans.live import LiveView
    from curio_plans.persistent import PersistentMetadata
    from curio_plans.plans import curiosity

    engine = RunEngine({})
    # Every argument is checked before the first file is made.
    check_limits(curiosity(afm, **arguments))
    with open_storage(data, tiled, api_key) as storage:
        metadata = PersistentMetadata(data / "metadata.db")
        engine.md, engine.scan_id_source = metadata, metadata.next_scan_id
        storage.attach(engine)
        engine.preprocessors.append(SupplementalData(baseline=afm.baseline))
        started: list[str] = []
        engine.subscribe(lambda _, doc: started.append(doc["uid"]), "start")
        interrupted = False
        with LiveView(console) as view:
            engine.subscribe(view)
            engine.waiting_hook = view.waiting
            try:
                engine(curiosity(afm, **arguments))
            except RunEngineInterrupted:
                engine.abort("interrupted at the terminal")
                interrupted = True
        documents = storage.documents(started[-1])
        report_run(documents, data / "figures" / f"{started[-1]}.png" if figure else None)
        _tell_where(started[-1], data, tiled)
        if interrupted:
            raise typer.Exit(130)


def _tell_where(uid: str, data: Path, tiled: str | None) -> None:
    where = f" --data {data}" if data != DATA else ""
    console.print(f"data:   {tiled or data.resolve()}", soft_wrap=True, highlight=False)
    if tiled is None:
        console.print("python: from curio_plans.storage import Storage", highlight=False)
        run = f"Storage.local({str(data)!r}).catalog[{uid[:8]!r}]"
        console.print(f"        {run}['primary'].read()", soft_wrap=True, highlight=False)
    console.print(
        f"again:  curio show {uid[:8]}{where}   curio replay {uid[:8]}{where}", soft_wrap=True, highlight=False
    )
