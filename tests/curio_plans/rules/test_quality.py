import numpy as np
import pytest
from support import events, microscope, streams

from agents.protocols import Exclusion
from curio_plans.documents.history import History
from curio_plans.plans import curiosity, image, spectra_at
from curio_plans.rules.quality import Quality, QualityError, judge_frame
from curio_plans.study.replay import verify
from ophyd_devices.backend import Loop
from ophyd_devices.twin import Ferroelectric, SimulatedClock, TwinBackend


class Moody(TwinBackend):
    """A twin whose n-th spectrum or frame, counted from 0, is spoiled as `script` says."""

    def __init__(self, script=(), frames=()):
        super().__init__(Ferroelectric(3), SimulatedClock(), seed=3)
        self.script, self.frames = dict(script), dict(frames)
        self.spectra_taken = self.frames_taken = 0

    def spectrum(self, bias, dwell):
        loop = super().spectrum(bias, dwell)
        spoil = self.script.get(self.spectra_taken)
        self.spectra_taken += 1
        return loop if spoil is None else spoil(loop)

    def frame(self, area, pixels, line_rate, progress):
        frame = super().frame(area, pixels, line_rate, progress)
        if self.frames.get(self.frames_taken):
            frame[:, 3:5] = np.nan
        self.frames_taken += 1
        return frame


def nan(loop):
    spectrum = loop.spectrum.copy()
    spectrum[4:7] = np.nan
    return Loop(spectrum, loop.others)


def without_resonance(loop):
    return Loop(loop.spectrum, loop.others, resonance=0.3)


@pytest.fixture
def moody():
    made = []

    def make(script=(), frames=()):
        made.append(microscope(Moody(script, frames)))
        return made[-1]

    yield make
    for afm in made:
        afm.close()


def reading(spectrum, *, saturated=0.0, resonance=1.0, snr=9.0):
    values = {"spectrum": np.asarray(spectrum), "saturated": saturated, "resonance": resonance, "snr": snr}
    return {f"afm_spectrometer_{key}": {"value": value, "timestamp": 0.0} for key, value in values.items()}


@pytest.mark.parametrize(
    ("spectrum", "more", "words"),
    [
        ([0, 1, 2], {}, ""),
        ([0, np.nan, np.inf], {}, "not finite at 2 of 3 steps, first at step 1"),
        ([0, 1, 2], {"saturated": 0.2}, "saturated at 20% of the steps, more than 5%"),
        ([0, 1, 2], {"resonance": 0.4}, "resonance found at 40% of the steps, less than 50%"),
        ([0, 1, 2], {"snr": 1.4}, "signal to noise 1.4, less than 2"),
        ([0, 1, 2], {"saturated": 0.05, "resonance": 0.5, "snr": 2.0}, ""),
    ],
)
def test_a_spectrum_is_judged_in_words(spectrum, more, words):
    assert Quality(min_snr=2).judge(reading(spectrum, **more), "afm_spectrometer") == words


def test_a_frame_with_missing_lines_is_judged_in_words():
    frame = np.zeros((2, 8, 5), np.float32)
    assert judge_frame(frame) == ""
    frame[1, 2:4, 1] = np.nan
    assert judge_frame(frame) == "2 of 8 lines are not finite"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"policy": "hope"}, r"quality(\.|: )policy: Input should be 'retry', 'skip' or 'stop', got 'hope'"),
        ({"min_snr": -1}, r"quality(\.|: )min_snr"),
        ({"colour": 1}, r"quality(\.|: )colour: there is no such key, got 1; known are max_saturated, min_resonance"),
    ],
)
def test_wrong_settings_are_refused_before_anything_moves(moody, engine, documents, wanderer, settings, message):
    afm = moody()
    for plan in (curiosity(afm, {}, 2, build=wanderer, quality=settings), spectra_at(afm, [(1, 2)], quality=settings)):
        with pytest.raises(ValueError, match=message):
            engine(plan)
    assert documents == []


def test_a_bad_spectrum_is_measured_again_and_both_are_recorded(moody, engine, documents, wanderer):
    engine(curiosity(moody({2: nan, 3: without_resonance}), {}, 5, build=wanderer))
    history = History(documents)
    assert [(each.attempt, each.reason.split()[0]) for each in history.rejected] == [(1, "not"), (2, "resonance")]
    assert len(history.observations) == 5
    assert history.observations[2].index == history.rejected[0].observation.index
    attempts = [doc["data"]["attempt"] for doc in events(documents) if "attempt" in doc["data"]]
    assert attempts == [1, 1, 1, 2, 3, 1, 1]
    assert all(np.isfinite(observation.spectrum).all() for observation in history.observations)
    assert verify(documents, wanderer).identical


def test_a_place_that_stays_bad_is_excluded_and_the_run_goes_on(moody, engine, documents, wanderer):
    engine(curiosity(moody(dict.fromkeys((1, 2, 3), nan)), {}, 4, build=wanderer, lookahead=1))
    history = History(documents)
    (excluded,) = [record for record in history.records if isinstance(record, Exclusion)]
    assert excluded.reason.startswith("not finite at 3 of")
    assert excluded.index == history.decisions[1].candidate
    assert len(history.observations) == 3
    assert excluded.index not in [decision.candidate for decision in history.decisions[2:]]
    assert documents[-1][1]["exit_status"] == "success"
    verdict = verify(documents, wanderer)
    assert verdict.identical, str(verdict)


def test_skipping_measures_a_bad_place_once(moody, engine, documents, wanderer):
    engine(curiosity(moody({0: nan}), {}, 3, build=wanderer, quality={"policy": "skip"}))
    history = History(documents)
    assert len(history.rejected) == 1
    assert len(history.observations) == 2


def test_a_run_without_a_single_good_spectrum_fails_and_says_why(moody, engine, documents, wanderer):
    afm = moody(dict.fromkeys(range(99), nan))
    with pytest.raises(QualityError, match="all 3 at 3 places were rejected, the last because"):
        engine(curiosity(afm, {}, 3, build=wanderer, quality={"policy": "skip"}))
    assert not afm.tip.contact.get()
    stop = documents[-1][1]
    assert stop["exit_status"] == "fail"
    assert "all 3 at 3 places were rejected" in stop["reason"]


def test_stopping_ends_the_run_with_the_reason_and_the_tip_withdrawn(moody, engine, documents, wanderer):
    afm = moody({1: without_resonance})
    with pytest.raises(QualityError, match="resonance found at 30%"):
        engine(curiosity(afm, {}, 3, build=wanderer, quality={"policy": "stop"}))
    history = History(documents)
    assert history.stop["exit_status"] == "fail"
    assert "resonance found" in history.stop["reason"]
    assert len(history.observations) == 1
    assert len(history.rejected) == 1
    assert not afm.backend.in_contact()


def test_spectra_at_keeps_bad_spectra_apart(moody, engine, documents):
    engine(spectra_at(moody({0: nan}), [(100, 200), (300, 400)], quality={"retries": 1}))
    assert streams(documents) == ["rejected", "primary", "primary"]


def test_an_image_with_missing_lines_is_taken_again(moody, engine, documents, wanderer):
    engine(curiosity(moody(frames={0: True}), {}, 2, build=wanderer))
    names = [doc["name"] for name, doc in documents if name == "descriptor"]
    assert names[:2] == ["rejected_image", "image"]
    (event,) = events(documents, "rejected_image")
    assert event["data"]["rejected_image_reason"] == "2 of 32 lines are not finite"
    assert len(History(documents).observations) == 2


def test_an_image_that_stays_incomplete_ends_the_run(moody, engine, documents, wanderer):
    afm = moody(frames=dict.fromkeys(range(9), True))
    with pytest.raises(QualityError, match="expected a whole image, got 3 of which 2 of 32 lines"):
        engine(curiosity(afm, {}, 2, build=wanderer))
    assert not afm.backend.in_contact()


def test_the_plan_image_takes_its_frame_once(moody, engine, documents):
    with pytest.raises(QualityError, match="expected a whole image, got 1"):
        engine(image(moody(frames={0: True})))
    assert documents[-1][1]["exit_status"] == "fail"
