import numpy as np
import pytest

from agents.pool import make_pool
from agents.protocols import Answer, Context, ExhaustedError, Observation, Question, RecordError, Report, Suggestion
from agents.registry import build
from agents.selection import largest

BUDGET = 40


class Stubborn:
    """Always wants the upper left corner; its loss is told from outside."""

    parts = ()
    losses = ("loss",)

    def __init__(self, losses):
        self.config = {"agent": "stubborn"}
        self._base = build({"agent": "random"})
        self._losses = losses

    def ingest(self, *records):
        self._base.ingest(*records)

    def suggest(self, n=1, context=None):
        free = self._base.available(context)
        distance = np.hypot(*self._base.pool.positions[free].T)
        return [Suggestion(int(free[i]), "stubborn", -float(distance[i])) for i in largest(-distance, n, None)]

    def report(self, context=None):
        return Report({"loss": self._losses[len(self._base.measured) - 1]}, {}, None)


@pytest.fixture
def pool():
    """Smooth on the right, a corner of noise at the upper left."""
    frame = np.tile(np.linspace(0, 5, 30), (30, 1))
    frame[:12, :12] = np.random.default_rng(0).normal(size=(12, 12))
    return make_pool(frame[None], (0, 300, 0, 300), window=5, stride=1)


def escape(losses, **options):
    from agents.plateau import PlateauEscape

    config = {
        "agent": "plateau-escape", "seed": 0, "inner": {"agent": "stubborn"}, "remedy": "avoid-similar",
        "window": 3, "tolerance": 0.05, "avoid": 0.5, "noise": 0.2, **options,
    }  # fmt: skip
    return PlateauEscape(config, Stubborn(losses))


def go(agent, pool, count):
    said = []
    for _ in range(count):
        answer = agent.suggest(1, Context(budget=BUDGET))
        if isinstance(answer, Question):
            return said, answer
        said.append(answer[0])
        place = pool.positions[answer[0].index]
        agent.ingest(Observation(answer[0].index, place, place, np.zeros(4), 0.0))
    return said, None


FALLING = np.geomspace(1, 0.01, 60).tolist()
STUCK = [1.0, 0.8, 0.6] + [0.5] * 60
RECOVERING = [1.0, 0.8, 0.6] + [0.5] * 9 + np.geomspace(0.4, 0.01, 60).tolist()


def test_while_the_loss_falls_the_inner_agent_decides(pool):
    agent = escape(FALLING)
    agent.ingest(pool)
    assert {suggestion.phase for suggestion in go(agent, pool, 20)[0]} == {"stubborn"}


def test_similar_patches_are_avoided_while_the_loss_does_not_fall(pool):
    agent = escape(RECOVERING)
    agent.ingest(pool)
    said, _ = go(agent, pool, 24)
    phases = [suggestion.phase for suggestion in said]
    began, ended = phases.index("avoiding similar"), len(phases) - phases[::-1].index("avoiding similar")
    # Three windows: falling, flat, flat again. Then it falls, and the inner agent is back.
    assert 9 <= began < ended < 24
    assert phases[ended:] == ["stubborn"] * (24 - ended)
    noise = (pool.positions < 120).all(axis=1)
    assert noise[[suggestion.index for suggestion in said[:began]]].all()
    assert not noise[[suggestion.index for suggestion in said[began:ended]]].any()


def test_noise_in_the_choice_leads_away(pool):
    agent = escape(STUCK, remedy="noise")
    agent.ingest(pool)
    said, _ = go(agent, pool, 24)
    distance = np.hypot(*pool.positions[[suggestion.index for suggestion in said]].T)
    noisy = np.array([suggestion.phase == "noise" for suggestion in said])
    assert noisy[9:].all()
    assert np.median(distance[noisy]) > distance[~noisy].max()


def test_a_human_is_asked_once_for_each_plateau_and_goes_on(pool):
    agent = escape(STUCK, remedy="ask")
    agent.ingest(pool)
    said, question = go(agent, pool, 24)
    assert 9 <= len(said) < 12
    assert question.choices == ("continue", "avoid similar", "exclude this region")
    assert "loss 0.5, before that 0.5" in question.text
    assert agent.suggest(1) == question
    with pytest.raises(RecordError, match="expected one of continue, avoid similar, exclude this region"):
        agent.ingest(Answer(question.text, "perhaps"))
    agent.ingest(Answer("is it the tip?", "yes"))
    assert agent.suggest(1) == question
    agent.ingest(Answer(question.text, "continue"))
    said, question = go(agent, pool, 8)
    assert question is None
    assert {suggestion.phase for suggestion in said} == {"stubborn"}


def test_what_a_human_says_is_done(pool):
    for answer in ("avoid similar", "exclude this region"):
        agent = escape(STUCK, remedy="ask")
        agent.ingest(pool)
        _, question = go(agent, pool, 24)
        region, radius = agent._region()
        agent.ingest(Answer(question.text, answer))
        said, _ = go(agent, pool, 5)
        if answer == "avoid similar":
            assert {suggestion.phase for suggestion in said} == {"avoiding similar"}
        else:
            distance = np.hypot(*(pool.positions[[suggestion.index for suggestion in said]] - region).T)
            assert (distance > radius).all()
            inside = int((np.hypot(*(pool.positions - region).T) <= radius).sum())
            with pytest.raises(ExhaustedError, match="candidates are left"):
                agent.suggest(len(pool) - len(agent.measured) - inside + 10)


def test_a_question_survives_saving(pool):
    config = {
        "agent": "plateau-escape", "remedy": "ask", "window": 2, "tolerance": 1.0,
        "inner": {"agent": "gp-variance", "initial": 3},
    }  # fmt: skip
    agent, restored = build(config), build(config)
    agent.ingest(pool)
    _, question = go(agent, pool, 12)
    assert isinstance(question, Question)
    restored.load_state(agent.state())
    assert restored.suggest(1) == question
    for each in (agent, restored):
        each.ingest(Answer(question.text, "exclude this region"))
    assert restored.suggest(1) == agent.suggest(1)


def test_the_inner_agent_has_the_seed_of_the_outer_unless_it_names_one():
    assert build({"agent": "plateau-escape", "seed": 7}).config["inner"]["seed"] == 7
    inner = {"agent": "paper-latent", "seed": 3}
    assert build({"agent": "plateau-escape", "seed": 7, "inner": inner}).config["inner"]["seed"] == 3
