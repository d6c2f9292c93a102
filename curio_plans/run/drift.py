"""Follow the drift during a run: compare each new image with the first."""

import logging
from collections.abc import Callable
from typing import Any

from curio_plans.documents.history import History
from curio_plans.documents.streams import DRIFT, DriftEstimate
from curio_plans.rules.drift import DriftCorrection
from curio_plans.run.registration import register
from curio_plans.run.status import FutureStatus, in_thread

logger = logging.getLogger(__name__)

Place = tuple[float, float]


class Drift:
    """Compares images: ``trigger()`` compares the last one with the first, in a thread.

    Between images the drift goes on as it did between the last two that could be compared.

    Parameters
    ----------
    rule : DriftCorrection
        What to compare, and what to believe.
    history : History
        Of the present run, and of one that it resumes.
    tell : callable
        Shows a text to the human when a correction is refused.

    Attributes
    ----------
    estimate : DriftEstimate or None
        The last comparison; None before the first.
    """

    name = DRIFT
    parent = None

    def __init__(self, rule: DriftCorrection, history: History, tell: Callable[[str], Any] = logger.warning) -> None:
        self.estimate: DriftEstimate | None = None
        self._rule = rule
        self._history = history
        self._tell = tell
        self._compared = 0  # how many images there were at the last comparison

    def image_due(self, number: int) -> bool:
        """Tell whether to image again before measuring where decision `number`, from 0, says."""
        history, images = self._history, self._history.images
        if not images:  # in a simulator, which reads nothing
            return number > 0 and self._rule.every_points is not None and number % self._rule.every_points == 0
        return self._rule.due(number - history.points_before_image, history.time - images[-1].time)

    @property
    def comparison_due(self) -> bool:
        """Whether the last image was not compared with the first yet."""
        return len(self._history.images) > 1 + len(self._history.drifts)

    def shift(self, time: float) -> Place:
        """Return the drift (x, y) in nm since the first image, at instrument `time` in s."""
        images = self._history.images
        known = [(images[0].time, (0.0, 0.0))] if images else []
        known += [(found.time, found.shift) for found in self._history.drifts if found.accepted]
        if len(known) < 2:
            return (0.0, 0.0)
        (earlier, start), (later, end) = known[-2:]
        progress = (time - earlier) / (later - earlier)
        return start[0] + progress * (end[0] - start[0]), start[1] + progress * (end[1] - start[1])

    def trigger(self) -> FutureStatus:
        """Compare the last image with the first; asked again about the same image, nothing changes."""
        return in_thread(self._compare, "drift")

    def _compare(self) -> None:
        images = self._history.images
        if len(images) == self._compared:
            return
        first, last = images[0], images[-1]
        channel = self._channel(first.channels)
        found = register(first.frame[channel], last.frame[channel])
        _, ny, nx = first.frame.shape
        x_min, x_max, y_min, y_max = first.area
        shift = (found.columns * (x_max - x_min) / nx, found.rows * (y_max - y_min) / ny)
        accepted = found.confidence >= self._rule.min_confidence
        self.estimate = DriftEstimate(last.time, shift, found.confidence, accepted)
        self._compared = len(images)
        if not accepted:
            self._tell(
                f"the drift correction is not updated: image {len(images)} correlates with the first by "
                f"{found.confidence:.2f}, less than {self._rule.min_confidence:g}; the last correction stays"
            )

    def _channel(self, names: tuple[str, ...]) -> int:
        wanted = self._rule.channel
        if wanted is None:
            return names.index("topography") if "topography" in names else 0
        return names.index(wanted)
