"""A run that ended early, at whatever document, goes on as if it never had."""

import copy
from contextlib import closing

import h5py
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.simulators import check_limits
from support import events, measure, microscope, streams

from agents.protocols import Report
from curio_plans.documents.history import History
from curio_plans.export import export
from curio_plans.plans import curiosity, image
from curio_plans.plans import resume as resume_plan
from curio_plans.run.resume import ResumeError
from curio_plans.study.replay import verify
from ophyd_devices import AFM, DoseLog, Envelope, EnvelopeError
from ophyd_devices.twin import twin

POINTS = 5
DRIFT = {"every_points": 2, "min_confidence": -1.0}


def resumed(documents, wanderer, **options):
    """The documents of a stored run and of the one that resumes it."""
    return documents + measure(resume_plan, "the run", build=wanderer, stored=lambda uid: documents, **options)


def ended_after(documents, number):
    """A run whose process was killed after so many documents."""
    return copy.deepcopy(documents[:number])


ALL = {"lookahead": 1, "drift": DRIFT, "map_every": 2, "quality": {"min_snr": 6.3}}
"""Looking ahead, following the drift, refusing spectra."""


@pytest.mark.parametrize(("effects", "options"), [("calm", {}), ("realistic", ALL)], ids=["plain", "everything"])
def test_a_run_that_ended_after_any_document_goes_on_as_if_it_never_had(effects, options, wanderer, facts):
    world = {"effects": effects}
    whole = measure(curiosity, {"seed": 4, "initial": 2}, POINTS, build=wanderer, world=world, **options)
    expected = facts(whole)
    if options:
        assert History(whole).rejected
        assert len(History(whole).images) > 2
    for number in range(1, len(whole)):
        both = resumed(ended_after(whole, number), wanderer, world=world)
        assert facts(both) == expected, whole[number - 1]
        assert verify(both, wanderer).identical


class Believer:
    """A wanderer that believes something from the first point on."""

    def __new__(cls, wanderer):
        class Agent(wanderer):
            def report(self, context=None):
                return Report({}, {"predicted_error": np.full(len(self.pool), len(self.measured), np.float32)}, None)

        return Agent


def test_the_belief_maps_are_those_of_a_run_that_never_ended(wanderer):
    build = Believer(wanderer)
    whole = measure(curiosity, {"seed": 4}, POINTS, build=build, map_every=2)

    def mapped(documents):
        return [event["data"]["agent_map_observations"] for event in events(documents, "agent_map")]

    assert mapped(whole) == [2, 4, 5]
    for number in range(3, len(whole)):
        stopped = ended_after(whole, number)
        both = stopped + measure(resume_plan, "the run", build=build, stored=lambda uid, run=stopped: run)
        assert mapped(both) == mapped(whole), whole[number - 1]


def test_an_image_that_is_due_follows_the_documents_after_a_repeated_event(wanderer, facts):
    options = {"build": wanderer, "drift": DRIFT}
    whole = measure(curiosity, {"seed": 4}, POINTS, **options)
    stopped = ended_after(whole, len(whole) - 4)
    repeated = []
    for name, doc in stopped:
        repeated += [(name, doc)] * (2 if name == "event" else 1)
    both = repeated + measure(resume_plan, "the run", build=wanderer, stored=lambda uid: repeated)
    assert facts(both) == facts(whole)


def test_a_resumed_run_can_be_resumed_again(wanderer, facts):
    whole = measure(curiosity, {"seed": 4}, POINTS, build=wanderer)
    once = resumed(ended_after(whole, len(whole) // 3), wanderer)
    twice = resumed(ended_after(once, len(once) * 2 // 3), wanderer)
    assert facts(twice) == facts(whole)
    starts = [doc for name, doc in twice if name == "start"]
    assert [start.get("resumes") for start in starts] == [None, starts[0]["uid"], starts[1]["uid"]]
    assert starts[1]["rebuilt"] is True


def test_nothing_stored_is_measured_again_and_the_experiment_is_the_same(wanderer):
    whole = measure(curiosity, {"seed": 4}, POINTS, build=wanderer, md={"experiment": {"operator": "Ada"}})
    stopped = ended_after(whole, len(whole) - 8)
    new = resumed(stopped, wanderer)[len(stopped) :]
    assert new[0][1]["experiment"]["operator"] == "Ada"
    assert "image" not in streams(new)
    assert 0 < streams(new).count("primary") == POINTS - len(History(stopped).observations)


def test_an_aborted_run_is_resumed_in_the_same_session_without_rebuilding(afm, wanderer):
    whole = measure(curiosity, {"seed": 4}, POINTS, build=wanderer)
    stopped = ended_after(whole, len(whole) - 8)
    RunEngine({})(image(afm))
    both = resumed(stopped, wanderer, afm=afm)
    assert [doc["rebuilt"] for name, doc in both if name == "start" and "resumes" in doc] == [False]
    history = History(both)
    assert len(history.observations) == POINTS
    assert history.images[0].time == History(whole).images[0].time, "the image is that of the earlier run"


def test_a_simulator_checks_a_resumed_run(afm, stopped, wanderer):
    check_limits(resume_plan(afm, "the run", build=wanderer, stored=lambda uid: stopped))


@pytest.fixture
def stopped(wanderer):
    return measure(curiosity, {"seed": 4}, POINTS, build=wanderer)[:-8]


def test_another_world_is_noticed_at_the_event_that_differs(stopped, wanderer):
    event = events(stopped, "primary")[1]
    event["data"]["afm_spectrometer_spectrum"][3] += 1e-12
    with pytest.raises(
        ResumeError, match=rf"event 2 of the stream 'primary' \({event['uid']}\) afm_spectrometer_spectrum"
    ):
        resumed(stopped, wanderer)
    assert len(History(resumed(stopped, wanderer, rebuild=False)).observations) == POINTS


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda afm: afm.spectrometer.amplitude.put(7.0), "other settings: afm_spectrometer_amplitude was 8.0, is 7.0"),
        (lambda afm: afm.imager.line_rate.put(2.0), "other settings: afm_imager_line_rate was 1.0, is 2.0"),
    ],
)
def test_other_settings_are_refused_before_anything_moves(afm, stopped, wanderer, change, words):
    change(afm)
    with pytest.raises(ResumeError, match=words):
        resumed(stopped, wanderer, afm=afm)
    assert afm.backend.time() == 0


def test_another_channel_is_learned_and_goes_on_being_learned(afm, wanderer, facts):
    afm.spectrometer.quantity.put("on-field piezoresponse")
    whole = measure(curiosity, {"seed": 4, "initial": 2}, POINTS, afm=afm, build=wanderer)
    history = History(whole)
    learned = [event["data"]["afm_spectrometer_channels"][1] for event in events(whole, "primary")]
    np.testing.assert_array_equal([point.spectrum for point in history.observations], learned)
    assert history.spectroscopy.quantity == "on-field piezoresponse"
    assert [name for name, _ in history.spectroscopy.channels] == ["off-field piezoresponse", "on-field piezoresponse"]
    truth, off_field = (
        history.reference[history.measured()],
        [e["data"]["afm_spectrometer_channels"][0] for e in events(whole, "primary")],
    )
    assert np.abs(truth - learned).mean() < np.abs(truth - off_field).mean()
    stopped = ended_after(whole, len(whole) - 6)
    with pytest.raises(ResumeError, match="quantity was 'on-field piezoresponse', is 'off-field"):
        resumed(stopped, wanderer)
    with closing(microscope()) as again:
        again.spectrometer.quantity.put("on-field piezoresponse")
        both = resumed(stopped, wanderer, afm=again)
    assert facts(both) == facts(whole)
    assert verify(both, wanderer).identical


def test_another_sample_is_refused(stopped, wanderer):
    with pytest.raises(ResumeError, match="measured on another sample: seed was 3, is 5"):
        resumed(stopped, wanderer, world={"seed": 5})


def test_arguments_that_are_not_those_of_a_run_are_refused(stopped, wanderer):
    stopped[0][1]["plan_args"]["points"] = "many"
    with pytest.raises(ResumeError, match=r"hold the arguments of a run \(plan_args: points: .*start a new run"):
        resumed(stopped, wanderer)


def test_what_cannot_be_resumed(wanderer):
    whole = measure(curiosity, {"seed": 4}, POINTS, build=wanderer)
    with pytest.raises(ResumeError, match="was completed; there is nothing to resume"):
        resumed(whole, wanderer)
    with pytest.raises(ResumeError, match="one of the plan 'image'; start a new run"):
        resumed(measure(image), wanderer)


def test_a_resumed_run_is_exported_with_what_it_resumes(stopped, wanderer, tmp_path):
    with h5py.File(export(resumed(stopped, wanderer), tmp_path / "run.nxs")) as file:
        assert len(file["entry/streams/primary/afm_spectrometer_spectrum"]) == POINTS
        assert len(file["entry/streams/agent/agent_candidate"]) == POINTS


def test_a_resumed_run_counts_no_stored_spectrum_twice(wanderer, tmp_path):
    def dosed(**limits):
        afm = AFM(twin(seed=3), name="afm", envelope=Envelope(**limits), doses=DoseLog(tmp_path / "doses"))
        afm.imager.pixels.put((32, 32))
        afm.spectrometer.steps_per_cycle.put(16)
        afm.spectrometer.cycles.put(2)
        return afm

    log = DoseLog(tmp_path / "doses")
    log.add((0.0, 0.0))  # the tip is not new
    log.close()
    afm, stopped = dosed(loops_per_tip=4), []
    engine = RunEngine({})
    engine.subscribe(lambda name, doc: stopped.append((name, copy.deepcopy(dict(doc)))))
    with pytest.raises(EnvelopeError, match="the limit is 4"):
        engine(curiosity(afm, {"seed": 4}, POINTS, build=wanderer))
    afm.close()
    both = resumed(stopped, wanderer, afm=dosed(loops_per_tip=20))
    assert len(History(both).observations) == POINTS
    assert DoseLog(tmp_path / "doses").tip_loops == 1 + POINTS
    whole = measure(curiosity, {"seed": 4}, POINTS, build=wanderer)
    assert [o.spectrum.tolist() for o in History(both).observations] == [
        o.spectrum.tolist() for o in History(whole).observations
    ]
