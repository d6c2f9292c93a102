"""Complete runs. Each stages the microscope, opens one run, and ends with the tip withdrawn whatever happens."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from bluesky.utils import MsgGenerator, plan
from numpy.typing import NDArray

from agents.pool import automatic_stride, candidate_positions
from agents.protocols import Agent, Config
from curio_plans import stubs
from curio_plans.documents import POINT, REFERENCE
from curio_plans.metadata import run_metadata
from curio_plans.microscope import Microscope
from curio_plans.thinker import Thinker

Measure = Callable[..., MsgGenerator[Any]]
"""A step hook with the signature of :func:`curio_plans.stubs.take_spectrum`."""


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
    metadata = run_metadata(afm, "image", {}, md)
    return (yield from _run(afm, lambda: stubs.take_image(afm), metadata))


@plan
def spectra_at(
    afm: Microscope,
    points: Sequence[tuple[float, float]],
    *,
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
    measure : callable, optional
        Replaces :func:`curio_plans.stubs.take_spectrum`.
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
    metadata = run_metadata(afm, "spectra_at", {"points": places}, md, num_points=len(places))
    return (yield from _spectra(afm, places, measure, metadata))


@plan
def grid_spectroscopy(
    afm: Microscope,
    columns: int = 10,
    rows: int = 10,
    *,
    area: tuple[float, float, float, float] | None = None,
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
    measure : callable, optional
        Replaces :func:`curio_plans.stubs.take_spectrum`.
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
    arguments = {"columns": columns, "rows": rows, "area": (x_min, x_max, y_min, y_max)}
    metadata = run_metadata(afm, "grid_spectroscopy", arguments, md, num_points=len(places), shape=(rows, columns))
    return (yield from _spectra(afm, places, measure, metadata))


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
    measure: Measure | None = None,
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
        Spectra in total, initial ones included.
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
    measure : callable, optional
        Replaces :func:`curio_plans.stubs.take_spectrum`.
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
        candidates than `points`, or one of them is outside the limits of the scanner – before anything moves.
    """
    _check_at_least(points=(points, 1), map_every=(map_every, 0))
    if lookahead not in (0, 1):
        raise ValueError(f"lookahead must be 0 or 1, got {lookahead}")
    config = build(agent).config
    _check_initial(config, points)
    ny, nx = (int(number) for number in afm.imager.pixels.get())
    x_min, x_max, y_min, y_max = (float(edge) for edge in afm.imager.area.get())
    stride = automatic_stride((ny, nx), window) if stride is None else stride
    positions = candidate_positions((ny, nx), (x_min, x_max, y_min, y_max), window, stride)
    if points > len(positions):
        raise ValueError(
            f"{points} points were asked for, but a {window} px window with stride {stride} on {ny}×{nx} px "
            f"gives {len(positions)} candidates; choose fewer points, a smaller window or a smaller stride"
        )
    corners = _corners(positions)
    for _, place in corners:
        afm.scanner.check_value(place)
    names = [str(name) for name in afm.imager.channels.get()]
    chosen = list(channels) if channels is not None else names
    if not chosen or set(chosen) - set(names):
        raise ValueError(f"expected channels among {names}, got {chosen}")

    thinker = Thinker(build(config), budget=points)
    metadata = run_metadata(
        afm,
        "curiosity",
        {"agent": dict(agent), "points": points, "window": window, "stride": stride, "channels": chosen,
         "lookahead": lookahead, "map_every": map_every},
        md,
        agent=dict(config),
        points=points,
        num_points=points,
        pool={"window": window, "stride": stride, "channels": chosen},
        hints=_map_hints(afm),
    )  # fmt: skip
    step = measure or stubs.take_spectrum

    def inner() -> MsgGenerator[None]:
        yield from stubs.take_image(afm)
        yield from bps.checkpoint()
        yield from _record_reference(afm, thinker)
        for number in range(points):
            yield from bps.checkpoint()
            decision = yield from stubs.decide(thinker, number)
            observed = thinker.history.observations
            if observed and map_every and len(observed) % map_every == 0:
                yield from stubs.record_maps(thinker)
            yield from bps.checkpoint()
            # A simulator reads nothing: it is led through the corners of the pool, so that checks prove something.
            candidate, place = _chosen(decision) if decision else corners[number % len(corners)]
            yield from bps.mv(thinker.candidate, candidate)
            if lookahead and number + 1 < points:
                yield from stubs.look_ahead(thinker, number + 1)
            yield from step(afm, place, [thinker.candidate])
        yield from bps.checkpoint()
        yield from stubs.record_maps(thinker, latest=True)

    staged = bpp.stage_wrapper(_run(afm, inner, metadata), [thinker])
    return (yield from bpp.subs_wrapper(staged, thinker))


def _run(afm: Microscope, inner: Callable[[], MsgGenerator[Any]], metadata: dict[str, Any]) -> MsgGenerator[str]:
    """Stage the microscope, open a run around `inner`, withdraw at the end of it, return its uid."""

    @bpp.stage_decorator([afm])
    @bpp.run_decorator(md=metadata)
    @bpp.finalize_decorator(lambda: stubs.withdraw(afm))
    def run() -> MsgGenerator[None]:
        yield from inner()

    return (yield from run())


def _spectra(
    afm: Microscope, places: list[tuple[float, float]], measure: Measure | None, metadata: dict[str, Any]
) -> MsgGenerator[str]:
    if not places:
        raise ValueError("expected at least one point, got none")
    for place in places:
        afm.scanner.check_value(place)
    step = measure or stubs.take_spectrum

    def inner() -> MsgGenerator[None]:
        for place in places:
            yield from bps.checkpoint()
            yield from step(afm, place)

    return (yield from _run(afm, inner, metadata))


def _record_reference(afm: Microscope, thinker: Thinker) -> MsgGenerator[None]:
    pool = thinker.history.pool
    if pool is None or not afm.reference.available:
        return
    yield from bps.abs_set(afm.reference.positions, pool.positions, wait=True)
    yield from bps.trigger_and_read([afm.reference], name=REFERENCE)


def _chosen(reading: Mapping[str, Any]) -> tuple[int, tuple[float, float]]:
    value = {key: entry["value"] for key, entry in reading.items()}
    return value["agent_candidate"], (value["agent_x"], value["agent_y"])


def _corners(positions: NDArray[np.float64]) -> list[tuple[int, tuple[float, float]]]:
    """Return index and place of the pool's corners."""
    corners = []
    for x in (positions[:, 0].min(), positions[:, 0].max()):
        for y in (positions[:, 1].min(), positions[:, 1].max()):
            index = int(np.flatnonzero((positions == (x, y)).all(axis=1))[0])
            corners.append((index, (float(x), float(y))))
    return corners


def _map_hints(afm: Microscope) -> dict[str, Any]:
    """Return hints with which BestEffortCallback draws the points as a map."""
    scanner = afm.scanner.name
    dimensions = [([f"{scanner}_x"], POINT), ([f"{scanner}_y"], POINT)]
    return {"dimensions": dimensions, "gridding": "rectilinear_nonsequential"}


def _check_at_least(**numbers: tuple[int, int]) -> None:
    for name, (number, least) in numbers.items():
        if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < least:
            raise ValueError(f"{name} must be a whole number of at least {least}, got {number!r}")


def _check_initial(config: Config, points: int) -> None:
    initial = config.get("initial", 0)
    if initial > points:
        raise ValueError(
            f"the agent starts from {initial} initial points, but the run has only {points}; "
            "raise points or lower the agent's option initial"
        )
