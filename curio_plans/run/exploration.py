"""What the plan ``curiosity`` does point by point: decide, aim, measure, and look after drift and bad spectra."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from bluesky import plan_stubs as bps
from bluesky.utils import MsgGenerator
from numpy.typing import NDArray

from curio_plans.documents.history import History
from curio_plans.documents.streams import ENDING, EXCLUSION, REFERENCE, Ending
from curio_plans.rules.quality import Quality
from curio_plans.run import stubs
from curio_plans.run.drift import Drift
from curio_plans.run.escalation import Escalation
from curio_plans.run.microscope import Microscope
from curio_plans.run.notes import Note, Target
from curio_plans.run.resume import Earlier
from curio_plans.run.stopping import Stopping, ending_note
from curio_plans.run.stubs import Ask, Place
from curio_plans.run.thinker import Thinker

Measure = Callable[..., MsgGenerator[str]]
"""A step hook with the signature of :func:`curio_plans.run.stubs.take_spectrum`."""

AT_ONCE = 100
"""So many candidates are checked between two messages."""


@dataclass(frozen=True, eq=False)
class Choice:
    """A candidate that was decided for, and its `place` in the first image."""

    candidate: int
    place: Place


@dataclass(eq=False)
class Exploration:
    """One run of ``curiosity`` between its image and its end.

    Attributes
    ----------
    afm : Microscope
    thinker : Thinker
    corners : sequence of Choice
        The corners of the pool: a simulator reads nothing, and is led through them so that checks prove something.
    quality : Quality
    drift : Drift or None
    escalation : Escalation or None
    measure : callable
        See :data:`Measure`.
    ask : callable or None
        See :data:`curio_plans.run.stubs.Ask`.
    lookahead, map_every : int
    think_timeout : float or None
        Seconds.
    stopping : Stopping or None
        Ends the run before its last point.
    earlier : Earlier or None
        The run that this one resumes; the thinker has its documents already.
    target : Target
        Read with each spectrum.
    """

    afm: Microscope
    thinker: Thinker
    corners: Sequence[Choice]
    quality: Quality
    drift: Drift | None
    escalation: Escalation | None
    measure: Measure
    ask: Ask | None
    lookahead: int
    map_every: int
    think_timeout: float | None
    stopping: Stopping | None = None
    earlier: Earlier | None = None
    target: Target = field(default_factory=Target)
    _mapped: int = 0
    _since_image: int = 0
    _first: int = 0
    _decided: int = 0

    def __post_init__(self) -> None:
        """Stand where an earlier run stopped."""
        if self.earlier is None:
            return
        observed = len(self.history.observations)
        self._mapped = observed - observed % self.map_every if self.map_every else 0
        self._since_image = self.earlier.points_since_image
        self._first, self._decided = len(self.history.outcomes), len(self.history.decisions)

    @property
    def history(self) -> History:
        """What the run's documents say so far, after those of the run that it resumes."""
        return self.thinker.history

    def run(self, points: int) -> MsgGenerator[None]:
        """Take the image, then decide and measure `points` times at most; or go on where an earlier run stopped."""
        if not self.history.images:
            yield from stubs.take_image(self.afm, self.quality.retries)
            yield from bps.checkpoint()
        if self.history.reference is None:
            yield from self.record_reference()
        if self.history.records[-1:] == [self.history.pool]:  # nothing was told since
            yield from self.exclude_unreachable()
        for number in range(self._first, points):
            yield from bps.checkpoint()
            choice = yield from self.decide(number)
            if choice is None:
                break
            yield from self.follow_drift()
            if self.lookahead and number + 1 < points:
                yield from stubs.look_ahead(self.thinker, number + 1)
            yield from self.measure_at(choice)
        yield from bps.checkpoint()
        yield from stubs.record_maps(self.thinker, latest=True)

    def decide(self, number: int) -> MsgGenerator[Choice | None]:
        """Let the agent decide, and record now and then what it believes. Nothing where a rule ends the run here."""
        if number < self._decided:
            decision = self.history.decisions[number]  # the earlier run did not come to measure there
            return Choice(decision.candidate, decision.position)
        if self.history.ending is not None:  # the earlier run came to its end
            return None
        image_due = self.drift is not None and self.drift.due(self._since_image)
        if self.stopping is not None and (spent := self.stopping.spent(image_due=image_due)):
            return (yield from self.end(spent))
        # The first thought takes in everything that earlier runs measured.
        timeout = None if self.history.past and number == 0 else self.think_timeout
        if self.earlier is not None and number == self._decided:
            timeout = None  # this thought takes in everything that the earlier run measured
            if self.lookahead and number == self._first:
                yield from stubs.look_ahead(self.thinker, number, records=self.earlier.looked_ahead())
        yield from stubs.think(self.thinker, number, ask=self.ask, timeout=timeout)
        if self.stopping is not None and (satisfied := self.stopping.satisfied()):
            return (yield from self.end(satisfied))
        reading = yield from stubs.record([self.thinker], self.thinker.name)
        observed = len(self.history.observations)
        if self.map_every and observed >= self._mapped + self.map_every:
            self._mapped = observed
            yield from stubs.record_maps(self.thinker)
        if not reading:
            return self.corners[number % len(self.corners)]
        value = {key: entry["value"] for key, entry in reading.items()}
        return Choice(value["agent_candidate"], (value["agent_x"], value["agent_y"]))

    def follow_drift(self) -> MsgGenerator[None]:
        """Image again where that is due, and compare with the first image."""
        if self.drift is not None and self.drift.due(self._since_image):
            yield from stubs.take_image(self.afm, self.quality.retries)
            self._since_image = 0
            yield from bps.checkpoint()
        if self.drift is not None and len(self.history.images) > 1 + len(self.history.drifts):
            yield from bps.trigger(self.drift, wait=True)
            yield from stubs.record([self.drift], self.drift.name)
            yield from bps.checkpoint()
        self._since_image += 1

    def measure_at(self, choice: Choice) -> MsgGenerator[None]:
        """Measure at a candidate, or exclude it."""
        (x, y), (dx, dy) = choice.place, self.drift.shift(self.history.time) if self.drift is not None else (0.0, 0.0)
        place = (x + dx, y + dy)
        yield from bps.checkpoint()
        yield from bps.mv(
            self.target,
            {"candidate": int(choice.candidate), "target_x": x, "target_y": y, "drift_x": dx, "drift_y": dy},
        )
        # Those of an earlier run; its attempts count.
        rejected = [old.reason for old in self.history.rejected if old.observation.index == choice.candidate]
        try:
            self.afm.scanner.check_value(place)
        except ValueError as error:  # ophyd's LimitError is one
            yield from self.exclude([choice.candidate], f"out of reach after drifting: {error}", decided=True)
            return
        quality = self.quality if self.stopping is None else self.stopping.afford(self.quality, len(rejected))
        reason = yield from stubs.take_good_spectrum(
            self.afm, place, [self.target], quality=quality, measure=self.measure, rejected=rejected
        )
        yield from bps.checkpoint()
        if reason:
            yield from self.exclude([choice.candidate], reason, decided=True)
        elif (
            self.escalation is not None
            and (self.stopping is None or self.stopping.loops_left)
            and self.escalation.due(choice.candidate)
        ):
            yield from self.escalation.take(self.afm, choice.candidate, place, [self.target])
            yield from bps.checkpoint()

    def end(self, ending: Ending) -> MsgGenerator[None]:
        """Record why no further point is measured: an event of the stream ``ending``."""
        yield from stubs.record([ending_note(ending)], ENDING)
        yield from bps.checkpoint()

    def exclude(
        self, candidates: Sequence[int] | NDArray[np.int64], reason: str, *, decided: bool = False
    ) -> MsgGenerator[None]:
        """Record that candidates are not usable: an event of the stream ``exclusion``.

        `decided` tells that the agent had decided for the candidate, whose decision ends with this.
        """
        if self.history.pool is None:
            return
        mask = np.zeros(len(self.history.pool), dtype=bool)
        mask[candidates] = True
        values = {"exclusion_candidates": mask, "exclusion_reason": reason, "exclusion_decided": decided}
        yield from stubs.record([Note(EXCLUSION, values)], EXCLUSION)
        yield from bps.checkpoint()

    def exclude_unreachable(self) -> MsgGenerator[None]:
        """Exclude the candidates that the limits of the scanner do not allow, such as those in a forbidden zone."""
        pool = self.history.pool
        if pool is None:
            return
        refused: list[int] = []
        for index, (x, y) in enumerate(pool.positions):
            if index % AT_ONCE == 0:
                yield from bps.null()  # a large pool must not keep a pause waiting
            if not self._allows((x, y)):
                refused.append(index)
        if refused:
            yield from self.exclude(refused, "the limits of the scanner do not allow it")

    def record_reference(self) -> MsgGenerator[None]:
        """Record the true spectra over the pool where they are known: the stream ``reference``."""
        pool = self.history.pool
        if pool is None or not self.afm.reference.available:
            return
        yield from bps.abs_set(self.afm.reference.positions, pool.positions, wait=True)
        yield from bps.trigger_and_read([self.afm.reference], name=REFERENCE)
        yield from bps.checkpoint()

    def _allows(self, place: Place) -> bool:
        try:
            self.afm.scanner.check_value(place)
        except ValueError:
            return False
        return True


def corners_of(positions: NDArray[np.float64]) -> list[Choice]:
    """Return the corners of a pool at `positions` (N, 2)."""
    corners = []
    for x in (positions[:, 0].min(), positions[:, 0].max()):
        for y in (positions[:, 1].min(), positions[:, 1].max()):
            index = int(np.flatnonzero((positions == (x, y)).all(axis=1))[0])
            corners.append(Choice(index, (float(x), float(y))))
    return corners
