import copy
import dataclasses

import numpy as np
import pytest
from support import measure

from curio_plans import report
from curio_plans.documents.history import History
from curio_plans.documents.streams import Reference, Rejected
from curio_plans.plans import curiosity, image
from curio_plans.rules.quality import QualityError
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


def test_the_summary_says_why_nothing_was_measured(wanderer):
    bad = {"min_snr": 1e6, "retries": 1}
    facts = report.summary(History(measure(curiosity, {}, 4, build=wanderer, quality=bad, fails=QualityError)))
    assert facts["points"] == "0 measured of 4 planned"
    assert facts["rejected"].startswith("8 spectra: signal to noise ")


def test_the_commonest_reason_is_told(stored, history):
    rejected = Rejected(
        "uid", (0.0, 0.0), np.zeros(3), None, 1, 0.0, 1, (0.0, 0.0), 0.0, "signal to noise 0.5, less than 2"
    )
    history.of(Rejected).extend([
        rejected,
        dataclasses.replace(rejected, reason="saturated at 7 % of the steps, more than 5 %"),
        dataclasses.replace(rejected, reason="signal to noise 1.2e-05, less than 2"),
    ])  # fmt: skip
    assert report.summary(history)["rejected"] == "3 spectra, 2 of them: signal to noise 0.5, less than 2"
