"""The effects: each can be switched on alone, shows what it should, and all of them rebuild from seed and commands."""

import json
import threading
from dataclasses import asdict, fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ophyd_devices.backend import BackendError, Interrupted
from ophyd_devices.twin import Effects, Ferroelectric, SimulatedClock, TwinBackend, sample_from, twin
from ophyd_devices.twin.drift import Creep, Drift
from ophyd_devices.twin.topography import broaden, lag

FILM = Ferroelectric(seed=0, extent_nm=(600.0, 500.0), pixels=(16, 16))
AREA = FILM.area
QUARTER = np.arange(8) / 8
BIAS = 8 * np.concatenate([QUARTER, 1 - QUARTER, -QUARTER, QUARTER - 1])


def quiet(done, total):
    pass


def make(seed=0, real_time=False, imaging="single-frequency", **effects):
    backend = TwinBackend(FILM, SimulatedClock(), seed, Effects.of(effects), imaging)
    backend.engage(20.0)
    backend.clock.real_time = real_time
    return backend


def frame(backend, pixels=(32, 32), line_rate=1.0):
    return backend.frame(AREA, pixels, line_rate, quiet)


# What can be said


def test_effects_are_calm_realistic_or_sizes_by_name():
    assert Effects.of("calm") == Effects() == Effects.of({})
    assert Effects.of("realistic") == Effects.realistic()
    assert all(asdict(Effects.realistic()).values())
    assert Effects.of({"drift": 1}) == Effects(drift=1.0)
    assert Effects.of(json.loads(json.dumps(asdict(Effects.realistic())))) == Effects.realistic()


@pytest.mark.parametrize(
    ("chosen", "match"),
    [
        ("wild", "'calm', 'realistic' or sizes by name, got 'wild'"),
        (3, "sizes by name, got 3"),
        ({"drfit": 1.0}, "unknown effect drfit; known are drift, creep"),
        ({"drift": -1.0}, r"'drift' as a number from 0 \(off\) to 100, got -1.0"),
        ({"drift": "fast"}, "'drift' as a number"),
        ({"wear": float("nan")}, "'wear' as a number"),
        ({"bad_loops": 1.5}, "'bad_loops' .* to 1, got 1.5"),
        ({"memory": True}, "'memory' as a number"),
    ],
)
def test_other_effects_are_refused(chosen, match):
    with pytest.raises(ValueError, match=match):
        twin(effects=chosen)


def test_an_unknown_way_of_imaging_is_refused():
    with pytest.raises(ValueError, match=r"imaging as one of single-frequency, .*got 'fast'"):
        twin(imaging="fast")


def test_a_recorded_sample_does_not_age(tmp_path):
    np.savez(tmp_path / "cube.npz", image=np.zeros((3, 4)), spectra=np.arange(60).reshape(3, 4, 5))
    with pytest.raises(ValueError, match="a recorded sample answers as it was recorded; leave the effects out"):
        TwinBackend(sample_from(tmp_path / "cube.npz"), SimulatedClock(), effects=Effects.realistic())


def test_the_description_rebuilds_the_twin():
    first = twin(seed=4, extent_nm=(400.0, 300.0), pixels=(8, 8), effects="realistic", imaging="band-excitation")
    facts = json.loads(json.dumps(first.describe()))
    sample = facts["sample"]
    again = twin(
        facts["seed"], facts["real_time"], sample["extent_nm"], sample["pixels"], facts["effects"], facts["imaging"]
    )
    assert again.describe() == first.describe()
    for backend in (first, again):
        backend.engage(10.0)
        backend.spectrum(BIAS, 1e-3)
    np.testing.assert_array_equal(*(b.frame(b.info.scan_range, (8, 8), 1.0, quiet) for b in (first, again)))


# Time


@pytest.mark.parametrize(
    ("imaging", "pixels", "seconds"),
    [
        ("band-excitation", (256, 256), 9 * 60),
        ("averaged band-excitation", (32, 32), 38),
        ("single-frequency", (128, 64), 64),
    ],
)
def test_a_frame_takes_as_long_as_on_the_instrument(imaging, pixels, seconds):
    backend = make(imaging=imaging)
    before = backend.time()
    frame(backend, pixels, line_rate=2.0)
    assert backend.time() - before == pytest.approx(seconds, rel=0.04)


@pytest.mark.parametrize(("steps", "cycles", "seconds"), [(32, 3, 1.6), (128, 2, 2.9)])
def test_a_loop_takes_as_long_as_on_the_instrument(steps, cycles, seconds):
    backend = make()
    before = backend.time()
    backend.spectrum(np.zeros(steps * cycles), 4.1e-3)
    assert backend.time() - before == pytest.approx(seconds, abs=0.05)


# The world is a function of the seed and of what was completed

commands = st.lists(
    st.one_of(
        st.tuples(st.just("frame"), st.integers(2, 6)),
        st.tuples(st.just("loop"), st.floats(0, 10)),
        st.tuples(st.just("move"), st.tuples(st.floats(0, 600), st.floats(0, 500))),
        st.tuples(st.just("tip"), st.floats(1, 200)),
    ),
    max_size=8,
)


def do(backend, command, argument):
    if command == "frame":
        return backend.frame(AREA, (argument, 5), 0.5, quiet)
    if command == "loop":
        loop = backend.spectrum(argument * BIAS / 8, 1e-3)
        return np.concatenate([*loop.channels, [loop.resonance]])
    if command == "move":
        return backend.move(*argument, 100.0, 0.5)
    backend.withdraw()
    return backend.engage(argument)


def state(backend):
    return backend.time(), backend.position(), backend.true_position(), backend.in_contact(), backend.force()


def disturb(backend, command, argument):
    """Let a command be interrupted, and another be refused."""
    with pytest.raises(Interrupted):
        backend.frame(AREA, (64, 4), 1.0, lambda done, total: backend.stop())
    with pytest.raises(BackendError):
        backend.spectrum(np.array([11.0]), 1e-3)
    with pytest.raises(BackendError):
        backend.move(np.nan, 0.0, 100.0, 0.0)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**40), given=commands)
def test_the_same_commands_rebuild_the_world_whatever_was_interrupted_between(seed, given):
    realistic = asdict(Effects.realistic()) | {"wear": 0.9, "blunting": 1000.0}  # so that a few loops tell
    first, again = make(seed, **realistic), make(seed, **realistic)
    for command, argument in given:
        disturb(again, command, argument)
        np.testing.assert_array_equal(do(first, command, argument), do(again, command, argument))
        assert state(first) == state(again)
    np.testing.assert_array_equal(do(first, "frame", 16), do(again, "frame", 16))


def test_a_loop_stopped_in_real_time_leaves_no_trace():
    realistic = asdict(Effects.realistic())
    stopped, untroubled = make(real_time=True, **realistic), make(**realistic)
    timer = threading.Timer(0.05, stopped.stop)
    timer.start()
    with pytest.raises(Interrupted, match="the spectrum was stopped"):
        stopped.spectrum(BIAS, 1.0)
    timer.join()
    assert state(stopped) == state(untroubled)
    stopped.clock.real_time = False
    np.testing.assert_array_equal(do(stopped, "loop", 8.0), do(untroubled, "loop", 8.0))
    np.testing.assert_array_equal(do(stopped, "frame", 6), do(untroubled, "frame", 6))


def test_a_move_stopped_in_real_time_is_a_move_to_where_it_got():
    stopped, direct = make(real_time=True, creep=0.1), make(creep=0.1)
    timer = threading.Timer(0.05, stopped.stop)
    timer.start()
    with pytest.raises(Interrupted, match="the move was stopped"):
        stopped.move(600.0, 250.0, 100.0, 0.0)
    timer.join()
    direct.move(*stopped.position(), 100.0, 0.0)
    assert stopped.true_position() != stopped.position()
    assert stopped.true_position() == pytest.approx(direct.true_position())
    assert stopped.time() == pytest.approx(direct.time())


# Each effect alone


@pytest.mark.parametrize("name", [field.name for field in fields(Effects)])
def test_each_effect_changes_something_and_only_when_it_is_on(name):
    def history(**effects):
        backend = make(seed=1, **effects)
        data = [frame(backend)]
        for place in ((100.0, 100.0), (500.0, 400.0)):
            backend.move(*place, 1000.0, 30.0)
            loop = backend.spectrum(BIAS, 4.1e-3)
            data += [loop.spectrum, np.array([loop.resonance, backend.force()])]
        for _ in range(30):
            backend.spectrum(np.zeros(2), 1e-3)
        return np.concatenate([part.ravel() for part in (*data, frame(backend))])

    enough_at_once = {"bad_loops": 1.0, "blunting": 1000.0, "tip_radius": 200.0}
    size = enough_at_once.get(name, getattr(Effects.realistic(), name))
    assert np.array_equal(history(), history(**{name: 0.0}))
    assert not np.array_equal(history(), history(**{name: size}))


def test_drift_is_smooth_in_time_and_has_its_rate():
    minutes = 60.0 * np.arange(241)
    for seed in range(5):
        drift = Drift(1.0, seed)
        speed = np.hypot(*np.diff(drift.at(minutes), axis=0).T)
        assert 0.05 < speed.min() < 1.0 < speed.max() < 3.0
        assert speed.mean() == pytest.approx(1.0, abs=0.4)
        np.testing.assert_array_equal(drift.at(0.0), [0.0, 0.0])
        np.testing.assert_array_equal(drift.at(minutes)[7], drift.at(minutes[7]))
        np.testing.assert_array_equal(2 * drift.at(minutes), Drift(2.0, seed).at(minutes))


def test_creep_loses_about_its_share_in_each_decade_and_ends():
    creep = Creep(0.003).after((1000.0, -500.0), 10.0)
    x, y = creep.at(10.0 + np.array([1.0, 10.0, 100.0, 3600.0])).T
    np.testing.assert_allclose(np.diff(x)[:2], 3.0, atol=1.0)
    np.testing.assert_allclose(y, -x / 2)
    assert abs(x[3]) < 1e-3
    np.testing.assert_allclose(creep.after((0.0, 0.0), 50.0).at(80.0), creep.at(80.0))


def test_a_frame_shows_where_drift_has_taken_the_tip():
    backend = make(drift=2.0)
    area, size = (150.0, 450.0, 150.0, 350.0), (20, 30)
    first = backend.frame(area, size, 1e3, quiet)[3]
    backend.move(*backend.position(), 100.0, 1800.0)
    shift = np.subtract(backend.true_position(), backend.position())
    assert np.hypot(*shift) > 40
    later = backend.frame(area, size, 1e3, quiet)[3]
    moved = FILM.frame(tuple(np.add(area, np.repeat(shift, 2))), size)[3]
    assert np.abs(later - moved).mean() < 0.05 < np.abs(later - first).mean()


def test_a_slow_frame_under_drift_has_bent_columns():
    backend = make(drift=100.0)
    taken = backend.frame(AREA, (64, 64), 0.5, quiet)[3]
    true = FILM.frame(AREA, (64, 64))[3]
    wrong = np.abs(taken - true).mean(axis=1)
    assert wrong[-16:].mean() > 2 * wrong[:4].mean()


def test_the_reference_stays_that_of_the_sample_as_it_was():
    backend = make(**asdict(Effects.realistic()))
    places = np.random.default_rng(0).uniform(0, 500, (20, 2))
    before = backend.reference(places, BIAS)
    for _ in range(20):
        backend.spectrum(BIAS, 4.1e-3)
    np.testing.assert_array_equal(backend.reference(places, BIAS), before)
    np.testing.assert_array_equal(before, FILM.spectra(places, BIAS)[0])


def test_wear_takes_its_share_of_loops_and_frames():
    backend = make(wear=0.5)
    before = frame(backend)[3]
    for _ in range(1000):
        backend.spectrum(np.zeros(2), 1e-3)
    after = frame(backend)[3]
    assert np.polyfit(before.ravel(), after.ravel(), 1)[0] == pytest.approx(0.5, abs=0.02)
    new, _ = FILM.spectra(np.array([backend.position()]), BIAS)
    worn = np.mean([backend.spectrum(BIAS, 1e-3).spectrum for _ in range(10)], axis=0)
    assert np.polyfit(new[0], worn, 1)[0] == pytest.approx(0.5, abs=0.1)


def test_a_blunt_tip_smooths_the_image():
    backend = make(blunting=200.0)
    before = frame(backend, (64, 64))[3]
    for _ in range(300):
        backend.spectrum(np.zeros(2), 1e-3)
    after = frame(backend, (64, 64))[3]
    steepest = [np.percentile(np.abs(np.diff(image, axis=1)), 98) for image in (before, after)]
    assert steepest[1] < 0.8 * steepest[0]


def test_a_loop_is_seen_by_the_next_frame_and_the_next_loop():
    backend, calm = make(memory=45.0), make()
    grown = FILM.as_grown()
    row, column = np.unravel_index(grown[8:-8, 8:-8].argmax(), grown[8:-8, 8:-8].shape)
    place = (8.0 * (column + 8), 8.0 * (row + 8))
    images, loops = [], []
    for instrument in (calm, backend):
        instrument.move(*place, 1000.0, 0.0)
        before = frame(instrument, (50, 60))[3]
        loops.append([instrument.spectrum(BIAS, 1e-3).spectrum for _ in range(2)])
        images.append(np.abs(frame(instrument, (50, 60))[3] - before))
    assert images[0].max() < 0.3
    written = images[1] > 0.3
    assert 20 < 2 * np.sqrt(written.sum() * 100 / np.pi) < 150
    ys, xs = np.nonzero(written)
    assert np.hypot(10 * xs + 5 - place[0], 10 * ys + 5 - place[1]).max() < 100
    assert loops[0][1][0] == pytest.approx(loops[0][0][0], abs=0.3)
    assert loops[1][1][0] == pytest.approx(loops[1][0][-1], abs=0.3)
    assert abs(loops[1][1][0] - loops[1][0][0]) > 0.5


def test_bad_loops_are_as_many_as_asked_for_and_of_every_kind():
    backend = make(bad_loops=0.2)
    good, flat, spoilt, lost = 0, 0, 0, 0
    rng = np.random.default_rng(0)
    for _ in range(400):
        backend.move(*rng.uniform(0, 500, 2), 1e4, 0.0)
        loop = backend.spectrum(BIAS, 1e-3)
        wild = np.abs(loop.spectrum) > 3
        assert wild.mean() <= 1 - loop.resonance + 1e-9
        truth, _ = FILM.spectra(np.array([backend.position()]), BIAS)
        lost += loop.resonance <= 2 / 3
        spoilt += 2 / 3 < loop.resonance < 1
        flat += loop.resonance == 1 and np.ptp(loop.spectrum) < 0.4 * np.ptp(truth) and np.ptp(truth) > 1
        good += loop.resonance == 1
    assert 0.1 < 1 - (good - flat) / 400 < 0.3
    assert min(flat, spoilt, lost) > 5


def test_the_feedback_lags_behind_a_step_where_pixels_are_fast():
    step = np.repeat([[0.0, 1.0]], 20, axis=1)
    followed = lag(step, 2.0)
    assert followed[0, 0] == 0.0
    assert followed[0, 20:22] == pytest.approx(1 - np.exp([-0.5, -1.0]))
    assert lag(step, 0.0) is step
    slow, fast = (make(feedback_lag=2e-3) for _ in range(2))
    noise = make()
    sharp = frame(noise)[0]
    assert np.abs(frame(slow, line_rate=0.1)[0] - sharp).max() < 1e-3
    assert np.abs(frame(fast, line_rate=20.0)[0] - sharp).max() > 0.1


def test_a_round_tip_widens_bumps_and_narrows_pits():
    surface = np.zeros((21, 21))
    surface[10, 10], surface[3, 3] = 8.0, -8.0
    image = broaden(surface, 50.0)
    assert (image >= surface).all()
    assert image[10, 10] == 8.0
    assert image[10, 12] == pytest.approx(8 - 16**2 / 100)
    assert image[3, 3] == pytest.approx(-(8**2) / 100)
    assert broaden(surface, 0.0) is surface


def test_the_force_is_the_setpoint_with_a_little_noise():
    backend = make(force_noise=0.02)
    forces = []
    for _ in range(200):
        backend.spectrum(BIAS[:2], 1e-3)
        assert backend.force() == backend.force()
        forces.append(backend.force())
    assert np.mean(forces) == pytest.approx(20.0, abs=0.2)
    assert np.std(forces) == pytest.approx(0.4, abs=0.1)
    backend.withdraw()
    assert backend.force() == 0.0
    assert make().force() == 20.0
