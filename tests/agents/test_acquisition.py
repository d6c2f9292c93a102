import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agents.acquisition import (
    RunningNovelty,
    curious_or_conservative,
    decaying_exploration,
    expected_improvement,
    inverse_distances,
    latent_novelty,
)
from agents.selection import among_best_ten, largest

values = arrays(np.float64, 15, elements=st.floats(0, 10))


def test_novelty_is_the_harmonic_mean_distance():
    latent = np.array([[0.0], [1.0], [3.0], [7.0]])
    novelty = latent_novelty(latent, np.array([0, 2]))
    by_hand = np.array([0.0, 2 / (1 / 1 + 1 / 2), 0.0, 2 / (1 / 7 + 1 / 4)])
    assert novelty == pytest.approx(by_hand / by_hand.mean())


def test_novelty_is_zero_where_everything_coincides():
    assert (latent_novelty(np.zeros((5, 2)), np.array([1, 2])) == 0).all()


def test_novelty_by_columns_is_novelty():
    latent = np.random.default_rng(0).normal(size=(40, 3))
    running = RunningNovelty(latent)
    for measured in (np.array([7]), np.array([7, 30, 2]), np.array([7, 30, 2]), np.array([7, 30, 2, 11])):
        assert running(measured) == pytest.approx(latent_novelty(latent, measured))


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


@given(values, st.floats(0, 1))
def test_conservative_curious_or_both(error, beta):
    score = curious_or_conservative(error, beta, 2.0)
    assert ((score >= 0) & (score < 1)).all()
    if error.max() > error.min():
        scaled = (error - error.min()) / (error.max() - error.min())
        assert score == pytest.approx(1 - np.exp(-2.0 * np.abs(scaled - (1 - beta))))


def test_inverse_distances_add_up_and_do_not_depend_on_chunks(monkeypatch):
    latent = np.random.default_rng(0).normal(size=(50, 3))
    measured = np.array([3, 17, 30])
    whole = inverse_distances(latent, measured)
    assert sum(inverse_distances(latent, measured[[i]]) for i in range(3)) == pytest.approx(whole)
    monkeypatch.setattr("agents.acquisition.CHUNK", 7)
    assert (inverse_distances(latent, measured) == whole).all()


def test_expected_improvement_is_the_mean_of_what_is_gained():
    drawn = np.random.default_rng(0).normal(1.0, 2.0, size=400_000)
    by_hand = np.maximum(drawn - 2.0, 0).mean()
    assert expected_improvement(np.array([1.0]), np.array([2.0]), 2.0)[0] == pytest.approx(by_hand, rel=0.01)
