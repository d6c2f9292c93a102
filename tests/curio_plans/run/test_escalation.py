import numpy as np
import pytest
from support import events

from agents.protocols import Observation, Pool
from curio_plans.documents.history import History
from curio_plans.plans import curiosity
from curio_plans.rules.escalation import EscalationRule
from curio_plans.run import stubs
from curio_plans.run.escalation import Escalation


@pytest.fixture
def line():
    """A history whose pool is ten candidates, 10 nm apart."""
    history = History()
    places = np.stack([np.arange(10) * 10.0, np.zeros(10)], axis=1)
    history.pool = Pool(places, np.zeros((10, 1, 3, 3), np.float32), (1, 10))
    return history


def look(history, *candidates):
    for index in candidates:
        place = history.pool.positions[index]
        history.observations.append(Observation(index, place, place, np.zeros(4), 0.0))


def test_it_is_due_after_enough_looks_where_the_error_stays_high_and_once(line):
    expected = np.r_[np.full(4, 3.0), np.ones(6)]
    rule = EscalationRule(looks=3, radius=20, factor=2)
    escalation = Escalation(rule, lambda *_: iter(()), line, lambda: expected)
    look(line, 0, 2)
    assert not escalation.due(2)
    look(line, 1)
    assert escalation.due(1)
    list(escalation.take(None, 1, (10.0, 0.0), []))
    look(line, 3)
    assert not escalation.due(3)  # within 20 nm of where it was done
    look(line, 7, 8, 9)
    assert not escalation.due(8)  # nothing unusual is expected there


def test_without_a_map_it_is_never_due(line):
    escalation = Escalation(EscalationRule(looks=1), lambda *_: iter(()), line, lambda: None)
    look(line, 0)
    assert not escalation.due(0)


def test_a_longer_finer_loop_is_taken_and_the_waveform_put_back(afm, engine, documents, wanderer):
    def finer(afm, position, also):
        return (yield from stubs.finer_spectrum(afm, position, also, steps_per_cycle=32, cycles=4))

    before = afm.spectrometer.axis.get()
    rule = {"looks": 1, "radius": 1e4, "factor": 1.0}
    engine(curiosity(afm, {}, 8, build=wanderer, escalate=finer, escalate_when=rule))
    descriptors = {doc["name"]: doc for name, doc in documents if name == "descriptor"}
    assert descriptors["escalation"]["data_keys"]["afm_spectrometer_spectrum"]["shape"] == [128]
    axis = descriptors["escalation"]["configuration"]["afm_spectrometer"]["data"]["afm_spectrometer_axis"]
    assert len(axis) == 128
    (event,) = events(documents, "escalation")
    assert event["data"]["candidate"] in [observation.index for observation in History(documents).observations]
    assert np.array_equal(afm.spectrometer.axis.get(), before)
    lengths = {len(observation.spectrum) for observation in History(documents).observations}
    assert lengths == {len(before)}


def test_a_wrong_rule_is_refused(afm, engine, wanderer):
    with pytest.raises(ValueError, match="escalate_when: looks"):
        engine(curiosity(afm, {}, 8, build=wanderer, escalate=stubs.finer_spectrum, escalate_when={"looks": 0}))
