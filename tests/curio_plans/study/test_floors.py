import numpy as np
import pytest

from agents.pool import make_pool
from curio_plans.study import floors


def test_ridge_learns_what_the_patch_tells():
    rng = np.random.default_rng(0)
    frame = rng.normal(size=(1, 30, 30)).cumsum(axis=1).cumsum(axis=2)
    frame /= np.abs(frame).max()
    pool = make_pool(frame, (0, 30, 0, 30), window=3, stride=1)
    truth = np.outer(pool.patches.mean(axis=(1, 2, 3)), np.linspace(-1, 1, 8))
    errors = floors.ridge_on_random_points(pool, truth, [40], seeds=[0])
    assert errors["patch"][0, 0] < 0.2 * floors.mean_spectrum_mse(truth)


def test_the_floors_of_the_published_set_are_met(samples):
    with np.load(samples / "pfm_pto_paper.npz") as data:
        pool = make_pool(data["image"][None], (0, 49, 0, 49), window=9, stride=1)
        truth = data["spectra"][4:45, 4:45].reshape(1681, -1).astype(float)
    assert floors.mean_spectrum_mse(truth) * 1681 == pytest.approx(14.49, abs=0.01)
    errors = floors.ridge_on_random_points(pool, truth, [100])
    assert errors["patch"].mean() * 1681 == pytest.approx(12.99, abs=0.35)
