import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.baselines import even_grid
from agents.pool import make_pool
from agents.protocols import Context, ExhaustedError, Observation
from agents.registry import build


@given(st.integers(1, 40), st.integers(1, 40), st.data())
def test_an_even_grid_has_as_many_different_places_as_asked_for(rows, columns, data):
    count = data.draw(st.integers(1, rows * columns))
    places = even_grid((rows, columns), count)
    assert len(places) == count
    assert len(np.unique(places)) == count
    assert places.min() >= 0
    assert places.max() < rows * columns


def test_a_square_number_on_a_square_is_a_square_grid_in_the_order_of_a_raster():
    places = np.stack(np.divmod(even_grid((40, 40), 16), 40), axis=1)
    expected = [(y, x) for y in (5, 15, 25, 35) for x in (5, 15, 25, 35)]
    assert sorted(map(tuple, places.tolist())) == expected
    assert (np.abs(np.diff(places, axis=0)).sum(axis=1) == 10).all()


def test_it_covers_evenly():
    places = np.stack(np.divmod(even_grid((30, 60), 97), 60), axis=1)
    quarters = np.histogram2d(places[:, 0], places[:, 1], bins=[[0, 15, 30], [0, 30, 60]])[0]
    assert quarters.min() >= 20


def pool():
    return make_pool(np.zeros((1, 20, 20)), (0, 20, 0, 20), window=3, stride=1)


def test_a_grid_is_never_filled_up_with_other_places():
    agent = build({"agent": "grid"})
    candidates = pool()
    agent.ingest(candidates)
    chosen = agent.suggest(9, Context(budget=9))
    agent.ingest(
        *(Observation(s.index, candidates.positions[0], candidates.positions[0], np.zeros(3), 0.0) for s in chosen)
    )
    with pytest.raises(ExhaustedError, match="the grid for a budget of 9 has 0 left"):
        agent.suggest(1, Context(budget=9))


def test_random_is_uniform():
    agent = build({"agent": "random", "seed": 5})
    candidates = pool()
    agent.ingest(candidates)
    chosen = [suggestion.index for suggestion in agent.suggest(200, Context(budget=200))]
    assert abs(np.mean(chosen) - (len(candidates) - 1) / 2) < 20
