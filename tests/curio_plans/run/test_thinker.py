"""The agent thinks in a thread of its own: its errors end the run, and a run can be paused meanwhile."""

import threading

import numpy as np
import pytest
from bluesky.utils import RunEngineInterrupted
from support import streams

from agents.protocols import Report, Suggestion
from curio_plans.documents.history import History
from curio_plans.plans import curiosity


def test_thinking_does_not_pass_simulated_time(afm, engine, documents, wanderer):
    engine(curiosity(afm, {}, 4, build=wanderer))
    times = [observation.time for observation in History(documents).observations]
    assert max(np.diff(times)) < 5


class Fails:
    """An agent that raises when it is asked for its third decision."""

    parts = losses = ()

    def __init__(self, config):
        self.config, self.count = dict(config), 0

    def ingest(self, *records):
        self.count += len(records)

    def suggest(self, n=1, context=None):
        if self.count > 3:
            raise ValueError("no idea where to look")
        return [Suggestion(self.count, "fails")]

    def report(self, context=None):
        return Report({}, {}, None)


def test_an_agent_that_raises_ends_the_run_with_its_own_words(afm, engine, documents):
    with pytest.raises(ValueError, match="no idea where to look"):
        engine(curiosity(afm, {}, 8, build=Fails))
    assert documents[-1][1]["reason"] == "no idea where to look"
    assert not afm.backend.in_contact()
    assert documents[-1][1]["exit_status"] == "fail"
    assert streams(documents).count("primary") == 3


@pytest.fixture
def slow():
    """An agent that thinks until it is released."""

    class Slow(Fails):
        thinking, released = threading.Event(), threading.Event()

        def suggest(self, n=1, context=None):
            self.thinking.set()
            assert self.released.wait(60), "the run waited for its agent before it did anything else"
            return [Suggestion(self.count, "slow")]

    yield Slow
    Slow.released.set()


def test_a_pause_takes_effect_while_the_agent_thinks_and_the_run_goes_on_after_it(afm, engine, documents, slow):
    def press():
        slow.thinking.wait(60)
        engine.request_pause(defer=False)

    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(RunEngineInterrupted):
        engine(curiosity(afm, {}, 2, build=slow))
    thread.join()
    slow.released.set()
    engine.resume()
    assert documents[-1][1]["exit_status"] == "success"
    assert streams(documents).count("primary") == 2
    assert streams(documents).count("agent") == 2
