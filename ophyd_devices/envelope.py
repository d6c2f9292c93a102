"""The safety envelope: the limits that every command is checked against. A frozen value that JSON can hold."""

from dataclasses import replace
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

from ophyd_devices.backend import Area, Info, Ramp


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Circle(_Value):
    """A round zone, e.g. a defect or the end of an electrode. All lengths in nm."""

    kind: Literal["circle"] = "circle"
    x: float
    y: float
    radius: PositiveFloat

    @property
    def box(self) -> Area:
        """The smallest rectangle around the zone, (x_min, x_max, y_min, y_max) in nm."""
        return self.x - self.radius, self.x + self.radius, self.y - self.radius, self.y + self.radius

    def distance(self, points: NDArray[np.float64]) -> float:
        """Return the distance between the convex hull of `points` (N, 2) and the zone in nm; 0 if they touch."""
        return max(0.0, hull_distance(points, [(self.x, self.y)]) - self.radius)


class Rectangle(_Value):
    """A rectangular zone. All lengths in nm."""

    kind: Literal["rectangle"] = "rectangle"
    x_min: float
    x_max: float
    y_min: float
    y_max: float

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_area((self.x_min, self.x_max, self.y_min, self.y_max), "a rectangle")
        return self

    @property
    def box(self) -> Area:
        """The zone itself, (x_min, x_max, y_min, y_max) in nm."""
        return self.x_min, self.x_max, self.y_min, self.y_max

    def distance(self, points: NDArray[np.float64]) -> float:
        """Return the distance between the convex hull of `points` (N, 2) and the zone in nm; 0 if they touch."""
        return hull_distance(points, corners((self.x_min, self.x_max, self.y_min, self.y_max)))


Zone = Annotated[Circle | Rectangle, Field(discriminator="kind")]


class Dose(_Value):
    """At most `loops` spectra within `radius` nm of any place where one is taken, that one included."""

    loops: PositiveInt
    radius: PositiveFloat


class Envelope(_Value):
    """The limits of an instrument. What is left out is limited by the instrument alone.

    Parameters
    ----------
    scan_range : (x_min, x_max, y_min, y_max), optional
        Where the tip may be, in nm.
    setpoint_range : (low, high), optional
        Contact force in nN.
    amplitude_max : float, optional
        Largest bias in V, of either sign.
    z_range_max : float, optional
        Largest height of a spectrum over the height, in nm.
    z_speed_max : float, optional
        Largest speed of such a ramp, in nm/s.
    trigger_force_max : float, optional
        The force in nN at which the instrument ends such a ramp may not be larger; it is an option of the backend.
    slew_max : float, optional
        Largest step of the bias over the dwell time, in V/s. The waveform starts from and ends at 0 V.
    dose_per_spot, dose_per_area : Dose, optional
        How many spectra may be taken around a place. There are two: a small radius limits the damage of a spot, a large
        one the total dose of an area.
    loops_per_tip : int, optional
        How many spectra a tip may take.
    forbidden : tuple of Circle or Rectangle
        Zones that the tip must keep away from.
    clearance : float
        The smallest distance to a zone, in nm.
    contact_move_max : float, optional
        The longest distance in nm that the tip may be dragged over the surface. For a longer move it is lifted.

    Examples
    --------
    >>> Envelope.model_validate_json('{"amplitude_max": 5}') == Envelope(amplitude_max=5.0)
    True
    """

    scan_range: Area | None = None
    setpoint_range: tuple[PositiveFloat, PositiveFloat] | None = None
    amplitude_max: PositiveFloat | None = None
    z_range_max: PositiveFloat | None = None
    z_speed_max: PositiveFloat | None = None
    trigger_force_max: PositiveFloat | None = None
    slew_max: PositiveFloat | None = None
    dose_per_spot: Dose | None = None
    dose_per_area: Dose | None = None
    loops_per_tip: PositiveInt | None = None
    forbidden: tuple[Zone, ...] = ()
    clearance: PositiveFloat = 50.0
    contact_move_max: PositiveFloat | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.scan_range is not None:
            _check_area(self.scan_range, "a scan range")
        if self.setpoint_range is not None and self.setpoint_range[0] > self.setpoint_range[1]:
            raise ValueError(f"expected a setpoint range (low, high) in nN, got {self.setpoint_range}")
        return self

    def check_within(self, info: Info) -> None:
        """Raise ValueError if the envelope allows what the instrument cannot do: a number must be wrong."""
        if self.scan_range is not None:
            low_x, high_x, low_y, high_y = info.scan_range
            x_min, x_max, y_min, y_max = self.scan_range
            if x_min < low_x or x_max > high_x or y_min < low_y or y_max > high_y:
                raise ValueError(
                    f"the envelope's scan range {self.scan_range} nm reaches outside that of the instrument, "
                    f"{info.scan_range} nm; make it smaller, or leave it out"
                )
        if self.setpoint_range is not None:
            low, high = self.setpoint_range
            if low < info.setpoint_range[0] or high > info.setpoint_range[1]:
                raise ValueError(
                    f"the envelope's setpoint range {self.setpoint_range} nN reaches outside that of the instrument, "
                    f"{info.setpoint_range} nN; make it smaller, or leave it out"
                )
        if self.amplitude_max is not None and self.amplitude_max > info.amplitude_max:
            raise ValueError(
                f"the envelope's amplitude {self.amplitude_max:g} V is above that of the instrument, "
                f"{info.amplitude_max:g} V; make it smaller, or leave it out"
            )

        if info.ramp is not None:
            self._check_ramp(info.ramp)

    def ramp_within(self, ramp: Ramp) -> Ramp:
        """Return the limits of a ramp within this envelope."""
        return replace(ramp, range_max=self.z_range_max or ramp.range_max, speed_max=self.z_speed_max or ramp.speed_max)

    def _check_ramp(self, ramp: Ramp) -> None:
        for what, unit, wanted, possible in (
            ("height", "nm", self.z_range_max, ramp.range_max),
            ("ramp speed", "nm/s", self.z_speed_max, ramp.speed_max),
        ):
            if wanted is not None and wanted > possible:
                raise ValueError(
                    f"the envelope's {what} of {wanted:g} {unit} is above that of the instrument, {possible:g} {unit}; "
                    "make it smaller, or leave it out"
                )
        if self.trigger_force_max is not None and ramp.trigger_force > self.trigger_force_max:
            raise ValueError(
                f"the instrument ends a ramp at {ramp.trigger_force:g} nN, the envelope allows "
                f"{self.trigger_force_max:g} nN; choose a smaller trigger_force in the options of the backend"
            )

    def clear_part(self, area: Area) -> Area | None:
        """Return the largest rectangle in `area` whose distance to each zone is at least the clearance; or None.

        Zones count as their bounding boxes. The sides of the largest rectangle then touch such a box or the edge of
        `area` (B. Chazelle, R. L. Drysdale, D. T. Lee, "Computing the largest empty rectangle", SIAM J. Comput. 15,
        300 (1986), doi 10.1137/0215022). Every pair of x edges is tried, with the gaps along y between them: that is
        quick for the dozens of zones that a person writes.
        """
        margin = self.clearance * (1 + 1e-9)  # beyond the rounding of a distance
        boxes = np.array([zone.box for zone in self.forbidden]).reshape(-1, 4) + np.array([-1, 1, -1, 1]) * margin
        x_min, x_max, y_min, y_max = area
        lefts = [x_min, *(x for x in boxes[:, 1] if x_min < x < x_max)]
        rights = [x_max, *(x for x in boxes[:, 0] if x_min < x < x_max)]
        best, largest = None, 0.0
        for left in lefts:
            for right in (x for x in rights if x > left):
                within = boxes[(boxes[:, 0] < right) & (boxes[:, 1] > left)]
                bottom = y_min
                for low, high in [*((box[2], box[3]) for box in within[np.argsort(within[:, 2])]), (y_max, y_max)]:
                    top = min(low, y_max)
                    if (right - left) * (top - bottom) > largest and top > bottom:
                        best, largest = (left, right, bottom, top), (right - left) * (top - bottom)
                    bottom = max(bottom, high)
        return None if best is None else tuple(float(edge) for edge in best)  # type: ignore[return-value]

    def blocking(self, points: NDArray[np.float64]) -> tuple[Circle | Rectangle, float] | None:
        """Return a zone that the convex hull of `points` (N, 2) comes too close to, and the distance in nm; or None."""
        for zone in self.forbidden:
            distance = zone.distance(points)
            if distance < self.clearance:
                return zone, distance
        return None


def corners(area: Area) -> NDArray[np.float64]:
    """Return the corners of `area`, (4, 2) in nm."""
    x_min, x_max, y_min, y_max = area
    return np.array([(x_min, y_min), (x_max, y_min), (x_max, y_max), (x_min, y_max)], dtype=np.float64)


def hull_distance(a: ArrayLike, b: ArrayLike) -> float:
    """Return the distance between the convex hulls of two sets of points; 0 if they meet.

    It is the distance of the origin from the hull of all differences a − b (their Minkowski difference). The edges of
    that hull are among the segments between its points. If the origin is inside, it sees points in all directions.

    Parameters
    ----------
    a, b : (N, 2), (M, 2)
        A point, the two ends of a path, or the corners of an area. Time and memory grow with (N·M)².
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    points = (a[:, None] - b).reshape(-1, 2)
    angles = np.sort(np.arctan2(points[:, 1], points[:, 0]))
    if np.diff(angles, append=angles[0] + 2 * np.pi).max() < np.pi:
        return 0.0
    first, second = np.triu_indices(len(points))
    start, step = points[first], points[second] - points[first]
    squares = (step**2).sum(axis=1)
    along = np.clip(-(start * step).sum(axis=1) / np.where(squares > 0, squares, 1.0), 0.0, 1.0)
    return float(np.hypot(*(start + along[:, None] * step).T).min())


def _check_area(area: Area, what: str) -> None:
    x_min, x_max, y_min, y_max = area
    if x_min >= x_max or y_min >= y_max:
        raise ValueError(f"expected {what} with x_min < x_max and y_min < y_max in nm, got {area}")
