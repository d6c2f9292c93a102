import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curio_plans.drift import DriftCorrection, register
from curio_plans.plans import curiosity
from ophyd_devices.twin import Ferroelectric

FILM = Ferroelectric(7)
AREA, PIXELS = (500.0, 1500.0, 500.0, 1500.0), (64, 64)


def seen(dx, dy, seed):
    """The topography of the area after the sample has moved by (dx, dy) nm."""
    moved = (AREA[0] - dx, AREA[1] - dx, AREA[2] - dy, AREA[3] - dy)
    return FILM.frame(moved, PIXELS, np.random.default_rng(seed))[0]


@settings(max_examples=15, deadline=None)
@given(dx=st.floats(-150, 150), dy=st.floats(-150, 150), seed=st.integers(0, 9))
def test_a_shift_is_found_to_a_fraction_of_a_pixel(dx, dy, seed):
    found = register(seen(0, 0, 100), seen(dx, dy, seed))
    pixel = 1000 / 64
    assert found.columns * pixel == pytest.approx(dx, abs=pixel / 3)
    assert found.rows * pixel == pytest.approx(dy, abs=pixel / 3)
    assert found.confidence > 0.8


def test_another_place_gives_no_confidence():
    elsewhere = Ferroelectric(8).frame(AREA, PIXELS)[0]
    assert register(seen(0, 0, 0), elsewhere).confidence < 0.5
    assert register(seen(0, 0, 0), np.zeros(PIXELS)).confidence == 0


@pytest.mark.parametrize(
    ("chosen", "points", "seconds", "due"),
    [
        ({"every_points": 5}, 4, 1e9, False),
        ({"every_points": 5}, 5, 0, True),
        ({"every_minutes": 2}, 99, 119, False),
        ({"every_minutes": 2}, 0, 120, True),
        ({"every_points": 5, "every_minutes": 2}, 5, 1, True),
    ],
)
def test_when_an_image_is_due(chosen, points, seconds, due):
    assert DriftCorrection(**chosen).due(points, seconds) == due


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({}, "drift: .*expected every_points, every_minutes or both"),
        ({"every_points": 0}, "drift: every_points"),
        ({"every_points": 3, "channel": "colour"}, "expected a drift channel among"),
        ({"every_points": 3, "speed": 1}, "drift: speed: Extra inputs"),
    ],
)
def test_wrong_settings_are_refused_before_anything_moves(afm, engine, documents, wanderer, chosen, message):
    with pytest.raises(ValueError, match=message):
        engine(curiosity(afm, {}, 3, build=wanderer, drift=chosen))
    assert documents == []
