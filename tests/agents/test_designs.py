import numpy as np
import pytest
from scipy.spatial.distance import cdist

from agents.pool import make_pool
from agents.protocols import Context, Exclusion, Observation
from agents.registry import build


def pool(side=20):
    return make_pool(np.random.default_rng(0).normal(size=(1, side, side)), (0, side, 0, side), window=3, stride=1)


def places(name, count, candidates, **options):
    agent = build({"agent": name, **options})
    agent.ingest(candidates)
    chosen = [suggestion.index for suggestion in agent.suggest(count, Context(budget=count))]
    return candidates.positions[chosen]


@pytest.mark.parametrize("name", ["latin-hypercube", "sobol", "halton", "farthest-point"])
def test_it_covers_the_image_more_evenly_than_random_points(name):
    candidates = pool()
    # The largest distance from any candidate to the nearest chosen one.
    holes = {
        each: np.mean(
            [cdist(candidates.positions, places(each, 32, candidates, seed=s)).min(axis=1).max() for s in range(4)]
        )
        for each in (name, "random")
    }
    assert holes[name] < holes["random"]


@pytest.mark.parametrize("name", ["latin-hypercube", "sobol", "halton"])
def test_one_after_the_other_or_all_at_once_is_the_same_sequence(name):
    candidates = pool()
    together = build({"agent": name})
    together.ingest(candidates)
    at_once = [suggestion.index for suggestion in together.suggest(12, Context(budget=12))]
    agent, one_by_one = build({"agent": name}), []
    agent.ingest(candidates)
    for _ in range(12):
        (suggestion,) = agent.suggest(1, Context(budget=12))
        place = candidates.positions[suggestion.index]
        agent.ingest(Observation(suggestion.index, place, place, np.zeros(3), 0.0))
        one_by_one.append(suggestion.index)
    assert one_by_one == at_once


def test_a_latin_hypercube_has_a_point_in_each_column_and_row():
    where = places("latin-hypercube", 18, pool())
    # Places are rounded to candidates, and no two go to the same one.
    assert len(np.unique(where[:, 0])) >= 15
    assert len(np.unique(where[:, 1])) >= 15


def test_an_excluded_place_is_replaced_by_the_next_of_the_sequence():
    agent, candidates = build({"agent": "sobol"}), pool()
    agent.ingest(candidates)
    first, second = (suggestion.index for suggestion in agent.suggest(2, Context(budget=8)))
    agent.ingest(Exclusion(first, "dirt"))
    assert agent.suggest(1, Context(budget=8))[0].index == second


def test_the_farthest_point_is_the_farthest_one():
    agent, candidates = build({"agent": "farthest-point"}), pool(8)
    agent.ingest(candidates)
    first, second = agent.suggest(2)
    distance = np.hypot(*(candidates.positions - candidates.positions[first.index]).T)
    assert second.score == second.parts["distance"] == pytest.approx(distance.max())
    assert agent.suggest(1, Context(budget=9, pending=(first.index,)))[0].index == second.index


def test_k_means_and_farthest_points_find_a_rare_kind_of_patch():
    frame = np.zeros((1, 30, 30))
    frame[0, 5:8, 5:8] = 10.0
    candidates = make_pool(
        frame + np.random.default_rng(0).normal(scale=0.1, size=frame.shape), (0, 30, 0, 30), window=3
    )
    for name, options in (("k-means", {}), ("farthest-point", {"space": "patch"})):
        where = places(name, 8, candidates, **options)
        assert ((where > 4) & (where < 9)).all(axis=1).any()
