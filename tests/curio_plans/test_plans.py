import inspect
from collections import Counter

import numpy as np
import pytest
from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from bluesky.callbacks.best_effort import BestEffortCallback
from bluesky.simulators import RunEngineSimulator, check_limits, summarize_plan
from bluesky.utils import Plan
from support import events, measure, streams

from curio_plans.documents.history import History
from curio_plans.plans import curiosity, grid_spectroscopy, image, spectra_at
from curio_plans.run import stubs
from curio_plans.session.binding import bind


def wander(afm, wanderer, points=8, *, options=None, **more):
    return curiosity(afm, options or {}, points, build=wanderer, **more)


def every_plan(afm, wanderer):
    return [image(afm), spectra_at(afm, [(1, 2), (30, 40)]), grid_spectroscopy(afm, 3, 2), wander(afm, wanderer)]


def test_a_run_has_its_streams_and_one_event_for_each_point_and_decision(afm, engine, documents, wanderer):
    (uid,) = engine(wander(afm, wanderer, points=8, map_every=4))
    start, stop = documents[0][1], documents[-1][1]
    assert start["uid"] == uid
    assert stop["exit_status"] == "success"
    assert Counter(streams(documents)) == {"image": 1, "reference": 1, "agent": 8, "primary": 8, "agent_map": 2}
    assert start["agent"] == {"agent": "wanderer", "seed": 0, "initial": 0}
    assert start["points"] == 8
    assert start["plan_args"]["window"] == 9
    assert start["versions"]["bluesky"]
    assert start["sample"] == dict(afm.describe_sample())
    assert afm.tip.position == "withdrawn"


def test_each_point_is_where_the_decision_said(afm, engine, documents, wanderer):
    engine(wander(afm, wanderer))
    history = History(documents)
    for decision, observation in zip(history.decisions, history.observations, strict=True):
        assert decision.candidate == observation.index
        assert decision.position == tuple(observation.requested)
        assert decision.position == tuple(history.pool.positions[decision.candidate])
        assert tuple(observation.position) == pytest.approx(decision.position)
        assert decision.observations == decision.number
    assert len({observation.index for observation in history.observations}) == 8


def test_looking_ahead_decides_with_one_observation_less_and_never_twice_for_one_place(
    afm, engine, documents, wanderer
):
    engine(wander(afm, wanderer, points=12, lookahead=1))
    history = History(documents)
    assert [decision.observations for decision in history.decisions] == [0, 0, *range(1, 11)]
    assert len({observation.index for observation in history.observations}) == 12


def test_maps_and_errors_are_recorded(afm, engine, documents, wanderer):
    engine(wander(afm, wanderer, points=8, map_every=4))
    history = History(documents)
    assert [belief.observations for belief in history.maps] == [4, 8]
    assert history.maps[-1].prediction.shape == history.reference.shape
    assert history.maps[-1].maps["predicted_error"].shape == (len(history.pool),)
    errors = [decision.map_mse for decision in history.decisions]
    assert np.isnan(errors[:3]).all()
    assert np.isfinite(errors[3:]).all()
    expected = ((history.maps[0].prediction - history.reference) ** 2).mean()
    assert history.decisions[4].map_mse == pytest.approx(expected, rel=1e-6)


def test_channels_of_the_image_can_be_chosen(afm, engine, documents, wanderer):
    engine(wander(afm, wanderer, points=2, channels=["polarisation"]))
    assert History(documents).pool.patches.shape[1] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"points": 0}, "curiosity: points: .* greater than or equal to 1, got 0"),
        ({"points": 2.5}, "points: Input should be a whole number, got 2.5"),
        ({"points": True}, "points: Input should be a whole number, got True"),
        ({"think_timeout": float("nan")}, "think_timeout: Input should be a finite number, got nan"),
        ({"think_timeout": 0}, "think_timeout: .* greater than 0"),
        ({"think_timeout": "30"}, "think_timeout: Input should be a number, got '30'"),
        ({"escalate_when": {"looks": 1}}, "pass escalate= as well"),
        ({"points": 10_000}, "candidates; choose fewer points"),
        ({"points": 4, "options": {"initial": 5}}, "5 initial points, but the run has only 4"),
        ({"window": 2}, "window: Input should be greater than or equal to 3, got 2"),
        ({"window": 33}, "does not fit into an image of 32×32"),
        ({"stride": 0}, "stride: .* greater than or equal to 1"),
        ({"lookahead": 2}, "lookahead: Input should be 0 or 1, got 2"),
        ({"map_every": -1}, "map_every: .* greater than or equal to 0"),
        ({"channels": ["colour"]}, "expected channels among"),
        ({"md": {"agent": "me"}}, "md must not set agent"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_moves(afm, engine, documents, wanderer, arguments, message):
    before = (afm.backend.time(), afm.scanner.position, afm.tip.position)
    with pytest.raises(ValueError, match=message):
        engine(wander(afm, wanderer, **arguments))
    assert (afm.backend.time(), afm.scanner.position, afm.tip.position) == before
    assert documents == []


@pytest.mark.parametrize("points", [[(1, 2), (1e7, 0)], [(1, 2), (float("nan"), 0)], []])
def test_one_point_outside_the_limits_stops_the_plan_before_it_starts(afm, engine, documents, points):
    before = afm.backend.time()
    with pytest.raises(ValueError, match=r"outside|finite|at least one point"):
        engine(spectra_at(afm, points))
    assert afm.backend.time() == before
    assert documents == []


def test_a_grid_is_measured_line_by_line_and_back(afm, engine, documents):
    engine(grid_spectroscopy(afm, 3, 2, area=(0, 300, 0, 200)))
    places = [(event["data"]["afm_scanner_x"], event["data"]["afm_scanner_y"]) for event in events(documents)]
    assert places == [(50, 50), (150, 50), (250, 50), (250, 150), (150, 150), (50, 150)]


def test_best_effort_callback_takes_the_plans_in_any_order(afm, engine, wanderer, capsys):
    best_effort = BestEffortCallback()
    best_effort.disable_plots()
    engine.subscribe(best_effort)
    for plan in (image(afm), *every_plan(afm, wanderer), image(afm), wander(afm, wanderer)):
        capsys.readouterr()
        engine(plan)
        told = capsys.readouterr()
        assert "exception raised" not in told.out + told.err
    assert "afm_scanner_x" in told.out
    assert "afm_spectrometer_snr" in told.out


def test_the_caller_keeps_its_metadata(afm, engine, documents, wanderer):
    mine = {"operator": "Ada", "nested": {"a": 1}}
    engine(wander(afm, wanderer, points=1, md=mine))
    assert mine == {"operator": "Ada", "nested": {"a": 1}}
    assert documents[0][1]["operator"] == "Ada"


def test_every_plan_can_be_summarised_and_checked(afm, wanderer, capsys):
    for plan in every_plan(afm, wanderer):
        summarize_plan(plan)
    for plan in every_plan(afm, wanderer):
        check_limits(plan)
    told = capsys.readouterr().out
    assert told.count("Open Run") == 4
    assert "agent -> 7" in told
    assert not afm.backend.in_contact()
    assert afm.backend.time() == 0


def test_a_simulated_plan_visits_the_corners_of_the_pool(afm, wanderer):
    messages = RunEngineSimulator().simulate_plan(wander(afm, wanderer, window=9, stride=1))
    visited = {message.args[0] for message in messages if message.command == "set" and message.obj is afm.scanner}
    pixel = afm.imager.area.get()[1] / 32
    low, high = 4.5 * pixel, (32 - 4.5 + 1 - 1) * pixel
    assert visited == {(low, low), (low, high), (high, low), (high, high)}


def test_a_plan_is_replaced_in_one_step(afm, engine, documents, wanderer):
    def slowly(afm, position, also=(), *, judge=None):
        yield from bps.sleep(0.01)
        return (yield from stubs.take_spectrum(afm, position, also, judge=judge))

    engine(wander(afm, wanderer, points=2, measure=slowly))
    assert streams(documents).count("primary") == 2


def test_a_step_of_another_signature_is_refused_before_anything_moves(afm, engine, documents, wanderer):
    def old(afm, position):
        yield from bps.null()

    for plan in (wander(afm, wanderer, measure=old), spectra_at(afm, [(1, 2)], measure=old)):
        with pytest.raises(ValueError, match="expected measure to take what"):
            engine(plan)
    assert documents == []


def failing_step(afm, position, also=(), *, judge=None):
    yield from bps.mv(afm.scanner, position)
    yield from bps.mv(afm.tip, "engaged")
    raise RuntimeError("the step failed")


def test_a_step_that_fails_leaves_the_tip_withdrawn_and_a_stop_document(afm, engine, documents, wanderer):
    with pytest.raises(RuntimeError, match="the step failed"):
        engine(wander(afm, wanderer, measure=failing_step))
    assert not afm.backend.in_contact()
    assert documents[-1][1]["exit_status"] == "fail"


def test_the_same_microscope_measures_again_after_a_failure(afm, engine, documents, wanderer):
    with pytest.raises(RuntimeError, match="the step failed"):
        engine(wander(afm, wanderer, measure=failing_step))
    documents.clear()
    engine(wander(afm, wanderer, points=2))
    assert streams(documents).count("primary") == 2


def test_the_baseline_holds_every_configuration_signal(afm, wanderer, documents, engine):
    engine(bpp.baseline_wrapper(wander(afm, wanderer, points=1), afm.baseline))
    assert streams(documents).count("baseline") == 2
    keys = next(doc["data_keys"] for name, doc in documents if name == "descriptor" and doc["name"] == "baseline")
    assert {"afm_scanner_x", "afm_tip_contact", "afm_imager_area", "afm_spectrometer_amplitude"} <= set(keys)


def test_two_runs_of_one_world_and_one_seed_agree_bit_for_bit(wanderer):
    runs = [History(measure(wander, wanderer, points=4)) for _ in range(2)]
    assert np.array_equal(*[[observation.spectrum for observation in run.observations] for run in runs])


def test_a_bound_plan_looks_like_a_plan(afm, engine, documents, wanderer):
    bound = bind(curiosity, build=wanderer)
    assert "build" not in inspect.signature(bound).parameters
    assert bound.__name__ == "curiosity"
    asked = bound(afm, {}, points=2)
    assert isinstance(asked, Plan)
    engine(asked)
    assert streams(documents).count("primary") == 2
    with pytest.raises(TypeError, match="no argument colour"):
        bind(curiosity, colour="red")
