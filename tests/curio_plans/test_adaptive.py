"""An agent drives the plans of bluesky-adaptive, the real package, on the twin."""

import numpy as np
import pytest
from bluesky_adaptive.plans import optimize, sample_suggestions
from bluesky_adaptive.protocols import Optimizer, SupportsStoppingCriteria, TrialFaultAware
from support import microscope

from agents.registry import build
from curio_plans.adaptive import optimization_problem
from curio_plans.plans import image


@pytest.fixture
def afm():
    return microscope()


def runs_of(documents):
    """Return the documents of each run, by plan name."""
    uids = {doc["uid"]: doc["plan_name"] for name, doc in documents if name == "start"}
    runs, owners = {uid: [] for uid in uids}, {}
    for name, doc in documents:
        owner = (
            doc["uid"] if name == "start" else owners[doc["descriptor"]] if "descriptor" in doc else doc["run_start"]
        )
        if name == "descriptor":
            owners[doc["uid"]] = owner
        runs[owner].append((name, doc))
    return [(uids[uid], found) for uid, found in runs.items()]


def test_an_agent_measures_where_it_wants_and_its_outcomes_are_events(engine, afm):
    engine(image(afm))
    documents = []
    engine.subscribe(lambda name, doc: documents.append((name, doc)))
    problem = optimization_problem(afm, build({"agent": "gp-variance", "initial": 4}), 12, merit="height", window=5)
    assert isinstance(problem.optimizer, Optimizer | SupportsStoppingCriteria)
    assert isinstance(problem.optimizer, TrialFaultAware)
    engine(optimize(problem, iterations=4, n_points=3))
    assert afm.tip.position == "withdrawn"

    runs = runs_of(documents)
    assert [name for name, _ in runs] == ["optimize"] + ["spectra_at"] * 4
    whole = [doc for name, doc in runs[0][1] if name == "event"]
    assert len(whole) == 12
    told = np.array([[doc["data"][key] for key in ("afm_scanner_x", "afm_scanner_y", "height")] for doc in whole])
    taken = [doc["data"] for _, found in runs[1:] for name, doc in found if name == "event"]
    heights = {(one["afm_scanner_x"], one["afm_scanner_y"]): np.ptp(one["afm_spectrometer_spectrum"]) for one in taken}
    for x, y, height in told:
        near = min(heights, key=lambda place: np.hypot(place[0] - x, place[1] - y))
        assert heights[near] == pytest.approx(height)
    best = problem.optimizer.get_best_points()[0]
    assert best[2]["height"] == told[:, 2].max()

    # The agent knows what a run of ours would have told it: the same again, asked without bluesky-adaptive.
    again = build({"agent": "gp-variance", "initial": 4})
    again.ingest(problem.optimizer.pool, *problem.optimizer.agent.observations)
    assert again.suggest(3) == problem.optimizer.agent.suggest(3)


def test_it_ends_when_the_agent_knows_enough(engine, afm):
    engine(image(afm))
    problem = optimization_problem(afm, build({"agent": "curio", "checks": 2}), 60, until={"error": 5.0}, window=5)
    engine(optimize(problem, iterations=None, n_points=4))
    assert 10 < len(problem.optimizer.outcomes) < 40
    assert problem.optimizer.should_stop()[0]


def test_what_was_not_measured_is_suggested_again(engine, afm):
    engine(image(afm))
    problem = optimization_problem(afm, build({"agent": "random"}), 6, window=5)
    wanted = problem.optimizer.suggest(2)
    problem.optimizer.register_failures(wanted)
    assert problem.optimizer.suggest(2) == wanted
    problem.optimizer.register_failures(wanted)

    def broken(*_, **__):
        raise RuntimeError("the tip fell off")
        yield

    failing = type(problem)(problem.optimizer, problem.actuators, problem.sensors, problem.evaluation_function, broken)
    with pytest.raises(RuntimeError, match="the tip fell off"):
        engine(optimize(failing, iterations=1, n_points=2))
    assert problem.optimizer.suggest(2) == wanted


def test_a_person_may_ask_for_a_candidate(engine, afm):
    engine(image(afm))
    problem = optimization_problem(afm, build({"agent": "random"}), 6, window=5)
    place = dict(zip(("afm_scanner_x", "afm_scanner_y"), problem.optimizer.pool.positions[7].tolist(), strict=True))
    engine(sample_suggestions(problem, [{"_id": 7, **place}]))
    assert problem.optimizer.agent.measured.tolist() == [7]
    with pytest.raises(ValueError, match="must contain an '_id' key"):
        engine(sample_suggestions(problem, [place]))


def test_bad_input_is_refused_before_anything_moves(engine, afm):
    with pytest.raises(ValueError, match="a microscope that has taken an image"):
        optimization_problem(afm, build({"agent": "random"}), 5)
    engine(image(afm))
    with pytest.raises(ValueError, match="no figure of merit 'gap'; known are height"):
        optimization_problem(afm, build({"agent": "random"}), 5, merit="gap")
    with pytest.raises(ValueError, match="until"):
        optimization_problem(afm, build({"agent": "random"}), 5, until={"error": -1})
    optimizer = optimization_problem(afm, build({"agent": "random"}), 5).optimizer
    with pytest.raises(ValueError, match="an agent needs a spectrum"):
        optimizer.ingest([{"x": 1.0, "y": 2.0, "height": 3.0}])
    with pytest.raises(ValueError, match="nothing was measured yet"):
        optimizer.get_best_points()
