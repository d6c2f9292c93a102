import numpy as np
import pytest

from agents.pool import make_pool
from curio_plans import report
from curio_plans.documents.history import History
from curio_plans.documents.streams import Reference
from curio_plans.plans import curiosity, image
from curio_plans.study import evaluation, floors


@pytest.fixture
def history(afm, engine, documents, wanderer):
    engine(curiosity(afm, {"initial": 4}, 20, build=wanderer))
    return History(documents)


def test_the_learning_curve_ends_with_the_last_observation(history):
    curve = evaluation.learning_curve(history)
    assert curve.points.tolist() == list(range(3, 21))
    final = ((history.maps[-1].prediction.astype(float) - history.reference) ** 2).mean()
    assert curve.mse[-1] == pytest.approx(final)


def test_an_evaluation_compares_with_the_floors(history):
    found = evaluation.evaluate(history)
    truth = history.reference
    assert found.mean_spectrum == pytest.approx(truth.var(axis=0).mean())
    unmeasured = np.delete(np.arange(len(truth)), [observation.index for observation in history.observations])
    final = (history.maps[-1].prediction.astype(float) - truth) ** 2
    assert found.final_unmeasured == pytest.approx(final[unmeasured].mean())
    labels = [label for label, _ in evaluation.evaluation_rows(history, found)]
    assert any("published convention" in label for label in labels)
    assert any("unmeasured" in label for label in labels)


def test_without_the_truth_there_is_no_evaluation_but_a_figure(history, tmp_path):
    history.of(Reference).clear()
    assert evaluation.evaluate(history) is None
    assert report.save_figure(history, tmp_path / "deep" / "run.png").stat().st_size > 10_000


def test_a_figure_of_a_run_that_was_cut_short(documents, history, tmp_path):
    for end in range(len(documents)):
        cut = History(documents[:end])
        if cut.frame is not None:
            report.save_figure(cut, tmp_path / "cut.png")
            break
    assert (tmp_path / "cut.png").exists()


def test_a_figure_of_an_image(afm, engine, documents, tmp_path):
    engine(image(afm))
    assert report.save_figure(History(documents), tmp_path / "image.png").exists()


def test_there_is_nothing_to_draw_without_an_image():
    with pytest.raises(report.ReportError, match="no image"):
        report.figure(History())
    with pytest.raises(report.ReportError, match="expected the documents"):
        report.summary(History())


def test_the_summary_says_what_was_run(history):
    facts = report.summary(history)
    assert facts["points"] == "20 measured of 20 planned"
    assert facts["status"] == "success"
    assert "wanderer" in facts["agent"]


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
