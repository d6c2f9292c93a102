"""Apply a stopping rule during a run."""

import math
from collections.abc import Callable, Sequence

from bluesky.utils import MsgGenerator

from curio_plans.documents.history import History
from curio_plans.documents.streams import Ending
from curio_plans.rules.quality import Quality
from curio_plans.rules.stopping import StoppingRule
from curio_plans.run import stubs
from curio_plans.run.microscope import Microscope
from curio_plans.run.rehearsal import duration
from curio_plans.run.stubs import Place
from curio_plans.run.thinker import Thought


class Stopping:
    """Applies a stopping rule during a run.

    Parameters
    ----------
    rule : StoppingRule
    history : History
        What the documents say so far.
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
        history: History,
        afm: Microscope,
        measure: Callable[..., MsgGenerator[str]],
        corners: Sequence[Place],
    ) -> None:
        self._rule, self._history, self._afm = rule, history, afm
        self._measure, self._corners = measure, corners
        self._first_image, self._first_point = self._image(), self._point()
        least = (self._first_image + self._first_point) / 60
        if rule.minutes is not None and least > rule.minutes and not history.spans:
            raise ValueError(
                f"until: minutes {rule.minutes:g} is too short for an image and one point, which take {least:.1f}; "
                "give more, or choose a smaller or faster image"
            )

    @property
    def loops_left(self) -> float:
        """How many spectra may still be taken; infinite without a limit."""
        return math.inf if self._rule.loops is None else max(0, self._rule.loops - self._history.loops)

    def afford(self, quality: Quality, attempts: int) -> Quality:
        """Return `quality` with no more retries, after so many `attempts` at a point, than there are loops left."""
        return quality.replace(retries=int(min(quality.retries, attempts + self.loops_left - 1)))

    def spent(self, *, image_due: bool) -> Ending | None:
        """Return the ending where no further point can be afforded. A simulator measures nothing: never there.

        `image_due` tells that an image comes before the next point.
        """
        history = self._history
        if history.pool is None:
            return None
        # What passed before the first event of a run told the time: its image or, resumed with another clock, a point.
        unseen = self._first_image + self._first_point * (len(history.spans) - 1)
        seconds = unseen + sum(last - first for first, last in history.spans)
        expected = self._point() + (self._image() if image_due else 0.0)
        return self._rule.spent(len(history.records), history.loops, seconds, expected)

    def satisfied(self, thought: Thought) -> Ending | None:
        """Return the ending where the agent knows enough, as it thought when it was asked for the next decision."""
        return self._rule.satisfied(thought.records, thought.estimate)

    def _image(self) -> float:
        """Return how many seconds an image takes; nothing where time is not limited."""
        return 0.0 if self._rule.minutes is None else duration(stubs.take_image(self._afm), self._afm)

    def _point(self) -> float:
        """Return how many seconds a point takes at most, from where the tip is; nothing where time is not limited."""
        if self._rule.minutes is None:
            return 0.0
        return max(duration(self._measure(self._afm, corner, (), judge=None), self._afm) for corner in self._corners)
