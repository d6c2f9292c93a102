import copy

import numpy as np
import pytest
from support import measure

from curio_plans.documents.events import DocumentError
from curio_plans.documents.history import History
from curio_plans.plans import curiosity


@pytest.fixture(scope="module")
def stored(wanderer):
    return measure(curiosity, {}, 6, build=wanderer)


@pytest.fixture
def run(stored):
    return copy.deepcopy(stored)


def test_folding_step_by_step_and_at_once_is_the_same(run):
    at_once, step_by_step = History(run), History()
    for name, doc in run:
        step_by_step(name, doc)
    assert repr(at_once.decisions) == repr(step_by_step.decisions)
    assert len(at_once.records) == len(step_by_step.records) == 7


def test_an_event_repeated_after_a_pause_counts_once(run):
    repeated = []
    for name, doc in run:
        repeated.append((name, doc))
        if name == "event":
            again = copy.deepcopy(doc)
            again["uid"] += "-again"
            repeated.append((name, again))
    assert len(History(repeated).observations) == 6
    assert len(History(repeated).decisions) == 6


def test_what_is_pending_follows_from_the_order(run):
    history = History(run)
    places = [decision.candidate for decision in history.decisions]
    assert history.context(4, 5).pending == tuple(places[3:5])
    assert history.context(6, 5).pending == ()
    assert history.context(0, 0).budget == 6


def test_the_pool_is_cut_from_the_stored_image(run):
    history = History(run)
    rows, columns = history.pool.grid
    assert (rows, columns) == (24, 24)
    assert np.array_equal(history.pool.patches[0], history.frame[:, :9, :9])
    assert np.array_equal(history.pool.patches[-1], history.frame[:, -9:, -9:])


def test_events_without_a_start_are_an_error(run):
    with pytest.raises(DocumentError, match="expected the start document"):
        History(run[1:])


def test_a_channel_that_the_image_does_not_have_is_an_error(run):
    run[0][1]["pool"]["channels"] = ["colour"]
    with pytest.raises(DocumentError, match=r"needs the channels \['colour'\]"):
        History(run)
