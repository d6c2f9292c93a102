"""The simulated controller: time, contact, noise, interruption, refusal."""

import json
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ophyd_devices.backend import AfmBackend, BackendError, Interrupted
from ophyd_devices.twin import Ferroelectric, SimulatedClock, TwinBackend, twin

BIAS = np.array([0.0, 4.0, 8.0, 4.0, 0.0, -4.0, -8.0, -4.0])
FILM = Ferroelectric(seed=0, extent_nm=(400.0, 300.0), pixels=(16, 16))
AREA = FILM.area


def quiet(done, total):
    pass


def make(real_time=False, seed=0):
    return TwinBackend(FILM, SimulatedClock(real_time), seed)


@pytest.fixture
def backend():
    backend = make()
    backend.engage(20.0)
    return backend


def state(backend):
    return backend.time(), backend.position(), backend.in_contact()


def test_it_is_an_afm_backend_that_describes_itself():
    backend = twin(seed=5, extent_nm=(400.0, 300.0), pixels=(8, 8))
    assert isinstance(backend, AfmBackend)
    assert backend.info.simulated
    assert backend.info.scan_range == AREA
    facts = json.loads(json.dumps(backend.describe()))
    assert (facts["seed"], facts["sample"]["seed"], facts["real_time"]) == (5, 5, False)


def test_it_starts_withdrawn_over_the_centre():
    assert state(make()) == (0.0, (200.0, 150.0), False)


def test_each_action_takes_its_time(backend):
    assert backend.time() == 2.0
    backend.engage(30.0)
    assert backend.time() == 2.0
    backend.move(200.0, 250.0, 50.0, 0.5)
    assert backend.time() == pytest.approx(4.5)
    assert backend.position() == (200.0, 250.0)
    backend.spectrum(BIAS, 4.1e-3)
    assert backend.time() == pytest.approx(4.5 + 16 * 4.1e-3 + 0.8)
    before = backend.time()
    backend.frame(AREA, (50, 10), 2.0, quiet)
    assert backend.time() - before == pytest.approx(25.0)
    before = backend.time()
    backend.withdraw()
    backend.withdraw()
    assert backend.time() - before == pytest.approx(0.5)
    assert not backend.in_contact()


def test_a_frame_reports_its_lines(backend):
    seen = []
    backend.frame(AREA, (100, 4), 1.0, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (100, 100)
    assert seen == sorted(seen)
    assert len(seen) <= 32


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 2**40),
    commands=st.lists(
        st.one_of(st.just("frame"), st.just("spectrum"), st.tuples(st.floats(0, 400), st.floats(0, 300)))
    ),
)
def test_the_same_seed_and_commands_give_the_same_data_bit_for_bit(seed, commands):
    def run():
        backend = make(seed=seed)
        backend.engage(10.0)
        for command in commands:
            if command == "frame":
                yield backend.frame(AREA, (4, 5), 1.0, quiet)
            elif command == "spectrum":
                loop = backend.spectrum(BIAS, 1e-3)
                yield loop.spectrum
                yield loop.others
            else:
                backend.move(*command, 100.0, 0.0)
        yield np.array(backend.time())

    for first, second in zip(run(), run(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_each_measurement_has_its_own_noise(backend):
    first, second = backend.spectrum(BIAS, 1e-3), backend.spectrum(BIAS, 1e-3)
    assert not np.array_equal(first.spectrum, second.spectrum)
    other = make(seed=1)
    other.engage(20.0)
    assert not np.array_equal(first.spectrum, other.spectrum(BIAS, 1e-3).spectrum)


def test_refused_and_interrupted_measurements_do_not_count(backend):
    with pytest.raises(BackendError):
        backend.spectrum(BIAS * 10, 1e-3)
    with pytest.raises(Interrupted):
        backend.frame(AREA, (64, 4), 1.0, lambda done, total: backend.stop())
    untroubled = make()
    untroubled.engage(20.0)
    np.testing.assert_array_equal(backend.spectrum(BIAS, 1e-3).spectrum, untroubled.spectrum(BIAS, 1e-3).spectrum)


def test_the_reference_is_what_noise_is_added_to(backend):
    x, y = backend.position()
    truth = backend.reference(np.array([[x, y]]), BIAS)[0]
    mean = np.mean([backend.spectrum(BIAS, 1e-3).spectrum for _ in range(300)], axis=0)
    np.testing.assert_allclose(mean, truth, atol=0.05)


@pytest.mark.parametrize(
    ("action", "match"),
    [
        (lambda b: b.move(401.0, 10.0, 100.0, 0.0), r"expected x in 0 … 400 nm .* got \(401, 10\)"),
        (lambda b: b.move(10.0, np.nan, 100.0, 0.0), r"got \(10, nan\)"),
        (lambda b: b.move(10.0, 10.0, 0.0, 0.0), "positive velocity in nm/s, got 0"),
        (lambda b: b.move(10.0, 10.0, 100.0, -1.0), "settling time of 0 s or more, got -1"),
        (lambda b: b.engage(0.5), "setpoint of 1 … 200 nN, got 0.5"),
        (lambda b: b.engage(np.nan), "setpoint of 1 … 200 nN, got nan"),
        (lambda b: b.frame((0.0, 401.0, 0.0, 10.0), (4, 4), 1.0, quiet), "inside the scan range"),
        (lambda b: b.frame((10.0, 10.0, 0.0, 10.0), (4, 4), 1.0, quiet), "inside the scan range"),
        (lambda b: b.frame(AREA, (0, 4), 1.0, quiet), "positive ny in px, got 0"),
        (lambda b: b.frame(AREA, (4, -1), 1.0, quiet), "positive nx in px, got -1"),
        (lambda b: b.frame(AREA, (4, 4), np.inf, quiet), "positive line_rate in Hz, got inf"),
        (lambda b: b.spectrum(np.zeros((2, 2)), 1e-3), r"shape \(K,\) .* got \(2, 2\)"),
        (lambda b: b.spectrum(np.array([]), 1e-3), r"at least one step, got \(0,\)"),
        (lambda b: b.spectrum(np.array([0, np.inf]), 1e-3), "finite bias, got inf at step 1"),
        (lambda b: b.spectrum(np.array([0, -10.5]), 1e-3), r"within ±10 V, got -10.5 V; reduce"),
        (lambda b: b.spectrum(BIAS, 0.0), "positive dwell in s, got 0"),
        (lambda b: b.reference(np.zeros(2), BIAS), r"shape \(N, 2\)"),
        (lambda b: b.reference(np.array([[0.0, 301.0]]), BIAS), "choose a position inside the scan range"),
    ],
)
def test_what_is_refused_changes_nothing(backend, action, match):
    before = state(backend)
    with pytest.raises(BackendError, match=match):
        action(backend)
    assert state(backend) == before


def test_measuring_needs_contact():
    backend = make()
    with pytest.raises(BackendError, match="engage first"):
        backend.frame(AREA, (4, 4), 1.0, quiet)
    with pytest.raises(BackendError, match="engage first"):
        backend.spectrum(BIAS, 1e-3)
    assert backend.time() == 0.0


def test_a_stop_with_nothing_running_is_forgotten(backend):
    backend.stop()
    backend.move(10.0, 10.0, 100.0, 0.0)
    backend.stop()
    backend.spectrum(BIAS, 1e-3)
    backend.stop()
    backend.frame(AREA, (4, 4), 1.0, quiet)
    backend.stop()
    backend.withdraw()
    backend.stop()
    backend.engage(20.0)
    assert backend.in_contact()


def test_a_stopped_frame_ends_with_the_line_it_was_in_and_takes_no_time(backend):
    seen = []

    def stop_soon(done, total):
        seen.append(done)
        if len(seen) == 3:
            backend.stop()

    before = backend.time()
    with pytest.raises(Interrupted, match="the frame was stopped"):
        backend.frame(AREA, (64, 4), 2.0, stop_soon)
    assert seen == [2, 4, 6]
    assert backend.time() == before


def stop_after(backend, seconds):
    timer = threading.Timer(seconds, backend.stop)
    timer.start()
    return timer


def test_in_real_time_a_stopped_move_stays_where_it_had_got_to():
    backend = make(real_time=True)
    timer = stop_after(backend, 0.1)
    with pytest.raises(Interrupted, match="the move was stopped"):
        backend.move(200.0, 250.0, 0.1, 0.0)  # it would take 1000 s
    timer.join()
    x, y = backend.position()
    assert x == 200.0
    assert 150.0 < y < 250.0
    assert y - 150.0 == pytest.approx(0.1 * backend.time())


def test_in_real_time_a_stop_ends_engaging_off_the_surface(monkeypatch):
    monkeypatch.setattr("ophyd_devices.twin.backend.ENGAGE_S", 1000.0)
    backend = make(real_time=True)
    timer = stop_after(backend, 0.05)
    with pytest.raises(Interrupted, match="engaging was stopped"):
        backend.engage(20.0)
    timer.join()
    assert not backend.in_contact()


class Waiting:
    """An interrupt that never comes; it notes how long was waited for it."""

    def __init__(self):
        self.waited = []

    def wait(self, seconds):
        self.waited.append(seconds)
        return False

    def is_set(self):
        return False


@pytest.mark.parametrize(("real_time", "waited"), [(True, [0.15, 2.0]), (False, [])])
def test_a_clock_waits_in_real_time_only_and_passes_alike(real_time, waited):
    clock, interrupt = SimulatedClock(real_time), Waiting()
    assert clock.sleep(0.15, interrupt)
    assert clock.sleep(2.0, interrupt)
    assert interrupt.waited == waited
    assert clock.now() == 2.15


def test_closing_withdraws(backend):
    backend.close()
    backend.close()
    assert not backend.in_contact()
