import copy

import numpy as np
import pytest
from support import events, measure

from agents.registry import build, configure
from curio_plans.documents.events import DocumentError
from curio_plans.documents.history import History
from curio_plans.plans import curiosity, image
from curio_plans.report.explain import draw
from curio_plans.rules.quality import QualityError
from curio_plans.study.common import ReplayError
from curio_plans.study.explain import ExplainError, explain

POINTS = 12


@pytest.fixture(scope="module")
def run(wanderer):
    class Scoring(wanderer):
        """Has a map of its score, which grows from candidate to candidate."""

        def report(self, context=None):
            report = super().report(context)
            if report.maps:
                report.maps["score"] = np.arange(len(self.pool), dtype=np.float32)
            return report

    return measure(curiosity, {"seed": 4, "initial": 3}, POINTS, build=Scoring, map_every=4)


def test_a_decision_is_explained_with_what_was_known_then(run):
    history = History(run)
    explanation = explain(run, 7)
    assert explanation.decision is explanation.history.decisions[6]
    assert explanation.measured == [one.index for one in history.observations[:6]]
    assert explanation.outcome.index == explanation.decision.candidate == history.decisions[6].candidate
    assert explanation.available.sum() == len(history.pool) - 6
    assert not explanation.available[explanation.measured].any()
    place = np.array(history.decisions[6].position)
    nearest = min(np.hypot(*(one.position - place)) for one in history.observations[:6])
    assert explanation.nearest == nearest


def test_the_map_is_the_last_before_and_says_which_it_is(run):
    assert [belief.observations for belief in History(run).maps] == [4, 8, 12]
    assert explain(run, 3).belief is None
    assert "none was recorded before this decision" in str(explain(run, 3))
    assert explain(run, 8).belief.observations == 4
    assert "the one after 4 observations; the decision rests on 7" in str(explain(run, 8))
    assert explain(run, 9).belief.observations == 8


def test_the_rank_is_among_those_available_then(run):
    explanation = explain(run, 8)
    candidate = explanation.decision.candidate
    above = set(range(candidate + 1, len(explanation.available))) - set(explanation.measured)
    assert explanation.rank() == (1 + len(above), len(explanation.available) - 7)
    assert explanation.rank("novelty") is None


def test_the_map_at_the_decision_is_rebuilt_where_it_was_not_recorded():
    documents = measure(curiosity, configure("curio", initial=10, checks=0), 12, build=build, map_every=0)
    explanation = explain(documents, 12, build=build)
    decision = explanation.decision
    assert explain(documents, 12).belief is None
    assert explanation.maps["score"][decision.candidate] == np.float32(decision.score)
    assert explanation.rank() == (1, explanation.available.sum())
    assert "rebuilt from the 11 observations" in str(explanation)
    titles = [axes.get_title() for axes in draw(explanation).axes]
    assert {"score after 11 observations", "error the agent expected", "what was measured"} <= set(titles)


def test_an_agent_that_cannot_be_rebuilt_is_told(run):
    def nothing(config):
        raise ValueError("no such agent")

    with pytest.raises(ReplayError, match="no such agent; curio explain --recorded"):
        explain(run, 3, build=nothing)


def test_the_error_of_the_prediction_is_told(run):
    explanation = explain(run, 8)
    expected = np.sqrt(np.mean((explanation.belief.prediction[0].astype(float) - explanation.outcome.spectrum) ** 2))
    assert explanation.errors[0] == expected
    assert f"rms error of {expected:.3g}" in str(explanation)


def test_with_lookahead_the_point_under_way_is_not_available(wanderer):
    explanation = explain(measure(curiosity, {"seed": 4}, POINTS, build=wanderer, lookahead=1), 7)
    assert len(explanation.measured) == 5
    assert explanation.available.sum() == len(explanation.available) - 6


def test_a_rejected_and_excluded_place_is_explained(wanderer):
    bad = {"min_snr": 1e6, "retries": 1}
    documents = measure(curiosity, {"seed": 4}, 4, build=wanderer, quality=bad, fails=QualityError)
    text = str(explain(documents, 2))
    assert text.count("rejected: signal to noise") == 2
    assert "excluded: signal to noise" in text
    draw(explain(documents, 2))


def test_a_decision_that_was_not_carried_out(run):
    last = run.index(("event", events(run, "primary")[-1]))
    assert "nothing: the run ended before it was measured" in str(explain(run[:last], POINTS))


@pytest.mark.parametrize("number", [1, 8])
def test_a_decision_is_drawn(run, number):
    figure = draw(explain(run, number))
    first, *_, last = (axes.get_title() for axes in figure.axes[: len(figure.axes)] if axes.get_title())
    assert first.startswith("score after 4" if number == 8 else "image")
    assert last == "what was measured"


@pytest.mark.parametrize("number", [0, -1, POINTS + 1])
def test_a_point_that_is_not_there(run, number):
    with pytest.raises(ExplainError, match=rf"a point from 1 to {POINTS}, .* decisions of this run, got {number}"):
        explain(run, number)


def test_runs_that_have_nothing_to_explain(run):
    damaged = copy.deepcopy(run)
    with pytest.raises(DocumentError, match="no image"):
        explain([document for document in damaged if document[0] != "event"], 1)
    descriptor = next(document for document in damaged if document[0] == "descriptor")
    damaged.remove(descriptor)
    with pytest.raises(DocumentError, match=r"comes before its descriptor, .* repair it with curio recover"):
        explain(damaged, 1)
    with pytest.raises(DocumentError, match="expected a run of the plan 'curiosity'"):
        explain(measure(image), 1)
