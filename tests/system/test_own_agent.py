"""The project's own agent in whole runs: one that ends by what it knows, and one that begins where another ended."""

import copy
import re

import numpy as np
import pytest
from support import measure

from agents.registry import build, configure
from curio_plans.documents.history import History
from curio_plans.documents.streams import Reference
from curio_plans.plans import curiosity
from curio_plans.plans import resume as resume_plan
from curio_plans.report.overview import figure
from curio_plans.rules.stopping import CHECKS
from curio_plans.study.evaluation import evaluate
from curio_plans.study.explain import explain
from curio_plans.study.replay import verify


@pytest.fixture(scope="module")
def satisfied():
    """A run that may measure 120 points, and ends when the agent knows enough."""
    return measure(curiosity, configure("curio", checks=5), 120, build=build, until={"error": 0.6}, window=5)


def test_a_run_ends_when_the_agent_knows_enough_and_is_replayed_to_the_same_end(satisfied):
    history = History(satisfied)
    assert history.ending.rule == "error"
    assert history.estimate.high == history.ending.value <= 0.6
    assert history.estimate.checks >= CHECKS
    assert 20 < len(history.observations) < 120
    before = [decision.estimate for decision in history.decisions if decision.estimate is not None]
    assert all(known.high > 0.6 or known.checks < CHECKS for known in before), "and not a point later"
    assert verify(satisfied, build).identical


def test_each_decision_tells_what_the_spectra_were_found_to_support(satisfied):
    first, last = (str(explain(satisfied, number)) for number in (5, len(History(satisfied).decisions)))
    assert "views:" not in first, "there was no model yet"
    told = dict(re.findall(r"(rings|scales|patch|structure|position|local|noise) (\d+)%", last))
    assert sum(int(told[name]) for name in ("rings", "scales", "patch")) == pytest.approx(100, abs=2)
    assert sum(int(told[name]) for name in ("structure", "position", "local", "noise")) == pytest.approx(100, abs=2)
    known = int(re.search(r"learned from (\d+) spectra, (\d+) of them distrusted", last)[1])
    assert 10 <= known <= len(History(satisfied).observations)


def test_its_figure_shows_expected_and_true_error_in_one_unit_and_marks_its_first_points(satisfied):
    history = History(satisfied)
    panels = {axes.get_title(): axes for axes in figure(history, evaluate(history)).axes}
    expected, true = panels["error the agent expects"], panels["true error (agent)"]
    shown = [np.asarray(axes.images[0].get_array()).ravel() for axes in (expected, true)]
    np.testing.assert_allclose(shown[0], np.sqrt(history.maps[-1].maps["reducible_error"]))
    assert 0.3 < np.sqrt((shown[0] ** 2).mean() / (shown[1] ** 2).mean()) < 3
    labels = [axes.images[0].colorbar.ax.get_ylabel() for axes in (expected, true)]
    assert labels == ["rms / a.u."] * 2, "the twin's truth has no noise, so what the agent expects is without it"
    assert expected.images[0].get_clim() == true.images[0].get_clim(), "one colour, one error"
    for axes in (expected, true):
        assert [text.get_text() for text in axes.texts] == ["A", "B", "C"]
    assert [title[0] for title in panels if "percentile" in title] == ["A", "B", "C"]
    first = [one.position for one, decision in zip(history.observations, history.decisions, strict=True)
             if decision.phase == "initial"]  # fmt: skip
    (drawn,) = [line for axes in panels.values() for line in axes.lines if line.get_label() == "initial"]
    np.testing.assert_allclose(drawn.get_xydata(), first)
    assert len(first) == 10


def test_without_the_truth_its_figure_shows_what_it_believes(satisfied):
    history = History(copy.deepcopy(satisfied))
    history.of(Reference).clear()
    panels = {axes.get_title(): axes for axes in figure(history).axes}
    reducible = np.asarray(panels["of it reducible"].images[0].get_array()).ravel()
    expected = np.asarray(panels["error the agent expects"].images[0].get_array()).ravel()
    assert (reducible <= expected).all()
    curve = panels["learning curve, estimated"]
    told = [decision.estimate.error for decision in history.decisions if decision.estimate is not None]
    np.testing.assert_allclose(curve.lines[-1].get_ydata(), told)
    assert not [text for axes in panels.values() for text in axes.texts if "not known" in text.get_text()]


def test_a_run_of_it_that_was_killed_goes_on_to_the_same_end(satisfied, facts):
    for part in (0.4, 0.9):
        killed = copy.deepcopy(satisfied[: int(part * len(satisfied))])
        both = killed + measure(resume_plan, "the run", build=build, stored=lambda uid, killed=killed: killed)
        assert str(facts(both)) == str(facts(satisfied)), "NaN is not equal to itself"
        assert History(both).ending == History(satisfied).ending


def test_a_run_that_learned_from_another_is_curious_at_once_but_checks_before_it_ends(satisfied):
    uid = satisfied[0][1]["uid"]
    known = {uid: satisfied}
    options = {"build": build, "until": {"error": 0.9}, "window": 5, "learn_from": [uid], "stored": known.__getitem__}
    documents = measure(curiosity, configure("curio", checks=3), 40, world={"seed": 4}, **options)
    history = History(documents)
    assert history.decisions[0].phase == "curious"
    assert history.decisions[0].estimate.checks == 0
    assert history.decisions[0].estimate.error < 0.9, "it could have ended at once"
    assert history.ending.rule == "error"
    assert len(history.observations) >= 3 * CHECKS
    assert verify(documents, build, stored=known.__getitem__).identical
