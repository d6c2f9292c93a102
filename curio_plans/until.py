"""When to stop: a run ends before its last point where its error, or what it may cost, says so."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Annotated

from bluesky.utils import MsgGenerator
from pydantic import BaseModel, ConfigDict, Field

from agents.protocols import Estimate
from curio_plans import stubs
from curio_plans.documents import ENDING, Ending
from curio_plans.microscope import Microscope
from curio_plans.notes import Note
from curio_plans.quality import Quality
from curio_plans.rehearsal import duration
from curio_plans.stubs import Place
from curio_plans.thinker import Thinker

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

CHECKS = 3
"""An estimate that rests on fewer validation points ends no run: without them it is what the agent makes of itself."""


class StoppingRule(BaseModel):
    """When a run ends before its last point; of several rules, the first that says so ends it.

    Attributes
    ----------
    error : float or None
        The agent's estimate of its error over what was not measured is at most this; as for `gain`, it must rest on
        three random validation points of this run.
    cautious : bool
        That estimate is the upper end of its 90 % interval, so the error is larger in one of 20 cases at most if the
        agent knows itself; else it is the estimate itself.
    gain : float or None
        The next `gain_points` points are expected to lower the error by less than this.
    gain_points : int
        See `gain`.
    minutes : float or None
        A further point may end later than so many minutes of the instrument's time after the beginning of the run.
    loops : int or None
        So many spectra were taken: bad ones, further attempts and escalations count.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    error: Positive | None = None
    cautious: bool = True
    gain: Positive | None = None
    gain_points: Annotated[int, Field(ge=1)] = 10
    minutes: Positive | None = None
    loops: Annotated[int, Field(ge=1)] | None = None

    def model_post_init(self, _: object) -> None:
        """Refuse a rule that would never end a run.

        Raises
        ------
        ValueError
            If none of the four limits is given.
        """
        if not self.asks_agent and self.minutes is None and self.loops is None:
            raise ValueError("expected one or more of error, gain, minutes and loops; none was given")

    @property
    def asks_agent(self) -> bool:
        """Whether the agent must estimate its error."""
        return self.error is not None or self.gain is not None

    def spent(self, records: int, loops: int, seconds: float, expected: float) -> Ending | None:
        """Return the ending where the means are spent, else None.

        Parameters
        ----------
        records : int
            How many records there are.
        loops : int
            Spectra taken so far.
        seconds : float
            Instrument time since the beginning of the run.
        expected : float
            Seconds that the next point takes at most.
        """
        if self.loops is not None and loops >= self.loops:
            return _ending("loops", self.loops, loops, records, f"{loops} taken")
        if self.minutes is not None and seconds + expected > 60 * self.minutes:
            used = f"{seconds / 60:.1f} used, and a further point may take {expected / 60:.1f}"
            return _ending("minutes", self.minutes, seconds / 60, records, used)
        return None

    def satisfied(self, records: int, estimate: Estimate | None) -> Ending | None:
        """Return the ending where the agent knows enough, or would hardly learn more; else, or not yet checked, None.

        Parameters
        ----------
        records : int
            How many records the estimate rests on.
        estimate : Estimate or None
            What the agent believes of its error.
        """
        if estimate is None or estimate.checks < CHECKS:
            return None
        error, gain = estimate.high if self.cautious else estimate.error, self.gain_points * estimate.gain
        if self.error is not None and error <= self.error:
            return _ending("error", self.error, error, records, f"estimated {estimate}")
        if self.gain is not None and gain < self.gain:
            found = f"{gain:.3g} expected of the next {self.gain_points} points"
            return _ending("gain", self.gain, gain, records, found)
        return None


class Stopping:
    """Looks after the rule during a run.

    Parameters
    ----------
    rule : StoppingRule
    thinker : Thinker
        Knows what the documents say, and what the agent thought last.
    afm : Microscope
        As it is when the run begins.
    measure : callable
        The step that takes a spectrum; it is rehearsed.
    corners : sequence of (x, y)
        Of the pool, in nm: no way to a point is longer than that to one of them.

    Raises
    ------
    ValueError
        If there is no time for a single point.
    """

    def __init__(
        self,
        rule: StoppingRule,
        thinker: Thinker,
        afm: Microscope,
        measure: Callable[..., MsgGenerator[str]],
        corners: Sequence[Place],
    ) -> None:
        self._rule, self._thinker, self._afm = rule, thinker, afm
        self._measure, self._corners = measure, corners
        self._first_image, self._first_point = self._image(), self._point()
        least = (self._first_image + self._first_point) / 60
        if rule.minutes is not None and least > rule.minutes and not thinker.history.spans:
            raise ValueError(
                f"until: minutes {rule.minutes:g} is too short for an image and one point, which take {least:.1f}; "
                "give more, or choose a smaller or faster image"
            )

    @property
    def loops_left(self) -> float:
        """How many spectra may still be taken; infinite without a limit."""
        return math.inf if self._rule.loops is None else max(0, self._rule.loops - self._thinker.history.loops)

    def afford(self, quality: Quality, attempts: int) -> Quality:
        """Return `quality` with no more retries, after so many `attempts` at a point, than there are loops left."""
        return quality.model_copy(update={"retries": int(min(quality.retries, attempts + self.loops_left - 1))})

    def spent(self, *, image_due: bool) -> Ending | None:
        """Return the ending where no further point can be afforded. A simulator measures nothing: never there.

        `image_due` tells that an image comes before the next point.
        """
        history = self._thinker.history
        if history.pool is None:
            return None
        # What passed before the first event of a run told the time: its image or, resumed with another clock, a point.
        unseen = self._first_image + self._first_point * (len(history.spans) - 1)
        seconds = unseen + sum(last - first for first, last in history.spans)
        expected = self._point() + (self._image() if image_due else 0.0)
        return self._rule.spent(len(history.records), history.loops, seconds, expected)

    def satisfied(self) -> Ending | None:
        """Return the ending where the agent, as it last thought, is satisfied. In a simulator it does not think."""
        if not self._thinker.has_thought:
            return None
        thought = self._thinker.thought
        return self._rule.satisfied(thought.records, thought.estimate)

    def _image(self) -> float:
        """Return how many seconds an image takes; nothing where time is not limited."""
        return 0.0 if self._rule.minutes is None else duration(stubs.take_image(self._afm), self._afm)

    def _point(self) -> float:
        """Return how many seconds a point takes at most, from where the tip is; nothing where time is not limited."""
        if self._rule.minutes is None:
            return 0.0
        return max(duration(self._measure(self._afm, corner, (), judge=None), self._afm) for corner in self._corners)


def ending_note(ending: Ending) -> Note:
    """Return the event of the stream ``ending``."""
    values = {f"{ENDING}_{key}": value for key, value in asdict(ending).items()}
    return Note(ENDING, values, {f"{ENDING}_value": "min"} if ending.rule == "minutes" else {})


def _ending(rule: str, limit: float, value: float, records: int, found: str) -> Ending:
    return Ending(rule, f"until {rule} {limit:g}: {found}", float(value), records)
