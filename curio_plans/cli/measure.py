"""The command run: a run of the plan ``curiosity``, from the options of the command line."""

import math
import re
from collections.abc import Callable
from contextlib import closing
from typing import Any, Literal

from curio_plans.cli.common import DATA, Data, Key, Place, Tiled, named_values
from curio_plans.cli.execute import keep_run, make_engine
from curio_plans.cli.metadata import ExperimentFile, Metadata, read_metadata
from curio_plans.cli.options import (
    Agent,
    AgentOption,
    Axis,
    AxisUnit,
    ComplexPart,
    DriftRule,
    DryRun,
    Edge,
    Effects,
    Extent,
    Figure,
    ImageChannel,
    ImageFile,
    Initial,
    LearnFrom,
    Lookahead,
    Page,
    Pixels,
    Points,
    Preprocess,
    QualityRule,
    RealTime,
    SampleFile,
    Seed,
    Selected,
    SettingsFile,
    SetupRule,
    SpectrumChannel,
    Stride,
    UntilRule,
    Window,
    WindowNm,
)
from curio_plans.cli.output import Progress, console, warn
from curio_plans.cli.page import page_beside
from curio_plans.cli.selection import load, select_instrument
from curio_plans.cli.think import AgentAt, ElsewhereRule, PlaceKey, agent_place, builder, connector


def run(
    sample: SampleFile = None,
    settings: SettingsFile = None,
    image: ImageFile = None,
    image_channel: ImageChannel = None,
    part: ComplexPart = None,
    select: Selected = None,
    preprocess: Preprocess = None,
    extent: Extent = None,
    axis: Axis = None,
    axis_unit: AxisUnit = None,
    effects: Effects = None,
    real_time: RealTime = False,
    agent: Agent = "curio",
    initial: Initial = None,
    option: AgentOption = None,
    seed: Seed = 0,
    learn_from: LearnFrom = None,
    agent_at: AgentAt = None,
    elsewhere: ElsewhereRule = None,
    agent_key: PlaceKey = None,
    points: Points = 100,
    pixels: Pixels = None,
    spectrum_channel: SpectrumChannel = None,
    setup: SetupRule = None,
    window: Window = None,
    window_nm: WindowNm = None,
    edge: Edge = None,
    stride: Stride = None,
    lookahead: Lookahead = 0,
    quality: QualityRule = None,
    drift: DriftRule = None,
    until: UntilRule = None,
    experiment: ExperimentFile = None,
    md: Metadata = None,
    dry_run: DryRun = False,
    figure: Figure = True,
    page: Page = False,
    data: Data = DATA,
    tiled: Tiled = None,
    api_key: Key = None,
) -> None:
    """Take an image, then measure where the agent is curious.

    On the simulated microscope:

        curio run --points 100

    On a measured sample, which answers in place of an instrument:

        curio run --sample map.3ds --points 200

    With rules for the end:

        curio run --points 1000 --until "minutes 120" --until "loops 400"

    Exits with 0 if the run was completed, 1 if it failed, 2 if the input was refused, 130 after Ctrl-C, 143 after
    SIGTERM, 129 after SIGHUP, and 141 if its output has no reader. [bold]curio resume[/] goes on with a run that was
    not completed.
    """
    with Progress(f"loading the agent {agent}") as progress:
        place = Place(data, tiled, api_key)
        chosen = None
        if settings is not None:
            chosen = load(settings)
            place = stored_as(chosen, place)
        channels = None if sample is not None else image_channel
        of_sample = {
            "extent_nm": extent, "axis": axis, "axis_unit": axis_unit, "image": image, "part": part,
            "image_channel": None if sample is None else image_channel,
            "select": named_values("--select", select) or None, "preprocess": preprocess or None,
        }  # fmt: skip
        instrument = select_instrument(
            sample=sample, of_sample=of_sample, settings=chosen, effects=effects, real_time=real_time, seed=seed,
            pixels=pixels, spectrum_channel=spectrum_channel,
        )  # fmt: skip
        metadata = read_metadata(experiment, md or [])
        good = named_values("--quality", quality)
        wanted = _setup(setup, pixels)
        correction = named_values("--drift", drift) or None
        at_edge = _edge(edge)
        ending = (
            named_values("--until", [re.sub(r"\s*[\s=]\s*", "=", rule.strip(), count=1) for rule in until or []])
            or None
        )

        from agents.registry import build
        from curio_plans.plans import curiosity
        from curio_plans.run.setup import set_up

        thinks = agent_place(agent_at, elsewhere, chosen)
        connect = connector(agent_key, chosen)
        make = builder(thinks, connect)
        config = make({"agent": agent, **agent_options(agent, seed, initial, option or [], make)}).config
        progress.step(f"connecting to the instrument {instrument.backend}")
        afm = instrument.connect()
    with closing(afm):
        _warn_about_sample(afm)
        _tell_frame(afm, wanted)
        if window is None and window_nm is None:
            with set_up(afm, wanted):
                _tell_window(afm, edge)
        past, stored = _earlier_runs(learn_from or [], place)

        def plan(ask: Any = None, steer: Any = None) -> Any:
            return curiosity(
                afm, config, points, window=window, window_nm=window_nm, edge=at_edge, stride=stride,
                channels=channels, setup=wanted, lookahead=lookahead, quality=good, drift=correction, until=ending,
                learn_from=past, build=build, stored=stored, ask=ask, steer=steer, agent_at=thinks,
                connect=connect, md=metadata,
            )  # fmt: skip

        if dry_run:
            _rehearse(afm, plan, ending)
        else:
            with page_beside(place.data, wanted=page):
                _measure(afm, plan, place, figure, chosen)


def agent_options(
    agent: str, seed: int, initial: int | None, pairs: list[str], make: Callable[..., Any]
) -> dict[str, Any]:
    """Return the options of an agent as the command line gives them; `make` makes one of its config.

    Raises
    ------
    ValueError
        If one has no ``=``, or the agent has no initial points.
    """
    known = make({"agent": agent}).config
    chosen: dict[str, Any] = {"seed": seed} if "seed" in known else {}
    if initial is not None:
        if "initial" not in known:
            raise ValueError(f"the agent {agent!r} has no initial points; leave out --initial")
        chosen["initial"] = initial
    return chosen | named_values("--option", pairs)


def stored_as(settings: Any, place: Place) -> Place:
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
    for note in origin.get("notes", ()):
        warn(note)


def _setup(pairs: list[str] | None, pixels: int | None) -> Any:
    """Return how the microscope is set for the run; None for as it is."""
    from curio_plans.rules.setup import Setup
    from curio_plans.validation import validated

    values = named_values("--setup", pairs)
    if pixels is not None and "pixels" in values:
        raise ValueError(f"--pixels {pixels} and --setup pixels={values['pixels']}: leave out one of the two")
    return validated(Setup, values, "--setup") if values else None


def _tell_frame(afm: Any, setup: Any) -> None:
    """Say which frame is imaged where forbidden zones leave only a part of the scan range."""
    frame = tuple(float(edge) for edge in afm.imager.area.get())
    if (setup is None or setup.area is None) and frame != tuple(afm.imager.info.scan_range):
        nm = ", ".join(f"{edge:g}" for edge in frame)
        warn(f"the image is ({nm}) nm, clear of the forbidden zones; see --setup area=X_MIN,X_MAX,Y_MIN,Y_MAX")


def _edge(text: str | None) -> Literal["inside", "reflect"] | None:
    if text in ("inside", "reflect", None):
        return text  # type: ignore[return-value]  # the test above is one of values
    raise ValueError(f"--edge: expected inside or reflect, got {text!r}")


def _tell_window(afm: Any, edge: Any) -> None:
    """Say which window is chosen where the usual one would leave out most of the candidates."""
    from agents.pool import WINDOW, automatic_window

    ny, nx = (int(number) for number in afm.imager.pixels.get())
    places = afm.imager.places.get()
    x_min, x_max, y_min, y_max = (float(edge) for edge in afm.imager.area.get())
    window, chosen = automatic_window((ny, nx), (x_min, x_max, y_min, y_max), places if len(places) else None)
    if (window, edge or chosen) != (WINDOW, "inside"):
        reflected = ", continued by reflection at the edge" if (edge or chosen) == "reflect" else ""
        warn(f"patches of {window}×{window} px{reflected}: else most places would be left out; see --window, --edge")


def _earlier_runs(uids: list[str], place: Place) -> tuple[list[str] | None, Callable[[str], Any] | None]:
    """Return the full uids of stored runs to learn from, and what gives the documents of each; None for none."""
    if not uids:
        return None, None
    with place.open(must_exist=True) as storage:
        full = [storage.resolve(uid) for uid in uids]
        documents = {uid: storage.resumable(uid) for uid in full}
    return full, documents.__getitem__


def _measure(afm: Any, plan: Callable[..., Any], place: Place, figure: bool, settings: Any = None) -> None:
    from bluesky.simulators import check_limits

    engine = make_engine(settings)
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
