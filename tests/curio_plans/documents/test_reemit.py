import copy

import numpy as np
import pytest
from bluesky.run_engine import Dispatcher
from event_model import DocumentNames
from support import measure

from curio_plans.documents.completion import closing_stop
from curio_plans.documents.events import DocumentError
from curio_plans.documents.history import History
from curio_plans.documents.reemit import reemit
from curio_plans.plans import curiosity
from curio_plans.store.storage import Storage
from curio_plans.store.tiled_reader import count_points, read_documents


@pytest.fixture(scope="module")
def run(wanderer):
    return measure(curiosity, {"seed": 4}, 5, build=wanderer)


def emitted(documents, **options):
    got = []
    reemit(documents, lambda name, doc: got.append((name, doc)), **options)
    return got


def test_a_callback_gets_the_documents_as_they_were(run):
    np.testing.assert_equal(emitted(run), run)


def test_best_effort_callback_shows_a_stored_run(run, capsys):
    from bluesky.callbacks.best_effort import BestEffortCallback  # which loads matplotlib

    callback = BestEffortCallback()
    callback.disable_plots()
    reemit(run, callback)
    shown = capsys.readouterr().out
    assert "New stream: 'primary'" in shown
    assert f"Plan curiosity ['{run[0][1]['uid'][:8]}']" in shown


def test_a_stored_run_is_put_into_another_catalog_and_read_back_there(run, data):
    dispatcher = Dispatcher()
    with Storage.local(data) as storage:
        storage.attach(dispatcher)
        reemit(run, lambda name, doc: dispatcher.process(DocumentNames[name], doc))
        assert storage.failures == {}
        uid = storage.resolve("latest")
        assert count_points(storage.catalog[uid]) == 5
        np.testing.assert_equal([doc for _, doc in storage.documents(uid)], [{**doc} for _, doc in run])
        again = emitted(read_documents(storage.catalog[uid]))
        live, back = History(run), History(again)
        assert [one.candidate for one in live.decisions] == [one.candidate for one in back.decisions]
        with pytest.raises(ValueError, match="already in the journal"):
            reemit(run, lambda name, doc: dispatcher.process(DocumentNames[name], doc))


def test_the_pace_is_that_of_the_run_or_a_multiple(run):
    times = [doc["time"] for _, doc in run if "time" in doc]
    for pace in (1.0, 10.0):
        slept = []
        emitted(run, pace=pace, sleep=slept.append)
        assert sum(slept) == pytest.approx((max(times) - times[0]) / pace, rel=0.2)
    with pytest.raises(ValueError, match="positive pace"):
        emitted(run, pace=0)


def test_a_run_that_was_killed_gets_an_honest_stop_document(run):
    *_, (name, stop) = emitted(run[:-3])
    assert name == "stop"
    assert stop["exit_status"] == "fail"
    assert stop["reason"].startswith("the process ended before the run")
    assert stop["run_start"] == run[0][1]["uid"]


def test_nothing_is_emitted_of_documents_that_are_not_in_order(run):
    descriptor = next(n for n, (name, _) in enumerate(run) if name == "descriptor")
    broken = copy.deepcopy(run)
    del broken[-1][1]["exit_status"]
    for documents, words in [
        (run[1:], "expected the start document of a run first, got 'descriptor'"),
        (run[:descriptor] + run[descriptor + 1 :], "comes before the descriptor .* curio recover"),
        ([*run, run[-2]], "expected nothing after the stop document"),
        ([*run[:-1], ("stops", run[-1][1])], "got one named 'stops'"),
        (broken, "not valid under event-model: 'exit_status' is a required property"),
    ]:
        got = []
        with pytest.raises(DocumentError, match=words):
            reemit(documents, lambda name, doc, got=got: got.append(name))
        assert got == []


def test_a_run_whose_times_are_whole_numbers_is_closed_at_the_last(run):
    whole = [(name, {**doc, "time": int(doc["time"])}) for name, doc in run if name != "stop"]
    stop = closing_stop(whole, "a test")
    assert stop["time"] == max(doc["time"] for _, doc in whole)
    assert stop["num_events"] == run[-1][1]["num_events"]
