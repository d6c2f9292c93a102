import copy
from contextlib import closing

import numpy as np
import pytest
from support import measure, microscope

from agents.registry import build, configure
from curio_plans import study as analysis
from curio_plans.documents.agent_run import AgentRun
from curio_plans.documents.events import DocumentError
from curio_plans.documents.streams import Reference
from curio_plans.plans import curiosity
from curio_plans.report.figures import FIGURES, write_figures
from curio_plans.study import evaluation, floors
from curio_plans.study.common import AnalysisError


@pytest.fixture(scope="module")
def wandered(wanderer):
    """The documents of a run of the wanderer."""
    return measure(curiosity, {"initial": 4}, 20, build=wanderer, map_every=5)


@pytest.fixture
def history(wandered):
    return AgentRun(copy.deepcopy(wandered))


@pytest.fixture(scope="module")
def curious():
    """The documents of a run of a small curious agent."""
    with closing(microscope()) as afm:
        afm.imager.pixels.put((16, 16))
        agent = configure("paper-latent", filters=2, initial=8)
        return measure(curiosity, agent, 14, afm=afm, build=build, window=5, map_every=3)


@pytest.fixture
def learned(curious):
    return AgentRun(copy.deepcopy(curious))


def test_classes_of_the_latent_space_are_mapped_back_to_the_sample(learned):
    data = analysis.latent_clusters(learned, build, clusters=3)
    assert data.sizes["candidate"] == len(learned.pool)
    assert data["size"].to_numpy().tolist() == sorted(np.bincount(data["cluster"]), reverse=True)
    np.testing.assert_array_equal(data["x"], learned.pool.positions[:, 0])
    first = data["cluster"].to_numpy() == 0
    np.testing.assert_allclose(data["spectrum"][0], learned.reference[first].mean(axis=0))
    np.testing.assert_allclose(data["patch"][0], learned.pool.patches[first].mean(axis=0), rtol=1e-6)
    # The classes are classes of the latent space: each candidate is nearest to the mean of its own.
    latent, cluster = data["latent"].to_numpy(), data["cluster"].to_numpy()
    means = np.stack([latent[cluster == number].mean(axis=0) for number in range(3)])
    nearest = ((latent[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert (nearest == cluster).mean() > 0.99


def test_the_rebuilt_agent_believes_what_the_run_recorded(learned):
    rebuilt = analysis.rebuild_agent(learned, build)
    np.testing.assert_array_equal(rebuilt.report().prediction, learned.maps[-1].prediction)


def test_without_the_truth_classes_have_the_spectra_measured_in_them(learned):
    learned.of(Reference).clear()
    data = analysis.latent_clusters(learned, build, clusters=2)
    inside = [observation.spectrum for observation in learned.observations if data["cluster"][observation.index] == 0]
    np.testing.assert_allclose(data["spectrum"][0], np.mean(inside, axis=0))
    assert data.attrs["spectra_from"] == "measurements"


def test_an_agent_without_a_latent_space_is_an_error(history, wanderer):
    with pytest.raises(AnalysisError, match="'wanderer' has no latent space"):
        analysis.latent_clusters(history, wanderer)


def test_acquisitions_tell_the_error_before_each_point(history):
    data = analysis.acquisitions(history)
    assert data.sizes["point"] == 20
    assert data["candidate"].to_numpy().tolist() == [observation.index for observation in history.observations]
    assert data["phase"].to_numpy().tolist() == ["initial"] * 4 + ["wandering"] * 16
    # The first map comes with 5 observations; the decision for the 6th point used it.
    assert np.isnan(data["error"][:5]).all()
    expected = history.maps[0].prediction[history.observations[5].index] - history.observations[5].spectrum
    assert data["error"][5] == pytest.approx(np.sqrt((expected**2).mean()))
    assert data["map_age"][5:12].to_numpy().tolist() == [0, 1, 2, 3, 4, 0, 1]
    places = np.array([observation.requested for observation in history.observations])
    assert data["travel"][3] == pytest.approx(np.hypot(*(places[3] - places[2])))
    assert data["nearest"][3] == pytest.approx(np.hypot(*(places[:3] - places[3]).T).min())
    assert data["nearest"].attrs["units"] == "nm"


def floors_at_the_end(history):
    return floors.ridge_on_random_points(history.pool, history.reference, [20])["position"].mean()


def test_the_error_curve_is_that_of_what_was_never_measured(history):
    data = analysis.error_curve(history, evaluation.evaluate(history))
    left = np.delete(np.arange(len(history.pool)), [observation.index for observation in history.observations])
    error = ((history.maps[-1].prediction - history.reference) ** 2)[left].mean()
    floor = ((history.reference.mean(axis=0) - history.reference) ** 2)[left].mean()
    assert data["unmeasured_nmse"][-1] == pytest.approx(error / floor)
    assert data["best"][-1] == data["mse"].min()
    assert data["floor"].sel(kind="position")[-1] == pytest.approx(floors_at_the_end(history))
    history.of(Reference).clear()
    with pytest.raises(AnalysisError, match="truth of this run is not known"):
        analysis.error_curve(history)


def test_maps_show_belief_beside_truth(learned):
    data = analysis.belief_maps(learned)
    assert data["measured"].sum() == 14
    error = np.sqrt(((learned.maps[-1].prediction - learned.reference) ** 2).mean(axis=1))
    np.testing.assert_allclose(data["error"].to_numpy().ravel(), error)
    assert -1 <= data.attrs["rank_correlation"] <= 1
    assert data["x"].to_numpy().tolist() == learned.pool.positions[: learned.pool.grid[1], 0].tolist()
    assert analysis.belief_maps(learned, 0).attrs["observations"] == 9
    with pytest.raises(AnalysisError, match="has 3 belief maps"):
        analysis.belief_maps(learned, 3)


def test_a_map_that_is_the_true_error_has_rank_correlation_one(learned):
    belief = learned.maps[-1]
    belief.maps["predicted_error"] = ((belief.prediction - learned.reference) ** 2).mean(axis=1)
    assert analysis.belief_maps(learned).attrs["rank_correlation"] == pytest.approx(1)


def test_patch_sizes_are_compared_on_the_same_points(history, wanderer):
    told = []
    data = analysis.patch_sizes(history, wanderer, (3, 7), folds=3, progress=lambda *done: told.append(done))
    assert told[-1] == (6, 6)
    # The wanderer predicts the mean of what it saw, whatever the patch.
    np.testing.assert_allclose(data["agent_nmse"], 1, rtol=1e-6)
    assert data["ridge_nmse"].sizes == {"window": 2, "fold": 3}
    assert np.isfinite(data["ridge_nmse"]).all()
    assert data.attrs["points"] <= 20
    with pytest.raises(AnalysisError, match="too few to train"):
        analysis.patch_sizes(history, wanderer, (31,))


def test_figures_are_drawn_and_what_is_missing_is_said(history, learned, wanderer, tmp_path):
    written, skipped = write_figures(learned, build, tmp_path / "curious")
    assert list(written) == ["latent", "acquisitions", "errors", "maps"]
    assert all(path.stat().st_size > 10_000 for path in written.values())
    assert not skipped
    written, skipped = write_figures(history, wanderer, tmp_path, ["latent", "maps", "patch-sizes"])
    assert list(written) == ["maps", "patch-sizes"]
    assert "no latent space" in skipped["latent"]
    with pytest.raises(AnalysisError, match=f"there is no figure paths; there are {', '.join(FIGURES)}"):
        write_figures(learned, build, tmp_path, ["paths"])


def test_a_run_without_points_has_nothing_to_analyse(wandered):
    image = next(number for number, (name, _) in enumerate(wandered) if name == "event")
    with pytest.raises(AnalysisError, match="no point of this run"):
        analysis.acquisitions(AgentRun(wandered[: image + 1]))
    with pytest.raises(DocumentError, match="no image"):
        AgentRun(wandered[:1])
    with pytest.raises(DocumentError, match="expected the documents of a run of an agent, got none"):
        AgentRun([])
