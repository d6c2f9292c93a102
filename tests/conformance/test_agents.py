"""The laws of every registered agent. A new agent joins by being registered."""

import copy
import dataclasses
import json
import pickle
from importlib import import_module

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.pool import make_pool
from agents.protocols import (
    Agent,
    Answer,
    Context,
    EstimatesError,
    Exclusion,
    ExhaustedError,
    Observation,
    Pool,
    RecordError,
    Steering,
    for_agent,
)
from agents.registry import build, configure, known_agents, options

SMALL = {
    "initial": 4, "filters": 3, "epochs": 6, "later_epochs": 1, "error_epochs": 10, "autoencoder_epochs": 2,
    "passes": 20,
}  # fmt: skip
"""Options that make an agent quick, where it has them."""

STEPS = 12
BUDGET = 20
every_agent = pytest.mark.parametrize("name", known_agents())


def quick(name, **chosen):
    small = {key: value for key, value in SMALL.items() if key in options(name)}
    if "inner" in options(name):
        small = {"inner": quick("paper-latent", **chosen), "window": 2}
    return configure(name, **small, **chosen)


def make_world(seed=0):
    """A pool of 6 × 7 candidates, and a spectrum for each that follows from its patch."""
    frame = np.random.default_rng(seed).normal(size=(2, 16, 18)).cumsum(axis=2)
    pool = make_pool(frame, (0.0, 180.0, 0.0, 160.0), window=5, stride=2)
    features = pool.patches.reshape(len(pool), -1)[:, :3].astype(np.float64)
    return pool, np.tanh(features @ np.random.default_rng(seed + 1).normal(size=(3, STEPS)))


POOL, SPECTRA = make_world()


def observe(index, spectrum=None):
    place = POOL.positions[index]
    return Observation(int(index), place, place, SPECTRA[index] if spectrum is None else spectrum, float(index))


def context(agent, pending=(), avoid=()):
    return Context(budget=len(POOL), pending=tuple(pending), avoid=tuple(avoid))


def tell(suggestion):
    return (suggestion.index, suggestion.phase, repr(suggestion.score), repr(sorted(suggestion.parts.items())))


def measure(agent, count, asking=1):
    """Let an agent decide and learn `count` times; return what it said."""
    said = []
    for _ in range(count):
        for _ in range(asking):
            (suggestion,) = agent.suggest(1, Context(budget=BUDGET))
        said.append(tell(suggestion))
        agent.ingest(observe(suggestion.index))
    return said


@every_agent
def test_it_is_an_agent_and_describes_itself(name):
    agent = build(quick(name))
    assert isinstance(agent, Agent)
    assert agent.config["agent"] == name
    assert json.loads(json.dumps(agent.config)) == agent.config
    assert {"agent", *options(name)} - set(agent.config) <= {"device"}  # only where it is not the processor
    assert build(json.loads(json.dumps(agent.config))).config == agent.config


@every_agent
def test_places_that_form_no_grid_are_a_pool(name):
    places = np.random.default_rng(5).uniform((10, 10), (170, 150), size=(24, 2))
    frame = np.random.default_rng(0).normal(size=(2, 16, 18)).cumsum(axis=2)
    pool = make_pool(frame, (0.0, 180.0, 0.0, 160.0), window=5, stride=1, edge="reflect", places=places)
    assert pool.grid is None
    agent = build(quick(name))
    agent.ingest(pool)
    chosen = []
    for number in range(8):
        (suggestion,) = agent.suggest(1, Context(budget=12))
        chosen.append(suggestion.index)
        place = pool.positions[suggestion.index]
        agent.ingest(Observation(suggestion.index, place, place, SPECTRA[suggestion.index], float(number)))
    assert len(set(chosen)) == 8
    prediction = agent.report(Context(budget=12)).prediction
    assert prediction is None or prediction.shape == (24, STEPS)


@every_agent
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_it_never_suggests_what_is_taken_and_the_same_history_gives_the_same_answer(name, data):
    agent, again = build(quick(name)), build(quick(name))
    records = [POOL]
    agent.ingest(POOL)
    taken = set()
    for step in range(9):
        pending, avoid = (data.draw(st.lists(st.integers(0, len(POOL) - 1), max_size=3, unique=True)) for _ in range(2))
        n = data.draw(st.integers(1, 3))
        chosen = agent.suggest(n, context(agent, pending, avoid))
        indices = [suggestion.index for suggestion in chosen]
        assert len(set(indices)) == n
        assert all(0 <= index < len(POOL) for index in indices)
        assert not set(indices) & (taken | {*pending, *avoid})
        last, asked = indices[0], context(agent, pending, avoid)
        answer = [tell(suggestion) for suggestion in chosen]
        if step < 8:
            excluded = data.draw(st.booleans())
            record = Exclusion(last, "out of reach") if excluded else observe(last)
            agent.ingest(record)
            records.append(record)
            taken.add(last)
    again.ingest(*records)
    assert [tell(suggestion) for suggestion in again.suggest(n, asked)] == answer


@every_agent
def test_neither_asking_nor_grouping_nor_global_seeds_matter(name):
    first, second = build(quick(name)), build(quick(name))
    first.ingest(POOL)
    said = measure(first, 9)
    second.ingest(POOL)
    import_module("torch").rand(7)
    np.random.rand(7)  # noqa: NPY002  somebody else's random numbers
    for _ in range(2):
        second.report(context(second))
    assert measure(second, 9, asking=3) == said
    assert len({entry[0] for entry in said}) == 9


@every_agent
def test_it_leaves_global_random_numbers_and_threads_alone(name):
    torch = import_module("torch")
    threads, numbers, more = torch.get_num_threads(), torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    agent = build(quick(name))
    agent.ingest(POOL)
    measure(agent, 6)
    agent.report()
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), numbers)
    assert (np.random.get_state()[1] == more[1]).all()  # noqa: NPY002


@every_agent
def test_a_seed_matters_where_there_is_one(name):
    if "seed" not in options(name):
        pytest.skip(f"{name} has no seed")
    said = []
    for seed in (0, 1):
        agent = build(quick(name, seed=seed))
        agent.ingest(POOL)
        said.append(measure(agent, 9))
    assert said[0] != said[1]


@every_agent
def test_it_reports_what_it_said_it_would(name):
    agent = build(quick(name))
    agent.ingest(POOL)
    for n in range(8):
        (suggestion,) = agent.suggest(1, context(agent))
        assert set(suggestion.parts) == set(agent.parts)
        report = agent.report(context(agent))
        assert set(report.losses) == set(agent.losses) or not report.maps
        for values in report.maps.values():
            assert values.shape == (len(POOL),)
            assert values.dtype == np.float32
            assert np.isfinite(values).all()
        if report.prediction is not None:
            assert report.prediction.shape == (len(POOL), STEPS)
            assert report.prediction.dtype == np.float32
            assert np.isfinite(report.prediction).all()
        if n == 0:
            assert not report.maps
            assert report.prediction is None
        agent.ingest(observe(suggestion.index))


@every_agent
def test_an_estimate_of_its_error_follows_from_the_records_alone(name):
    asked, late = build(quick(name)), build(quick(name))
    if not isinstance(asked, EstimatesError):
        pytest.skip(f"{name} does not estimate its error")
    asked.ingest(POOL)
    said = []
    for _ in range(16):
        asked.estimate()
        said += measure(asked, 1)
    late.ingest(POOL, *(observe(entry[0]) for entry in said))
    estimate = late.estimate()
    assert estimate == asked.estimate()
    assert 0 <= estimate.low <= estimate.error <= estimate.high
    assert 0 <= estimate.noise <= estimate.error
    assert tell(late.suggest(1, Context(budget=BUDGET))[0]) == tell(asked.suggest(1, Context(budget=BUDGET))[0])


@every_agent
def test_it_survives_being_saved_and_loaded(name):
    for measured in (0, 2, 6):
        agent = build(quick(name))
        agent.ingest(POOL)
        measure(agent, measured)
        stored = pickle.dumps(agent.state())
        onward = measure(agent, 3)
        restored = build(quick(name))
        restored.load_state(pickle.loads(stored))
        assert measure(restored, 3) == onward


@every_agent
def test_a_snapshot_does_not_change_when_the_agent_goes_on(name):
    agent = build(quick(name))
    agent.ingest(POOL)
    measure(agent, 5)
    snapshot = agent.state()
    copied = pickle.dumps(copy.deepcopy(snapshot))
    onward = measure(agent, 3)
    for state in (snapshot, pickle.loads(copied)):
        restored = build(quick(name))
        restored.load_state(state)
        assert measure(restored, 3) == onward


@every_agent
def test_the_snapshot_of_another_agent_is_refused(name):
    agent = build(quick(name))
    state = {**agent.state(), "config": {"agent": "somebody else"}}
    with pytest.raises(ValueError, match="expected the state of"):
        agent.load_state(state)


def bad_pools():
    patches, positions = POOL.patches, POOL.positions
    spoiled = patches.copy()
    spoiled[3, 0, 0, 0] = np.nan
    yield Pool(positions, spoiled, POOL.grid), "patches must be finite; those of candidate 3"
    yield Pool(positions[:5], patches, POOL.grid), r"a pool of 5 candidates has patches \(N, C, h, w\)"
    yield Pool(positions, patches, (2, 2)), "a grid of 2 × 2 does not hold 42"
    yield Pool(positions[:, :1], patches, POOL.grid), r"positions \(N, 2\)"
    yield Pool(positions, patches[:, :1], POOL.grid), "a new pool keeps its indices"


def bad_records():
    yield observe(0, np.full(STEPS, np.nan)), "not finite, first at step 0"
    yield observe(0, np.r_[np.zeros(STEPS - 1), np.inf]), f"not finite, first at step {STEPS - 1}"
    yield observe(0, np.zeros(STEPS + 1)), f"expected {STEPS} values as in the first spectrum"
    yield observe(0, np.zeros((STEPS, 1))), r"shape \(K,\)"
    yield dataclasses.replace(observe(0), axis=np.zeros(STEPS - 1)), "the axis of a spectrum of 12 values"
    yield Exclusion(len(POOL), "no"), f"expected a candidate 0 … {len(POOL) - 1}"
    yield Exclusion(-1, "no"), "expected a candidate"
    yield "not a record", "expected a Past, Pool, Observation, Exclusion, Answer or Steering"


@every_agent
def test_a_malformed_record_is_refused_and_changes_nothing(name):
    agent, untouched = build(quick(name)), build(quick(name))
    for each in (agent, untouched):
        each.ingest(POOL)
        measure(each, 5)
    good = observe(agent.suggest(1, Context(budget=BUDGET))[0].index)
    for record, words in (*bad_pools(), *bad_records()):
        with pytest.raises(RecordError, match=words):
            agent.ingest(good, record)
    assert measure(agent, 3) == measure(untouched, 3)


@every_agent
def test_an_observation_before_the_pool_is_refused(name):
    with pytest.raises(RecordError, match="expected a Pool before anything else"):
        build(quick(name)).ingest(observe(0))
    with pytest.raises(ValueError, match="expected a Pool before anything else"):
        build(quick(name)).suggest()


@every_agent
def test_it_says_when_nothing_is_left(name):
    agent = build(quick(name))
    agent.ingest(POOL, *(observe(index) for index in range(len(POOL) - 2)))
    assert {suggestion.index for suggestion in agent.suggest(2)} == {len(POOL) - 2, len(POOL) - 1}
    with pytest.raises(ExhaustedError, match=f"asked for 3 places, but only 2 of {len(POOL)}"):
        agent.suggest(3)
    with pytest.raises(ValueError, match="at least 1 place, got 0"):
        agent.suggest(0)


@every_agent
def test_it_takes_a_new_image_of_the_same_places(name):
    agent, again = build(quick(name)), build(quick(name))
    agent.ingest(POOL)
    measured = [entry[0] for entry in measure(agent, 5)]
    changed = Pool(POOL.positions + 1.0, POOL.patches[:, :, ::-1].copy(), POOL.grid)
    agent.ingest(changed)
    onward = measure(agent, 3)
    again.ingest(POOL, *(observe(index) for index in measured), changed)
    assert measure(again, 3) == onward
    assert len({*measured, *(entry[0] for entry in onward)}) == 8


@every_agent
def test_it_passes_over_answers_to_questions_it_did_not_ask(name):
    agent, untouched = build(quick(name)), build(quick(name))
    agent.ingest(POOL, Answer("is it the tip?", "yes"))
    untouched.ingest(POOL)
    assert measure(agent, 3) == measure(untouched, 3)


@every_agent
def test_it_goes_on_as_before_where_humans_steered(name):
    agent, untouched = build(quick(name)), build(quick(name))
    acts = [
        Steering("pick", (3,), '{"candidate": 3}'),
        Steering("exclude", (0, 1), "{}"),
        Steering("an act to come", (), "{}"),
    ]
    assert for_agent(agent, [POOL, *acts]) == (POOL,)
    agent.ingest(POOL, *acts[:2])  # what it is not shown does not hurt it either
    untouched.ingest(POOL)
    assert measure(agent, 2) == measure(untouched, 2)
    agent.ingest(*acts)
    assert measure(agent, 3) == measure(untouched, 3)


@every_agent
@pytest.mark.parametrize("lookahead", [0, 1])
def test_it_measures_in_the_plan_and_replays(name, lookahead, afm, engine, documents):
    from curio_plans.plans import curiosity
    from curio_plans.study.replay import verify

    engine(curiosity(afm, quick(name), 9, build=build, window=5, stride=3, lookahead=lookahead))
    verdict = verify(documents, build)
    assert verdict.identical, str(verdict)
    assert verdict.initial + verdict.chosen == 9
