"""Candidates: at all pixels, at the places that have a spectrum, inside the image and up to its edge."""

import numpy as np
import pytest

from agents.baselines import even_places
from agents.pool import automatic_stride, automatic_window, find_candidates, lattice, make_pool

AREA = (0.0, 120.0, 0.0, 80.0)
FRAME = np.random.default_rng(0).normal(size=(2, 8, 12)).astype(np.float32)


def test_a_patch_is_the_image_around_its_pixel():
    pool = make_pool(FRAME, AREA, window=5, stride=1)
    assert pool.grid == (4, 8)
    np.testing.assert_array_equal(pool.positions[0], [25.0, 25.0])
    np.testing.assert_array_equal(pool.patches[9], FRAME[:, 1:6, 1:6])


def test_an_even_window_extends_to_smaller_positions():
    pool = make_pool(FRAME, AREA, window=4, stride=1)
    np.testing.assert_array_equal(pool.positions[0], [25.0, 25.0])
    np.testing.assert_array_equal(pool.patches[0], FRAME[:, :4, :4])


@pytest.mark.parametrize("window", [3, 4, 5])
def test_reflected_patches_reach_the_edge(window):
    pool = make_pool(FRAME, AREA, window=window, stride=1, edge="reflect")
    assert pool.grid == (8, 12)
    np.testing.assert_array_equal(pool.patches[:, :, window // 2, window // 2], FRAME.reshape(2, -1).T)
    inside = make_pool(FRAME, AREA, window=window, stride=1)
    at = {tuple(place): patch for place, patch in zip(pool.positions.tolist(), pool.patches, strict=True)}
    for place, patch in zip(inside.positions.tolist(), inside.patches, strict=True):
        np.testing.assert_array_equal(at[tuple(place)], patch)
    before, after = window // 2, window - 1 - window // 2
    padded = np.pad(FRAME, ((0, 0), (before, after), (before, after)), mode="reflect")
    np.testing.assert_array_equal(pool.patches[0], padded[:, :window, :window])


def test_places_are_candidates_where_they_are():
    places = np.array([[31.0, 42.0], [88.8, 33.3], [2.0, 2.0]])
    pool = make_pool(FRAME, AREA, window=3, stride=1, places=places)
    np.testing.assert_array_equal(pool.positions, places[:2])
    np.testing.assert_array_equal(pool.patches[0], FRAME[:, 3:6, 2:5])
    assert pool.grid is None
    assert len(make_pool(FRAME, AREA, window=3, stride=1, edge="reflect", places=places)) == 3
    with pytest.raises(ValueError, match="none of the 1 places"):
        make_pool(FRAME, AREA, window=3, stride=1, places=places[2:])


def test_places_outside_are_no_candidates():
    places = np.array([[-1.0, 40.0], [120.0, 80.0], [60.0, 80.1]])
    pool = make_pool(FRAME, AREA, window=3, stride=1, edge="reflect", places=places)
    assert pool.positions.tolist() == [[120.0, 80.0]]


def test_places_on_a_grid_are_one_and_strides_thin_it():
    x, y = np.meshgrid(np.linspace(10, 110, 6), np.linspace(10, 70, 4))
    places = np.stack([x.ravel(), y.ravel()], axis=1)
    assert find_candidates((8, 12), AREA, 3, 1, edge="reflect", places=places).grid == (4, 6)
    assert find_candidates((8, 12), AREA, 3, 2, edge="reflect", places=places).grid == (2, 3)
    holes = np.delete(places, 7, axis=0)
    assert find_candidates((8, 12), AREA, 3, 1, edge="reflect", places=holes).grid is None
    shape, nodes = lattice(holes)
    assert shape == (4, 6)
    assert [1, 1] not in nodes.tolist()


def test_scattered_places_lie_on_no_grid():
    assert lattice(np.random.default_rng(1).uniform(size=(50, 2))) is None
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    x, y = np.meshgrid(np.arange(6.0), np.arange(5.0))
    assert lattice(np.stack([x.ravel(), y.ravel()], axis=1) @ turn) is None


def test_the_automatic_stride_counts_places():
    places = np.random.default_rng(1).uniform((10, 10), (110, 70), size=(6000, 2))
    assert automatic_stride((8, 12), 3, area=AREA, places=places) == 3


def test_a_small_image_gets_a_window_that_fits():
    assert automatic_window((64, 64), AREA) == (9, "inside")
    assert automatic_window((18, 40), AREA) == (9, "inside")
    assert automatic_window((12, 10), AREA) == (5, "reflect")
    assert automatic_window((8, 8), AREA) == (3, "reflect")
    assert automatic_window((4, 4), AREA) == (3, "reflect")
    at_the_edge = np.array([[1.0, 1.0], [2.0, 1.0], [60.0, 40.0], [60.0, 79.0]])
    assert automatic_window((64, 64), AREA, at_the_edge) == (9, "reflect")


def test_an_even_choice_of_scattered_places_is_distinct_and_wide():
    places = np.random.default_rng(2).uniform((0, 0), (100, 50), size=(200, 2))
    chosen = even_places(places, 18)
    assert len(set(chosen.tolist())) == 18
    assert np.ptp(places[chosen], axis=0).tolist() > [70, 30]
    assert sorted(even_places(places, 200).tolist()) == list(range(200))
