"""What the plan ``curiosity`` does point by point: decide, aim, measure, and follow drift and bad spectra.

What was done is read from the documents, never counted here: so a run that is resumed goes on as if it had not ended.
"""

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from bluesky import plan_stubs as bps
from bluesky.utils import MsgGenerator
from numpy.typing import NDArray

from curio_plans.documents.acts import Points, write_act
from curio_plans.documents.history import History
from curio_plans.documents.streams import (
    DRIFT,
    ENDING,
    EXCLUSION,
    REFERENCE,
    Aim,
    Decision,
    Ending,
    Exclusions,
    Point,
    Steered,
)
from curio_plans.rules.quality import QualityError
from curio_plans.rules.request import RunRequest
from curio_plans.rules.stopping import StoppingRule
from curio_plans.run import stubs
from curio_plans.run.drift import Drift
from curio_plans.run.elsewhere import Vigil
from curio_plans.run.escalation import Escalation
from curio_plans.run.hooks import Hooks
from curio_plans.run.microscope import Microscope
from curio_plans.run.notes import Note
from curio_plans.run.resume import ResumedRun
from curio_plans.run.steering import Steering
from curio_plans.run.stopping import Stopping
from curio_plans.run.stubs import Place
from curio_plans.run.thinker import Thinker

AT_ONCE = 100
"""So many candidates are checked between two messages."""


@dataclass(frozen=True, eq=False)
class Choice:
    """A candidate to measure, and its `place` in the first image; with the `decision`, except in a simulator."""

    candidate: int
    place: Place
    decision: Decision | None = None


@dataclass(frozen=True, eq=False)
class Exploration:
    """One run of ``curiosity`` between its image and its end.

    Attributes
    ----------
    afm : Microscope
    original : RunRequest
        What was asked for at first.
    hooks : Hooks
        The steps.
    thinker : Thinker
        Asks the agent.
    corners : sequence of Choice
        The corners of the pool: a simulator reads nothing, and is led through them so that checks prove something.
    drift : Drift or None
    escalation : Escalation or None
    make_stopping : callable
        Makes of a rule what ends the run before its last point.
    steering : Steering
        What people ask of the run while it goes on.
    resumed : ResumedRun or None
        The run that this one resumes; the history has its documents already.
    vigil : Vigil or None
        Waits for an agent that thinks elsewhere.
    """

    afm: Microscope
    original: RunRequest
    hooks: Hooks
    thinker: Thinker
    corners: Sequence[Choice]
    drift: Drift | None
    escalation: Escalation | None
    make_stopping: Callable[[StoppingRule], Stopping]
    steering: Steering
    resumed: ResumedRun | None = None
    vigil: Vigil | None = None

    @property
    def history(self) -> History:
        """What the run's documents say so far, after those of the run that it resumes."""
        return self.thinker.history

    def run(self) -> MsgGenerator[None]:
        """Take the image, then decide and measure point by point; or go on where the resumed run stopped."""
        if not self.history.images:
            yield from self.take_image(0)
        if self.history.reference is None:
            yield from self.record_reference()
        if self.history.records[-1:] == [self.history.pool]:  # nothing was told since
            yield from self.exclude_unreachable()
        yield from self.extend()
        yield from self.escalate_late()
        number = len(self.history.outcomes)
        while (yield from self.goes_on(number)):
            yield from bps.checkpoint()
            choice = yield from self.decide(number)
            if choice is None:
                break
            yield from self.follow_drift(number)
            if self.request.lookahead and number + 1 < self.request.points:
                yield from stubs.look_ahead(self.thinker, number + 1)
            yield from self.measure_at(choice)
            number += 1
        yield from bps.checkpoint()
        if not self.ended_before:
            yield from self.record_last_belief()
        self.require_a_point()

    def require_a_point(self) -> None:
        """Let a run fail that has tried and has not a single good spectrum, however it ended."""
        tried, rejected = len(self.history.outcomes), self.history.rejected
        if tried and rejected and not self.history.observations:
            raise QualityError(
                f"expected good spectra, but all {len(rejected)} at {tried} places were rejected, the last because "
                f"{rejected[-1].reason}; check tip and contact, or the rule of quality"
            )

    @property
    def request(self) -> RunRequest:
        """What is asked for now: people may change points, rules and maps."""
        return self.steering.request

    @property
    def stopping(self) -> Stopping | None:
        """What may end the run before its last point."""
        rule = self.request.until
        return None if rule is None else self.make_stopping(rule)

    def extend(self) -> MsgGenerator[None]:
        """Record that a resumed run is asked for another number of points: an act like any other."""
        resumed = self.resumed
        if resumed is None or self.original.points == resumed.history.budget:
            return
        act = write_act(Points(points=self.original.points))
        number = len(self.history.outcomes)
        yield from self.steering.record(Steered(uuid.uuid4().hex, Points.act, act, "resume", time.time(), number))

    def goes_on(self, number: int) -> MsgGenerator[bool]:
        """Do what people ask before decision `number`; return whether there is one."""
        if (yield from self.steering.read(number)):
            self.thinker.reconsider(number)
        yield from self.steering.wait(number)
        if number < len(self.history.decisions):
            return True
        if number >= self.request.points:
            return False
        if self.history.ending is None and (ending := self.steering.ending(number)) is not None:
            yield from self.end(ending)
        if self.history.ending is not None:  # of the resumed run, or just now
            return False
        if self.steering.standing.image:
            yield from self.take_image(number)
        return True

    @property
    def ended_before(self) -> bool:
        """Whether the resumed run recorded its last belief already: it was killed after that."""
        if self.resumed is None or not self.history.maps:
            return False
        nothing_new = len(self.history.outcomes) == len(self.resumed.history.outcomes)
        return nothing_new and self.history.maps[-1].observations == len(self.history.observations)

    def decide(self, number: int) -> MsgGenerator[Choice | None]:
        """Let the agent decide, and record that and, now and then, its belief. None where a rule ends the run."""
        made = self.history.decisions
        if number < len(made):  # the resumed run did not come to measure there
            decision = made[number]
            if self.map_due:
                yield from stubs.think(self.thinker, number, ask=self.hooks.ask, records=decision.records)
                yield from stubs.record_belief(self.thinker, number)
            return Choice(decision.candidate, decision.position, decision)
        image_due = self.drift is not None and self.drift.image_due(number)
        if self.stopping is not None and (spent := self.stopping.spent(image_due=image_due)):
            yield from self.end(spent)
            return None
        picked = yield from self.settle(number)
        if self.history.ending is not None:
            return None
        thought = self.thinker.thought(number)
        if self.stopping is not None and thought is not None and (enough := self.stopping.satisfied(thought)):
            yield from self.end(enough)
            return None
        new = yield from stubs.record_decision(
            self.thinker, number, escalates=self.escalation is not None, picked=picked
        )
        if self.map_due:
            yield from stubs.record_belief(self.thinker, number)
        return self.corners[number % len(self.corners)] if new is None else Choice(new.candidate, new.position, new)

    def settle(self, number: int) -> MsgGenerator[int | None]:
        """Think until no human objects; return the candidate that a human picked instead, if one did."""
        while True:
            picked = next(iter(self.steering.standing.picks), None)
            yield from self.think(number, decide=picked is None)
            changed = yield from self.steering.read(number)
            thought = self.thinker.thought(number)
            if not changed and picked is None and thought is not None and thought.suggestion is not None:
                changed = not (yield from self.steering.approve(number, thought.suggestion.index))
            if not changed:
                return picked
            self.thinker.reconsider(number)
            yield from self.steering.wait(number)
            if (ending := self.steering.ending(number)) is not None:
                yield from self.end(ending)
                return None

    def think(self, number: int, *, decide: bool = True) -> MsgGenerator[None]:
        """Wait for decision `number`; without a time-out where it first takes in what other runs measured."""
        resumed = self.resumed
        begins_anew = resumed is not None and number == len(resumed.history.decisions)
        timeout = None if begins_anew or (self.history.past and number == 0) else self.request.think_timeout
        if resumed is not None and begins_anew and self.request.lookahead and number == len(resumed.history.outcomes):
            yield from stubs.look_ahead(self.thinker, number, records=resumed.looked_ahead())
        ask = self.steering.asking(self.hooks.ask)
        vigil = self.vigil
        if vigil is None:
            yield from stubs.think(self.thinker, number, ask=ask, timeout=timeout, decide=decide)
            return
        vigil.begin(number)
        while True:
            yield from stubs.think(
                self.thinker, number, ask=ask, timeout=timeout, decide=decide,
                late=vigil.rule.withdraw_after, meanwhile=vigil.wait,
            )  # fmt: skip
            if not (trouble := self.thinker.trouble(number)):
                break
            yield from vigil.settle(trouble, ask)
        yield from vigil.end()

    def record_last_belief(self) -> MsgGenerator[None]:
        """Record what the agent believes at the end; an agent that thinks elsewhere may not answer any more."""
        if self.vigil is not None:
            self.vigil.begin(len(self.history.decisions))
            yield from stubs.withdraw(self.afm)
        yield from stubs.record_last_belief(self.thinker)
        if self.vigil is not None and (trouble := self.thinker.trouble()):
            yield from self.vigil.skip(trouble)

    @property
    def map_due(self) -> bool:
        """Whether the agent's belief is to be recorded after so many observations, and was not yet."""
        every, observed = self.request.map_every, len(self.history.observations)
        return bool(every and observed and observed % every == 0 and self.history.observations_mapped != observed)

    def follow_drift(self, number: int) -> MsgGenerator[None]:
        """Image again where that is due before measuring at decision `number`, and compare with the first image."""
        drift = self.drift
        if drift is None:
            return
        if drift.image_due(number):
            yield from self.take_image(number)
        if drift.comparison_due:
            yield from bps.trigger(drift, wait=True)
            if drift.estimate is not None:
                yield from stubs.record([Note.of(drift.estimate)], DRIFT)
            yield from bps.checkpoint()

    def take_image(self, number: int) -> MsgGenerator[None]:
        """Take an image before decision `number`."""
        yield from self.steering.unless_aborted(stubs.take_image(self.afm, self.request.quality.retries), number)
        yield from bps.checkpoint()

    def measure_at(self, choice: Choice) -> MsgGenerator[None]:
        """Measure at a candidate, or exclude it."""
        (x, y), (dx, dy) = choice.place, self.drift.shift(self.history.time) if self.drift is not None else (0.0, 0.0)
        place = (x + dx, y + dy)
        yield from bps.checkpoint()
        target = _aim(choice, (dx, dy))
        # Those of the resumed run; its attempts count.
        rejected = [old.reason for old in self.history.rejected if old.candidate == choice.candidate]
        try:
            self.afm.scanner.check_value(place)
        except ValueError as error:  # ophyd's LimitError is one
            yield from self.exclude([choice.candidate], f"out of reach after drifting: {error}", decided=True)
            return
        quality = self.request.quality
        if self.stopping is not None:
            quality = self.stopping.afford(quality, len(rejected))
        measuring = stubs.take_good_spectrum(
            self.afm, place, [target], quality=quality, measure=self.hooks.measure, rejected=rejected
        )
        reason = yield from self.steering.unless_aborted(measuring, len(self.history.decisions))
        yield from bps.checkpoint()
        if reason:
            yield from self.exclude([choice.candidate], reason, decided=True)
        elif self.escalates_at(choice):
            yield from self.escalate_at(choice.candidate, place, target)

    def escalate_late(self) -> MsgGenerator[None]:
        """Escalate where the resumed run measured last, if it was killed before it came to that."""
        history = self.history
        done = len(history.outcomes)
        if self.resumed is None or not done or len(history.decisions) > done:
            return
        decision, point = history.decisions[done - 1], history.of(Point)[-1:]
        choice = Choice(decision.candidate, decision.position, decision)
        if point and point[0].observation is history.outcomes[-1] and self.escalates_at(choice):
            (x, y), (dx, dy) = choice.place, point[0].drift
            yield from self.escalate_at(choice.candidate, (x + dx, y + dy), _aim(choice, point[0].drift))

    def escalates_at(self, choice: Choice) -> bool:
        """Tell whether a candidate that was just measured is escalated."""
        if self.escalation is None or choice.decision is None:
            return False
        return (self.stopping is None or self.stopping.loops_left > 0) and self.escalation.due(choice.decision)

    def escalate_at(self, candidate: int, place: Place, target: Note) -> MsgGenerator[None]:
        """Escalate at a candidate."""
        assert self.escalation is not None  # noqa: S101
        yield from self.escalation.take(self.afm, candidate, place, [target])
        yield from bps.checkpoint()

    def end(self, ending: Ending) -> MsgGenerator[None]:
        """Record why no further point is measured: an event of the ``ending`` stream."""
        yield from stubs.record([Note.of(ending)], ENDING)
        yield from bps.checkpoint()

    def exclude(
        self, candidates: Sequence[int] | NDArray[np.int64], reason: str, *, decided: bool = False
    ) -> MsgGenerator[None]:
        """Record that candidates are not usable: an event of the ``exclusion`` stream.

        `decided` tells that the agent had decided for the candidate, whose decision ends with this.
        """
        if self.history.pool is None:
            return
        mask = np.zeros(len(self.history.pool), dtype=bool)
        mask[candidates] = True
        yield from stubs.record([Note.of(Exclusions(mask, reason, decided))], EXCLUSION)
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
        """Record the true spectra over the pool where they are known: the ``reference`` stream."""
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


def _aim(choice: Choice, drift: Place) -> Note:
    """Return what is recorded of a choice with its spectrum."""
    aim = Aim(int(choice.candidate), choice.place, drift)
    return Note(Aim.name, aim.values(), Aim.units)


def corners_of(positions: NDArray[np.float64]) -> list[Choice]:
    """Return the corners of a pool at `positions` (N, 2); where one has no candidate, the outermost candidates."""
    corners = []
    for x in (positions[:, 0].min(), positions[:, 0].max()):
        for y in (positions[:, 1].min(), positions[:, 1].max()):
            corners += np.flatnonzero((positions == (x, y)).all(axis=1)).tolist()[:1]
    if len(corners) < 4:
        corners = [int(find(positions[:, axis])) for axis in (0, 1) for find in (np.argmin, np.argmax)]
    return [Choice(index, (float(positions[index, 0]), float(positions[index, 1]))) for index in corners]
