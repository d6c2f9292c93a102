"""What an agent of one's own gets wrong is refused with a sentence that says what to do."""

import pickle
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pytest

from agents.base import BaseAgent
from agents.pool import make_pool
from agents.protocols import Context, LearnsFromPast, Observation, Past, RecordError, Suggestion, learns_from_past
from agents.registry import build

POOL = make_pool(np.random.default_rng(0).normal(size=(1, 12, 12)), (0, 12, 0, 12), window=3, stride=1)


def observe(index, value=1.0):
    return Observation(index, POOL.positions[index], POOL.positions[index], np.full(4, value), 0.0)


class Totals(BaseAgent):
    """Goes from candidate to candidate, and adds up all spectra."""

    @dataclass
    class Memory(BaseAgent.Memory):
        """The sum of all spectra, and of each."""

        total: float = 0.0
        each: list[float] = field(default_factory=list)

    def learn(self, record):
        if isinstance(record, Observation):
            self.memory.each.append(float(record.spectrum.sum()))
            self.memory.total += self.memory.each[-1]
            self.forget("mean")

    def choose(self, n, context):
        return [Suggestion(int(index), "next", self.mean) for index in self.available(context)[:n]]

    @cached_property
    def mean(self):
        return self.memory.total / max(len(self.memory.each), 1)


def test_memory_is_in_the_snapshot_and_survives_without_the_agent():
    agent = Totals({"agent": "totals"})
    agent.ingest(POOL, observe(3), observe(7, 2.0))
    (suggestion,) = agent.suggest(1, Context(budget=9))
    assert suggestion.score == 6.0
    snapshot = pickle.dumps(agent.state())
    agent.ingest(observe(8, 5.0))
    assert agent.suggest(1)[0].score == pytest.approx(32 / 3)
    restored = Totals({"agent": "totals"})
    restored.load_state(pickle.loads(snapshot))
    assert restored.suggest(1)[0] == suggestion
    restored.ingest(observe(8, 5.0))
    assert restored.suggest(1)[0] == agent.suggest(1)[0]
    agent.load_state(pickle.loads(snapshot))
    assert agent.suggest(1)[0] == suggestion, "what was computed from later memory is dropped"


def test_an_attribute_that_a_snapshot_would_not_keep_is_refused():
    class Forgetful(BaseAgent):
        def learn(self, record):
            self._count = 1

    agent = Forgetful({})
    agent.ingest(POOL)
    with pytest.raises(AttributeError, match=r"make it a field of Forgetful.Memory and set self.memory._count"):
        agent.suggest(1)


def test_a_list_that_a_snapshot_would_not_keep_is_refused():
    class Forgetful(BaseAgent):
        def __init__(self, config):
            super().__init__(config)
            self._seen = []

    with pytest.raises(TypeError, match=r"Forgetful._seen can change, .* make it a field of Forgetful.Memory or, if"):
        Forgetful({}).ingest(POOL)


def test_a_name_that_memory_has_not_is_refused():
    agent = Totals({})
    with pytest.raises(AttributeError, match=r"Totals.Memory has no field totl, .* declare it there with its type"):
        agent.memory.totl = 1.0


def test_a_memory_that_leaves_out_that_of_the_base_is_refused():
    with pytest.raises(
        TypeError, match=r"Bare.Memory must extend that of BaseAgent, .* class Memory\(BaseAgent.Memory\)"
    ):

        class Bare(BaseAgent):
            @dataclass
            class Memory:
                total: float = 0.0

    with pytest.raises(TypeError, match=r"More.Memory must extend that of Totals, .* class Memory\(Totals.Memory\)"):

        class More(Totals):
            @dataclass
            class Memory(BaseAgent.Memory):
                more: float = 0.0


def test_a_memory_that_is_no_dataclass_is_refused():
    with pytest.raises(TypeError, match=r"Plain.Memory must be a dataclass; put @dataclass above it"):

        class Plain(BaseAgent):
            class Memory(BaseAgent.Memory):
                total: float = 0.0


def test_a_snapshot_with_other_fields_is_refused_and_changes_nothing():
    agent = Totals({})
    agent.ingest(POOL, observe(3))
    state = agent.state()
    memory = {name: value for name, value in state["memory"].items() if name != "total"}
    with pytest.raises(ValueError, match=r"expected a snapshot of this version, with .*'total'.*, got one with"):
        agent.load_state({**state, "memory": memory})
    assert agent.suggest(1)[0].score == 4.0


def test_an_agent_within_an_agent_is_in_the_snapshot():
    inner = {"agent": "gp-variance", "initial": 3}
    agent, restored = (build({"agent": "plateau-escape", "window": 2, "inner": inner}) for _ in range(2))
    agent.ingest(POOL, *(observe(index, index) for index in (3, 40, 77, 15)))
    assert agent.suggest(1)[0].phase == "informative"
    restored.load_state(pickle.loads(pickle.dumps(agent.state())))
    assert restored.suggest(1) == agent.suggest(1)
    assert restored.report().losses == agent.report().losses


def test_while_it_learns_an_agent_sees_no_later_record():
    seen = []

    class Watching(Totals):
        def learn(self, record):
            seen.append((len(self.learned), self.image is POOL))
            super().learn(record)

    agent = Watching({})
    other = make_pool(np.zeros((1, 12, 12)), (0, 12, 0, 12), window=3, stride=1)
    agent.ingest(POOL, observe(3), observe(4), other, observe(5))
    assert [len(agent.learned), len(agent.observations)] == [0, 3]
    agent.report()
    assert seen == [(0, True), (1, True), (2, True), (2, False), (3, False)]


def test_only_who_says_so_learns_from_earlier_runs():
    class Heir(Totals):
        learns_from_past = True

    past = Past("earlier", POOL, (observe(3), observe(4)))
    heir, other = Heir({}), Totals({"agent": "totals"})
    assert isinstance(heir, LearnsFromPast)
    assert (learns_from_past(heir), learns_from_past(other)) == (True, False)
    heir.ingest(past, POOL)
    assert heir.past == (past,)
    with pytest.raises(RecordError, match="the agent 'totals' does not learn from prior runs"):
        other.ingest(past)


def test_earlier_runs_whose_spectra_differ_are_refused():
    class Heir(Totals):
        learns_from_past = True

    longer = Observation(5, POOL.positions[5], POOL.positions[5], np.zeros(9), 0.0)
    agent = Heir({})
    with pytest.raises(RecordError, match="expected 4 values as in the first spectrum, got 9"):
        agent.ingest(Past("one", POOL, (observe(3),)), Past("two", POOL, (longer,)))
    assert agent.past == ()
