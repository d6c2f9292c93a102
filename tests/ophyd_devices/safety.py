"""A backend that only keeps a record, and an oracle that says what should be in it.

The oracle is written from the rules of docs/how-to/safety.md, in plain Python, and shares nothing with the code.
"""

import math
import threading
from dataclasses import dataclass, field

import numpy as np

from ophyd_devices.backend import BackendError, Channel, Info, Loop, Spectroscopy

INFO = Info(
    channels=(Channel("z", "nm"),),
    spectroscopy=Spectroscopy("response", "a.u.", "bias", "V"),
    scan_range=(0.0, 1000.0, 0.0, 800.0),
    pixels=(4, 4),
    fixed_frame=False,
    setpoint_range=(1.0, 100.0),
    amplitude_max=10.0,
    simulated=True,
)


class Recorder:
    """An AfmBackend without physics: it notes each command, does it at once, and fails when told so."""

    info = INFO

    def __init__(self):
        self.place, self.engaged, self.fails, self.commands, self.promises = (500.0, 400.0), False, False, [], []
        self.withdrawn, self.setpoint = threading.Event(), 0.0

    def describe(self):
        return {}

    def time(self):
        return 0.0

    def position(self):
        return self.place

    def in_contact(self):
        return self.engaged

    def force(self):
        return self.setpoint

    def keep_alive(self, seconds):
        self.promises.append(seconds)

    def move(self, x, y, velocity, settle):
        self.commands.append(("move", x, y))
        self.place = (x, y)

    def engage(self, setpoint):
        self.commands.append(("engage", setpoint))
        self.engaged, self.setpoint = True, setpoint

    def withdraw(self):
        self.commands.append(("withdraw",))
        self.engaged = False
        self.withdrawn.set()

    def frame(self, area, pixels, line_rate, progress):
        self.commands.append(("frame", area, pixels))
        return np.zeros((1, *pixels), np.float32)

    def spectrum(self, bias, dwell):
        self.commands.append(("spectrum", *bias, dwell))
        if self.fails:
            self.fails = False
            raise BackendError("the instrument failed")
        return Loop(np.zeros(len(bias)))

    def reference(self, positions, bias, channel=0):
        return None

    def stop(self):
        pass

    def close(self):
        self.engaged = False


class Undecided(Exception):
    """The answer hangs on the rounding of a distance."""


@dataclass
class Oracle:
    """What docs/how-to/safety.md says, command by command.

    Each method returns the commands that should reach the instrument; none where the rules refuse.
    """

    envelope: dict
    place: tuple = (500.0, 400.0)
    asked: tuple = (500.0, 400.0)
    engaged: bool = False
    fails: bool = False
    setpoint: float = 20.0
    area: tuple = ()
    pixels: tuple = (4, 4)
    amplitude: float = 8.0
    steps: int = 32
    dwell: float = 4.1e-3
    places: list = field(default_factory=list)
    tip_loops: int = 0

    def __post_init__(self):
        self.range = self.envelope.get("scan_range", INFO.scan_range)
        self.area = self.range
        self.forces = self.envelope.get("setpoint_range", INFO.setpoint_range)
        self.volts = self.envelope.get("amplitude_max", INFO.amplitude_max)

    # the devices

    def put(self, name, value):
        """Whether a setting is accepted."""
        allowed = {
            "setpoint": lambda: self.forces[0] <= value <= self.forces[1],
            "amplitude": lambda: 0 <= value <= self.volts,
            "area": lambda: self.area_is_allowed(value),
            "pixels": lambda: all(2 <= n <= 4096 for n in value),
            "steps": lambda: 8 <= value <= 4096 and value % 4 == 0,
            "dwell": lambda: 1e-6 <= value <= 10,
        }[name]()
        if allowed:
            setattr(self, name, value)
        return allowed

    def go(self, x, y):
        """The scanner is asked to go to a place."""
        if not self.is_allowed(x, y):
            return []
        lift = [("withdraw",)] if self.engaged and not self.drag_is_allowed(x, y) else []
        self.asked = self.place = (x, y)
        self.engaged = self.engaged and not lift
        return [*lift, ("move", x, y)]

    def image(self):
        return self.frame(self.area, self.pixels, 1.0)

    def measure(self):
        quarter = self.steps // 4
        up = [self.amplitude * k / quarter for k in range(quarter)]
        down = [self.amplitude * (quarter - k) / quarter for k in range(quarter)]
        return self.spectrum([*up, *down, *[-u for u in up], *[-d for d in down]], self.dwell)

    # the instrument

    def move(self, x, y, velocity, settle):
        sound = 0 < velocity < math.inf and 0 <= settle < math.inf
        if not sound or not self.is_allowed(x, y) or (self.engaged and not self.drag_is_allowed(x, y)):
            return []
        self.place = (x, y)
        return [("move", x, y)]

    def engage(self, setpoint):
        if not self.forces[0] <= setpoint <= self.forces[1] or not self.is_allowed(*self.place):
            return []
        self.engaged = True
        return [("engage", setpoint)]

    def withdraw(self):
        self.engaged = False
        return [("withdraw",)]

    def frame(self, area, pixels, line_rate):
        sound = all(0 < n < math.inf for n in pixels) and 0 < line_rate < math.inf
        if not (sound and self.engaged and self.area_is_allowed(area) and self.is_in_range(*self.place)):
            return []
        x_min, x_max, y_min, y_max = area
        nearest = (min(max(self.place[0], x_min), x_max), min(max(self.place[1], y_min), y_max))
        longest = self.envelope.get("contact_move_max", math.inf)
        if not at_most(math.dist(self.place, nearest), longest) or not self.is_clear([*box(area), self.place]):
            return []
        return [("frame", area, pixels)]

    def spectrum(self, bias, dwell):
        if not 0 < dwell < math.inf or not all(abs(volt) <= self.volts for volt in bias):
            return []
        slew = max(abs(b - a) for a, b in zip([0, *bias], [*bias, 0], strict=True)) / dwell
        limit = self.envelope.get("slew_max", math.inf)
        if math.isclose(slew, limit, rel_tol=1e-8) and not math.isclose(slew, limit, rel_tol=1e-12):
            raise Undecided
        if slew > limit and not math.isclose(slew, limit, rel_tol=1e-12):
            return []
        if not self.engaged or not self.is_allowed(*self.place):
            return []
        if self.tip_loops >= self.envelope.get("loops_per_tip", math.inf):
            return []
        for name in ("dose_per_spot", "dose_per_area"):
            dose = self.envelope.get(name)
            if dose and sum(at_most(math.dist(self.place, p), dose["radius"]) for p in self.places) >= dose["loops"]:
                return []
        self.places.append(self.place)
        self.tip_loops += 1
        return [("spectrum", *bias, dwell)]

    # the rules

    def is_in_range(self, x, y):
        return self.range[0] <= x <= self.range[1] and self.range[2] <= y <= self.range[3]

    def is_allowed(self, x, y):
        return self.is_in_range(x, y) and self.is_clear([(x, y)])

    def area_is_allowed(self, area):
        x_min, x_max, y_min, y_max = area
        inside = self.range[0] <= x_min < x_max <= self.range[1] and self.range[2] <= y_min < y_max <= self.range[3]
        return inside and self.is_clear(box(area))

    def drag_is_allowed(self, x, y):
        length = math.dist(self.place, (x, y))
        longest = self.envelope.get("contact_move_max", math.inf)
        return self.is_in_range(*self.place) and at_most(length, longest) and self.is_clear([self.place, (x, y)])

    def is_clear(self, points):
        shape = hull(points)
        clearance = self.envelope["clearance"]
        for zone in self.envelope.get("forbidden", ()):
            if zone["kind"] == "circle":
                distance = shape_distance(shape, [(zone["x"], zone["y"])]) - zone["radius"]
            else:
                distance = shape_distance(shape, box([zone[edge] for edge in ("x_min", "x_max", "y_min", "y_max")]))
            if not at_most(clearance, distance):
                return False
        return True


def at_most(a, b):
    """Return a <= b; exact numbers are judged exactly, what is merely close is undecided."""
    if a != b and math.isclose(a, b, rel_tol=1e-12, abs_tol=1e-9):
        raise Undecided
    return a <= b


def box(area):
    x_min, x_max, y_min, y_max = area
    return [(x_min, y_min), (x_max, y_min), (x_max, y_max), (x_min, y_max)]


def cross(o, a, b):
    return (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0])


def hull(points):
    """The convex hull, counter-clockwise (Andrew's monotone chain)."""
    points = sorted(set(points))
    if len(points) < 3:
        return points

    def chain(points):
        found = []
        for point in points:
            while len(found) > 1 and cross(found[-2], found[-1], point) <= 0:
                found.pop()
            found.append(point)
        return found[:-1]

    return chain(points) + chain(points[::-1])


def edges(shape):
    return list(zip(shape, [*shape[1:], shape[0]], strict=True))


def inside(point, shape):
    return len(shape) > 2 and all(cross(a, b, point) >= 0 for a, b in edges(shape))


def point_distance(p, a, b):
    square = (b[0] - a[0]) ** 2 + (b[1] - a[1]) ** 2
    if square == 0:
        return math.dist(p, a)
    along = ((p[0] - a[0]) * (b[0] - a[0]) + (p[1] - a[1]) * (b[1] - a[1])) / square
    along = min(max(along, 0.0), 1.0)
    return math.dist(p, (a[0] + along * (b[0] - a[0]), a[1] + along * (b[1] - a[1])))


def crossing(a, b, c, d):
    return cross(a, b, c) * cross(a, b, d) < 0 and cross(c, d, a) * cross(c, d, b) < 0


def shape_distance(one, other):
    """The distance of two convex shapes: 0 where one holds a corner of the other or edges cross, else between edges."""
    if any(inside(p, other) for p in one) or any(inside(p, one) for p in other):
        return 0.0
    if any(crossing(*e, *f) for e in edges(one) for f in edges(other)):
        return 0.0
    return min(
        *(point_distance(p, *edge) for p in one for edge in edges(other)),
        *(point_distance(p, *edge) for p in other for edge in edges(one)),
    )
