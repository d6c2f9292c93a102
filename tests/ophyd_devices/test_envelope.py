import itertools
import json

import numpy as np
import pytest
from bluesky import plan_stubs as bps
from bluesky.simulators import check_limits
from hypothesis import given, settings
from hypothesis import strategies as st
from ophyd.utils import LimitError
from pydantic import ValidationError
from safety import Recorder, box, hull, shape_distance

from curio_plans.plans import spectra_at
from ophyd_devices import Envelope, EnvelopeError
from ophyd_devices.envelope import corners, hull_distance
from ophyd_devices.twin import twin

ZONE = {"kind": "circle", "x": 300, "y": 300, "radius": 50}


def test_an_envelope_is_a_frozen_value_that_json_can_hold():
    envelope = Envelope(amplitude_max=5, forbidden=[ZONE], dose_per_spot={"loops": 3, "radius": 10})
    assert Envelope.model_validate_json(envelope.model_dump_json()) == envelope
    with pytest.raises(ValidationError, match="frozen"):
        envelope.amplitude_max = 10


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"scan_range": (10, 0, 0, 10)}, "x_min < x_max"),
        ({"scan_range": (0, float("nan"), 0, 10)}, "finite"),
        ({"setpoint_range": (50, 5)}, "low, high"),
        ({"amplitude_max": -1}, "greater than 0"),
        ({"clearance": 0}, "greater than 0"),
        ({"loops_per_tip": 1.5}, "integer"),
        ({"dose_per_spot": {"loops": 0, "radius": 1}}, "greater than 0"),
        ({"forbidden": [{"kind": "square"}]}, "circle"),
        ({"forbidden": [{"kind": "rectangle", "x_min": 1, "x_max": 1, "y_min": 0, "y_max": 1}]}, "x_min < x_max"),
        ({"amplitude": 5}, "not permitted"),
    ],
)
def test_a_wrong_envelope_is_refused(limits, message):
    with pytest.raises(ValidationError, match=message):
        Envelope.model_validate(limits)


@pytest.mark.parametrize(
    "limits", [{"scan_range": (0, 2000, 0, 100)}, {"setpoint_range": (0.5, 50)}, {"amplitude_max": 11}]
)
def test_an_envelope_wider_than_the_instrument_is_refused(make, limits):
    with pytest.raises(ValueError, match="that of the instrument"):
        make(**limits)


def test_the_devices_show_the_limits_of_the_envelope(make):
    afm = make(scan_range=(100, 900, 100, 700), setpoint_range=(5, 50), amplitude_max=8)
    assert afm.scanner.x.limits == (100, 900)
    assert afm.tip.setpoint.limits == (5, 50)
    assert afm.spectrometer.amplitude.limits == (0, 8)
    assert tuple(afm.imager.area.get()) == (100, 900, 100, 700)


def test_the_envelope_is_in_the_baseline(make, engine, documents):
    afm = make(forbidden=[ZONE])

    def plan():
        yield from bps.open_run()
        yield from bps.trigger_and_read(afm.baseline, name="baseline")
        yield from bps.close_run()

    engine(plan())
    (data,) = [doc["data"] for name, doc in documents if name == "event"]
    assert Envelope.model_validate_json(data["afm_envelope"]) == afm.backend.envelope
    assert json.loads(data["afm_envelope"])["forbidden"][0]["radius"] == 50


def test_a_plan_into_a_forbidden_zone_is_refused_before_anything_moves(make, engine, documents):
    afm = make(forbidden=[ZONE], clearance=20)
    for run in (check_limits, engine):
        with pytest.raises(LimitError, match=r"within 15 nm of the forbidden Circle.*choose another place"):
            run(spectra_at(afm, [(100, 100), (365, 300)]))
    assert documents == []
    assert afm.link.backend.position() == (500, 400)


def test_what_a_plan_needs_can_be_asked_beforehand(make):
    afm = make(forbidden=[ZONE], slew_max=100, dose_per_spot={"loops": 1, "radius": 5}, loops_per_tip=3)
    afm.imager.area.publish(afm.imager.info.scan_range)  # the default is clear of the zone, and put refuses it
    with pytest.raises(EnvelopeError, match=r"the frame .* comes within 0 nm"):
        afm.imager.check()
    with pytest.raises(EnvelopeError, match=r"243.902 V/s, the limit is 100 V/s; lower the amplitude"):
        afm.spectrometer.check()
    afm.spectrometer.amplitude.put(2)
    afm.spectrometer.check([(500, 400), (510, 400), (520, 400)])
    with pytest.raises(EnvelopeError, match="before point 2: 1 spectra were taken within 5 nm"):
        afm.spectrometer.check([(500, 400), (504, 400)])
    with pytest.raises(EnvelopeError, match="before point 4: the tip has taken 3 spectra"):
        afm.spectrometer.check([(x, 400) for x in (500, 510, 520, 530)])
    assert afm.tip.loops.get() == 0


def test_the_tip_is_lifted_over_what_it_must_not_be_dragged_over(make):
    backend = Recorder()
    afm = make(backend, forbidden=[ZONE], clearance=20)
    afm.scanner.set((100, 300)).wait(5)
    afm.tip.set("engaged").wait(5)
    afm.scanner.set((100, 400)).wait(5)
    assert afm.tip.position == "engaged"
    afm.scanner.set((500, 200)).wait(5)
    assert backend.commands[-2:] == [("withdraw",), ("move", 500.0, 200.0)]
    assert afm.tip.position == "withdrawn"


def test_the_guard_has_the_last_word(make):
    backend = Recorder()
    afm = make(backend, forbidden=[ZONE], clearance=20)
    afm.scanner.set((100, 300)).wait(5)
    afm.tip.set("engaged").wait(5)
    sent = list(backend.commands)
    with pytest.raises(EnvelopeError, match="withdraw first"):
        afm.backend.move(500, 200, 1000, 0)
    with pytest.raises(EnvelopeError, match="lower the amplitude"):
        afm.backend.spectrum(np.array([20.0]), 1.0)
    assert backend.commands == sent


def test_a_twin_keeps_to_its_envelope_too(make):
    afm = make(twin(seed=0), loops_per_tip=1)
    afm.tip.set("engaged").wait(5)
    afm.spectrometer.trigger().wait(5)
    with pytest.raises(EnvelopeError, match="mount a new tip"):
        afm.spectrometer.trigger().wait(5)


coordinate = st.integers(-5, 5).map(float) | st.floats(-5, 5).map(lambda x: round(x, 3))
points = st.lists(st.tuples(coordinate, coordinate), min_size=1, max_size=5)


@given(points, points)
def test_the_distance_of_two_hulls_agrees_with_the_one_by_cases(one, other):
    assert hull_distance(one, other) == pytest.approx(shape_distance(hull(one), hull(other)), abs=1e-9)


def test_the_distance_of_known_shapes():
    square = box((0, 1, 0, 1))
    assert hull_distance(square, [(4, 5)]) == 5
    assert hull_distance(square, [(0.5, 0.5)]) == 0
    assert hull_distance(square, [(-1, 2), (2, -1)]) == 0
    assert hull_distance([(0, 0), (0, 2)], [(1, 1), (3, 1)]) == 1


def test_the_default_frame_is_the_largest_without_forbidden_zones():
    zones = ({"kind": "circle", "x": 500, "y": 500, "radius": 40}, {"kind": "rectangle", "x_min": 900, "x_max": 990,
             "y_min": 0, "y_max": 100})  # fmt: skip
    envelope = Envelope(forbidden=zones, clearance=10)
    whole = (0.0, 1000.0, 0.0, 1000.0)
    part = envelope.clear_part(whole)
    assert part == pytest.approx((0, 1000, 550, 1000))
    assert envelope.blocking(corners(part)) is None
    assert Envelope().clear_part(whole) == whole
    assert Envelope(forbidden=[{"kind": "circle", "x": 0, "y": 0, "radius": 2000}]).clear_part(whole) is None


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7), st.integers(1, 3)), max_size=4))
def test_no_whole_rectangle_that_is_clear_is_larger_than_the_default_frame(circles):
    squares = [{"kind": "rectangle", "x_min": x, "x_max": x + side, "y_min": y, "y_max": y + side}
               for x, y, side in circles]  # fmt: skip
    envelope, whole = Envelope(forbidden=squares, clearance=1e-9), (0.0, 7.0, 0.0, 7.0)
    free = np.ones((7, 7), dtype=bool)
    for x, y, side in circles:
        free[y : y + side, x : x + side] = False
    sizes = [
        (right - left) * (top - bottom)
        for left, right in itertools.combinations(range(8), 2)
        for bottom, top in itertools.combinations(range(8), 2)
        if free[bottom:top, left:right].all()
    ]
    part = envelope.clear_part(whole)
    found = 0 if part is None else (part[1] - part[0]) * (part[3] - part[2])
    assert found == pytest.approx(max(sizes, default=0), abs=1e-6)
