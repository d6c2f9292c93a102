import numpy as np
import pytest

from agents.protocols import Context, Exclusion
from agents.registry import build


@pytest.fixture
def explore(explore):
    """The same for paper-latent."""

    def run(world, points, **options):
        return explore(world, points, {"agent": "paper-latent", "initial": 8, "filters": 8, **options})

    return run


def test_it_learns_to_predict_spectra_in_their_own_unit(world, explore):
    agent, suggestions = explore(world, 24)
    error = ((agent.report().prediction - world[1]) ** 2).mean()
    assert error < 0.2 * ((world[1] - world[1].mean(axis=0)) ** 2).mean()
    assert [suggestion.phase for suggestion in suggestions] == ["initial"] * 8 + ["curious"] * 16


def test_a_spectrum_far_from_zero_is_learned_as_well(world, explore):
    pool, spectra = world
    agent, _ = explore((pool, 500 + 1e-3 * spectra), 24)
    error = ((agent.report().prediction - 500 - 1e-3 * spectra) ** 2).mean()
    assert error < 0.3 * ((1e-3 * (spectra - spectra.mean(axis=0))) ** 2).mean()


def test_initial_points_show_patches_of_all_kinds(world, explore):
    pool = world[0]
    _, suggestions = explore(world, 8)
    middle = pool.patches[[suggestion.index for suggestion in suggestions], 0, 2, 2]
    assert (middle < -0.8).any()
    assert (middle > 0.8).any()
    assert (np.abs(middle) < 0.8).any()


def test_an_excluded_initial_point_is_replaced_by_its_neighbour_in_the_cluster(world):
    pool = world[0]
    agent = build({"agent": "paper-latent", "initial": 8, "filters": 8})
    agent.ingest(pool)
    first = agent.suggest(1)[0].index
    agent.ingest(Exclusion(first, "dirt"))
    second = agent.suggest(1)[0]
    assert second.phase == "initial"
    assert np.abs(pool.patches[second.index] - pool.patches[first]).mean() < 0.2


def test_the_score_is_the_published_mixture(world, explore):
    agent, _ = explore(world, 12, decay=3.0)
    for budget in (12, 40):
        (suggestion,) = agent.suggest(1, Context(budget=budget))
        exploring = np.exp(-3.0 * (12 - 8) / (budget - 8))
        parts = suggestion.parts
        assert suggestion.score == pytest.approx(
            (1 - exploring) * parts["predicted_error"] + exploring * parts["exploration"]
        )
        maps = agent.report(Context(budget=budget)).maps
        assert maps["score"][suggestion.index] == pytest.approx(suggestion.score, rel=1e-5)


def test_it_measures_where_the_score_is_largest_and_can_be_told_otherwise(world, explore):
    agent, _ = explore(world, 10)
    context = Context(budget=20)
    batch = agent.suggest(4, context)
    scores = [suggestion.score for suggestion in batch]
    assert scores == sorted(scores, reverse=True)
    free = agent.available(context)
    assert scores[0] == pytest.approx(agent.report(context).maps["score"][free].max(), rel=1e-5)
    always = explore(world, 12, random_probability=1.0)[1]
    assert [suggestion.phase for suggestion in always[8:]] == ["random"] * 4
    drawn = explore(world, 12, choice="best-ten")[1]
    assert [s.index for s in drawn] != [s.index for s in explore(world, 12)[1]]


def test_the_options_of_the_authors_code_change_decisions(world, explore):
    plain = [suggestion.index for suggestion in explore(world, 14)[1]]
    both = [suggestion.index for suggestion in explore(world, 14, error_target="before+after")[1]]
    assert plain[:9] == both[:9]  # up to the second training there is no "before"
    assert plain != both
    assert [s.index for s in explore(world, 9, start="random")[1]][:8] != plain[:8]


def test_more_initial_points_than_candidates_are_refused(world):
    agent = build({"agent": "paper-latent", "initial": 1000})
    agent.ingest(world[0])
    with pytest.raises(ValueError, match=r"starts from 1000 initial points, but the pool has 324"):
        agent.suggest(1)


def test_the_autoencoder_tells_the_phases_apart(world):
    import torch
    from sklearn.metrics import pairwise_distances_argmin

    from agents.models import train_autoencoder

    pool = world[0]
    patches = torch.from_numpy(pool.patches)
    latent = train_autoencoder(patches, torch.Generator().manual_seed(0)).evaluate(patches).numpy()
    up, down = pool.patches[:, 0].mean(axis=(1, 2)) > 0.9, pool.patches[:, 0].mean(axis=(1, 2)) < -0.9
    centres = np.stack([latent[up].mean(axis=0), latent[down].mean(axis=0)])
    assert (pairwise_distances_argmin(latent[up], centres) == 0).mean() > 0.95
    assert (pairwise_distances_argmin(latent[down], centres) == 1).mean() > 0.95
