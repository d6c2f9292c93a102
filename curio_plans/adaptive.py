"""An agent as the optimizer of bluesky-adaptive's plans, which then decide when to ask and when to measure."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from bluesky.utils import MsgGenerator

from agents.merits import MERITS, merit
from agents.pool import WINDOW, make_pool
from agents.protocols import Agent, Context, EstimatesError, Observation, Pool, Question
from curio_plans.plans import spectra_at
from curio_plans.rules.stopping import StoppingRule
from curio_plans.run import stubs
from curio_plans.run.microscope import Microscope
from curio_plans.run.stubs import Judge, Place
from curio_plans.validation import validated

if TYPE_CHECKING:
    from bluesky_adaptive.protocols import OptimizationProblem

ID = "_id"
"""What bluesky-adaptive calls the identity of a suggestion; here the index of the candidate."""

MAP_ERROR = "map_error"
"""The outcome that is the agent's estimate of its error; NaN while it has none."""


class AgentOptimizer:
    """An agent with the methods of ``bluesky_adaptive.protocols.Optimizer``.

    It stops as a stopping rule says (``SupportsStoppingCriteria``), and gives back what was not measured
    (``TrialFaultAware``).

    Parameters
    ----------
    agent : Agent
        Without a record.
    pool : Pool
        The candidates.
    names : (str, str)
        Of the actuators for x and y.
    points : int
        Points in all: what the agent is told of the budget.
    until : StoppingRule, optional
        When to stop.
    """

    def __init__(
        self, agent: Agent, pool: Pool, names: tuple[str, str], points: int, until: StoppingRule | None = None
    ) -> None:
        agent.ingest(pool)
        self.agent, self.pool = agent, pool
        self.outcomes: dict[int, dict[str, Any]] = {}
        self._names, self._budget, self._until = names, points, until
        self._pending: list[int] = []

    def suggest(self, num_points: int | None = None) -> Sequence[Mapping[str, Any]]:
        """Return the next candidates: ``_id``, and x and y in nm by the names of the actuators.

        Raises
        ------
        ValueError
            If the agent asks a question instead; these plans have nobody to answer.
        """
        found = self.agent.suggest(num_points or 1, Context(self._budget, tuple(self._pending)))
        if isinstance(found, Question):
            raise ValueError(f"the agent asks {found.text!r}, which these plans cannot answer; use plans.curiosity")  # noqa: TRY004  nothing is of the wrong type
        self._pending += [suggestion.index for suggestion in found]
        return [{ID: suggestion.index, **self._place(suggestion.index)} for suggestion in found]

    def learn(self, observation: Observation) -> float:
        """Take a spectrum; return the agent's estimate of its error, NaN while it has none."""
        self.agent.ingest(observation)
        self._pending = [index for index in self._pending if index != observation.index]
        known = self.agent.estimate() if isinstance(self.agent, EstimatesError) else None
        return float("nan") if known is None else known.error

    def ingest(self, points: Sequence[Mapping[str, Any]]) -> None:
        """Keep outcomes; the spectra came through :meth:`learn`.

        Raises
        ------
        ValueError
            If one belongs to no suggestion: the agent learns from spectra, and an outcome has none.
        """
        for point in points:
            if point.get(ID) not in range(len(self.pool)):
                raise ValueError(f"expected the {ID} of a suggestion, got {point.get(ID)!r}; an agent needs a spectrum")
        self.outcomes |= {int(point[ID]): {key: point[key] for key in point if key != ID} for point in points}

    def register_failures(self, suggestions: Sequence[Mapping[str, Any]]) -> None:
        """Take back suggestions that were not measured, so that they may come again."""
        failed = {suggestion[ID] for suggestion in suggestions}
        self._pending = [index for index in self._pending if index not in failed]

    def should_stop(self) -> tuple[bool, str | None]:
        """Return whether the stopping rule is satisfied, and why."""
        known = self.agent.estimate() if isinstance(self.agent, EstimatesError) else None
        ending = None if self._until is None or known is None else self._until.satisfied(len(self.outcomes), known)
        return ending is not None, None if ending is None else ending.reason

    def get_best_points(self) -> Sequence[tuple[Any, Mapping[str, Any], Mapping[str, Any]]]:
        """Return the place with the largest figure of merit: its index, its place and its outcomes."""
        if not self.outcomes:
            raise ValueError("nothing was measured yet")
        best = max(self.outcomes, key=lambda index: next(iter(self.outcomes[index].values())))
        return [(best, self._place(best), self.outcomes[best])]

    def _place(self, index: int) -> dict[str, float]:
        return dict(zip(self._names, self.pool.positions[index].tolist(), strict=True))


def optimization_problem(
    afm: Microscope,
    agent: Agent,
    points: int,
    *,
    merit: str = "height",
    window: int = WINDOW,
    stride: int | None = None,
    until: Mapping[str, Any] | None = None,
) -> "OptimizationProblem[str]":
    """Return what ``bluesky_adaptive.plans.optimize`` takes: an agent that explores, on the image taken last.

    Each step of that plan measures in a run of its own, with the tip withdrawn at its end; ``n_points`` of them share
    one. The outcomes of a point are the figure of `merit` and ``map_error``, the agent's estimate of its error.

    Parameters
    ----------
    afm : Microscope
        It has taken an image.
    agent : Agent
        Without a record, e.g. ``agents.registry.build({"agent": "curio"})``.
    points : int
        Points in all; ``optimize`` gets as many as ``iterations`` times ``n_points``.
    merit : str
        See :data:`agents.merits.MERITS`.
    window, stride : int
        As for :func:`curio_plans.plans.curiosity`.
    until : mapping, optional
        A stopping rule by the error, e.g. ``{"error": 0.2}``; then ``iterations=None`` is possible.

    Raises
    ------
    ImportError
        If bluesky-adaptive is not installed.
    ValueError
        If there is no image yet, or no such figure of merit or rule.
    """
    try:
        from bluesky_adaptive.protocols import OptimizationProblem
    except ImportError as error:
        raise ImportError('bluesky-adaptive is not installed; pip install "curio-plans[adaptive]"') from error
    if merit not in MERITS:
        raise ValueError(f"there is no figure of merit {merit!r}; known are {', '.join(MERITS)}")
    frame = np.asarray(afm.imager.frame.get())
    if frame.ndim != 3 or not np.isfinite(frame).all():
        raise ValueError("expected a microscope that has taken an image; RE(image(afm)) takes one")
    rule = None if until is None else validated(StoppingRule, until, "until")
    pool = make_pool(frame, tuple(afm.imager.area.get()), window, stride, places=_places(afm))
    axes = (afm.scanner.x, afm.scanner.y)
    optimizer = AgentOptimizer(agent, pool, (axes[0].name, axes[1].name), points, rule)
    steps = _Steps(afm, optimizer, merit)
    return OptimizationProblem(
        optimizer=optimizer,
        actuators=axes,
        sensors=[afm.spectrometer],
        evaluation_function=steps.evaluate,
        acquisition_plan=steps.acquire,
    )


class _Steps:
    """Measures what was suggested, and tells the agent and the plan what came out."""

    def __init__(self, afm: Microscope, optimizer: AgentOptimizer, merit: str) -> None:
        self._afm, self._optimizer, self._merit = afm, optimizer, merit
        self._observations: dict[int, Observation] = {}

    def acquire(
        self,
        suggestions: Sequence[Mapping[str, Any]],
        actuators: Any,  # noqa: ARG002  those of the problem
        sensors: Any = None,  # noqa: ARG002
        md: Mapping[str, Any] | None = None,
    ) -> MsgGenerator[str]:
        """Take a spectrum at each suggested place, in one run. Returns its uid."""
        indices = [int(suggestion[ID]) for suggestion in suggestions]
        waiting = iter(indices)

        def measure(
            afm: Microscope, position: Place, also: Any = (), *, judge: Judge | None = None
        ) -> MsgGenerator[str]:
            reason: str = yield from stubs.take_spectrum(afm, position, also, judge=judge)
            seen, here = (yield from bps.read(afm.spectrometer)), (yield from bps.read(afm.scanner))
            if seen and here:
                self._keep(next(waiting), position, seen, here)
            return reason

        places = [tuple(self._optimizer.pool.positions[index].tolist()) for index in indices]
        run = spectra_at(self._afm, places, measure=measure, md={**(md or {}), "candidates": indices})
        uid: str = yield from bpp.set_run_key_wrapper(run, "spectra")
        return uid

    def evaluate(
        self,
        uid: str,  # noqa: ARG002  what was measured is at hand
        suggestions: Sequence[Mapping[str, Any]],
    ) -> Sequence[Mapping[str, Any]]:
        """Let the agent learn the spectra; return the outcomes."""
        outcomes = []
        for suggestion in suggestions:
            taken = self._observations.pop(suggestion[ID])
            error = self._optimizer.learn(taken)
            outcomes.append({ID: suggestion[ID], self._merit: merit(self._merit, taken), MAP_ERROR: error})
        return outcomes

    def _keep(self, index: int, position: Place, seen: Mapping[str, Any], here: Mapping[str, Any]) -> None:
        name, scanner = self._afm.spectrometer.name, self._afm.scanner.name
        self._observations[index] = Observation(
            index=index,
            requested=np.array(position, dtype=np.float64),
            position=np.array([here[f"{scanner}_{axis}"]["value"] for axis in "xy"], dtype=np.float64),
            spectrum=np.asarray(seen[f"{name}_spectrum"]["value"], dtype=np.float64),
            time=float(seen[f"{name}_time"]["value"]),
            axis=np.asarray(self._afm.spectrometer.axis.get(), dtype=np.float64),
        )


def _places(afm: Microscope) -> Any:
    places = np.asarray(afm.imager.places.get())
    return places if places.size else None
