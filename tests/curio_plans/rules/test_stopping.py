"""A run that knows when to stop: by its error, its gain, its time or its dose."""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
from bluesky.simulators import check_limits
from support import events, measure, streams

from agents.base import BaseAgent
from agents.protocols import Estimate, Exclusion, Report, Suggestion
from curio_plans.documents.history import History
from curio_plans.plans import curiosity
from curio_plans.plans import resume as resume_plan
from curio_plans.report.summary import summary
from curio_plans.rules.quality import QualityError
from curio_plans.rules.stopping import StoppingRule
from curio_plans.run import stubs
from curio_plans.run.rehearsal import rehearse
from curio_plans.run.resume import ResumeError
from curio_plans.study.counterfactual import counterfactual
from curio_plans.study.explain import explain
from curio_plans.study.replay import verify

ESTIMATE = Estimate(error=0.3, low=0.25, high=0.4, noise=0.1, gain=0.002, checks=8)


class Averaging(BaseAgent):
    """Random places, the mean spectrum as its model, and as its error how much that still moves."""

    def choose(self, n, context):
        numbers = self.numbers("choice", len(self.measured))
        return [Suggestion(int(index), "random") for index in numbers.choice(self.available(context), n, replace=False)]

    def report(self, context=None):
        if not self.observations:
            return Report({}, {}, None)
        mean = np.mean([one.spectrum for one in self.observations], axis=0)
        return Report({}, {}, np.tile(mean.astype(np.float32), (len(self.pool), 1)))

    def estimate(self):
        checks = len(self.observations)
        if checks < 3:
            return None
        spectra = np.array([one.spectrum for one in self.observations])
        error = float(np.sqrt(spectra.var(axis=0).mean() / spectra.var() / checks))
        return Estimate(error, 0.9 * error, 1.1 * error, 0.5 * error, error / checks, checks)


class Heir(Averaging):
    """Begins where the last point of an earlier run was."""

    learns_from_past = True

    def choose(self, n, context):
        if self.past and len(self.measured) == 0:
            return [Suggestion(self.past[-1].observations[-1].index, "inherited")]
        return super().choose(n, context)


def build(config):
    return Averaging({"agent": "averaging", "seed": 0, **config})


def explored(points=12, config=None, build=build, **options):
    """The documents of a run, on a new microscope if none is given."""
    return measure(curiosity, config or {}, points, build=build, **options)


@pytest.mark.parametrize(
    ("chosen", "rule", "reason"),
    [
        ({"error": 0.4}, "error", "until error 0.4: estimated 0.3 (0.25 … 0.4)"),
        ({"error": 0.39}, None, ""),
        ({"error": 0.3, "cautious": False}, "error", "until error 0.3: estimated 0.3"),
        ({"gain": 0.021}, "gain", "until gain 0.021: 0.02 expected of the next 10 points"),
        ({"gain": 0.02}, None, ""),
        ({"gain": 0.02, "gain_points": 9}, "gain", "0.018 expected of the next 9 points"),
    ],
)
def test_when_an_agent_is_satisfied(chosen, rule, reason):
    ending = StoppingRule(**chosen).satisfied(9, ESTIMATE)
    assert (ending and ending.rule) == rule
    assert StoppingRule(**chosen).satisfied(9, None) is None
    assert StoppingRule(**chosen).satisfied(9, replace(ESTIMATE, checks=2)) is None
    if ending is not None:
        assert reason in ending.reason
        assert ending.records == 9


@pytest.mark.parametrize(
    ("spent", "rule"),
    [((7, 0, 0), None), ((8, 0, 0), "loops"), ((7, 50, 10), None), ((7, 50, 10.1), "minutes")],
)
def test_when_the_means_are_spent(spent, rule):
    ending = StoppingRule(loops=8, minutes=1).spent(9, *spent)
    assert (ending and ending.rule) == rule


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({}, "until: .*expected one or more of error, gain, minutes and loops"),
        ({"cautious": False}, "expected one or more of error"),
        ({"error": 0}, "until.error: .*greater than 0, got 0"),
        ({"loops": 1.5}, "until.loops: "),
        ({"hours": 3}, "until.hours: there is no such key, got 3; known are error, cautious, gain"),
        ({"error": 0.3}, "need an agent that estimates its own error, and 'wanderer' does not"),
        ({"minutes": float("inf")}, "until.minutes: .*finite number"),
        ({"minutes": 0.5}, "until: minutes 0.5 is too short for an image and one point, which take 0.6"),
        ({"loops": 9, "gain": 0.3}, "need an agent that estimates its own error, and 'wanderer' does not"),
    ],
)
def test_wrong_rules_are_refused_before_anything_moves(afm, engine, documents, wanderer, chosen, message):
    with pytest.raises(ValueError, match=message):
        engine(curiosity(afm, {}, 3, build=wanderer, until=chosen))
    assert documents == []
    assert afm.backend.time() == 0


def test_an_agent_that_knows_enough_ends_the_run_and_documents_say_so():
    documents = explored(30, until={"error": 0.25})
    history = History(documents)
    assert 3 < len(history.observations) < 30
    assert len(history.decisions) == len(history.observations), "no decision was recorded that was not measured"
    assert history.ending.rule == "error"
    assert history.ending.value <= 0.25 < history.decisions[-1].estimate.high
    assert documents[-1][1]["exit_status"] == "success"
    assert documents[-1][1]["reason"] == history.ending.reason
    assert history.maps[-1].observations == len(history.observations), "the last maps rest on everything"
    assert history.estimate == history.maps[-1].estimate != history.decisions[-1].estimate
    assert history.maps[-1].estimate.high == history.ending.value
    assert f"last estimated {history.maps[-1].estimate}" in summary(history)["error"]
    assert streams(documents).count("ending") == 1
    assert summary(history)["ended"] == history.ending.reason
    assert verify(documents, build).identical
    assert len(counterfactual(documents, build, {"seed": 1}).other.candidates) == len(history.observations)
    text = str(explain(documents, len(history.decisions)))
    assert history.ending.reason in text
    assert history.ending.reason not in str(explain(documents, 2))


def test_what_the_agent_believes_of_its_error_is_in_each_decision_and_only_where_it_can_tell(wanderer):
    documents = explored(5)
    told = [doc["data"] for doc in events(documents, "agent")]
    assert [data["agent_checks"] for data in told] == [0, 0, 0, 3, 4]
    assert np.isnan([data["agent_error_high"] for data in told]).tolist() == [True] * 3 + [False] * 2
    estimates = [decision.estimate for decision in History(documents).decisions]
    assert estimates[:3] == [None] * 3
    assert estimates[4].high == pytest.approx(1.1 * estimates[4].error)
    (keys,) = [doc["data_keys"] for name, doc in documents if name == "descriptor" and doc["name"] == "agent"]
    assert keys["agent_checks"]["dtype"] == "integer"
    assert {f"agent_{name}" for name in ("error", "error_low", "error_high", "noise", "gain", "checks")} <= set(keys)
    assert not any(
        {"agent_error", "agent_map_error"} & set(doc.get("data", {})) for _, doc in explored(4, build=wanderer)
    )


def test_no_point_is_begun_that_would_end_too_late():
    whole = explored(12)
    minutes = History(whole).observations[7].time / 60
    for given, measured in ((minutes, 8), (minutes - 0.001, 7)):
        documents = explored(12, until={"minutes": given})
        history = History(documents)
        assert history.ending.rule == "minutes"
        # The way to the next point is taken as long as it can be, so one point less may be measured.
        assert len(history.observations) in (measured - 1, measured)
        assert history.time <= 60 * given


def test_time_counts_from_the_beginning_of_the_run(afm):
    first = explored(4, afm=afm)
    begun = afm.backend.time()
    assert begun > 30
    documents = explored(12, afm=afm, until={"minutes": begun / 60})
    assert len(History(documents).observations) == len(History(first).observations)
    assert History(documents).time <= 2 * begun


def test_every_loop_counts_and_none_is_taken_beyond_the_budget(afm):
    bad = {"min_snr": 1e9, "retries": 2}
    documents = explored(12, afm=afm, until={"loops": 8}, quality=bad, fails=QualityError)
    assert afm.backend.doses.tip_loops == 8
    assert streams(documents).count("rejected") == 8
    assert [type(outcome) for outcome in History(documents).outcomes] == [Exclusion] * 3, "the third was tried twice"
    assert History(documents).ending.reason == "until loops 8: 8 taken"
    assert verify(documents, build).identical


def test_escalations_count_and_need_a_loop_that_is_left(afm, wanderer):
    rule = {"looks": 1, "radius": 1.0, "factor": 0.1}
    documents = explored(
        9, afm=afm, build=wanderer, until={"loops": 6}, escalate=stubs.finer_spectrum, escalate_when=rule
    )
    assert afm.backend.doses.tip_loops == History(documents).loops == 6
    assert "escalation" in streams(documents)


def test_a_budget_that_is_not_needed_changes_nothing(facts):
    documents = explored(5, until={"loops": 5, "minutes": 1e6, "error": 1e-9})
    assert facts(documents) == facts(explored(5))
    assert "ending" not in streams(documents)
    assert documents[-1][1]["reason"] == ""


@pytest.mark.parametrize(
    ("until", "lookahead"),
    [({"error": 0.3}, 0), ({"gain": 0.7}, 1), ({"minutes": 0.7}, 0), ({"loops": 6}, 1)],
    ids=["error", "gain, looking ahead", "minutes", "loops, looking ahead"],
)
def test_a_run_that_was_killed_anywhere_ends_where_it_would_have(until, lookahead, facts):
    options = {"until": until, "lookahead": lookahead, "quality": {"min_snr": 6.3}}
    whole = explored(12, {"seed": 4}, **options)
    ending = History(whole).ending
    assert ending.rule in until
    for number in range(2, len(whole), 3):
        stored = copy.deepcopy(whole[:number])
        both = stored + measure(resume_plan, "the run", build=build, stored=lambda uid, stored=stored: stored)
        assert facts(both) == facts(whole), whole[number - 1]
        assert History(both).ending == ending
        assert both[-1][1]["reason"] == ending.reason
        assert streams(both).count("ending") == 1
    assert verify(both, build).identical


def test_a_run_that_ended_by_a_rule_is_complete():
    documents = explored(12, until={"loops": 4})
    with pytest.raises(ResumeError, match=r"was completed \(until loops 4: 4 taken\); there is nothing to resume"):
        measure(resume_plan, "the run", build=build, stored=lambda uid: documents)


def test_a_run_that_learned_from_an_earlier_one_ends_by_a_rule_and_is_replayed():
    def heir(config):
        return Heir({"agent": "heir", "seed": 0, **config})

    yesterday = explored(5)
    known = {yesterday[0][1]["uid"]: yesterday}
    options = {"build": heir, "stored": known.__getitem__}
    documents = explored(30, learn_from=[*known], until={"error": 0.25}, **options)
    history = History(documents)
    assert history.decisions[0].candidate == History(yesterday).observations[-1].index
    assert history.ending.rule == "error"
    assert history.ending.records == len(history.observations) + 2, "the earlier run, the pool and every point"
    assert history.ending.value == history.estimate.high <= 0.25
    assert verify(documents, heir, stored=known.__getitem__).identical
    known["today"] = documents
    with pytest.raises(ResumeError, match=r"was completed \(until error 0\.25: estimated .*nothing to resume"):
        measure(resume_plan, "today", **options)


def test_what_lay_between_a_run_and_one_that_resumes_it_is_not_counted(afm):
    until = {"minutes": 0.75}
    stopped = explored(12, afm=afm, until=until)
    stopped = [pair for pair in stopped if pair[0] != "stop"][: len(stopped) // 2]
    before = History(stopped)
    explored(12, afm=afm)  # a night's work in between
    both = stopped + measure(resume_plan, "the run", build=build, stored=lambda uid: stopped, afm=afm, rebuild=False)
    after = History(both)
    assert len(after.spans) == 2
    assert after.spans[0] == before.spans[0]
    assert after.ending.rule == "minutes"
    assert len(after.observations) > len(before.observations)


def test_a_rehearsal_ends_as_the_run_would(afm):
    whole = rehearse(curiosity(afm, {}, 5, build=build), afm)
    ends = [step.start + step.duration for step in whole if step.text.startswith("spectrum")]
    for limits, expected in (({"loops": 2}, 2), ({"seconds": ends[2]}, 3), ({"seconds": 1.0}, 0), ({"loops": 9}, 5)):
        steps = rehearse(curiosity(afm, {}, 5, build=build), afm, **limits)
        texts = [step.text for step in steps]
        assert sum(text.startswith("spectrum") for text in texts) == expected
        assert texts[-1] == "withdraw"
        assert steps[-1].start == steps[-2].start + steps[-2].duration


def test_an_ending_that_was_not_the_agents_is_noticed():
    documents = explored(30, until={"error": 0.25})
    (event,) = events(documents, "ending")
    event["data"]["ending_value"] *= 1.01
    verdict = verify(documents, build)
    assert not verdict.identical
    assert "first difference at the end of the run" in str(verdict)
    estimates = [doc["data"] for doc in events(documents, "agent")]
    estimates[3]["agent_gain"] += 1e-12
    assert verify(documents, build).first.number == 3


def test_a_simulator_checks_every_point_and_arguments_are_plain(afm):
    check_limits(curiosity(afm, {}, 5, build=build, until={"loops": 2, "minutes": 1, "error": 1.0}))
    start = explored(2, until={"minutes": 60})[0][1]
    assert json.loads(json.dumps(start["plan_args"]["until"])) == StoppingRule(minutes=60).model_dump()
