"""Complete runs. Each stages the microscope, opens one run, and ends with the tip withdrawn whatever happens."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from bluesky.utils import FailedStatus, Msg, MsgGenerator, plan
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from agents.pool import automatic_stride, candidate_positions
from agents.protocols import Agent, Config, EstimatesError, Past
from curio_plans.documents.prior_runs import PastError, describe, learns, look_back
from curio_plans.documents.streams import IMAGE, POINT, Stored
from curio_plans.rules.drift import DriftCorrection
from curio_plans.rules.escalation import EscalationRule
from curio_plans.rules.quality import Quality
from curio_plans.rules.stopping import StoppingRule
from curio_plans.run import stubs
from curio_plans.run.drift import Drift
from curio_plans.run.escalation import Escalate, Escalation
from curio_plans.run.exploration import Exploration, Measure, corners_of
from curio_plans.run.metadata import run_metadata
from curio_plans.run.microscope import Microscope
from curio_plans.run.resume import Earlier, ResumeError, is_fresh
from curio_plans.run.resume import rebuild as rebuild_instrument
from curio_plans.run.stopping import Stopping
from curio_plans.run.stubs import Ask
from curio_plans.run.thinker import Thinker

Model = TypeVar("Model", bound=BaseModel)


@plan
def image(afm: Microscope, *, md: dict[str, Any] | None = None) -> MsgGenerator[str]:
    """Take one image.

    Parameters
    ----------
    afm : Microscope
        Set ``afm.imager.area``, ``pixels`` and ``line_rate`` before.
    md : dict, optional
        Free metadata for the start document.

    Returns
    -------
    str
        The uid of the run.
    """
    afm.imager.check()
    # Without dimensions BestEffortCallback takes the next run for one without them, too.
    metadata = run_metadata(afm, "image", {}, md, hints={"dimensions": [(["time"], IMAGE)]})
    return (yield from _run(afm, lambda: stubs.take_image(afm), metadata))


@plan
def spectra_at(
    afm: Microscope,
    points: Sequence[tuple[float, float]],
    *,
    quality: Mapping[str, Any] | None = None,
    measure: Measure | None = None,
    md: dict[str, Any] | None = None,
) -> MsgGenerator[str]:
    """Take a spectrum at each of the given places.

    Parameters
    ----------
    afm : Microscope
        The waveform is set on ``afm.spectrometer`` before.
    points : sequence of (x, y)
        Places in nm. All are checked against the limits before anything moves.
    quality : dict, optional
        What a good spectrum is, and what to do with one that is not; see :class:`curio_plans.rules.quality.Quality`.
    measure : callable, optional
        Replaces :func:`curio_plans.run.stubs.take_spectrum`.
    md : dict, optional
        Free metadata for the start document.

    Returns
    -------
    str
        The uid of the run.

    Raises
    ------
    ValueError
        If there is no point, or one is outside the limits of the scanner.
    """
    places = [(float(x), float(y)) for x, y in points]
    control = _settings(Quality, quality or {}, "quality")
    arguments = {"points": places, "quality": control.model_dump()}
    metadata = run_metadata(afm, "spectra_at", arguments, md, num_points=len(places))
    return (yield from _spectra(afm, places, control, measure, metadata))


@plan
def grid_spectroscopy(
    afm: Microscope,
    columns: int = 10,
    rows: int = 10,
    *,
    area: tuple[float, float, float, float] | None = None,
    quality: Mapping[str, Any] | None = None,
    measure: Measure | None = None,
    md: dict[str, Any] | None = None,
) -> MsgGenerator[str]:
    """Take spectra on a regular grid, line by line, every second line backwards.

    Parameters
    ----------
    afm : Microscope
        The waveform is set on ``afm.spectrometer`` before.
    columns, rows : int
        Points along x and along y.
    area : (x_min, x_max, y_min, y_max), optional
        In nm; by default the area of the imager. The points are the centres of equal cells.
    quality : dict, optional
        What a good spectrum is, and what to do with one that is not; see :class:`curio_plans.rules.quality.Quality`.
    measure : callable, optional
        Replaces :func:`curio_plans.run.stubs.take_spectrum`.
    md : dict, optional
        Free metadata for the start document.

    Returns
    -------
    str
        The uid of the run.

    Raises
    ------
    ValueError
        If a number of points is not positive, or a point is outside the limits of the scanner.
    """
    if columns < 1 or rows < 1:
        raise ValueError(f"expected at least one column and one row, got {columns} × {rows}")
    x_min, x_max, y_min, y_max = (float(edge) for edge in (area if area is not None else afm.imager.area.get()))
    x = x_min + (np.arange(columns) + 0.5) * (x_max - x_min) / columns
    y = y_min + (np.arange(rows) + 0.5) * (y_max - y_min) / rows
    places = [(float(column), float(row)) for i, row in enumerate(y) for column in (x if i % 2 == 0 else x[::-1])]
    control = _settings(Quality, quality or {}, "quality")
    arguments = {
        "columns": columns, "rows": rows, "area": (x_min, x_max, y_min, y_max), "quality": control.model_dump()
    }  # fmt: skip
    metadata = run_metadata(afm, "grid_spectroscopy", arguments, md, num_points=len(places), shape=(rows, columns))
    return (yield from _spectra(afm, places, control, measure, metadata))


@plan
def curiosity(
    afm: Microscope,
    agent: Config,
    points: int = 100,
    *,
    build: Callable[[Config], Agent],
    window: int = 9,
    stride: int | None = None,
    channels: Sequence[str] | None = None,
    lookahead: int = 0,
    map_every: int = 10,
    quality: Mapping[str, Any] | None = None,
    drift: Mapping[str, Any] | None = None,
    until: Mapping[str, Any] | None = None,
    think_timeout: float | None = None,
    measure: Measure | None = None,
    ask: Ask | None = None,
    escalate: Escalate | None = None,
    escalate_when: Mapping[str, Any] | None = None,
    learn_from: Sequence[str] | None = None,
    resume: str | None = None,
    stored: Stored | None = None,
    rebuild: bool | None = None,
    md: dict[str, Any] | None = None,
) -> MsgGenerator[str]:
    """Image, then again and again ask an agent where to measure, and measure there.

    Parameters
    ----------
    afm : Microscope
        Image and waveform are set on ``afm.imager`` and ``afm.spectrometer`` before.
    agent : dict
        The agent's config, ``{"agent": name, **options}``; it goes into the start document.
    points : int
        Spectra in total, initial ones included; with `until` at most.
    build : callable
        Makes the agent from its config. A plan never knows a concrete agent.
    window : int
        Side in px of the patch that the agent sees around each candidate.
    stride : int, optional
        Distance between candidates in px; by default the smallest that gives at most 2 500 candidates.
    channels : sequence of str, optional
        Channels of the image that the agent sees; by default all.
    lookahead : int
        0: decide with everything measured so far. 1: think about the next point while the present one is measured.
    map_every : int
        Record what the agent believes over the whole pool after every so many observations, and at the end;
        0 for only at the end.
    quality : dict, optional
        What a good spectrum is, and what to do with one that is not; see :class:`curio_plans.rules.quality.Quality`.
        By default a spectrum must be finite, not saturated and have its resonance; a bad one is measured again
        twice, then its candidate is excluded.
    drift : dict, optional
        When to image again and correct the drift, e.g. ``{"every_points": 10}``; see
        :class:`curio_plans.rules.drift.DriftCorrection`. By default never.
    until : dict, optional
        When to end before the last point, e.g. ``{"error": 0.3, "minutes": 120}``; see
        :class:`curio_plans.rules.stopping.StoppingRule`. By default never.
    think_timeout : float, optional
        Seconds for one decision, after which the run ends; not for the first one of a run that learns from earlier
        ones or resumes one.
    measure : callable, optional
        Replaces :func:`curio_plans.run.stubs.take_spectrum`.
    ask : callable, optional
        Gets an agent's question answered, e.g. :meth:`curio_plans.run.Desk.ask`; without it a question ends the run.
    escalate : callable, optional
        A step for places where the error stays high after repeated looks, e.g.
        :func:`curio_plans.run.stubs.finer_spectrum`.
    escalate_when : dict, optional
        When that is the case; see :class:`curio_plans.rules.escalation.EscalationRule`.
    learn_from : sequence of str, optional
        Uids of earlier runs of this plan, from which the agent learns before it decides. Their channels, window, and
        quantity and axis of their spectra must be those of this run; see :func:`~curio_plans.documents.look_back`.
    resume : str, optional
        Uid of a run that ended early, with which the new one goes on: nothing stored is measured again, and the
        decisions are those of a run that never ended. The other arguments must be the same.
    stored : callable, optional
        Gives the documents of those runs; see :data:`curio_plans.documents.streams.Stored`.
    rebuild : bool, optional
        Bring a simulated instrument into the state in which that run left it; see
        :func:`curio_plans.run.resume.rebuild`. By default where nothing was measured with it yet.
    md : dict, optional
        Free metadata for the start document.

    Returns
    -------
    str
        The uid of the run.

    Raises
    ------
    ValueError
        If a number is out of range, the window does not fit the image, a channel is unknown, the pool has fewer
        candidates than `points`, one of them is outside the limits of the scanner, the agent cannot tell what `until`
        asks of it or learn from an earlier run, or the run cannot be resumed – before anything moves.
    """
    _check_at_least(points=(points, 1), map_every=(map_every, 0))
    if lookahead not in (0, 1):
        raise ValueError(f"lookahead must be 0 or 1, got {lookahead}")
    probe = build(agent)
    config = probe.config
    _check_initial(config, points)
    positions, stride = _candidates(afm, window, stride)
    if points > len(positions):
        ny, nx = afm.imager.pixels.get()
        raise ValueError(
            f"{points} points were asked for, but a {window} px window with stride {stride} on {ny}×{nx} px "
            f"gives {len(positions)} candidates; choose fewer points, a smaller window or a smaller stride"
        )
    afm.imager.check()
    afm.spectrometer.check()
    corners = corners_of(positions)
    for corner in corners:
        afm.scanner.check_value(corner.place)
    names = [str(name) for name in afm.imager.channels.get()]
    chosen = list(channels) if channels is not None else names
    if not chosen or set(chosen) - set(names):
        raise ValueError(f"expected channels among {names}, got {chosen}")
    control = _settings(Quality, quality or {}, "quality")
    correction = None if drift is None else _settings(DriftCorrection, drift, "drift")
    if correction is not None and correction.channel not in (None, *names):
        raise ValueError(f"expected a drift channel among {names}, got {correction.channel!r}")
    stopping = None if until is None else _settings(StoppingRule, until, "until")
    if stopping is not None and stopping.asks_agent and not isinstance(probe, EstimatesError):
        raise ValueError(
            f"until: error and gain need an agent that estimates its own error, and {config.get('agent')!r} does not; "
            "choose another agent, or end by minutes or loops"
        )
    rule = _settings(EscalationRule, escalate_when or {}, "escalate_when")
    quantity, axis = afm.spectrometer.quantity.get(), afm.spectrometer.axis.get()
    past = look_back(learn_from or (), stored, channels=chosen, window=window, quantity=quantity, axis=axis)
    _check_learns(probe, past)

    arguments = {
        "agent": dict(agent), "points": points, "window": window, "stride": stride, "channels": chosen,
        "lookahead": lookahead, "map_every": map_every, "quality": control.model_dump(),
        "drift": correction and correction.model_dump(), "until": stopping and stopping.model_dump(),
        "think_timeout": think_timeout, "escalate_when": rule.model_dump() if escalate else None,
        "learn_from": [run.uid for run in past] or None,
    }  # fmt: skip
    earlier = None if resume is None else _earlier(resume, stored, {**arguments, "agent": dict(config)}, past, afm)
    again = earlier is not None and (is_fresh(afm) if rebuild is None else rebuild)
    thinker = Thinker(build(config), points, past)
    for name, doc in earlier.documents if earlier is not None else ():
        thinker(name, doc)
    metadata = run_metadata(
        afm,
        "curiosity",
        arguments,
        md,
        agent=dict(config),
        points=points,
        num_points=points,
        pool={"window": window, "stride": stride, "channels": chosen},
        hints=_map_hints(afm),
        **({} if earlier is None else {"resumes": earlier.uid, "rebuilt": again}),
        **({"learned_from": describe(past)} if past else {}),
    )
    escalation = None
    if escalate is not None:
        done = earlier.escalated if earlier is not None else ()
        escalation = Escalation(rule, escalate, thinker.history, thinker.predicted_error, done)
    exploration = Exploration(
        afm=afm,
        thinker=thinker,
        corners=corners,
        quality=control,
        drift=None if correction is None else Drift(correction, thinker.history),
        escalation=escalation,
        measure=_step(measure),
        ask=ask,
        lookahead=lookahead,
        map_every=map_every,
        think_timeout=think_timeout,
        stopping=None
        if stopping is None
        else Stopping(stopping, thinker, afm, _step(measure), [corner.place for corner in corners]),
        earlier=earlier,
    )

    def inner() -> MsgGenerator[None]:
        if earlier is not None and again:
            yield from rebuild_instrument(afm, earlier.documents)
        yield from exploration.run(points)

    def reason() -> str:
        return "" if thinker.history.ending is None else thinker.history.ending.reason

    staged = bpp.stage_wrapper(_run(afm, inner, metadata, reason), [thinker])
    return (yield from bpp.subs_wrapper(staged, thinker))


@plan
def resume(
    afm: Microscope,
    uid: str,
    *,
    build: Callable[[Config], Agent],
    stored: Stored,
    rebuild: bool | None = None,
    measure: Measure | None = None,
    ask: Ask | None = None,
    escalate: Escalate | None = None,
    md: dict[str, Any] | None = None,
) -> MsgGenerator[str]:
    """Go on with a run of :func:`curiosity` that ended early, with the arguments that it had.

    Parameters
    ----------
    afm : Microscope
        With the settings and the sample of that run.
    uid : str
        The run.
    build, stored, rebuild, measure, ask, escalate, md
        As those of :func:`curiosity`. What the stored run says of its experiment goes into `md`.

    Returns
    -------
    str
        The uid of the new run.

    Raises
    ------
    ValueError
        If the run cannot be resumed – before anything moves.
    """
    earlier = Earlier.of(stored(uid))
    arguments = earlier.arguments
    if arguments["escalate_when"] is None:
        escalate = None
    return (
        yield from curiosity(
            afm, **arguments, build=build, resume=uid, stored=stored, rebuild=rebuild, measure=measure, ask=ask,
            escalate=escalate, md={**earlier.experiment, **(md or {})},
        )
    )  # fmt: skip


def _run(
    afm: Microscope,
    inner: Callable[[], MsgGenerator[Any]],
    metadata: dict[str, Any],
    reason: Callable[[], str] = lambda: "",
) -> MsgGenerator[str]:
    """Stage the microscope, open a run around `inner`, withdraw at the end of it, return its uid.

    The stop document has the `reason` unless something failed.
    """

    def explain(message: Msg) -> Msg:
        if message.command != "close_run" or message.kwargs["reason"]:
            return message
        return message._replace(kwargs={**message.kwargs, "reason": reason()})

    @bpp.stage_decorator([afm])
    @bpp.run_decorator(md=metadata)
    @bpp.finalize_decorator(lambda: stubs.withdraw(afm))
    def run() -> MsgGenerator[None]:
        try:
            yield from inner()
        except FailedStatus as failure:
            # What the device said belongs into the stop document, not that some status failed.
            raise failure.__cause__ or failure from None

    return (yield from bpp.msg_mutator(run(), explain))


def _spectra(
    afm: Microscope,
    places: list[tuple[float, float]],
    quality: Quality,
    measure: Measure | None,
    metadata: dict[str, Any],
) -> MsgGenerator[str]:
    if not places:
        raise ValueError("expected at least one point, got none")
    for place in places:
        afm.scanner.check_value(place)
    afm.spectrometer.check(places)
    step = _step(measure)

    def inner() -> MsgGenerator[None]:
        for place in places:
            yield from stubs.take_good_spectrum(afm, place, quality=quality, measure=step)
        yield from bps.checkpoint()

    return (yield from _run(afm, inner, metadata))


def _check_learns(agent: Agent, past: Sequence[Past]) -> None:
    """Let `agent`, which is not asked again, ingest earlier runs; raise ValueError if it cannot learn from them."""
    if not past:
        return
    if not learns(agent):
        raise PastError(
            f"the agent {agent.config.get('agent')!r} does not learn from earlier runs; choose one that does, or leave "
            "out learn_from"
        )
    agent.ingest(*past)


def _earlier(
    uid: str, stored: Stored | None, arguments: Mapping[str, Any], past: Sequence[Past], afm: Microscope
) -> Earlier:
    """Return the run to resume; raise ResumeError if that cannot be done with these arguments and this microscope."""
    if stored is None:
        raise ResumeError("to resume a run, its documents are needed: pass stored=storage.resumable")
    earlier = Earlier.of(stored(uid), past)
    earlier.check(arguments, afm)
    return earlier


def _candidates(afm: Microscope, window: int, stride: int | None) -> tuple[NDArray[np.float64], int]:
    """Return the positions (N, 2) in nm of the pool that the next image will give, and the stride."""
    ny, nx = (int(number) for number in afm.imager.pixels.get())
    x_min, x_max, y_min, y_max = (float(edge) for edge in afm.imager.area.get())
    stride = automatic_stride((ny, nx), window) if stride is None else stride
    return candidate_positions((ny, nx), (x_min, x_max, y_min, y_max), window, stride), stride


def _settings(model: type[Model], values: Mapping[str, Any], name: str) -> Model:
    """Return validated settings.

    Raises
    ------
    ValueError
        That names each wrong setting.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'as a whole'}: {problem['msg']}, got {problem['input']!r}"
            for problem in error.errors()
        )
        raise ValueError(f"{name}: {wrong}; known are {', '.join(model.model_fields)}") from None


def _map_hints(afm: Microscope) -> dict[str, Any]:
    """Return hints with which BestEffortCallback draws the points as a map."""
    scanner = afm.scanner.name
    dimensions = [([f"{scanner}_x"], POINT), ([f"{scanner}_y"], POINT)]
    return {"dimensions": dimensions, "gridding": "rectilinear_nonsequential"}


def _step(measure: Measure | None) -> Measure:
    """Return the step that takes a spectrum; raise ValueError if it cannot be called like the usual one."""
    if measure is None:
        return stubs.take_spectrum
    try:
        inspect.signature(measure).bind(None, (0.0, 0.0), (), judge=None)
    except TypeError as error:
        raise ValueError(
            f"expected measure to take what stubs.take_spectrum takes, (afm, position, also, *, judge): {error}"
        ) from None
    return measure


def _check_at_least(**numbers: tuple[int, int]) -> None:
    for name, (number, least) in numbers.items():
        if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < least:
            raise ValueError(f"{name} must be a whole number of at least {least}, got {number!r}")


def _check_initial(config: Config, points: int) -> None:
    initial = config.get("initial", 0)
    if isinstance(config.get("inner"), Mapping):  # an agent around another
        _check_initial(config["inner"], points)
    if initial > points:
        raise ValueError(
            f"the agent starts from {initial} initial points, but the run has only {points}; "
            "raise points or lower the agent's option initial"
        )
