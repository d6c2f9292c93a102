"""Complete runs. Each stages the microscope, opens one run, and ends with the tip withdrawn whatever happens."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from bluesky.utils import FailedStatus, Msg, MsgGenerator

from agents.protocols import Agent, Config
from curio_plans.documents.events import Documents, Stored
from curio_plans.documents.prior_runs import describe_prior_runs
from curio_plans.documents.streams import IMAGE, POINT
from curio_plans.rules.quality import Quality
from curio_plans.rules.request import RunRequest
from curio_plans.rules.setup import Setup
from curio_plans.run import stubs
from curio_plans.run.escalation import Escalate
from curio_plans.run.hooks import Hooks, Measure, hooks
from curio_plans.run.metadata import run_metadata
from curio_plans.run.microscope import Microscope
from curio_plans.run.plan import plan
from curio_plans.run.preparation import Connect, prepare
from curio_plans.run.resume import ResumedRun, ResumeError, is_fresh
from curio_plans.run.resume import rebuild as rebuild_instrument
from curio_plans.run.setup import set_up
from curio_plans.run.steering import Post
from curio_plans.run.stubs import Ask
from curio_plans.validation import validated


@plan
def image(
    afm: Microscope, *, setup: Mapping[str, Any] | None = None, md: dict[str, Any] | None = None
) -> MsgGenerator[str]:
    """Take one image.

    Parameters
    ----------
    afm : Microscope
        Takes it as ``afm.imager`` is set.
    setup : dict, optional
        How the microscope is set for this run, e.g. ``{"area": (0, 500, 0, 500), "pixels": 64}``; see
        :class:`curio_plans.rules.Setup`. By default as it is.
    md : dict, optional
        Free metadata for the start document.

    Returns
    -------
    str
        The uid of the run.
    """
    chosen = validated(Setup, setup or {}, "setup")
    with set_up(afm, chosen):
        afm.imager.check()
        # Without dimensions BestEffortCallback takes the next run for one without them, too.
        hints = {"dimensions": [(["time"], IMAGE)]}
        metadata = run_metadata(afm, "image", {"setup": chosen.given()}, md, hints=hints)
        return (yield from _run(afm, lambda: stubs.take_image(afm), metadata))


@plan
def spectra_at(
    afm: Microscope,
    points: Sequence[tuple[float, float]],
    *,
    quality: Mapping[str, Any] | None = None,
    measure: Measure | None = None,
    setup: Mapping[str, Any] | None = None,
    md: dict[str, Any] | None = None,
) -> MsgGenerator[str]:
    """Take a spectrum at each of the given places.

    Parameters
    ----------
    afm : Microscope
        Measures with the waveform that is set on ``afm.spectrometer``.
    points : sequence of (x, y)
        Places in nm. All are checked against the limits before anything moves.
    quality : dict, optional
        What a good spectrum is, and what to do with one that is not; see :class:`curio_plans.rules.quality.Quality`.
    measure : callable, optional
        Replaces :func:`curio_plans.run.stubs.take_spectrum`.
    setup : dict, optional
        How the microscope is set for this run, e.g. ``{"area": (0, 500, 0, 500), "pixels": 64}``; see
        :class:`curio_plans.rules.Setup`. By default as it is.
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
    control = validated(Quality, quality or {}, "quality")
    chosen = validated(Setup, setup or {}, "setup")
    arguments = {"points": places, "quality": control.model_dump(), "setup": chosen.given()}
    with set_up(afm, chosen):
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
    setup: Mapping[str, Any] | None = None,
    md: dict[str, Any] | None = None,
) -> MsgGenerator[str]:
    """Take spectra on a regular grid, line by line, every second line backwards.

    Parameters
    ----------
    afm : Microscope
        Measures with the waveform that is set on ``afm.spectrometer``.
    columns, rows : int
        Points along x and along y.
    area : (x_min, x_max, y_min, y_max), optional
        In nm; by default the area of the imager. The points are the centres of equal cells.
    quality : dict, optional
        What a good spectrum is, and what to do with one that is not; see :class:`curio_plans.rules.quality.Quality`.
    measure : callable, optional
        Replaces :func:`curio_plans.run.stubs.take_spectrum`.
    setup : dict, optional
        How the microscope is set for this run, e.g. ``{"area": (0, 500, 0, 500), "pixels": 64}``; see
        :class:`curio_plans.rules.Setup`. By default as it is.
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
    chosen = validated(Setup, setup or {}, "setup")
    frame = chosen.area or tuple(afm.imager.area.get())
    x_min, x_max, y_min, y_max = (float(edge) for edge in (frame if area is None else area))
    x = x_min + (np.arange(columns) + 0.5) * (x_max - x_min) / columns
    y = y_min + (np.arange(rows) + 0.5) * (y_max - y_min) / rows
    places = [(float(column), float(row)) for i, row in enumerate(y) for column in (x if i % 2 == 0 else x[::-1])]
    control = validated(Quality, quality or {}, "quality")
    arguments = {
        "columns": columns, "rows": rows, "area": (x_min, x_max, y_min, y_max),
        "quality": control.model_dump(), "setup": chosen.given(),
    }  # fmt: skip
    with set_up(afm, chosen):
        metadata = run_metadata(afm, "grid_spectroscopy", arguments, md, num_points=len(places), shape=(rows, columns))
        return (yield from _spectra(afm, places, control, measure, metadata))


@plan
def curiosity(
    afm: Microscope,
    agent: Config,
    points: int = 100,
    *,
    build: Callable[[Config], Agent],
    window: int | None = None,
    window_nm: float | None = None,
    edge: Literal["inside", "reflect"] | None = None,
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
    stored: Stored | None = None,
    steer: Post | None = None,
    agent_at: str | Mapping[str, Any] | None = None,
    connect: Connect | None = None,
    setup: Mapping[str, Any] | None = None,
    md: dict[str, Any] | None = None,
) -> MsgGenerator[str]:
    """Image, then again and again ask an agent where to measure, and measure there.

    Parameters
    ----------
    afm : Microscope
        Its devices keep what was set on them, except for what `setup` says.
    agent : dict
        The agent's config, ``{"agent": name, **options}``; it goes into the start document.
    points : int
        Spectra in total, initial ones included; with `until` at most.
    build : callable
        Makes the agent from its config. A plan never knows a concrete agent.
    window : int, optional
        Side in px of the patch that the agent sees around each candidate; by default 9, less in a small image.
    window_nm : float, optional
        The same in nm, instead of `window`.
    edge : {"inside", "reflect"}, optional
        Whether a candidate's whole patch must lie in the image, or is continued by reflection at its edge; by default
        inside, in an image of under 18 px reflect.
    stride : int, optional
        Distance between candidates in px, or in places where spectra exist only at some; by default the smallest that
        gives at most 2 500 candidates.
    channels : sequence of str, optional
        Channels of the image that the agent sees; by default all.
    lookahead : int
        0: decide with everything measured so far. 1: think about the next point while the present one is measured.
    map_every : int
        Record what the agent believes over the whole pool after every so many observations, and at the end;
        0 for only at the end.
    quality : dict, optional
        When a spectrum is good, and what to do with one that is not; see :class:`curio_plans.rules.Quality`.
        By default a spectrum must be finite, not saturated and have its resonance; a bad one is measured again
        twice, then its candidate is excluded.
    drift : dict, optional
        When to image again and correct the drift, e.g. ``{"every_points": 10}``; see
        :class:`curio_plans.rules.DriftCorrection`. By default never.
    until : dict, optional
        When to end before the last point, e.g. ``{"error": 0.3, "minutes": 120}``; see
        :class:`curio_plans.rules.StoppingRule`. By default never.
    think_timeout : float, optional
        Seconds for one decision, after which the run ends; not for the first one of a run that learns from prior runs.
    measure : callable, optional
        Replaces :func:`curio_plans.run.stubs.take_spectrum`.
    ask : callable, optional
        Gets an agent's question answered, e.g. :meth:`curio_plans.run.Desk.ask`; without it a question ends the run.
    escalate : callable, optional
        A step for places where the error stays high after repeated looks, e.g.
        :func:`curio_plans.run.stubs.finer_spectrum`.
    escalate_when : dict, optional
        When that is the case; see :class:`curio_plans.rules.EscalationRule`. Only together with `escalate`.
    learn_from : sequence of str, optional
        Uids of prior runs of this plan, from which the agent learns before it decides. Their channels, window, and
        quantity and axis of their spectra must be those of this run; see :func:`curio_plans.documents.read_prior_runs`.
    stored : callable, optional
        Gives the documents of those runs; see :data:`curio_plans.documents.Stored`.
    steer : callable, optional
        Gives the mail of the run by its uid, e.g. :meth:`curio_plans.Storage.mailbox`: through it people steer the run
        while it goes on. Without it nobody can.
    agent_at : str or dict, optional
        Where the agent thinks: the address of a ``curio think``, or a dict with ``address`` and what happens while that
        place does not answer; see :class:`curio_plans.rules.Elsewhere`. By default, and with ``"here"``, in this
        process.
    connect : callable, optional
        Makes agents there: :func:`curio_plans.elsewhere.connect`, with the key of the place
        ``functools.partial(connect, key=…)``. By default without a key.
    setup : dict, optional
        How the microscope is set for this run, e.g. ``{"area": (0, 500, 0, 500), "pixels": 64}``; see
        :class:`curio_plans.rules.Setup`. By default as it is.
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
        candidates than `points`, one of them is outside the limits of the scanner, or the agent cannot tell what
        `until` asks of it or learn from a prior run – before anything moves.
    """
    if window is not None and window_nm is not None:
        raise ValueError(f"the window is given twice, {window} px and {window_nm:g} nm; leave out one")
    if escalate is None and escalate_when is not None:
        raise ValueError("escalate_when says when to escalate, and there is no step for it; pass escalate= as well")
    arguments = {
        "agent": dict(agent), "points": points, "window": window, "window_nm": window_nm, "edge": edge,
        "stride": stride, "channels": channels,
        "lookahead": lookahead, "map_every": map_every, "quality": quality or {}, "drift": drift, "until": until,
        "think_timeout": think_timeout, "escalate_when": (escalate_when or {}) if escalate else None,
        "learn_from": learn_from, "agent_at": agent_at, "setup": setup,
    }  # fmt: skip
    request = validated(RunRequest, arguments, "curiosity")
    steps = hooks(measure, ask, escalate, steer)
    return (yield from _explore(afm, request, steps, build=build, connect=connect, stored=stored, md=md))


@plan
def resume(
    afm: Microscope,
    uid: str,
    *,
    build: Callable[[Config], Agent],
    stored: Stored,
    points: int | None = None,
    rebuild: bool | None = None,
    measure: Measure | None = None,
    ask: Ask | None = None,
    escalate: Escalate | None = None,
    steer: Post | None = None,
    agent_at: str | Mapping[str, Any] | None = None,
    connect: Connect | None = None,
    md: dict[str, Any] | None = None,
) -> MsgGenerator[str]:
    """Go on with a run of :func:`curiosity` that ended early, with the arguments that it had; or extend one.

    Nothing stored is measured again, and the decisions are those of a run that never ended.

    Parameters
    ----------
    afm : Microscope
        With the settings and the sample of that run.
    uid : str
        The run.
    points : int, optional
        Spectra in total, those of the stored run included; by default as many as it was asked for. With more, a run
        that was completed goes on.
    agent_at : str or dict, optional
        Where the agent thinks now, as that of :func:`curiosity`; by default where it did in that run.
    build, stored, measure, ask, escalate, steer, connect, md
        As those of :func:`curiosity`. What the stored run says of its experiment goes into `md`.
    rebuild : bool, optional
        Bring a simulated instrument into the state in which that run left it; see
        :func:`curio_plans.run.resume.rebuild`. By default where nothing was measured with it yet.

    Returns
    -------
    str
        The uid of the new run.

    Raises
    ------
    ValueError
        If the run cannot be resumed – before anything moves.
    """
    resumed = ResumedRun.of(stored(uid), points=points)
    request = resumed.request if agent_at is None else resumed.request.replace(agent_at=agent_at)
    if request.escalate_when is not None and escalate is None:
        raise ResumeError(f"run {resumed.uid} escalates, and there is no step for it; pass escalate= as for that run")
    steps = hooks(measure, ask, escalate if request.escalate_when is not None else None, steer)
    told = {**resumed.experiment, **(md or {})}
    return (
        yield from _explore(
            afm,
            request,
            steps,
            build=build,
            connect=connect,
            stored=stored,
            md=told,
            resumes=resumed.documents,
            rebuild=rebuild,
        )
    )


def _explore(
    afm: Microscope,
    request: RunRequest,
    steps: Hooks,
    *,
    build: Callable[[Config], Agent],
    connect: Connect | None,
    stored: Stored | None,
    md: dict[str, Any] | None,
    resumes: Documents | None = None,
    rebuild: bool | None = None,
) -> MsgGenerator[str]:
    """Do what a request asks for: check everything before anything moves, then open the run."""
    if request.agent_at is not None and connect is None:
        from curio_plans.elsewhere.client import connect  # only these runs need it
    with set_up(afm, request.setup):
        prepared = prepare(afm, request, steps, build=build, connect=connect, stored=stored, resumes=resumes)
        exploration, history, resumed = prepared.exploration, prepared.exploration.history, prepared.exploration.resumed
        again = resumed is not None and (is_fresh(afm) if rebuild is None else rebuild)
        points = exploration.original.points
        metadata = run_metadata(
            afm,
            "curiosity",
            exploration.request.replace(points=points).plan_args(),
            md,
            agent=dict(prepared.config),
            points=points,
            num_points=points,
            pool=prepared.pool,
            hints=_map_hints(afm),
            extents=_extents(afm),
            **({} if resumed is None else {"resumes": resumed.uid, "rebuilt": again}),
            **({"learned_from": describe_prior_runs(history.past)} if history.past else {}),
        )

        def inner() -> MsgGenerator[None]:
            if resumed is not None and again:
                yield from rebuild_instrument(afm, resumed.documents)
            try:
                yield from exploration.run()
            finally:
                exploration.steering.close()

        def reason() -> str:
            return exploration.steering.abortion or ("" if history.ending is None else history.ending.reason)

        staged = bpp.stage_wrapper(_run(afm, inner, metadata, reason), [exploration.thinker])
        uid: str = yield from bpp.subs_wrapper(staged, history)
        return uid


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

    def lift() -> MsgGenerator[None]:
        with _as_the_device_said():
            yield from stubs.withdraw(afm)

    @bpp.stage_decorator([afm])
    @bpp.run_decorator(md=metadata)
    @bpp.finalize_decorator(lift)
    def run() -> MsgGenerator[None]:
        with _as_the_device_said():
            yield from inner()

    uid: str = yield from bpp.msg_mutator(run(), explain)
    return uid


@contextmanager
def _as_the_device_said() -> Iterator[None]:
    """Raise what a device said, not that some status failed: that belongs into the stop document."""
    try:
        yield
    except FailedStatus as failure:
        raise failure.__cause__ or failure from None


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
    step = hooks(measure).measure

    def inner() -> MsgGenerator[None]:
        for place in places:
            yield from stubs.take_good_spectrum(afm, place, quality=quality, measure=step)
        yield from bps.checkpoint()

    return (yield from _run(afm, inner, metadata))


def _extents(afm: Microscope) -> list[list[float]]:
    """Return the range of x and of y in nm that the image shows: BestEffortCallback gives its axes these limits."""
    x_min, x_max, y_min, y_max = (float(edge) for edge in afm.imager.area.get())
    return [[x_min, x_max], [y_min, y_max]]


def _map_hints(afm: Microscope) -> dict[str, Any]:
    """Return hints with which BestEffortCallback draws the points as a map."""
    scanner = afm.scanner.name
    dimensions = [([f"{scanner}_x"], POINT), ([f"{scanner}_y"], POINT)]
    return {"dimensions": dimensions, "gridding": "rectilinear_nonsequential"}
