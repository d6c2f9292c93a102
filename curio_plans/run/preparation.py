"""Prepare a run of ``curiosity``: check that it can be done before anything moves."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.pool import Area, automatic_stride, automatic_window, find_candidates
from agents.protocols import Agent, Config, EstimatesError, Past
from curio_plans.documents.events import Documents, Stored
from curio_plans.documents.history import History
from curio_plans.documents.prior_runs import PriorRunError, learns_from_prior_runs, read_prior_runs
from curio_plans.rules.elsewhere import Elsewhere
from curio_plans.rules.request import RunRequest
from curio_plans.rules.stopping import StoppingRule
from curio_plans.run.drift import Drift
from curio_plans.run.elsewhere import Vigil
from curio_plans.run.escalation import Escalation
from curio_plans.run.exploration import Exploration, corners_of
from curio_plans.run.hooks import Hooks
from curio_plans.run.microscope import Microscope
from curio_plans.run.resume import ResumedRun
from curio_plans.run.steering import Steering
from curio_plans.run.stopping import Stopping
from curio_plans.run.thinker import Thinker

Connect = Callable[[Elsewhere], Callable[[Config], Agent]]
"""Takes where agents think; returns what makes one from its config, e.g. :func:`curio_plans.elsewhere.connect`."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """A run that can begin.

    Attributes
    ----------
    exploration : Exploration
        Its request names stride, channels and prior runs; nothing in it is left to a default.
    config : dict
        The agent's config in full.
    """

    exploration: Exploration
    config: Config

    @property
    def pool(self) -> dict[str, Any]:
        """How candidates are made from the image, for the start document."""
        request = self.exploration.original
        return {
            "window": request.window, "stride": request.stride, "edge": request.edge,
            "channels": list(request.channels or ()),
        }  # fmt: skip


def prepare(
    afm: Microscope,
    request: RunRequest,
    hooks: Hooks,
    *,
    build: Callable[[Config], Agent],
    connect: Connect | None = None,
    stored: Stored | None = None,
    resumes: Documents | None = None,
) -> Prepared:
    """Check a request against microscope, agent and prior runs.

    Parameters
    ----------
    afm : Microscope
        As it is set for the run.
    request : RunRequest
        What is asked for.
    hooks : Hooks
        The steps.
    build : callable
        Makes the agent from its config.
    connect : callable, optional
        Needed where it thinks elsewhere; see :data:`Connect`.
    stored : callable, optional
        Gives the documents of prior runs.
    resumes : sequence of (name, document), optional
        The documents of a run to go on with.

    Raises
    ------
    ValueError
        That says what cannot be done.
    """
    make, local = build, None
    if request.agent_at is not None:
        if connect is None:
            raise ValueError("agent_at names where the agent thinks, and nothing connects to it; pass connect= as well")
        make = connect(request.agent_at)
    probe = make(request.agent)
    _check_agent(probe, request)
    positions, request = _pool(afm, request)
    afm.imager.check()
    afm.spectrometer.check()
    corners = corners_of(positions)
    for corner in corners:
        afm.scanner.check_value(corner.place)
    past = read_prior_runs(
        request.learn_from or (),
        stored,
        channels=list(request.channels or ()),
        window=request.window or 0,
        quantity=afm.spectrometer.quantity.get(),
        axis=afm.spectrometer.axis.get(),
    )
    _check_learns(probe, past)
    request = request.replace(learn_from=[run.uid for run in past] or None)
    resumed = None if resumes is None else ResumedRun.of(resumes, past, request.points)
    if resumed is not None:
        resumed.check(afm)
    history = History(() if resumed is None else resumed.documents, past)
    places = [corner.place for corner in corners]
    drift, escalate_when = request.drift, request.escalate_when

    @functools.lru_cache(maxsize=2)
    def make_stopping(rule: StoppingRule) -> Stopping:
        return Stopping(rule, history, afm, hooks.measure, places)

    if request.until is not None:
        make_stopping(request.until)
    agent = make(probe.config)
    if request.agent_at is not None:
        local = functools.partial(build, agent.config)
        if request.agent_at.then == "local":
            local()  # it must be possible
    thinker = Thinker(agent, request.points, history, local)
    earlier = () if resumed is None else [doc["uid"] for name, doc in resumed.documents if name == "start"]
    exploration = Exploration(
        afm=afm,
        original=request,
        hooks=hooks,
        thinker=thinker,
        corners=corners,
        drift=None if drift is None else Drift(drift, history),
        escalation=None
        if escalate_when is None or hooks.escalate is None
        else Escalation(escalate_when, hooks.escalate, history),
        make_stopping=make_stopping,
        steering=Steering(history, afm, request, agent, hooks.steer, make_stopping, earlier),
        resumed=resumed,
        vigil=None if request.agent_at is None else Vigil(request.agent_at, afm, thinker),
    )
    return Prepared(exploration, probe.config)


def _check_agent(agent: Agent, request: RunRequest) -> None:
    """Raise ValueError if an agent cannot do what is asked of it."""
    _check_initial(agent.config, request.points)
    if request.until is not None and request.until.asks_agent and not isinstance(agent, EstimatesError):
        raise ValueError(
            f"until: error and gain need an agent that estimates its own error, and {agent.config.get('agent')!r} does "
            "not; choose another agent, or end by minutes or loops"
        )


def _check_initial(config: Mapping[str, Any], points: int) -> None:
    initial = config.get("initial", 0)
    if isinstance(config.get("inner"), Mapping):  # an agent around another
        _check_initial(config["inner"], points)
    if initial > points:
        raise ValueError(
            f"the agent starts from {initial} initial points, but the run has only {points}; "
            "raise points or lower the agent's option initial"
        )


def _pool(afm: Microscope, request: RunRequest) -> tuple[NDArray[np.float64], RunRequest]:
    """Return the positions (N, 2) in nm of the pool that the next image will give, and the request with its recipe."""
    ny, nx = (int(number) for number in afm.imager.pixels.get())
    x_min, x_max, y_min, y_max = (float(edge) for edge in afm.imager.area.get())
    area, places = (x_min, x_max, y_min, y_max), np.asarray(afm.imager.places.get())
    only = places if len(places) else None
    request = _windowed(request, (ny, nx), area, only)
    assert request.window is not None  # noqa: S101
    assert request.edge is not None  # noqa: S101
    stride = request.stride or automatic_stride((ny, nx), request.window, area=area, edge=request.edge, places=only)
    positions = find_candidates((ny, nx), area, request.window, stride, edge=request.edge, places=only).positions
    if request.points > len(positions):
        at = "" if only is None else f" with spectra at {len(only)} places"
        raise ValueError(
            f"{request.points} points were asked for, but a {request.window} px window with stride {stride} on "
            f"{ny}×{nx} px{at} gives {len(positions)} candidates; choose fewer points, a smaller window or a smaller "
            "stride"
        )
    names = [str(name) for name in afm.imager.channels.get()]
    chosen = names if request.channels is None else list(request.channels)
    if set(chosen) - set(names):
        raise ValueError(f"expected channels among {names}, got {chosen}")
    if request.drift is not None and request.drift.channel not in (None, *names):
        raise ValueError(f"expected a drift channel among {names}, got {request.drift.channel!r}")
    return positions, request.replace(stride=stride, channels=chosen)


def _windowed(
    request: RunRequest, shape: tuple[int, int], area: Area, places: NDArray[np.float64] | None
) -> RunRequest:
    """Return the request with a window in px and an edge, for an image of `shape` (ny, nx) over `area` in nm."""
    window, edge = automatic_window(shape, area, places)
    if request.window is not None:
        window, edge = request.window, "inside"
    elif request.window_nm is not None:
        pitch = (((area[1] - area[0]) / shape[1]) * ((area[3] - area[2]) / shape[0])) ** 0.5
        window, edge = round(request.window_nm / pitch), "inside"
        if window < 3:
            raise ValueError(
                f"a window of {request.window_nm:g} nm is {window} px of {pitch:.3g} nm, and must be at least 3 px; "
                "choose a larger one"
            )
    return request.replace(window=window, edge=request.edge or edge)


def _check_learns(agent: Agent, past: Sequence[Past]) -> None:
    """Let `agent`, which is not asked again, ingest prior runs; raise ValueError if it cannot learn from them."""
    if not past:
        return
    if not learns_from_prior_runs(agent):
        raise PriorRunError(
            f"the agent {agent.config.get('agent')!r} does not learn from prior runs; choose one that does, or leave "
            "out learn_from"
        )
    agent.ingest(*past)
