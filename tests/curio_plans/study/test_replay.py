import copy

import pytest
from support import events, measure

from curio_plans.documents.events import DocumentError
from curio_plans.documents.history import History
from curio_plans.plans import curiosity, image
from curio_plans.study.common import ReplayError
from curio_plans.study.replay import changed_versions, verify


@pytest.fixture(scope="module")
def stored(wanderer):
    return measure(curiosity, {"seed": 4, "initial": 3}, 12, build=wanderer)


@pytest.fixture
def run(stored):
    return copy.deepcopy(stored)


def test_a_run_replays_identically_and_says_so(run, wanderer):
    verdict = verify(run, wanderer)
    assert verdict.identical
    assert str(verdict) == "9/9 decisions identical (and 3/3 initial points)"


def test_progress_is_told(run, wanderer):
    told = []
    verify(run, wanderer, lambda done, total: told.append((done, total)))
    assert told == [(n, 12) for n in range(1, 13)]


def test_a_run_that_looked_ahead_replays_identically(wanderer):
    assert verify(measure(curiosity, {}, 12, build=wanderer, lookahead=1), wanderer).identical


def test_replaying_changes_no_document(run, wanderer):
    before = copy.deepcopy(History(run).decisions)
    verify(run, wanderer)
    assert repr(History(run).decisions) == repr(before)


def test_one_changed_spectrum_is_noticed_at_the_next_decision(run, wanderer):
    spectrum = events(run, "primary")[6]["data"]["afm_spectrometer_spectrum"]
    spectrum[5] += 1e-9
    verdict = verify(run, wanderer)
    assert verdict.first.number == 7
    assert "decision 8 of 12" in str(verdict)


def test_one_changed_decision_is_noticed_there_and_only_there(run, wanderer):
    events(run, "agent")[5]["data"]["agent_candidate"] += 1
    verdict = verify(run, wanderer)
    assert verdict.first.number == 5
    assert (verdict.chosen_identical, verdict.chosen) == (8, 9)


def test_one_changed_score_is_noticed(run, wanderer):
    events(run, "agent")[8]["data"]["agent_score"] += 1e-12
    assert verify(run, wanderer).first.number == 8


def test_a_point_measured_elsewhere_than_decided_is_noticed(run, wanderer):
    last = events(run, "primary")[-1]["data"]
    last["candidate"] += 1
    verdict = verify(run, wanderer)
    assert verdict.first.number == 11
    assert "was tried" in verdict.first.stored


def test_another_seed_is_noticed_at_the_first_decision(run, wanderer):
    run[0][1]["agent"]["seed"] = 5
    verdict = verify(run, wanderer)
    assert verdict.first.number == 0
    assert not verdict.identical


def test_a_config_that_builds_nothing_is_an_error(run):
    def build(config):
        raise ValueError(f"unknown agent {config['agent']!r}")

    with pytest.raises(ReplayError, match="cannot be rebuilt from the start document: unknown agent 'wanderer'"):
        verify(run, build)


def test_an_observation_the_agent_refuses_is_a_difference(run, wanderer):
    events(run, "primary")[4]["data"]["afm_spectrometer_spectrum"][0] = float("nan")
    verdict = verify(run, wanderer)
    assert verdict.first.number == 5
    assert "refuses" in verdict.first.replayed


def test_a_decision_that_claims_other_observations_is_noticed(run, wanderer):
    events(run, "agent")[7]["data"]["agent_last_observation"] = "somewhere-else"
    verdict = verify(run, wanderer)
    assert verdict.first.number == 7
    assert "somewhere-else" in verdict.first.stored


def test_other_versions_are_named_as_a_possible_reason(run, wanderer):
    run[0][1]["versions"]["torch"] = "1.0"
    run[0][1]["agent"]["seed"] = 5
    assert "torch: stored 1.0" in str(verify(run, wanderer))
    assert changed_versions(run[0][1]["versions"])["torch"][0] == "1.0"


def test_a_run_without_an_agent_or_an_image_cannot_be_replayed(run, wanderer):
    with pytest.raises(DocumentError, match="no image"):
        verify(run[:1], wanderer)
    with pytest.raises(DocumentError, match="no agent in its start document"):
        verify(measure(image), wanderer)
    with pytest.raises(DocumentError, match="expected the documents of a run of an agent, got none"):
        verify([], wanderer)
