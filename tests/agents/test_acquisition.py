import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agents.acquisition import decaying_exploration, latent_novelty
from agents.selection import among_best_ten, largest

values = arrays(np.float64, 15, elements=st.floats(0, 10))


def test_novelty_is_the_harmonic_mean_distance():
    latent = np.array([[0.0], [1.0], [3.0], [7.0]])
    novelty = latent_novelty(latent, np.array([0, 2]))
    by_hand = np.array([0.0, 2 / (1 / 1 + 1 / 2), 0.0, 2 / (1 / 7 + 1 / 4)])
    assert novelty == pytest.approx(by_hand / by_hand.mean())


def test_novelty_is_zero_where_everything_coincides():
    assert (latent_novelty(np.zeros((5, 2)), np.array([1, 2])) == 0).all()


@given(values, values, st.floats(0, 1))
def test_exploration_gives_way_to_the_predicted_error(error, novelty, fraction):
    assert decaying_exploration(error, novelty, 0, 2) == pytest.approx(novelty)
    mixed = decaying_exploration(error, novelty, fraction, 2)
    assert (mixed <= np.maximum(error, novelty) + 1e-9).all()
    assert (mixed >= np.minimum(error, novelty) - 1e-9).all()
    assert decaying_exploration(error, novelty, 1, 2) == pytest.approx(error + np.exp(-2) * (novelty - error))


def test_selections():
    scores = np.arange(30.0)[::-1].copy()
    numbers = np.random.default_rng(0)
    assert largest(scores, 3, numbers).tolist() == [0, 1, 2]
    assert largest(np.ones(4), 2, numbers).tolist() == [0, 1]
    drawn = {int(among_best_ten(scores, 1, numbers)[0]) for _ in range(300)}
    assert drawn == set(range(10))
    assert set(among_best_ten(scores, 12, numbers).tolist()) == set(range(12))
