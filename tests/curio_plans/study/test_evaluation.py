from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from support import measure, microscope, write_sample

from curio_plans import report
from curio_plans.documents.agent_run import AgentRun
from curio_plans.plans import curiosity
from curio_plans.report import figures
from curio_plans.report.counterfactual import draw
from curio_plans.study import evaluation
from curio_plans.study.counterfactual import counterfactual
from curio_plans.study.errors import error_curve
from ophyd_devices.twin import SimulatedClock, TwinBackend, sample_from


@pytest.fixture(scope="module")
def history(wanderer):
    return AgentRun(measure(curiosity, {"initial": 4}, 20, build=wanderer))


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


@pytest.fixture(scope="module")
def flat(tmp_path_factory, wanderer):
    """A run on a sample whose spectra are all equal, to a number whose mean has a rounding error.

    A file of such spectra is refused; an instrument may well give them.
    """
    sample = sample_from(write_sample(tmp_path_factory.mktemp("flat") / "flat.npz", (14, 16)))
    sample = replace(sample, values=np.full_like(sample.values, 3.3))
    with closing(microscope(TwinBackend(sample, SimulatedClock()))) as afm:
        return measure(curiosity, {"initial": 4}, 12, afm=afm, build=wanderer, window=5)


def test_equal_spectra_are_told_in_words(flat):
    history = AgentRun(flat)
    found = evaluation.evaluate(history)
    assert found.all_equal
    assert found.mean_spectrum == found.unmeasured_floor == 0
    rows = dict(evaluation.evaluation_rows(history, found))
    assert rows["all spectra are equal"] == "nothing can be learned, and no NMSE is defined"
    assert rows["agent, final NMSE where unmeasured (1 = mean spectrum)"] == "–"
    assert np.isnan(error_curve(history, found)["unmeasured_nmse"]).all()


def test_equal_spectra_are_drawn_and_compared(flat, wanderer):
    history = AgentRun(flat)
    found = evaluation.evaluate(history)
    curves = error_curve(history, found)
    result = counterfactual(flat, wanderer, {"seed": 5}, looks=2)
    assert "all spectra are equal, so no error relative to the mean spectrum" in str(result)
    drawings = {
        "overview": (report.figure(history, found), 1),
        "errors": (figures.errors(history, curves), 2),
        "other": (draw(result), 1),
    }
    for name, (drawing, blank) in drawings.items():
        texts = [text.get_text() for axes in drawing.axes for text in axes.texts]
        assert texts.count("all spectra are equal") == blank, name


def test_a_run_that_measured_the_whole_pool_has_nothing_unmeasured(afm, wanderer):
    afm.imager.pixels.put((8, 8))
    history = AgentRun(measure(curiosity, {"initial": 4}, 16, afm=afm, build=wanderer, window=5, stride=1))
    found = evaluation.evaluate(history)
    assert np.isnan(found.final_unmeasured)
    assert np.isnan(found.unmeasured_floor)
    assert ("agent, final NMSE where unmeasured (1 = mean spectrum)", "–") in evaluation.evaluation_rows(history, found)
