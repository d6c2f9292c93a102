from collections import Counter
from contextlib import closing

import numpy as np
import pytest
from bluesky.utils import RunEngineInterrupted
from support import events, microscope

from curio_plans.plans import spectra_at
from curio_plans.session.suspenders import suspenders
from ophyd_devices.backend import Loop
from ophyd_devices.twin import twin

PLACES = [(100.0 * n, 200.0) for n in range(1, 9)]


class Sick:
    """A twin whose force or spectra are bad where a test says so; it notes when the tip came off."""

    def __init__(self, backend):
        self._backend = backend
        self.bad_forces, self.bad_spectra = set(), set()
        self.calls = Counter()

    def __getattr__(self, name):
        return getattr(self._backend, name)

    def engage(self, setpoint):
        self.calls["engage"] += 1
        self._backend.engage(setpoint)

    def withdraw(self):
        self.calls["withdraw"] += self._backend.in_contact()
        self._backend.withdraw()

    def force(self):
        return self._backend.force() + (50 if self.calls["engage"] in self.bad_forces else 0)

    def spectrum(self, bias, dwell):
        self.calls["spectrum"] += 1
        loop = self._backend.spectrum(bias, dwell)
        if self.calls["spectrum"] in self.bad_spectra:
            rng = np.random.default_rng(self.calls["spectrum"])
            return Loop(rng.choice([-1.0, 1.0], len(bias)), loop.others)
        return loop


@pytest.fixture
def backend():
    return Sick(twin(seed=3))


@pytest.fixture
def afm(backend):
    with closing(microscope(backend)) as afm:
        yield afm


def places(documents):
    return [event["data"]["afm_scanner_x"] for event in events(documents)]


def install(engine, afm, **options):
    for suspender in suspenders(afm, **{"sleep": 0.05, **options}):
        engine.install_suspender(suspender)


def test_a_wrong_force_lifts_the_tip_and_the_point_is_measured_again(afm, backend, engine, documents):
    install(engine, afm)
    backend.bad_forces = {2}
    engine(spectra_at(afm, PLACES))
    assert places(documents) == [x for x, _ in PLACES]
    # The tip stays down from point to point; it came off for the suspension, and at the end.
    assert backend.calls["withdraw"] == 2
    forces = [event["data"]["afm_tip_force"] for event in events(documents)]
    assert forces == [20.0] * len(PLACES)


def test_three_bad_spectra_in_a_row_lift_the_tip_and_no_point_is_lost(afm, backend, engine, documents):
    install(engine, afm)
    backend.bad_spectra = {1, 2, 4, 5, 6}
    engine(spectra_at(afm, PLACES))
    assert set(places(documents)) == {x for x, _ in PLACES}
    assert backend.calls["withdraw"] == 2
    assert documents[-1][1]["exit_status"] == "success"


def test_a_force_that_stays_wrong_asks_a_human_and_the_run_goes_on_at_a_word(afm, backend, engine, documents):
    install(engine, afm, patience=1)
    backend.bad_forces = {3, 4, 5, 6}
    with pytest.raises(RunEngineInterrupted):
        engine(spectra_at(afm, PLACES))
    assert engine.state == "paused"
    assert not backend.in_contact()
    assert backend.calls["engage"] == 4
    backend.bad_forces = set()
    engine.resume()
    assert places(documents) == [x for x, _ in PLACES]


def test_without_patience_a_human_is_asked_at_once_and_may_abort(afm, backend, engine, documents):
    install(engine, afm, patience=0)
    backend.bad_forces = {2}
    with pytest.raises(RunEngineInterrupted):
        engine(spectra_at(afm, PLACES))
    assert not backend.in_contact()
    engine.abort()
    assert documents[-1][1]["exit_status"] == "abort"
    assert places(documents) == [100.0]


def test_what_lies_before_the_installation_says_nothing(afm, backend, engine, documents):
    backend.bad_forces = {1}
    afm.tip.set("engaged").wait(60)
    assert afm.tip.force_error.get() == 50
    afm.tip.set("withdrawn").wait(60)
    install(engine, afm, patience=0)
    engine(spectra_at(afm, PLACES))
    assert places(documents) == [x for x, _ in PLACES]


def test_either_can_be_left_out(afm):
    assert len(suspenders(afm, snr=None)) == len(suspenders(afm, force_error=None)) == 1
    with pytest.raises(ValueError, match="expected in_a_row ≥ 1"):
        suspenders(afm, in_a_row=0)
