import copy

import pytest
from support import measure

from curio_plans import report
from curio_plans.documents.history import History
from curio_plans.documents.streams import Reference
from curio_plans.plans import curiosity, image
from curio_plans.study import evaluation


@pytest.fixture(scope="module")
def stored(wanderer):
    return measure(curiosity, {"initial": 4}, 20, build=wanderer)


@pytest.fixture
def history(stored):
    return History(copy.deepcopy(stored))


def test_without_the_truth_there_is_no_evaluation_but_a_figure(history, tmp_path):
    history.of(Reference).clear()
    assert evaluation.evaluate(history) is None
    assert report.save_figure(history, tmp_path / "deep" / "run.png").stat().st_size > 10_000


def test_a_figure_of_a_run_that_was_cut_short(stored, tmp_path):
    for end in range(len(stored)):
        cut = History(stored[:end])
        if cut.frame is not None:
            report.save_figure(cut, tmp_path / "cut.png")
            break
    assert (tmp_path / "cut.png").exists()


def test_a_figure_of_an_image(tmp_path):
    assert report.save_figure(History(measure(image)), tmp_path / "image.png").exists()


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
