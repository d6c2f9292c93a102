"""Thousands of random commands at the devices: nothing outside the envelope arrives, nothing inside is refused."""

import contextlib
import math
import os

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from safety import Oracle, Recorder, Undecided

from ophyd_devices import AFM, Envelope, EnvelopeError
from ophyd_devices.backend import BackendError

ENVELOPES = (
    {"clearance": 50.0},
    {
        "scan_range": (100.0, 900.0, 100.0, 700.0),
        "setpoint_range": (5.0, 50.0),
        "amplitude_max": 8.0,
        "slew_max": 400.0,
        "dose_per_spot": {"loops": 2, "radius": 10.0},
        "dose_per_area": {"loops": 3, "radius": 150.0},
        "loops_per_tip": 12,
        "forbidden": (
            {"kind": "circle", "x": 300.0, "y": 300.0, "radius": 30.0},
            {"kind": "rectangle", "x_min": 600.0, "x_max": 650.0, "y_min": 100.0, "y_max": 400.0},
        ),
        "clearance": 20.0,
        "contact_move_max": 400.0,
    },
    {
        "slew_max": 8 / 8 / 4.1e-3,
        "loops_per_tip": 3,
        "forbidden": ({"kind": "rectangle", "x_min": -50.0, "x_max": 480.0, "y_min": 380.0, "y_max": 420.0},),
        "clearance": 1.0,
    },
)  # fmt: skip


def around(one, other):
    """The rectangle with two given corners."""
    return (*sorted((one[0], other[0])), *sorted((one[1], other[1])))


SETTINGS = {
    "setpoint": ("tip", "setpoint"),
    "amplitude": ("spectrometer", "amplitude"),
    "dwell": ("spectrometer", "dwell"),
    "steps": ("spectrometer", "steps_per_cycle"),
    "area": ("imager", "area"),
    "pixels": ("imager", "pixels"),
}
STEPS = 40
EXAMPLES = int(os.environ.get("CURIO_MACHINE_EXAMPLES", "40"))
"""100 000 commands and more: CURIO_MACHINE_EXAMPLES=420 pytest -s tests/ophyd_devices/test_envelope_machine.py"""

edges = [0.0, 20.0, 50.0, 80.0, 100.0, 250.0, 300.0, 350.0, 379.0, 400.0, 420.0, 421.0, 481.0, 500.0, 580.0, 670.0,
         700.0, 800.0, 900.0, 1000.0]  # fmt: skip
near = [math.nextafter(edge, direction) for edge in edges for direction in (-math.inf, math.inf)]
length = st.sampled_from(edges * 3 + near) | st.floats(-50, 1050) | st.sampled_from([math.nan, math.inf, -math.inf])
spots = [(200.0, 600.0), (210.0, 600.0), (200.0, 590.0), (350.0, 600.0), (600.0, 600.0), (200.0, 200.0), (800.0, 300.0)]
"""Allowed by every envelope, at distances that are limits: 10, 150 and 400 nm."""
spot = st.sampled_from(spots)
rim = st.sampled_from([(350.0, 300.0), (349.0, 300.0), (300.0, 321.0), (580.0, 200.0), (581.0, 200.0)])
place = st.tuples(length, length) | spot | rim
area = st.one_of(
    st.tuples(spot, spot).map(lambda two: around(*two)),
    st.tuples(place, place).map(lambda two: around(*two)),
    st.tuples(length, length, length, length),
)
volt = st.sampled_from([math.nan, 0.0, 8.0, math.nextafter(8, 9), 10.0, math.nextafter(10, 11), 1.0, -1.0]) | st.floats(
    -11, 11
)
dwell = st.sampled_from([4.1e-3, 4.08e-3, 8.2e-3, 1e-6, 0.0, 2e-3, math.nan]) | st.floats(1e-4, 1e-2)
force = st.sampled_from([1.0, 5.0, 50.0, 100.0, math.nextafter(1, 0), math.nextafter(50, 51), math.nan]) | st.floats(
    0, 101
)
bias = st.sampled_from([[2.0, 1.0], [1.0, 2.0], [1.0, 1.0]]) | st.lists(volt, min_size=1, max_size=4)
raw = st.one_of(
    st.tuples(st.just("raw"), st.just("move"), st.tuples(length, length, st.sampled_from([1.0, 1.0, 0.0, math.nan]),
                                                          st.sampled_from([0.0, 0.0, -1.0, math.inf]))),
    st.tuples(st.just("raw"), st.just("engage"), st.tuples(force)),
    st.tuples(st.just("raw"), st.just("frame"), st.tuples(area, st.sampled_from([(4, 4), (4, 4), (0, 4)]),
                                                          st.sampled_from([1.0, 1.0, 0.0, math.inf]))),
    st.tuples(st.just("raw"), st.just("spectrum"), st.tuples(bias, dwell)),
)  # fmt: skip
command = st.one_of(
    st.tuples(st.just("go"), place),
    st.tuples(st.just("go"), place),
    st.tuples(st.sampled_from(["go_x", "go_y"]), length),
    st.tuples(st.just("visit"), spot),
    st.tuples(st.just("visit"), spot),
    st.tuples(st.sampled_from(["engage", "engage", "withdraw"])),
    st.tuples(st.sampled_from(["engage", "measure", "measure", "image", "image"])),
    st.tuples(st.sampled_from(["engage", "measure", "measure", "image", "image"])),
    st.tuples(st.just("put"), st.just("setpoint"), force),
    st.tuples(st.just("put"), st.just("amplitude"), volt),
    st.tuples(st.just("put"), st.just("dwell"), dwell),
    st.tuples(st.just("put"), st.just("steps"), st.sampled_from([8, 32, 30, 64, 4])),
    st.tuples(st.just("put"), st.just("area"), area),
    st.tuples(st.just("put"), st.just("pixels"), st.sampled_from([(4, 4), (2, 3), (1, 4)])),
    raw,
    st.tuples(st.just("visit_and"), spot, raw),
    st.tuples(st.just("visit_and"), spot, raw),
    st.tuples(st.just("push"), st.tuples(st.floats(-50, 1050), st.floats(-50, 850))),
    st.tuples(st.sampled_from(["lose contact", "fail", "new tip", "change tip", "change tip", "new sample"])),
)  # fmt: skip


class Machine(RuleBasedStateMachine):
    """Random commands in sequences; after each, what arrived is compared with what the oracle expects."""

    count = 0

    @initialize(envelope=st.sampled_from(ENVELOPES))
    def begin(self, envelope):
        self.backend = Recorder()
        self.afm = AFM(self.backend, envelope=Envelope.model_validate(envelope))
        self.afm.spectrometer.cycles.put(1)
        self.oracle = Oracle(envelope)
        self.afm.imager.area.publish(self.oracle.area)  # the whole range: by default a frame is clear of the zones

    @rule(commands=st.lists(command, min_size=10, max_size=20))
    def sequence(self, commands):
        for name, *arguments in commands:
            Machine.count += 1
            with contextlib.suppress(Undecided):
                getattr(self, name.replace(" ", "_"))(*arguments)

    def judge(self, expected, ask):
        """Ask, and compare what becomes of it with what should."""
        succeeds = bool(expected)
        if self.oracle.fails and succeeds and expected[0][0] == "spectrum":
            self.oracle.fails = succeeds = False
        self.backend.commands = arrived = []
        self.backend.withdrawn.clear()
        try:
            status = ask()
        except (ValueError, BackendError):
            assert not succeeds, expected
        else:
            failed = status is not None and status.exception(10) is not None
            assert failed != succeeds, expected
            if failed and status.device is self.afm.tip:  # then ophyd stops the tip, and that withdraws it
                expected = self.oracle.withdraw()
                assert self.backend.withdrawn.wait(10)
        assert len(arrived) == len(expected), (arrived, expected)
        assert all(map(alike, arrived, expected)), (arrived, expected)

    def go(self, place):
        self.judge(self.oracle.go(*place), lambda: self.afm.scanner.set(place))

    def visit(self, place):
        self.go(place)
        self.engage()

    def visit_and(self, place, then):
        self.visit(place)
        self.raw(*then[1:])

    def go_x(self, x):
        self.judge(self.oracle.go(x, self.oracle.asked[1]), lambda: self.afm.scanner.x.set(x))

    def go_y(self, y):
        self.judge(self.oracle.go(self.oracle.asked[0], y), lambda: self.afm.scanner.y.set(y))

    def engage(self):
        self.judge(self.oracle.engage(self.oracle.setpoint), lambda: self.afm.tip.set("engaged"))

    def withdraw(self):
        self.judge(self.oracle.withdraw(), lambda: self.afm.tip.set("withdrawn"))

    def measure(self):
        self.judge(self.oracle.measure(), self.afm.spectrometer.trigger)

    def image(self):
        self.judge(self.oracle.image(), self.afm.imager.trigger)

    def put(self, name, value):
        owner, setting = SETTINGS[name]
        allowed = self.oracle.put(name, value)
        try:
            getattr(getattr(self.afm, owner), setting).put(value)
        except ValueError:
            assert not allowed, (name, value)
        else:
            assert allowed, (name, value)

    def raw(self, name, arguments):
        """A command past the devices, straight at ``afm.backend``."""
        more = {"frame": (lambda *_: None,)}.get(name, ())

        def ask():
            getattr(self.afm.backend, name)(*arguments, *more)

        self.judge(getattr(self.oracle, name)(*arguments), ask)

    def push(self, place):
        """Drift, or a hand at the knob."""
        self.backend.place = self.oracle.place = place

    def lose_contact(self):
        self.backend.engaged = self.oracle.engaged = False

    def fail(self):
        self.backend.fails = self.oracle.fails = True

    def new_tip(self):
        try:
            self.afm.tip.replace()
        except EnvelopeError:
            assert self.oracle.engaged
        else:
            assert not self.oracle.engaged
            self.oracle.tip_loops = 0

    def change_tip(self):
        self.withdraw()
        self.new_tip()

    def new_sample(self):
        self.afm.replace_sample()
        self.oracle.places = []

    def teardown(self):
        if hasattr(self, "afm"):
            self.afm.close()


def alike(one, other):
    if one[0] == other[0] == "spectrum":
        return len(one) == len(other) and np.allclose(one[1:], other[1:], rtol=1e-12, atol=1e-12)
    return one == other


def drive(examples):
    """Run the machine; return the number of commands."""
    Machine.count = 0
    run_state_machine_as_test(Machine, settings=settings(
        max_examples=examples, stateful_step_count=STEPS, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck), print_blob=False,
    ))  # fmt: skip
    return Machine.count


def test_nothing_outside_the_envelope_arrives_and_nothing_inside_is_refused():
    commands = drive(EXAMPLES)
    print(f"{commands} commands")
    assert commands > 100 * EXAMPLES
