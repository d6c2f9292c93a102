"""Faults on demand: each does what it says, when it says so, over the twin and over a recorded sample."""

import json
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ophyd_devices.backend import AfmBackend, BackendError, Interrupted
from ophyd_devices.twin import Fault, FaultyBackend, Ferroelectric, SimulatedClock, TwinBackend, recorded, twin
from ophyd_devices.twin.faults import ACTIONS

FILM = Ferroelectric(seed=0, extent_nm=(400.0, 300.0), pixels=(16, 16))
BIAS = 8 * np.sin(2 * np.pi * np.arange(32) / 32)


def healthy():
    return TwinBackend(FILM, SimulatedClock(), seed=0)


def faulty(*faults, seed=0):
    backend = FaultyBackend(healthy(), faults, seed)
    backend.engage(20.0)
    return backend


def frame(backend):
    return backend.frame(FILM.area, (20, 16), 1.0, lambda *_: None)


def spectrum(backend):
    return backend.spectrum(BIAS, 1e-3)


def test_without_a_fault_everything_passes_through():
    backend, plain = faulty(Fault("nan spectrum", at=99)), healthy()
    assert isinstance(backend, AfmBackend)
    plain.engage(20.0)
    for each in (backend, plain):
        each.move(100.0, 100.0, 1000.0, 0.1)
        each.keep_alive(1.0)
    np.testing.assert_array_equal(frame(backend), frame(plain))
    np.testing.assert_array_equal(spectrum(backend).spectrum, spectrum(plain).spectrum)
    np.testing.assert_array_equal(*(each.reference(np.ones((2, 2)), BIAS) for each in (backend, plain)))
    assert (backend.time(), backend.position(), backend.force()) == (plain.time(), plain.position(), plain.force())
    backend.close()
    assert not backend.in_contact()


def test_a_settings_file_can_ask_for_faults():
    faults = [{"kind": "nan spectrum", "at": 2}, {"kind": "timeout", "action": "move", "probability": 0.1}]
    backend = twin(extent_nm=(400.0, 300.0), faults=faults)
    assert isinstance(backend, FaultyBackend)
    facts = json.loads(json.dumps(backend.describe()))
    assert twin(extent_nm=(400.0, 300.0), faults=facts["faults"]).describe() == backend.describe()
    assert isinstance(twin(), TwinBackend)


@pytest.mark.parametrize(
    ("fault", "match"),
    [
        ({"kind": "earthquake", "at": 1}, "expected a fault of kind stuck scanner, .*; got 'earthquake'"),
        ({"at": 1}, "mapping with a 'kind'"),
        ("timeout", "mapping with a 'kind'"),
        ({"kind": "timeout", "when": 1}, "any of kind, at, probability, action, times; got"),
        ({"kind": "timeout"}, "either 'at' or a 'probability' to say when 'timeout' happens"),
        ({"kind": "timeout", "at": 1, "probability": 0.5}, "either 'at' or a 'probability'"),
        ({"kind": "timeout", "at": 0}, "'at' of a fault as a whole number from 1, got 0"),
        ({"kind": "timeout", "at": 1, "times": 1.5}, "'times' of a fault as a whole number from 1, got 1.5"),
        ({"kind": "timeout", "probability": 1.5}, "probability of a fault from 0 to 1, got 1.5"),
        ({"kind": "nan spectrum", "at": 1, "action": "move"}, "'nan spectrum' in spectrum; got action 'move'"),
    ],
)
def test_other_faults_are_refused(fault, match):
    with pytest.raises(ValueError, match=match):
        twin(faults=[fault])


def test_a_stuck_scanner_takes_its_time_and_stays():
    backend = faulty(Fault("stuck scanner", at=2, times=2))
    backend.move(100.0, 100.0, 1000.0, 0.0)
    for _ in range(2):
        before = backend.time()
        backend.move(100.0, 200.0, 100.0, 0.5)
        assert backend.position() == (100.0, 100.0)
        assert backend.time() - before == pytest.approx(1.5)
    backend.move(100.0, 200.0, 100.0, 0.5)
    assert backend.position() == (100.0, 200.0)


@pytest.mark.parametrize("action", ACTIONS["timeout"])
def test_a_timeout_ends_when_it_is_stopped_and_has_done_nothing(action):
    backend = FaultyBackend(healthy(), [Fault("timeout", at=2, action=action)])
    call = {
        "move": lambda: backend.move(100.0, 100.0, 1000.0, 0.0),
        "engage": lambda: backend.engage(20.0),
        "frame": lambda: frame(backend),
        "spectrum": lambda: spectrum(backend),
    }[action]
    backend.engage(20.0) if action != "engage" else None
    call()
    backend.move(50.0, 50.0, 1000.0, 0.0) if action != "move" else None
    before = backend.time(), backend.position()
    caught = []

    def hang():
        try:
            call()
        except Interrupted as error:
            caught.append(str(error))

    thread = threading.Thread(target=hang)
    thread.start()
    thread.join(0.05)
    assert thread.is_alive()
    while thread.is_alive():  # a stop that comes before the action began may be lost
        backend.stop()
        thread.join(0.05)
    assert caught[0].startswith(f"the {action} did not end and was stopped")
    assert (backend.time(), backend.position()) == before
    call()


def test_after_a_disconnect_nothing_answers_and_the_controller_has_withdrawn():
    backend = faulty(Fault("disconnect", at=2))
    spectrum(backend)
    for call in (
        lambda: spectrum(backend), lambda: frame(backend), lambda: backend.move(1.0, 1.0, 1.0, 0.0), backend.position,
        backend.time, backend.in_contact, backend.force, backend.withdraw, lambda: backend.engage(5.0),
        lambda: backend.keep_alive(1.0), lambda: backend.reference(np.ones((1, 2)), BIAS),
    ):  # fmt: skip
        with pytest.raises(BackendError, match="connection to the controller is lost"):
            call()
    assert not backend.backend.in_contact()
    backend.stop()
    backend.close()


def test_a_saturated_spectrum_is_at_the_end_of_the_range():
    backend = faulty(Fault("saturated spectrum", at=1))
    at_end = spectrum(backend).spectrum >= backend.info.spectroscopy.full_scale[1]
    assert 0.2 < at_end.mean() < 0.5
    assert spectrum(backend).spectrum.max() < 3


def test_a_saturated_spectrum_without_a_known_range_is_level(tmp_path):
    cube = np.random.default_rng(0).normal(size=(3, 4, 20))
    np.savez(tmp_path / "cube.npz", image=np.zeros((3, 4)), spectra=cube)
    backend = recorded(tmp_path / "cube.npz", faults=[{"kind": "saturated spectrum", "at": 1}])
    backend.engage(20.0)
    axis = backend.info.spectroscopy.axis
    first, second = backend.spectrum(axis, 1e-3).spectrum, backend.spectrum(axis, 1e-3).spectrum
    assert (first == first.max()).sum() == 6
    assert (second == second.max()).sum() == 1


def test_a_nan_spectrum_has_no_resonance():
    backend = faulty(Fault("nan spectrum", at=1))
    loop = spectrum(backend)
    assert np.isnan(loop.spectrum).all()
    assert np.isnan(loop.others).all()
    assert loop.resonance == 0.0
    assert spectrum(backend).resonance == 1.0


@pytest.mark.parametrize(("action", "measure"), [("spectrum", spectrum), ("frame", frame)])
def test_lost_contact_stays_lost_until_the_tip_is_engaged_again(action, measure):
    backend = faulty(Fault("lost contact", at=1, action=action))
    result = measure(backend)
    assert np.abs(getattr(result, "spectrum", result)).max() < 0.01
    assert not backend.in_contact()
    assert backend.force() == 0.0
    for attempt in (spectrum, frame):
        with pytest.raises(BackendError, match="contact was lost; withdraw and engage again"):
            attempt(backend)
    backend.withdraw()
    backend.engage(20.0)
    assert backend.in_contact()
    assert np.ptp(spectrum(backend).spectrum) > 0.1


@pytest.mark.parametrize("action", ACTIONS["tip crash"])
def test_a_crashed_tip_presses_hard_until_it_is_withdrawn(action):
    backend = FaultyBackend(healthy(), [Fault("tip crash", at=1, action=action)])
    backend.engage(20.0)
    {"engage": lambda b: None, "spectrum": spectrum, "frame": frame}[action](backend)
    assert backend.in_contact()
    assert backend.force() == 400.0
    backend.withdraw()
    assert backend.force() == 0.0
    backend.engage(20.0)
    assert backend.force() == 20.0


def test_missing_lines_are_nan_in_every_channel():
    backend = faulty(Fault("missing lines", at=1))
    lost = np.isnan(frame(backend))
    assert (lost.all(axis=(0, 2)) == lost.any(axis=(0, 2))).all()
    assert lost.any(axis=(0, 2)).sum() == 2
    assert not np.isnan(frame(backend)).any()


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 2**40), probability=st.floats(0.1, 0.9))
def test_chance_follows_from_the_seed_and_the_number_of_the_call(seed, probability):
    def history(frames_between):
        backend = faulty(Fault("nan spectrum", probability=probability), seed=seed)
        for _ in range(12):
            if frames_between:
                frame(backend)
            yield bool(np.isnan(spectrum(backend).spectrum[0]))

    assert list(history(False)) == list(history(True))


def test_chance_is_about_what_was_asked_for():
    backend = faulty(Fault("nan spectrum", probability=0.3))
    assert 0.2 < np.mean([np.isnan(spectrum(backend).spectrum[0]) for _ in range(200)]) < 0.4


def test_of_two_faults_in_one_call_the_first_happens():
    backend = faulty(Fault("saturated spectrum", at=1), Fault("nan spectrum", at=1))
    assert np.isfinite(spectrum(backend).spectrum).all()
