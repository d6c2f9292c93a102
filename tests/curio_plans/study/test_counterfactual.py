import copy
from contextlib import closing
from functools import partial

import numpy as np
import pytest
from support import measure, microscope, write_sample

from agents.protocols import Exclusion, Observation, Question
from curio_plans.documents.events import DocumentError
from curio_plans.documents.history import History
from curio_plans.plans import curiosity, image
from curio_plans.report.counterfactual import draw
from curio_plans.study.common import ReplayError
from curio_plans.study.counterfactual import counterfactual as at_many_points
from ophyd_devices.twin import recorded

POINTS = 14

counterfactual = partial(at_many_points, looks=2)


@pytest.fixture(scope="module")
def stored(tmp_path_factory, wanderer):
    sample = write_sample(tmp_path_factory.mktemp("sample") / "sample.npz", (14, 16))
    with closing(microscope(recorded(sample))) as afm:
        return measure(curiosity, {"seed": 4}, POINTS, afm=afm, build=wanderer, window=5)


@pytest.fixture
def run(stored):
    return copy.deepcopy(stored)


def without_truth(documents):
    """The same run on an instrument that does not know the truth."""
    reference = {doc["uid"] for name, doc in documents if name == "descriptor" and doc["name"] == "reference"}
    return [(name, doc) for name, doc in documents if reference.isdisjoint((doc.get("descriptor"), doc.get("uid")))]


def test_the_same_agent_on_a_recorded_sample_goes_the_same_way(run, wanderer):
    result = counterfactual(run, wanderer, {"seed": 4})
    assert result.continues
    np.testing.assert_array_equal(result.other.candidates, [one.index for one in History(run).observations])
    assert result.wished.all()
    assert result.distances.max() == 0
    np.testing.assert_array_equal(result.other.common.mse, result.stored.common.mse)


def test_another_agent_really_continues_where_the_truth_is_known(run, wanderer):
    told = []
    result = counterfactual(run, wanderer, {"seed": 5}, lambda done, total: told.append((done, total)))
    assert told == [(n, POINTS) for n in range(1, POINTS + 1)]
    measured = [one.index for one in History(run).observations]
    assert len(set(result.other.candidates)) == POINTS
    assert not set(result.other.candidates) <= set(measured)
    assert result.wished.tolist() == [index in measured for index in result.other.candidates]
    assert result.other.own is not None
    assert f"really continued: it measured {POINTS} true spectra" in str(result)


def test_the_other_agent_sees_of_each_spectrum_what_the_stored_one_saw(run, wanderer):
    class Watching(wanderer):
        def ingest(self, *records):
            seen.extend(record.axis for record in records if isinstance(record, Observation))
            super().ingest(*records)

    seen = []
    counterfactual(run, Watching, {})
    np.testing.assert_array_equal(seen, [one.axis for one in History(run).observations])


def test_its_own_curve_is_the_error_of_its_predictions(run, wanderer):
    result = counterfactual(run, wanderer, {"seed": 5})
    truth = History(run).reference
    for count, error in zip(result.other.own.points, result.other.own.mse, strict=True):
        prediction = truth[result.other.candidates[:count]].mean(axis=0).astype(np.float32)
        floor = ((truth - truth.mean(axis=0)) ** 2).mean()
        assert error == pytest.approx(((prediction - truth) ** 2).mean() / floor, rel=1e-5)


def test_without_the_truth_it_orders_the_measured_points(run, wanderer):
    result = counterfactual(without_truth(run), wanderer, {"seed": 5})
    assert not result.continues
    measured = [one.index for one in History(run).observations]
    assert sorted(result.other.candidates) == sorted(measured)
    assert list(result.other.candidates) != measured
    assert 0 <= result.wished.mean() < 1
    assert "not measured are unknown: the other agent ordered the 14 measured points" in str(result)
    draw(result)


def test_the_share_of_measured_wishes_is_compared_with_chance(run, wanderer):
    result = counterfactual(run, wanderer, {"seed": 5})
    assert result.chance == POINTS / len(History(run).pool)
    assert f"of random candidates {result.chance:.0%})" in str(result)


def test_what_is_out_of_reach_is_out_of_reach_for_the_other_agent_too(run, wanderer):
    class Careful(wanderer):
        def ingest(self, *records):
            excluded.extend(record.index for record in records if isinstance(record, Exclusion))
            super().ingest(*[record for record in records if not isinstance(record, Exclusion)])

    excluded = []
    history = History(run)
    mask = np.zeros(len(history.pool), dtype=bool)
    mask[[3, 5]] = True
    place = next(n for n, (name, doc) in enumerate(run) if name == "descriptor" and doc["name"] == "agent")
    descriptor = {"uid": "exclusion", "run_start": run[0][1]["uid"], "name": "exclusion", "data_keys": {},
                  "configuration": {}}  # fmt: skip
    data = {"exclusion_candidates": mask, "exclusion_reason": "out of reach", "exclusion_decided": False}
    event = {"uid": "e", "descriptor": "exclusion", "seq_num": 1, "data": data}
    for name, doc in run[place:]:
        if name == "event" and "agent_records" in doc["data"]:
            doc["data"]["agent_records"] += 2
    counterfactual([*run[:place], ("descriptor", descriptor), ("event", event), *run[place:]], Careful, {"seed": 5})
    assert excluded == [3, 5]


def test_both_are_drawn(run, wanderer):
    figure = draw(counterfactual(run, wanderer, {"seed": 5}))
    assert [axes.get_title() for axes in figure.axes[:3]] == [
        "points of both agents", "learning curves", "share of wishes that the run measured"
    ]  # fmt: skip


def test_what_cannot_be_compared(run, wanderer):
    class Asking(wanderer):
        def suggest(self, n=1, context=None):
            return Question("go on?", ("yes", "no"))

    with pytest.raises(ReplayError, match=r"asks 'go on\?', and a stored run cannot answer"):
        counterfactual(run, Asking, {})
    with pytest.raises(ReplayError, match="at least 6 measured points"):
        counterfactual(run[: len(run) // 2 - 6], wanderer, {})
    with pytest.raises(DocumentError, match="expected a run of the plan 'curiosity'"):
        counterfactual(measure(image), wanderer, {})
