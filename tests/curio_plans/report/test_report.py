import copy
import dataclasses

import numpy as np
import pytest
from support import measure

from curio_plans import report
from curio_plans.documents.history import History
from curio_plans.documents.streams import Reference, Rejected
from curio_plans.plans import curiosity, grid_spectroscopy, image, spectra_at
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


def test_errors_have_one_scale_and_examples_are_found_on_the_image(stored):
    history = History(stored)
    maps = history.maps[-1].maps
    values = np.linspace(0.01, 0.04, len(history.pool), dtype=np.float32)
    history.maps[-1] = dataclasses.replace(
        history.maps[-1],
        maps={**maps, **dict.fromkeys(("predicted_error", "error_low", "error_high", "reducible_error"), values)},
    )
    drawn = report.figure(history)
    axes = {one.get_title(): one for one in drawn.axes}
    expected, true = axes["error the agent expects"], axes["true error (agent)"]
    assert expected.images[0].get_clim() == true.images[0].get_clim()
    letters = {text.get_text() for text in axes["20 points"].texts}
    assert letters == {title[0] for title in axes if "error at the" in title} == set("ABC")
    assert {"rms / a.u.", "polarisation / a.u.", "point"} <= {one.get_ylabel() for one in drawn.axes}


def test_what_is_not_known_has_no_axes(history):
    history.of(Reference).clear()
    drawn = report.figure(history)
    assert not [one for one in drawn.axes if "learning curve" in one.get_title() or "true error" in one.get_title()]
    assert all(one.has_data() for one in drawn.axes)


@pytest.mark.parametrize(
    ("plan", "arguments"), [(grid_spectroscopy, (3, 2)), (spectra_at, ([(200.0, 300.0), (700.0, 900.0)],))]
)
def test_spectra_without_an_image_are_drawn(plan, arguments):
    history = History(measure(plan, *arguments))
    titles = [one.get_title() for one in report.figure(history).axes]
    assert "A: point 1" in titles
    assert ("how much 6 spectra vary" in titles) is (plan is grid_spectroscopy)
