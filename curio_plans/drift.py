"""Drift: how far the sample has moved since the first image, from imaging it again."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy import ndimage
from skimage.filters import window
from skimage.registration import phase_cross_correlation

from curio_plans.documents import DRIFT, DriftEstimate, History
from curio_plans.notes import Note, Readings
from curio_plans.status import FutureStatus, in_thread

logger = logging.getLogger(__name__)

Array = NDArray[np.floating[Any]]
Place = tuple[float, float]

_KEYS = tuple(f"{DRIFT}_{part}" for part in ("measured_x", "measured_y", "confidence", "accepted", "time"))
_UNITS = {f"{DRIFT}_measured_x": "nm", f"{DRIFT}_measured_y": "nm", f"{DRIFT}_time": "s"}

UPSAMPLING = 20
"""Shifts are found to 1/20 px."""


class DriftCorrection(BaseModel):
    """When to image again, and when to believe what that says.

    Attributes
    ----------
    every_points : int or None
        Image again after so many points.
    every_minutes : float or None
        Image again after so many minutes of the instrument's time. At least one of the two is needed.
    channel : str or None
        The channel to compare; by default topography where there is one, else the first. Topography is the best choice:
        a loop writes into the polarisation.
    min_confidence : float
        Least correlation of the two images where they overlap, −1…1; below it the earlier correction stays.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    every_points: Annotated[int, Field(ge=1)] | None = None
    every_minutes: Annotated[float, Field(gt=0)] | None = None
    channel: str | None = None
    min_confidence: Annotated[float, Field(ge=-1, le=1)] = 0.5

    def model_post_init(self, _: Any) -> None:
        """Refuse a correction that would never look.

        Raises
        ------
        ValueError
            If neither interval is given.
        """
        if self.every_points is None and self.every_minutes is None:
            raise ValueError("expected every_points, every_minutes or both; neither was given")

    def due(self, points: int, seconds: float) -> bool:
        """Tell whether to image again, `points` and `seconds` of instrument time after the last image."""
        by_points = self.every_points is not None and points >= self.every_points
        by_time = self.every_minutes is not None and seconds >= 60 * self.every_minutes
        return by_points or by_time


@dataclass(frozen=True)
class Registration:
    """How one image lies over another.

    Attributes
    ----------
    rows, columns : float
        How far what the second image shows lies from where the first shows it, in px.
    confidence : float
        Pearson correlation of the two where they then overlap, −1…1; 0 where they hardly do or one shows nothing.
    """

    rows: float
    columns: float
    confidence: float


def register(first: Array, second: Array) -> Registration:
    """Find the shift between two images (ny, nx) of the same size.

    Phase correlation finds it to a pixel, whatever lies at the edges; then the cross-correlation of what both images
    show, tapered (Hann) so that the edges do not pull, finds it to 1/20 px. Both as implemented in scikit-image after
    Guizar-Sicairos et al., Optics Letters 33, 156 (2008).
    """
    nothing = Registration(0.0, 0.0, 0.0)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return nothing
    coarse = np.rint(_shift(first, second, "phase")).astype(int)
    one, other = _overlap(first, second, *coarse)
    if one.size < first.size // 4 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return nothing
    fine = _shift(one, other, None)
    confidence = float(np.corrcoef(one.ravel(), ndimage.shift(other, -fine, order=1, mode="nearest").ravel())[0, 1])
    rows, columns = coarse + fine
    return Registration(float(rows), float(columns), confidence)


def _shift(first: Array, second: Array, normalization: str | None) -> NDArray[np.float64]:
    """Return how far (rows, columns) in px `second` shows everything from where `first` shows it."""
    taper = window("hann", first.shape)
    tapered = [(image - image.mean()) * taper for image in (first, second)]
    back, _, _ = phase_cross_correlation(*tapered, upsample_factor=UPSAMPLING, normalization=normalization)
    return -np.asarray(back, dtype=np.float64)


def _overlap(first: Array, second: Array, rows: int, columns: int) -> tuple[Array, Array]:
    """Return what both images show, when `second` shows it (rows, columns) px from where `first` does."""

    def parts(size: int, shift: int) -> tuple[slice, slice]:
        low, high = max(0, -shift), min(size, size - shift)
        return slice(low, high), slice(low + shift, high + shift)

    (rows_one, rows_other), (columns_one, columns_other) = parts(first.shape[0], rows), parts(first.shape[1], columns)
    return first[rows_one, columns_one], second[rows_other, columns_other]


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
