"""Any optimizer of bluesky-adaptive as an agent: it keeps the laws, and finds the place where the merit is largest."""

import importlib.util

import numpy as np
import pytest
from bluesky_adaptive.protocols import Optimizer as TheirOptimizer

from agents.adaptive import OBJECTIVE, OptimizerAgent, ax
from agents.pool import make_pool
from agents.protocols import Context, Exclusion, Observation

SIDE = 20


class Climber:
    """Small steps around the best point known, large ones as long as there is none."""

    def __init__(self, limits, seed):
        self.limits, self.rng, self.best = limits, np.random.default_rng(seed), None

    def suggest(self, num_points=None):
        found = []
        for number in range(num_points or 1):
            point = {"_id": number}
            for name, (low, high) in self.limits.items():
                centre = (low + high) / 2 if self.best is None else self.best[name]
                reach = (high - low) * (0.5 if self.best is None else 0.1)
                point[name] = float(np.clip(centre + reach * self.rng.uniform(-1, 1), low, high))
            found.append(point)
        return found

    def ingest(self, points):
        self.rng = np.random.default_rng(len(points))
        self.best = max(points, key=lambda point: point[OBJECTIVE])

    def get_best_points(self):
        return [(0, self.best, self.best)]


@pytest.fixture
def world():
    """A hill, whose top is at (130, 60) nm."""
    pool = make_pool(np.random.default_rng(0).normal(size=(1, SIDE, SIDE)), (0, 200, 0, 200), window=3, stride=1)
    height = np.exp(-((pool.positions - [130.0, 60.0]) ** 2).sum(axis=1) / (2 * 50.0**2))
    return pool, height[:, None] * np.sin(np.linspace(0, 6, 16))


def taken(world, index):
    place = world[0].positions[index]
    return Observation(int(index), place, place, world[1][index], 0.0)


def explored(world, make, points):
    agent = OptimizerAgent({"agent": "climber", "seed": 3, "merit": "height"}, make)
    agent.ingest(world[0])
    for _ in range(points):
        agent.ingest(taken(world, agent.suggest(1, Context(points))[0].index))
    return agent


def test_it_climbs_to_the_place_where_the_merit_is_largest(world):
    assert isinstance(Climber({}, 0), TheirOptimizer)
    agent = explored(world, Climber, 40)
    heights = [np.ptp(one.spectrum) for one in agent.observations]
    assert max(heights) > 0.98 * np.ptp(world[1], axis=1).max()
    assert len(set(agent.measured.tolist())) == 40


def test_what_was_asked_in_between_changes_nothing_and_no_place_comes_twice(world):
    one, other = explored(world, Climber, 12), explored(world, Climber, 12)
    other.suggest(5)
    other.report()
    assert one.suggest(3) == other.suggest(3)
    again = OptimizerAgent(one.config, Climber)
    again.load_state(one.state())
    assert again.suggest(3) == one.suggest(3)
    first = one.suggest(1)[0].index
    one.ingest(Exclusion(first, "dust"))
    assert first not in {suggestion.index for suggestion in one.suggest(5)}


def test_an_optimizer_that_is_finished_is_told(world):
    class Finished(Climber):
        def suggest(self, num_points=None):
            return []

    with pytest.raises(ValueError, match="expected 1 suggestions of the optimizer, got 0: is it finished"):
        explored(world, Finished, 1)


@pytest.mark.skipif(
    importlib.util.find_spec("ax") is None, reason='ax is not installed: pip install "bluesky-adaptive[ax]"'
)
@pytest.mark.filterwarnings("ignore")  # many, of ax and gpytorch
def test_ax_finds_the_top_of_a_hill(world):
    agent = explored(world, ax, 14)
    assert max(np.ptp(one.spectrum) for one in agent.observations) > 0.9 * np.ptp(world[1], axis=1).max()
