"""Where the error stays high after repeated looks, a more advanced spectroscopy."""

import time

import numpy as np
import pytest
from bluesky import plan_stubs as bps
from support import events, measure, streams

from agents.protocols import Report
from curio_plans.documents.history import History
from curio_plans.documents.streams import Decision
from curio_plans.plans import curiosity
from curio_plans.plans import resume as resume_plan
from curio_plans.rules.escalation import EscalationRule
from curio_plans.run import stubs

LINE = np.stack([np.arange(10) * 10.0, np.zeros(10)], axis=1)
"""Ten candidates, 10 nm apart."""


def decided(candidate, expected, median=1.0):
    return Decision(
        0, candidate, tuple(LINE[candidate]), "curious", 0.0, {}, 0, 0, "", 0.0, {}, 0.0, 0.0, None, expected, median
    )


def test_it_is_due_after_enough_looks_where_the_error_stays_high_and_once():
    rule = EscalationRule(looks=3, radius=20, factor=2)
    assert not rule.due(decided(2, 3.0), LINE, [0, 2], [])
    assert rule.due(decided(1, 3.0), LINE, [0, 2, 1], [])
    assert not rule.due(decided(3, 3.0), LINE, [0, 2, 1, 3], [1]), "within 20 nm of where it was done"
    assert not rule.due(decided(8, 1.0), LINE, [7, 8, 9], []), "nothing unusual is expected there"


@pytest.mark.parametrize("expected", [None, float("nan")])
def test_without_an_expected_error_it_is_never_due(expected):
    assert not EscalationRule(looks=1).due(decided(0, expected, expected), LINE, [0], [])


class Worried:
    """A wanderer that expects an error of its own at each candidate, and thinks as long as it is told."""

    def __new__(cls, wanderer, seconds):
        class Agent(wanderer):
            def suggest(self, n=1, context=None):
                time.sleep(seconds)
                return super().suggest(n, context)

            def report(self, context=None):
                numbers = np.random.default_rng(len(self.measured)).random(len(self.pool))
                return Report({}, {"predicted_error": numbers.astype(np.float32)}, None)

        return Agent


RULE = {"looks": 1, "radius": 30.0, "factor": 1.0}


@pytest.mark.parametrize("lookahead", [0, 1])
def test_where_is_escalated_does_not_depend_on_how_fast_the_agent_thinks(wanderer, lookahead):
    def told(seconds):
        documents = measure(
            curiosity, {}, 8, build=Worried(wanderer, seconds), lookahead=lookahead,
            escalate=stubs.finer_spectrum, escalate_when=RULE,
        )  # fmt: skip
        return [event["data"]["candidate"] for event in events(documents, "escalation")]

    fast = told(0.0)
    assert 1 < len(fast) < 8
    assert told(0.15) == fast


def test_a_resumed_run_escalates_as_the_whole_one(wanderer):
    options = {"build": Worried(wanderer, 0.0), "escalate": stubs.finer_spectrum}
    whole = measure(curiosity, {}, 6, escalate_when=RULE, **options)
    expected = [event["data"]["candidate"] for event in events(whole, "escalation")]
    ends = [number for number, (name, _) in enumerate(whole) if name == "event"]
    for number in ends[2::3]:
        stopped = whole[: number + 1]
        both = stopped + measure(resume_plan, "the run", stored=lambda uid, run=stopped: run, **options)
        assert [event["data"]["candidate"] for event in events(both, "escalation")] == expected, streams(stopped)


def test_a_run_that_escalates_is_not_resumed_without_the_step(wanderer):
    stopped = measure(curiosity, {}, 4, build=wanderer, escalate=stubs.finer_spectrum, escalate_when=RULE)[:-6]
    with pytest.raises(ValueError, match="escalates, and there is no step for it; pass escalate="):
        measure(resume_plan, "the run", build=wanderer, stored=lambda uid: stopped)


def test_the_waveform_is_put_back_when_the_finer_spectrum_fails(afm, engine):
    before = (afm.spectrometer.steps_per_cycle.get(), afm.spectrometer.cycles.get())

    def plan():
        yield from bps.open_run()
        yield from stubs.finer_spectrum(afm, (1e9, 1e9))

    with pytest.raises(ValueError, match=r"outside .* nothing moved"):
        engine(plan())
    assert (afm.spectrometer.steps_per_cycle.get(), afm.spectrometer.cycles.get()) == before


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
    with pytest.raises(ValueError, match=r"escalate_when\.looks: "):
        engine(curiosity(afm, {}, 8, build=wanderer, escalate=stubs.finer_spectrum, escalate_when={"looks": 0}))
