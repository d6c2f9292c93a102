"""Follow the drift during a run: compare each new image with the first."""

import logging
from collections.abc import Callable
from typing import Any

from curio_plans.documents.history import History
from curio_plans.documents.streams import DRIFT, DriftEstimate
from curio_plans.rules.drift import DriftCorrection
from curio_plans.run.notes import Note, Readings
from curio_plans.run.registration import register
from curio_plans.run.status import FutureStatus, in_thread

logger = logging.getLogger(__name__)


Place = tuple[float, float]


_KEYS = tuple(f"{DRIFT}_{part}" for part in ("measured_x", "measured_y", "confidence", "accepted", "time"))


_UNITS = {f"{DRIFT}_measured_x": "nm", f"{DRIFT}_measured_y": "nm", f"{DRIFT}_time": "s"}


class Drift:
    """A Bluesky readable: ``trigger()`` compares the last image with the first; an event of the stream ``drift``.

    Between images the drift goes on as it did between the last two that could be compared.

    Parameters
    ----------
    settings : DriftCorrection
        What to compare, and what to believe.
    history : History
        Of the present run, and of one that it resumes; its images are compared.
    tell : callable
        Shows a text to the human when a correction is refused.
    """

    name = DRIFT
    parent = None

    def __init__(
        self, settings: DriftCorrection, history: History, tell: Callable[[str], Any] = logger.warning
    ) -> None:
        self.settings = settings
        self._history = history
        self._tell = tell
        self._note = Note(DRIFT, dict(zip(_KEYS, (0.0, 0.0, 0.0, False, 0.0), strict=True)), _UNITS)
        self._estimates: dict[int, DriftEstimate] = dict(enumerate(history.drifts, start=2))  # by the number of images

    def due(self, points: int) -> bool:
        """Tell whether to image again, `points` after the last image."""
        images = self._history.images
        return self.settings.due(points, self._history.time - images[-1].time if images else 0.0)

    def shift(self, time: float) -> Place:
        """Return the drift (x, y) in nm since the first image, at instrument `time` in s."""
        images = self._history.images
        known = [(images[0].time, (0.0, 0.0))] if images else []
        known += [(found.time, found.shift) for found in self._estimates.values() if found.accepted]
        if len(known) < 2:
            return (0.0, 0.0)
        (earlier, start), (later, end) = known[-2:]
        progress = (time - earlier) / (later - earlier)
        return start[0] + progress * (end[0] - start[0]), start[1] + progress * (end[1] - start[1])

    def trigger(self) -> FutureStatus:
        """Compare the last image with the first, in a thread; asked again about the same image, nothing changes."""
        return in_thread(self._look, "drift")

    def read(self) -> Readings:
        """Return the last comparison."""
        return self._note.read()

    def describe(self) -> dict[str, dict[str, Any]]:
        """Return the data keys."""
        return self._note.describe()

    @property
    def hints(self) -> dict[str, Any]:
        """Return what to show of a comparison."""
        return {"fields": [f"{self.name}_measured_x", f"{self.name}_measured_y", f"{self.name}_confidence"]}

    def _look(self) -> None:
        images = self._history.images
        if len(images) in self._estimates:
            return
        first, last = images[0], images[-1]
        channel = self._channel(first.channels)
        found = register(first.frame[channel], last.frame[channel])
        _, ny, nx = first.frame.shape
        x_min, x_max, y_min, y_max = first.area
        shift = (found.columns * (x_max - x_min) / nx, found.rows * (y_max - y_min) / ny)
        accepted = found.confidence >= self.settings.min_confidence
        self._estimates[len(images)] = DriftEstimate(last.time, shift, found.confidence, accepted)
        values = (*shift, found.confidence, accepted, last.time)
        self._note.set(dict(zip(_KEYS, values, strict=True)))
        if not accepted:
            self._tell(
                f"the drift is not corrected anew: image {len(images)} resembles the first with a correlation of "
                f"{found.confidence:.2f}, less than {self.settings.min_confidence:g}; the earlier correction stays"
            )

    def _channel(self, names: tuple[str, ...]) -> int:
        wanted = self.settings.channel
        if wanted is None:
            return names.index("topography") if "topography" in names else 0
        return names.index(wanted)
