"""When to image again to correct the drift, and when to trust the result."""

from typing import Annotated, Any

from pydantic import Field

from curio_plans.validation import Frozen, Positive, PositiveWhole, as_number


class DriftCorrection(Frozen):
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

    every_points: PositiveWhole | None = None
    every_minutes: Positive | None = None
    channel: str | None = None
    min_confidence: Annotated[float, Field(ge=-1, le=1), as_number] = 0.5

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
