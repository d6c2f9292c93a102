from contextlib import closing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import events, microscope

from agents.protocols import Exclusion
from curio_plans.documents.history import History
from curio_plans.plans import curiosity
from curio_plans.rules.drift import DriftCorrection
from curio_plans.run.registration import register
from curio_plans.study.replay import verify
from ophyd_devices.twin import Ferroelectric, twin

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
        ({"every_points": 0}, "drift.every_points"),
        ({"every_points": 3, "channel": "colour"}, "expected a drift channel among"),
        ({"every_points": 3, "speed": 1}, "drift.speed: there is no such key"),
    ],
)
def test_wrong_settings_are_refused_before_anything_moves(afm, engine, documents, wanderer, chosen, message):
    with pytest.raises(ValueError, match=message):
        engine(curiosity(afm, {}, 3, build=wanderer, drift=chosen))
    assert documents == []


@pytest.fixture
def drifting():
    """A microscope whose sample drifts by 20 nm a minute, and the twin that knows where the tip really is."""
    backend = twin(seed=3, effects={"drift": 20.0})
    with closing(microscope(backend)) as afm:
        afm.imager.pixels.put((64, 64))
        yield afm, backend


def errors(engine, backend, plan):
    """Run a plan; return how far from where its first image showed it each point was measured, and the documents."""
    found, offsets, emitted = [], [np.subtract(backend.true_position(), backend.position())], []

    def watch(name, doc):
        emitted.append((name, doc))
        offset = np.subtract(backend.true_position(), backend.position())
        if name == "event" and "afm_imager_frame" in doc["data"]:
            offsets.append(offset)
        elif name == "event" and "target_x" in doc["data"]:
            wanted = [doc["data"]["target_x"], doc["data"]["target_y"]] + (offsets[0] + offsets[1]) / 2
            found.append(np.hypot(*(backend.true_position() - wanted)))

    token = engine.subscribe(watch)
    engine(plan)
    engine.unsubscribe(token)
    return np.array(found), emitted


def test_corrected_points_are_where_the_first_image_showed_them(drifting, engine, wanderer):
    afm, backend = drifting
    correction = {"every_points": 5, "channel": "polarisation"}
    corrected, emitted = errors(engine, backend, curiosity(afm, {}, 30, build=wanderer, drift=correction))
    history = History(emitted)
    assert len(history.images) == 6
    assert all(found.accepted and found.confidence > 0.8 for found in history.drifts)
    assert corrected[10:].mean() < 15
    points = [event["data"] for event in events(emitted, "primary")]
    for data, decision in zip(points, history.decisions, strict=True):
        assert (data["target_x"], data["target_y"]) == decision.position
        assert data["afm_scanner_x_setpoint"] == pytest.approx(data["target_x"] + data["drift_x"])
        assert data["afm_scanner_y_setpoint"] == pytest.approx(data["target_y"] + data["drift_y"])
    assert {(data["drift_x"], data["drift_y"]) for data in points[:5]} == {(0.0, 0.0)}
    assert np.hypot(points[-1]["drift_x"], points[-1]["drift_y"]) > 50
    assert history.observations[-1].position == pytest.approx(history.observations[-1].requested)
    assert verify(emitted, wanderer).identical


def test_a_correction_without_confidence_is_refused_and_told(drifting, engine, wanderer, caplog):
    afm, backend = drifting
    correction = {"every_points": 5, "min_confidence": 1.0}
    _, emitted = errors(engine, backend, curiosity(afm, {}, 12, build=wanderer, drift=correction))
    history = History(emitted)
    assert [found.accepted for found in history.drifts] == [False, False]
    assert "the drift correction is not updated: image 2 correlates with the first by" in caplog.text
    points = [event["data"] for event in events(emitted, "primary")]
    assert {(data["drift_x"], data["drift_y"]) for data in points} == {(0.0, 0.0)}


def test_a_place_that_drifted_out_of_reach_is_excluded(drifting, engine, wanderer):
    afm, backend = drifting
    correction = {"every_points": 5, "channel": "polarisation"}
    # A window of 3 px lets candidates lie within 50 nm of the edge.
    _, emitted = errors(engine, backend, curiosity(afm, {}, 120, build=wanderer, window=3, drift=correction))
    reasons = [record.reason for record in History(emitted).records if isinstance(record, Exclusion)]
    assert reasons
    assert all(reason.startswith("out of reach after drifting: ") for reason in reasons)
    assert emitted[-1][1]["exit_status"] == "success"
