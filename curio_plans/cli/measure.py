"""Commands that measure: run; and agents, those who can decide."""

import functools
import logging
import math
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.prompt import Prompt
from rich.table import Table

from curio_plans.cli.common import (
    DATA,
    Data,
    Key,
    Tiled,
    app,
    connect,
    console,
    named_values,
    open_storage,
    report_run,
    tell_errors,
)
from curio_plans.cli.metadata import ExperimentFile, Metadata, read_metadata

Documents = Sequence[tuple[str, Mapping[str, Any]]]


@app.command()
@tell_errors
def run(
    sample: Annotated[
        Path | None,
        typer.Option(help="A measured sample: npz with image (H,W) or (C,H,W) and spectra (H,W,K). Default: the twin."),
    ] = None,
    settings: Annotated[
        Path | None,
        typer.Option(
            help="A TOML file that names instrument and storage, as for the profile.", show_default="the twin"
        ),
    ] = None,
    extent: Annotated[
        float | None, typer.Option(help="Width in nm of a sample file that has no extent_nm; else 1 px counts as 1 nm.")
    ] = None,
    axis: Annotated[
        str | None,
        typer.Option(help="Array of the sample file that is the spectral axis.", show_default="axis, else the steps"),
    ] = None,
    axis_unit: Annotated[str | None, typer.Option(help="Its unit, where the file does not tell.")] = None,
    agent: Annotated[str, typer.Option(help="Who decides; see [bold]curio agents[/].")] = "curio",
    points: Annotated[int, typer.Option(help="Spectra in total, initial ones included.")] = 100,
    initial: Annotated[
        int | None, typer.Option(help="Points the agent starts from.", show_default="the agent's own; 10 of curio")
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
    quality: Annotated[
        list[str] | None,
        typer.Option(
            help="What a good spectrum is and what to do with a bad one, e.g. min_snr=3 or policy=skip; repeatable.",
            metavar="NAME=VALUE",
        ),
    ] = None,
    drift: Annotated[
        list[str] | None,
        typer.Option(
            help="When to image again and correct the drift, e.g. every_points=10 or every_minutes=5; repeatable.",
            metavar="NAME=VALUE",
        ),
    ] = None,
    until: Annotated[
        list[str] | None,
        typer.Option(
            help=(
                "End before --points: 'minutes 120' of the instrument's time, 'loops 400' spectra, bad ones included; "
                "with an agent that estimates its error also 'error 0.3' (1 is the mean spectrum's) and 'gain 0.01' "
                "(10 more points would lower it by less). Repeatable: the first that is met ends the run."
            ),
            metavar="'NAME VALUE'",
        ),
    ] = None,
    lookahead: Annotated[
        int, typer.Option(help="1: think about the next point while the present one is measured.", min=0, max=1)
    ] = 0,
    learn_from: Annotated[
        list[str] | None,
        typer.Option(
            help="An earlier run of the same data directory to learn from first: its uid, the beginning of it, or "
            "latest; repeatable. The agent must be one that does.",
            metavar="UID",
        ),
    ] = None,
    effects: Annotated[
        str | None,
        typer.Option(help="realistic: the twin drifts, wears, remembers and errs.", show_default="calm, only noise"),
    ] = None,
    real_time: Annotated[bool, typer.Option(help="Let simulated actions take their real time.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print every step with its time; nothing moves and nothing is kept.")
    ] = False,
    experiment: ExperimentFile = None,
    md: Metadata = None,
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

    A run knows when to stop:

        curio run --points 1000 --until "minutes 120" --until "loops 400"
    """
    from agents.registry import build, configure
    from curio_plans.session.settings import load_settings
    from ophyd_devices.afm import AFM
    from ophyd_devices.dose import DoseLog
    from ophyd_devices.envelope import Envelope
    from ophyd_devices.registry import check_backend, make_backend

    safety: dict[str, Any] = {}
    config = configure(agent, **agent_options(agent, seed, initial, option or []))
    metadata = read_metadata(experiment, md or [])
    if (sample is None or settings is not None) and (extent, axis, axis_unit) != (None, None, None):
        raise ValueError("--extent and --axis belong to a measured sample; give --sample as well, or leave them out")
    if effects is not None and (sample is not None or settings is not None):
        raise ValueError("--effects belongs to the simulated sample; leave it out with --sample and --settings")
    if settings is not None:
        if sample is not None or real_time:
            raise ValueError("--settings names the instrument; leave out --sample and --real-time")
        chosen = load_settings(check_backend, Envelope.model_validate, settings, {})
        backend = connect(chosen.backend.name, chosen.backend.options)
        safety = {"envelope": Envelope.model_validate(chosen.envelope), "doses": DoseLog(chosen.doses)}
        data = chosen.data if data == DATA else data
        if chosen.tiled is not None and tiled is None:
            tiled, api_key = chosen.tiled.uri, api_key or chosen.tiled.api_key
    elif sample is None:
        backend = make_backend("twin", seed=seed, real_time=real_time, effects=effects or "calm")
    else:
        backend = make_backend(
            "recorded", path=sample, extent_nm=extent, axis=axis, axis_unit=axis_unit, real_time=real_time
        )
    afm = AFM(backend, name="afm", **safety)
    try:
        if pixels is not None or (sample is None and settings is None):
            side = 128 if pixels is None else pixels
            afm.imager.pixels.put((side, side))
        origin = backend.describe().get("sample", {})
        if "assumed" in str(origin.get("extent_source", "")):
            console.print("[yellow]the sample file has no extent: 1 px counts as 1 nm (see --extent)[/]")
        if origin.get("possible_axes"):
            console.print(f"[yellow]the sample file has no axis; use --axis {'|'.join(origin['possible_axes'])}?[/]")
        arguments = {
            "agent": config, "points": points, "build": build,
            "window": window, "stride": stride, "lookahead": lookahead, "md": metadata,
            "quality": named_values("--quality", quality), "drift": named_values("--drift", drift) or None,
            "until": named_values("--until", [re.sub(r"\s+", "=", rule.strip()) for rule in until or []]) or None,
            **_earlier_runs(learn_from or [], data, tiled, api_key),
        }  # fmt: skip
        if dry_run:
            _rehearse(afm, arguments)
        else:
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


def agent_options(agent: str, seed: int, initial: int | None, pairs: list[str]) -> dict[str, Any]:
    """Return the options of an agent as the command line gives them.

    Raises
    ------
    ValueError
        If one has no ``=``, or the agent has no initial points.
    """
    from agents.registry import options

    known = options(agent)
    chosen: dict[str, Any] = {"seed": seed} if "seed" in known else {}
    if initial is not None:
        if "initial" not in known:
            raise ValueError(f"the agent {agent!r} has no initial points; leave out --initial")
        chosen["initial"] = initial
    return chosen | named_values("--option", pairs)


def _earlier_runs(uids: list[str], data: Path, tiled: str | None, api_key: str | None) -> dict[str, Any]:
    """Return the arguments of the plan that let it learn from stored runs."""
    if not uids:
        return {}
    with open_storage(data, tiled, api_key, must_exist=True) as storage:
        full = [storage.resolve(uid) for uid in uids]
        documents = {uid: storage.resumable(uid) for uid in full}
    return {"learn_from": full, "stored": documents.__getitem__}


def _measure(
    afm: Any, arguments: dict[str, Any], data: Path, tiled: str | None, api_key: str | None, figure: bool
) -> None:
    from bluesky.simulators import check_limits

    from curio_plans.plans import curiosity

    engine = make_engine()
    # Every argument is checked before the first file is made.
    check_limits(curiosity(afm, **arguments))
    with open_storage(data, tiled, api_key) as storage:
        keep_run(engine, afm, functools.partial(curiosity, afm, **arguments), storage, data, tiled, figure)


def make_engine() -> Any:
    """Return a RunEngine for a command: Ctrl-C ends its run, and what goes wrong is told once, in our own words."""
    from bluesky import RunEngine

    from curio_plans.session.interrupt import PauseAtOnce

    logging.getLogger("bluesky").setLevel(logging.CRITICAL)
    return RunEngine({}, context_managers=[PauseAtOnce])


def keep_run(
    engine: Any,
    afm: Any,
    plan: Callable[..., Any],
    storage: Any,
    data: Path,
    tiled: str | None,
    figure: bool,
    earlier: Documents = (),
) -> None:
    """Run a plan that takes `ask`, keep and show its run, and report on it.

    `earlier` are the documents of a run that it resumes.
    """
    from bluesky.callbacks.core import make_callback_safe
    from bluesky.preprocessors import SupplementalData

    from curio_plans.documents.start import normalise
    from curio_plans.run.desk import Desk
    from curio_plans.session.live import LiveView
    from curio_plans.session.persistent import PersistentMetadata

    metadata = PersistentMetadata(data / "metadata.db")
    engine.md, engine.scan_id_source, engine.md_normalizer = metadata, metadata.next_scan_id, normalise
    storage.attach(engine)
    engine.preprocessors.append(SupplementalData(baseline=afm.baseline))
    started: list[str] = []
    engine.subscribe(lambda _, doc: started.append(doc["uid"]), "start")
    desk = Desk(lambda text: console.print(text, style="bold yellow", markup=False))
    with LiveView(console, earlier) as view:
        engine.subscribe(make_callback_safe(view, logger=logging.getLogger(__name__)))
        engine.waiting_hook = view.waiting
        interrupted = not _finished(engine, plan(ask=desk.ask), desk, view)
    if started:
        if interrupted:
            console.print("[yellow]interrupted; what was measured is kept[/]")
        path = data / "figures" / f"{started[-1]}.png" if figure and not interrupted else None
        report_run(storage.lineage(started[-1]), path)
        _tell_where(started[-1], data, tiled)
    if interrupted:
        raise typer.Exit(130)


def _rehearse(afm: Any, arguments: dict[str, Any]) -> None:
    from bluesky.simulators import check_limits

    from curio_plans.plans import curiosity
    from curio_plans.rules.stopping import StoppingRule
    from curio_plans.run.rehearsal import rehearse

    make_engine()  # check_limits needs the loop of a RunEngine
    check_limits(curiosity(afm, **arguments))
    until = StoppingRule(**arguments["until"]) if arguments["until"] else None
    loops = (until and until.loops) or math.inf
    seconds = 60 * ((until and until.minutes) or math.inf)
    steps = rehearse(curiosity(afm, **arguments), afm, loops=loops, seconds=seconds)
    for step in steps:
        console.print(f"{_clock(step.start)}  {step.text}", highlight=False)
    console.print(
        f"{_clock(steps[-1].start + steps[-1].duration)}  end – at most, as ways are taken from corner to corner; "
        "thinking, bad spectra and drift by the clock not counted"
        + ("; the agent may end it earlier" if until is not None and until.asks_agent else "")
    )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02}:{rest:04.1f}"


def _finished(engine: Any, plan: Any, desk: Any, view: Any) -> bool:
    """Run a plan and answer its questions; abort it at Ctrl-C. Tell whether it came to its end."""
    from bluesky.utils import RunEngineInterrupted

    proceed = functools.partial(engine, plan)
    while True:
        try:
            proceed()
        except RunEngineInterrupted:
            if desk.question is None:
                engine.abort("interrupted at the terminal")
                return False
            view.pause()
            desk.answer(Prompt.ask("your answer", choices=list(desk.question.choices), console=console))
            view.go_on()
            proceed = engine.resume
        else:
            return True


def _tell_where(uid: str, data: Path, tiled: str | None) -> None:
    where = f" --data {shlex.quote(str(data))}" if data != DATA else ""
    console.print(f"data:   {tiled or data.resolve()}", soft_wrap=True, highlight=False)
    if tiled is None:
        console.print("python: from curio_plans import Storage", highlight=False)
        run = f"Storage.local({str(data)!r}).catalog[{uid[:8]!r}]"
        console.print(f"        {run}['primary'].read()", soft_wrap=True, highlight=False)
    console.print(
        f"again:  curio show {uid[:8]}{where}   curio replay {uid[:8]}{where}", soft_wrap=True, highlight=False
    )
