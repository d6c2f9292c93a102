"""A place ingests each record once and in order, whatever is sent twice, late, or by somebody else."""

import numpy as np
import pytest

from agents.pool import make_pool
from agents.protocols import Context, Observation
from curio_plans.elsewhere import Folds
from curio_plans.elsewhere.folds import KEPT
from curio_plans.elsewhere.wire import VERSION, Chain, pack, unpack

POOL = make_pool(np.random.default_rng(0).normal(size=(1, 12, 14)), (0, 140, 0, 120), window=5, stride=2)
CONFIG = {"agent": "wanderer", "seed": 0, "initial": 0}


def observe(index, value=0.0):
    place = POOL.positions[index]
    return Observation(index, place, place, np.full(4, index + value), float(index))


RECORDS = [pack(record) for record in (POOL, observe(1), observe(2), observe(3))]


def digest(records, config=CONFIG):
    chain = Chain(config)
    return [chain.last, *chain.after(0, records)][-1]


@pytest.fixture
def folds(wanderer):
    folds = Folds(wanderer)
    yield folds
    folds.close()


def ask(folds, start, records, name="run", known=RECORDS, question=None, more=()):
    message = {
        "version": VERSION, "config": CONFIG, "from": start, "digest": digest(known[:start]), "records": records,
        "question": question, **dict(more),
    }  # fmt: skip
    status, body = folds.ask(name, pack(message)).result(60)
    return status, unpack(body)


def held(folds, name="run"):
    return [observation[0] for observation in folds._folds[name].agent.spectra]


def test_it_ingests_what_it_lacks_once_and_in_order(folds):
    assert ask(folds, 0, RECORDS[:2])[0] == 200
    status, reply = ask(folds, 1, RECORDS[1:])  # the first of them is sent again
    assert (status, reply["held"], reply["digest"]) == (200, 4, digest(RECORDS))
    assert held(folds) == [1, 2, 3]
    assert ask(folds, 0, RECORDS)[0] == 200
    assert held(folds) == [1, 2, 3]


def test_a_gap_another_history_and_fewer_records_are_refused_and_change_nothing(folds):
    ask(folds, 0, RECORDS[:3])
    other = [RECORDS[0], pack(observe(5)), RECORDS[2]]
    swapped = [RECORDS[0], RECORDS[2], RECORDS[1]]
    wrong = ((4, [], RECORDS), (3, RECORDS[3:], other), (0, swapped, RECORDS), (0, RECORDS[:2], RECORDS))
    for start, records, known in wrong:
        status, reply = ask(folds, start, records, known=known)
        assert (status, reply["held"], reply["digest"]) == (409, 3, digest(RECORDS[:3]))
    assert held(folds) == [1, 2]


def test_a_place_that_was_restarted_says_that_it_holds_nothing(folds):
    assert ask(folds, 4, [])[1] == {"held": 0, "digest": digest([])}


def test_a_malformed_record_is_refused_with_all_that_came_with_it(folds):
    ask(folds, 0, RECORDS[:2])
    bad = pack(Observation(2, POOL.positions[2], POOL.positions[2], np.full(4, np.nan), 0.0))
    status, reply = ask(folds, 2, [bad])
    assert (status, reply["error"]) == (422, "RecordError")
    assert ask(folds, 2, [])[0] == 200


def test_what_is_asked_again_is_thought_once(folds):
    suggest = {"ask": "suggest", "n": 1, "context": Context(5)}
    ask(folds, 0, RECORDS)
    agent, thoughts = folds._folds["run"].agent, []
    original = agent.suggest
    agent.suggest = lambda *arguments: thoughts.append(1) or original(*arguments)
    answers = [ask(folds, 4, [], question=suggest) for _ in range(3)]
    assert len(thoughts) == 1
    assert answers[0] == answers[1] == answers[2]


def test_the_agent_that_was_asked_longest_ago_is_given_up(folds):
    for number in range(KEPT + 2):
        ask(folds, 0, RECORDS[:1], name=f"run {number}")
    assert list(folds._folds) == [f"run {number}" for number in range(2, KEPT + 2)]


@pytest.mark.parametrize(
    "more",
    [
        {"version": 99}, {"config": "random"}, {"from": "0"}, {"records": None}, {"records": [b"junk"]},
        {"question": {"ask": "state"}}, {"question": {"ask": "suggest", "n": 1, "context": 3}},
        {"question": {"ask": "__class__"}},
    ],
    ids=str,
)  # fmt: skip
def test_a_request_of_another_form_is_refused(folds, more):
    assert ask(folds, 0, RECORDS[:1], more=more)[0] in (400, 422)
