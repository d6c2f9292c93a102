import numpy as np
import pytest

from agents.protocols import Context, Pool
from agents.registry import build

SMALL = {"initial": 8, "filters": 6}


def relative_error(agent, spectra):
    error = ((agent.report().prediction - spectra) ** 2).mean()
    return error / ((spectra - spectra.mean(axis=0)) ** 2).mean()


@pytest.mark.parametrize(
    ("config", "least"),
    [
        ({"agent": "paper-latent-mcd", **SMALL}, 0.3),
        ({"agent": "paper-ensemble", **SMALL, "epochs": 30, "later_epochs": 2, "error_epochs": 20}, 0.3),
        ({"agent": "latent-careful", **SMALL, "epochs": 100}, 0.3),
        ({"agent": "gp-variance", "initial": 8}, 0.1),
        ({"agent": "ridge-ivr", "initial": 8}, 0.1),
    ],
    ids=lambda value: value["agent"] if isinstance(value, dict) else "",
)
def test_it_learns_to_predict_spectra_in_their_own_unit(config, least, world, explore):
    pool, spectra = world
    agent, _ = explore((pool, 5 + 1e-2 * spectra), 20, config)
    assert relative_error(agent, 5 + 1e-2 * spectra) < least


def test_beta_chooses_between_large_and_small_predicted_errors(world, explore):
    options = {**SMALL, "epochs": 10, "later_epochs": 1, "error_epochs": 20}
    chosen, errors = {}, {}
    for beta in (0.0, 0.5, 1.0):
        agent, _ = explore(world, 9, {"agent": "paper-ensemble", **options, "beta": beta})
        free = agent.available(Context(budget=20))
        errors[beta] = agent.report().maps["predicted_error"][free]
        batch = agent.suggest(12, Context(budget=20))
        chosen[beta] = np.array([suggestion.parts["predicted_error"] for suggestion in batch])
        assert [s.score for s in batch] == sorted([s.score for s in batch], reverse=True)
    assert chosen[1.0] == pytest.approx(np.sort(errors[1.0])[::-1][:12], rel=1e-5)
    assert chosen[0.0] == pytest.approx(np.sort(errors[0.0])[:12], rel=1e-5)
    middle = (errors[0.5].max() + errors[0.5].min()) / 2
    assert np.abs(chosen[0.5] - middle).min() > np.median(np.abs(errors[0.5] - middle))


def test_dropout_adds_a_spread_that_fades_with_exploration_or_stays(world, explore):
    for during in ("exploration", "run"):
        agent, _ = explore(world, 12, {"agent": "paper-latent-mcd", **SMALL, "spread_during": during, "decay": 3.0})
        (suggestion,) = agent.suggest(1, Context(budget=40))
        parts, exploring = suggestion.parts, np.exp(-3.0 * (12 - 8) / (40 - 8))
        weight = exploring if during == "exploration" else 1.0
        assert suggestion.score == pytest.approx(
            (1 - exploring) * parts["predicted_error"] + exploring * parts["exploration"] + weight * 2 * parts["spread"]
        )


def test_spec2im_predicts_patches_and_so_no_spectra(world, explore):
    agent, suggestions = explore(world, 12, {"agent": "paper-spec2im", **SMALL})
    report = agent.report(Context(budget=20))
    assert report.prediction is None
    assert set(report.maps) == {"predicted_error", "exploration", "score"}
    assert report.losses["surrogate"] < 1
    assert [suggestion.phase for suggestion in suggestions[8:]] == ["curious"] * 4


def test_an_agent_whose_package_is_missing_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "agents.deep_kernel", None)
    with pytest.raises(ValueError, match=r"pip install 'curio-plans\[gp\]'"):
        build({"agent": "deep-kernel"})


def test_deep_kernels_find_where_a_number_is_largest(world, explore):
    pool, spectra = world
    lifted = spectra + pool.patches[:, 0, 2, 2][:, None]
    agent, suggestions = explore((pool, lifted), 16, {"agent": "deep-kernel", "initial": 8})
    means = lifted.mean(axis=1)
    found = means[[suggestion.index for suggestion in suggestions[8:]]]
    assert np.median(found) > np.quantile(means, 0.6)
    maps = agent.report().maps
    assert np.corrcoef(maps["mean"], means)[0, 1] > 0.9
    assert agent.report().prediction is None


def test_the_ensemble_may_begin_with_k_means_and_take_a_new_image(world, explore):
    options = {**SMALL, "epochs": 5, "later_epochs": 1, "error_epochs": 5, "latent": 2, "autoencoder_epochs": 2}
    pool, spectra = world
    agent, _ = explore(world, 10, {"agent": "paper-ensemble", "start": "k-means", **options})
    agent.ingest(Pool(pool.positions, pool.patches + np.float32(0.01), pool.grid))
    assert agent.suggest(1, Context(budget=20))[0].phase == "curious"
    assert agent.report().prediction.shape == spectra.shape
