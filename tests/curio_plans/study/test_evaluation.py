import numpy as np
import pytest
from support import measure

from curio_plans.documents.history import History
from curio_plans.plans import curiosity
from curio_plans.study import evaluation


@pytest.fixture(scope="module")
def history(wanderer):
    return History(measure(curiosity, {"initial": 4}, 20, build=wanderer))


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
