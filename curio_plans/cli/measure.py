"""The command run: a run of the plan ``curiosity``, from the options of the command line."""

import math
import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from curio_plans.cli.common import DATA, Data, Key, Place, Tiled, named_values
from curio_plans.cli.execute import keep_run, make_engine
from curio_plans.cli.metadata import ExperimentFile, Metadata, read_metadata
from curio_plans.cli.output import Progress, console, warn
from curio_plans.cli.selection import load, select

INSTRUMENT, AGENT, MEASUREMENT, RULES, OUTPUT = "Instrument", "Agent", "Measurement", "Rules", "Output"
UNTIL = (
    "End before --points: 'minutes 120' of the instrument's time, 'loops 400' spectra, bad ones included; with an "
    "agent that estimates its error also 'error 0.3' (1 is the error of the mean spectrum) and 'gain 0.01' (10 more "
    "points would lower the error by less). Repeatable; the first rule that is met ends the run."
)


def run(
    sample: Annotated[
        Path | None,
        typer.Option(
            help="Measure this file: npz with image (H,W) or (C,H,W) and spectra (H,W,K).",
            show_default="the simulated sample",
            rich_help_panel=INSTRUMENT,
        ),
    ] = None,
    settings: Annotated[
        Path | None,
        typer.Option(
            help="Measure with the instrument in this TOML file, which may also name the storage; as for the profile.",
            show_default="the simulated instrument",
            rich_help_panel=INSTRUMENT,
        ),
    ] = None,
    extent: Annotated[
        float | None,
        typer.Option(
            help="Width in nm of a sample file without extent_nm.",
            show_default="1 nm per px",
            rich_help_panel=INSTRUMENT,
        ),
    ] = None,
    axis: Annotated[
        str | None,
        typer.Option(
            help="Array of the sample file that is the spectral axis.",
            show_default="the array axis, else step numbers",
            rich_help_panel=INSTRUMENT,
        ),
    ] = None,
    axis_unit: Annotated[
        str | None,
        typer.Option(
            help="Unit of the spectral axis.", show_default="that in the file, if any", rich_help_panel=INSTRUMENT
        ),
    ] = None,
    effects: Annotated[
        str | None,
        typer.Option(
            help="'realistic' lets the simulated instrument drift and wear, the surface remember, and spectra fail.",
            show_default="calm, only noise",
            rich_help_panel=INSTRUMENT,
        ),
    ] = None,
    real_time: Annotated[
        bool, typer.Option(help="Let simulated actions take their real time.", rich_help_panel=INSTRUMENT)
    ] = False,
    agent: Annotated[
        str, typer.Option(help="The agent that decides; see [bold]curio agents[/].", rich_help_panel=AGENT)
    ] = "curio",
    initial: Annotated[
        int | None,
        typer.Option(
            help="Points that are measured before the agent learns.",
            show_default="the agent's own; 10 for curio",
            rich_help_panel=AGENT,
        ),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option",
            "-o",
            help="An option of the agent; repeatable. [bold]curio agents NAME[/] explains them.",
            metavar="NAME=VALUE",
            rich_help_panel=AGENT,
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Seed of the agent and of the simulated sample.", rich_help_panel=AGENT)
    ] = 0,
    learn_from: Annotated[
        list[str] | None,
        typer.Option(
            help="An earlier run in the same data directory from which the agent learns first: its uid, the first "
            "characters of it, or latest; repeatable. Not every agent can.",
            metavar="UID",
            rich_help_panel=AGENT,
        ),
    ] = None,
    points: Annotated[
        int, typer.Option(help="Spectra in total, initial ones included.", rich_help_panel=MEASUREMENT)
    ] = 100,
    pixels: Annotated[
        int | None,
        typer.Option(
            help="Side of the image in px.", show_default="128; that of the sample file", rich_help_panel=MEASUREMENT
        ),
    ] = None,
    window: Annotated[
        int,
        typer.Option(
            help="Side in px of the patch that the agent sees around each candidate.", rich_help_panel=MEASUREMENT
        ),
    ] = 9,
    stride: Annotated[
        int | None,
        typer.Option(
            help="Distance between candidates in px.",
            show_default="the smallest with at most 2500 candidates",
            rich_help_panel=MEASUREMENT,
        ),
    ] = None,
    lookahead: Annotated[
        int,
        typer.Option(
            help="1: choose the next point while the present one is measured.",
            min=0,
            max=1,
            rich_help_panel=MEASUREMENT,
        ),
    ] = 0,
    quality: Annotated[
        list[str] | None,
        typer.Option(
            help="What a good spectrum is and what to do with a bad one, such as min_snr=3 or policy=skip; repeatable.",
            metavar="NAME=VALUE",
            rich_help_panel=RULES,
        ),
    ] = None,
    drift: Annotated[
        list[str] | None,
        typer.Option(
            help="When to image again and correct the drift, such as every_points=10 or every_minutes=5; repeatable.",
            metavar="NAME=VALUE",
            rich_help_panel=RULES,
        ),
    ] = None,
    until: Annotated[list[str] | None, typer.Option(help=UNTIL, metavar="'NAME VALUE'", rich_help_panel=RULES)] = None,
    experiment: ExperimentFile = None,
    md: Metadata = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Print every step with its time; nothing moves and nothing is stored.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    figure: Annotated[
        bool,
        typer.Option(help="Compare the run with simple methods and draw it at its end.", rich_help_panel=OUTPUT),
    ] = True,
    data: Data = DATA,
    tiled: Tiled = None,
    api_key: Key = None,
) -> None:
    """Take an image, then measure where the agent is curious.

    On the simulated microscope:

        curio run --points 100

    On a measured sample, which answers in place of an instrument:

        curio run --sample pfm.npz --window 9 --points 200

    With rules for the end:

        curio run --points 1000 --until "minutes 120" --until "loops 400"

    Exits with 0 if the run was completed, 1 if it failed, 2 if the input was refused, 130 after Ctrl-C, and 141 if
    the reader of its output went away. [bold]curio resume[/] goes on with a run that was not completed.
    """
    with Progress(f"loading the agent {agent}") as progress:
        place = Place(data, tiled, api_key)
        chosen = None
        if settings is not None:
            chosen = load(settings)
            place = _stored_as(chosen, place)
        instrument = select(
            sample=sample, settings=chosen, extent=extent, axis=axis, axis_unit=axis_unit, effects=effects,
            real_time=real_time, seed=seed, pixels=pixels,
        )  # fmt: skip
        metadata = read_metadata(experiment, md or [])
        good = named_values("--quality", quality)
        correction = named_values("--drift", drift) or None
        ending = (
            named_values("--until", [re.sub(r"\s*[\s=]\s*", "=", rule.strip(), count=1) for rule in until or []])
            or None
        )

        from agents.registry import build, configure
        from curio_plans.plans import curiosity

        config = configure(agent, **agent_options(agent, seed, initial, option or []))
        progress.step(f"connecting to the instrument {instrument.backend}")
        afm = instrument.connect()
    with closing(afm):
        _warn_about_sample(afm)
        past, stored = _earlier_runs(learn_from or [], place)

        def plan(ask: Any = None) -> Any:
            return curiosity(
                afm, config, points, window=window, stride=stride, lookahead=lookahead, quality=good, drift=correction,
                until=ending, learn_from=past, build=build, stored=stored, ask=ask, md=metadata,
            )  # fmt: skip

        if dry_run:
            _rehearse(afm, plan, ending)
        else:
            _measure(afm, plan, place, figure)


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


def _stored_as(settings: Any, place: Place) -> Place:
    """Return where runs are stored: as the command line says, else as the settings do."""
    data = settings.data if place.data == DATA else place.data
    if place.tiled is None and settings.tiled is not None:
        return Place(data, settings.tiled.uri, place.api_key or settings.tiled.api_key)
    return Place(data, place.tiled, place.api_key)


def _warn_about_sample(afm: Any) -> None:
    origin = afm.describe_sample().get("sample", {})
    if "assumed" in str(origin.get("extent_source", "")):
        warn("the sample file has no extent: 1 px counts as 1 nm (see --extent)")
    if origin.get("possible_axes"):
        warn(f"the sample file has no axis; use --axis {'|'.join(origin['possible_axes'])}?")


def _earlier_runs(uids: list[str], place: Place) -> tuple[list[str] | None, Callable[[str], Any] | None]:
    """Return the full uids of stored runs to learn from, and what gives the documents of each; None for none."""
    if not uids:
        return None, None
    with place.open(must_exist=True) as storage:
        full = [storage.resolve(uid) for uid in uids]
        documents = {uid: storage.resumable(uid) for uid in full}
    return full, documents.__getitem__


def _measure(afm: Any, plan: Callable[..., Any], place: Place, figure: bool) -> None:
    from bluesky.simulators import check_limits

    engine = make_engine()
    with Progress("checking the plan"):
        check_limits(plan())  # every argument is checked before the first file is made
    with place.open() as storage:
        keep_run(engine, afm, plan, storage, place, figure)


def _rehearse(afm: Any, plan: Callable[..., Any], ending: dict[str, Any] | None) -> None:
    from bluesky.simulators import check_limits

    from curio_plans.rules.stopping import StoppingRule
    from curio_plans.run.rehearsal import rehearse

    make_engine()  # check_limits needs the loop of a RunEngine
    with Progress("checking the plan"):
        check_limits(plan())
        until = StoppingRule(**ending) if ending else None
        loops = (until and until.loops) or math.inf
        seconds = 60 * ((until and until.minutes) or math.inf)
        steps = rehearse(plan(), afm, loops=loops, seconds=seconds)
    for step in steps:
        console.print(f"{_clock(step.start)}  {step.text}", highlight=False)
    console.print(
        f"{_clock(steps[-1].start + steps[-1].duration)}  end at the latest: moves are taken as long as they can be; "
        "thinking, repeated spectra and images for drift every so many minutes come on top"
        + ("; the agent may end the run earlier" if until is not None and until.asks_agent else ""),
        highlight=False,
        soft_wrap=True,
    )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02}:{rest:04.1f}"
