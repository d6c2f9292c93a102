"""Places of curio, in nm, and of the scanner, in m."""

import math
from dataclasses import dataclass

from ophyd_devices.backend import Area

NM = 1e-9


@dataclass(frozen=True)
class Geometry:
    """The scanner's coordinates, turned about the centre of the scan frame by its angle.

    Without an angle the coordinates of curio are those that the controller shows, in nm. With one, x runs along the
    lines of the operator's frame.

    Attributes
    ----------
    x, y : float
        Centre of the scan frame, m.
    angle : float
        Of the scan frame, degrees; the controller counts clockwise.
    """

    x: float
    y: float
    angle: float

    def to_scanner(self, x: float, y: float) -> tuple[float, float]:
        """Return a place of curio in m of the scanner."""
        return self._turned(x * NM, y * NM, self.angle)

    def from_scanner(self, x: float, y: float) -> tuple[float, float]:
        """Return a place of the scanner in nm of curio."""
        x, y = self._turned(x, y, -self.angle)
        return x / NM, y / NM

    def _turned(self, x: float, y: float, clockwise: float) -> tuple[float, float]:
        if not clockwise:
            return x, y
        cosine, sine = math.cos(math.radians(clockwise)), math.sin(math.radians(clockwise))
        u, v = x - self.x, y - self.y
        return self.x + u * cosine + v * sine, self.y - u * sine + v * cosine


def scan_range(geometry: Geometry, frame: tuple[float, float] | None, piezo: tuple[float, float]) -> Area:
    """Return where the tip may go, in nm of curio.

    Parameters
    ----------
    geometry : Geometry
        The coordinates.
    frame : (width, height) or None
        The operator's scan frame in m; None for the whole range of the piezos, which needs an angle of 0.
    piezo : (width, height)
        Range of the piezos in m, around (0, 0).

    Raises
    ------
    ValueError
        If a corner of the frame is outside the range of the piezos, or the whole range is wanted at an angle.
    """
    width, height = piezo
    if frame is None:
        if geometry.angle:
            raise ValueError(
                f"the scan frame is turned by {geometry.angle:g}°, and the whole range of the piezos is no frame at an "
                "angle; set the angle to 0 at the controller, or use area = 'frame'"
            )
        return _nm(-width / 2), _nm(width / 2), _nm(-height / 2), _nm(height / 2)
    area = (
        _nm(geometry.x - frame[0] / 2),
        _nm(geometry.x + frame[0] / 2),
        _nm(geometry.y - frame[1] / 2),
        _nm(geometry.y + frame[1] / 2),
    )
    for corner in ((area[0], area[2]), (area[1], area[2]), (area[1], area[3]), (area[0], area[3])):
        x, y = geometry.to_scanner(*corner)
        if abs(x) > width / 2 * (1 + 1e-6) or abs(y) > height / 2 * (1 + 1e-6):  # frames are given in 32 bits
            raise ValueError(
                f"the scan frame reaches to ({x / NM:g}, {y / NM:g}) nm, outside the piezos' ±{width / 2 / NM:g} and "
                f"±{height / 2 / NM:g} nm; make the frame smaller at the controller"
            )
    return area


def _nm(length: float) -> float:
    """Return m in nm, to the picometre: the controller gives lengths in 32 bits."""
    return round(length / NM, 3)
