"""A trial: what pays on a sample that follows from its image, and what is told where nothing does."""

import numpy as np
import pytest
from support import write_sample
from terminal import curio

from agents.baselines import RandomAgent
from agents.pool import make_pool
from agents.protocols import Report
from agents.registry import build, configure
from curio_plans.report.trial import trial_figure
from curio_plans.study.common import AnalysisError
from curio_plans.study.trial import half_of, trial

AREA = (0.0, 200.0, 0.0, 160.0)
AXIS = np.linspace(-1, 1, 8)


def world(noise):
    """A rough image, and spectra that follow from its value, or do not follow from anything."""
    image = np.random.default_rng(0).normal(size=(16, 20))
    pool = make_pool(image[None], AREA, window=3, stride=1)
    value = pool.patches[:, 0, 1, 1].astype(np.float64)
    chance = np.random.default_rng(1)
    own = chance.normal(size=(len(pool), 1)) if noise else value[:, None]
    return pool, own * np.exp(-((AXIS / 0.5) ** 2)) + 0.05 * chance.normal(size=(len(pool), len(AXIS)))


def agents(*names, seeds=1):
    return {name: [configure(name, seed=seed) for seed in range(seeds)] for name in names}


def test_half_of_a_grid_is_a_checkerboard():
    pool, _ = world(noise=False)
    half = half_of(pool)
    assert len(half) == len(pool) / 2
    board = np.zeros(len(pool), bool)
    board[half] = True
    board = board.reshape(pool.grid)
    assert (board[1:] != board[:-1]).all()
    assert (board[:, 1:] != board[:, :-1]).all()


def knowing(spectra):
    """A random agent that knows the spectra but for their noise as soon as it has measured 20."""

    class Knowing(RandomAgent):
        def report(self, context=None):
            return Report({}, {}, spectra if len(self.measured) >= 20 else np.zeros_like(spectra))

    return Knowing


def test_it_pays_where_an_agent_learns_soon(tmp_path):
    pool, truth = world(noise=False)
    value = pool.patches[:, 0, 1, 1].astype(np.float64)[:, None] * np.exp(-((AXIS / 0.5) ** 2))

    def make(config):
        return knowing(value.astype(np.float32))(config) if config["seed"] < 2 else build(config)

    configs = {"knowing": [{"agent": "random", "seed": 0}, {"agent": "random", "seed": 1}], **agents("random")}
    configs["random"][0]["seed"] = 2
    found = trial(pool, truth, AXIS, make, configs, budget=60)
    assert found.half == len(pool) // 2
    best = found.tried[0]
    assert best.name == "knowing"
    assert 20 <= best.points < 30
    assert f"with {best.points:.0f} points instead of {found.half}, which is" in found.verdict(60.0)[0]
    assert found.verdict()[1] == "Random points do not reach it with 60."
    assert found.modelled < found.target
    assert f"half of the grid would give an error of {found.modelled:.3f}" in found.verdict()[2]
    trial_figure(found, "world", 60.0).savefig(tmp_path / "trial.png")
    assert (tmp_path / "trial.png").stat().st_size > 20_000


def test_it_says_so_where_it_does_not_pay(tmp_path):
    pool, truth = world(noise=True)
    smooth = pool.positions[:, :1] / 200 * np.ones(len(AXIS))  # half of the grid is perfect
    found = trial(pool, truth + 100 * smooth, AXIS, build, agents("random"), budget=20)
    assert found.tried[0].points == np.inf
    assert "It would not have paid: no agent reaches" in found.verdict()[0]
    assert np.isnan(found.modelled)  # random points have no model
    trial_figure(found, "noise").savefig(tmp_path / "trial.png")


def test_what_cannot_be_tried_is_told():
    pool, truth = world(noise=False)
    with pytest.raises(AnalysisError, match="all spectra are equal"):
        trial(pool, np.ones_like(truth), AXIS, build, agents("random"))
    few = make_pool(np.zeros((1, 6, 6)), AREA, window=3, stride=1)
    with pytest.raises(AnalysisError, match="at least 40 candidates, this sample has 16"):
        trial(few, truth[:16], AXIS, build, agents("random"))


def test_the_command_prints_a_table_and_a_sentence(tmp_path):
    path = write_sample(tmp_path / "map.npz", (20, 24), extent_nm=240.0)
    output = curio("trial", path, "--agent", "random", "--seeds", 2, "--points", 40, "--seconds", 3,
                   directory=tmp_path / "data")  # fmt: skip
    assert "half of the grid" in output
    assert "would not have paid" in output or "instead of" in output
    assert (tmp_path / "data" / "figures" / "map.npz-trial.png").is_file()
