import numpy as np
import pytest

from agents.pool import make_pool
from agents.protocols import Context, Observation
from agents.registry import build


@pytest.fixture(scope="session")
def world():
    """A sample with two phases, each with a spectrum of its own, and a smooth wall between them."""
    x = np.linspace(-2, 2, 40)
    frame = np.tanh(x[None, :] * 3 + 0.5 * np.sin(np.arange(40) / 4)[:, None])
    pool = make_pool(frame[None], (0, 400, 0, 400), window=5, stride=2)
    middle = pool.patches[:, 0, 2, 2].astype(np.float64)
    axis = np.linspace(0, 2 * np.pi, 24)
    return pool, middle[:, None] * np.sin(axis) + 0.2 * np.cos(axis)


@pytest.fixture(scope="session")
def explore():
    """Let the agent of a config measure; return it and what it said."""

    def run(world, points, config, axis=None):
        pool, spectra = world
        agent = build(config)
        agent.ingest(pool)
        suggestions = []
        for _ in range(points):
            (suggestion,) = agent.suggest(1, Context(budget=points))
            place = pool.positions[suggestion.index]
            agent.ingest(Observation(suggestion.index, place, place, spectra[suggestion.index], 0.0, axis))
            suggestions.append(suggestion)
        return agent, suggestions

    return run
