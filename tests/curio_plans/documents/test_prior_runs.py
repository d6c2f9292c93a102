"""A run starts from what prior runs measured, and whatever rebuilds its agent starts there, too."""

import copy
import shutil

import numpy as np
import pytest
from bluesky import RunEngine
from support import events, measure, microscope

import curio_plans
from agents.base import BaseAgent
from agents.protocols import Exclusion, Past, Pool, Suggestion
from curio_plans import report
from curio_plans.documents.agent_run import AgentRun
from curio_plans.documents.history import History
from curio_plans.documents.prior_runs import PriorRunError, digest, read_prior_run
from curio_plans.plans import curiosity, image
from curio_plans.plans import resume as resume_plan
from curio_plans.run.rehearsal import rehearse
from curio_plans.run.resume import ResumeError
from curio_plans.store.storage import Storage
from curio_plans.study.common import rebuild_agent
from curio_plans.study.replay import verify

POINTS = 6


class Heir(BaseAgent):
    """Goes where the image is like the place of the largest spectrum that it knows, of prior runs, too."""

    learns_from_past = True

    def choose(self, n, context):
        here = [(self.pool, observation) for observation in self.observations]
        known = [(past.pool, observation) for past in self.past for observation in past.observations] + here
        free = self.available(context)
        if not known:
            return [Suggestion(int(index), "alone") for index in free[:n]]
        pool, largest = max(known, key=lambda pair: np.ptp(pair[1].spectrum))
        distances = ((self.pool.patches[free] - pool.patches[largest.index]) ** 2).sum(axis=(1, 2, 3))
        score = float(sum(observation.spectrum.sum() for _, observation in known))
        return [Suggestion(int(index), "like", score) for index in free[np.argsort(distances, kind="stable")[:n]]]


@pytest.fixture(scope="module")
def build(wanderer):
    return lambda config: {"heir": Heir, "wanderer": wanderer}[config["agent"]](config)


@pytest.fixture(scope="module")
def storage(empty, tmp_path_factory):
    directory = shutil.copytree(empty, tmp_path_factory.mktemp("kept") / "data")
    with Storage.local(directory) as storage:
        yield storage


@pytest.fixture(scope="module")
def run(storage, build):
    """Runs `curiosity` of six points on a sample of its own, and keeps it; returns its uid."""
    engine = RunEngine({})
    storage.attach(engine)

    def run(agent, seed=5, afm=None, **options):
        used = microscope(seed=seed) if afm is None else afm
        try:
            (uid,) = engine(curiosity(used, {"agent": agent}, POINTS, build=build, stored=storage.resumable, **options))
        finally:
            if afm is None:
                used.close()
        return uid

    return run


@pytest.fixture(scope="module")
def earlier(run):
    return run("wanderer", seed=3)


@pytest.fixture(scope="module")
def learned(run, earlier):
    return run("heir", learn_from=[earlier[:8]])


@pytest.fixture
def copied(storage, earlier, learned, tmp_path):
    """The journal of both runs in another place, to be spoiled."""
    shutil.copytree(storage.directory / "journal", tmp_path / "journal")
    with Storage.local(tmp_path) as copied:
        yield copied


def chosen(documents):
    return [decision.candidate for decision in History(documents).decisions]


def test_a_run_decides_otherwise_for_what_an_earlier_one_measured(storage, run, earlier, learned):
    alone = storage.documents(run("heir"))
    documents = storage.documents(learned)
    assert chosen(documents)[0] != chosen(alone)[0]
    start, past = documents[0][1], History(storage.documents(earlier))
    assert start["plan_args"]["learn_from"] == [earlier]
    assert start["learned_from"] == [
        {"uid": earlier, "observations": 6, "digest": digest(Past(earlier, past.pool, tuple(past.observations)))}
    ]
    assert "learned_from" not in alone[0][1]
    first = History(documents).decisions[0]
    assert (first.records, first.observations, first.last_observation) == (2, 0, "")
    assert storage.failures == {}


def test_the_digest_is_that_of_the_journal_in_tiled_too(storage, run, earlier, learned):
    past = read_prior_run(History(curio_plans.store.read_documents(storage.catalog[earlier])))
    assert digest(past) == storage.documents(learned)[0][1]["learned_from"][0]["digest"]


def test_only_the_first_thought_may_take_its_time(afm, storage, build, earlier):
    options = {"build": build, "stored": storage.resumable, "think_timeout": 9.0}
    for learn_from, first in ((None, 9.0), ([earlier], None)):
        plan = curiosity(afm, {"agent": "heir"}, 3, learn_from=learn_from, **options)
        waits = [msg.kwargs["timeout"] for msg in plan if msg.command == "wait" and msg.kwargs["group"] == "decide"]
        assert waits == [first, 9.0, 9.0]


def test_the_agent_is_the_same_wherever_it_is_rebuilt(storage, build, earlier, learned):
    runs = curio_plans.StoredRuns(storage, build)
    assert str(runs.verify(learned)) == "6/6 decisions identical"
    explanation = runs.explain(3, learned)
    assert "2 of 6 spectra, and 6 in 1 prior run(s)" in str(explanation)
    assert explanation.available.sum() == len(explanation.history.pool) - 2
    assert chosen(storage.documents(learned)) == runs.what_if({"agent": "heir"}, learned).other.candidates.tolist()
    documents = storage.documents(learned)
    agent = rebuild_agent(AgentRun.read(documents, storage.lineage), build)
    assert len(agent.past[0].observations) == 6


def test_an_agent_that_takes_no_prior_runs_is_asked_without_them(storage, build, learned):
    result = curio_plans.StoredRuns(storage, build).what_if({"agent": "wanderer"}, learned)
    assert result.other.label.endswith("without the prior runs")


def test_a_run_that_learned_from_others_goes_on_as_if_it_never_ended(storage, build, facts, earlier, learned):
    whole = storage.documents(learned)
    for number in (1, 5, len(whole) // 2, len(whole) - 3):
        known = {"the run": whole[:number], earlier: storage.documents(earlier)}
        new = measure(resume_plan, "the run", world={"seed": 5}, build=build, stored=known.__getitem__)
        both = known["the run"] + new
        assert facts(both) == facts(whole)
        assert new[0][1]["learned_from"] == whole[0][1]["learned_from"]
        assert verify(both, build, stored=known.__getitem__).identical


def test_looking_ahead_counts_the_earlier_runs(storage, run, build, facts, earlier):
    whole = storage.documents(run("heir", learn_from=[earlier], lookahead=1))
    last = max(number for number, (_, doc) in enumerate(whole) if "agent_candidate" in doc.get("data", {}))
    for number in (last - 1, last + 1, last + 2):
        known = {"the run": whole[:number], earlier: storage.documents(earlier)}
        new = measure(resume_plan, "the run", world={"seed": 5}, build=build, stored=known.__getitem__)
        assert facts(known["the run"] + new) == facts(whole)


def test_a_run_learns_from_several_and_from_one_that_itself_learned(storage, run, build, earlier, learned):
    uid = run("heir", seed=7, learn_from=[learned, earlier])
    start = storage.documents(uid)[0][1]
    assert [one["uid"] for one in start["learned_from"]] == [learned, earlier]
    assert History(storage.documents(uid)).decisions[0].records == 3
    assert curio_plans.StoredRuns(storage, build).verify(uid).identical


def test_what_is_out_of_reach_is_excluded_after_earlier_runs_too(afm, storage, run, build, earlier, monkeypatch):
    check = afm.scanner.check_value

    def refuse(place):
        if np.abs(np.subtract(place, 1000)).max() < 100:
            raise ValueError("an electrode is there")
        check(place)

    monkeypatch.setattr(afm.scanner, "check_value", refuse)
    uid = run("heir", afm=afm, learn_from=[earlier])
    records = History(storage.documents(uid)).records
    assert [type(record) for record in records[:2]] == [Pool, Exclusion]
    assert curio_plans.StoredRuns(storage, build).verify(uid).identical
    assert curio_plans.StoredRuns(storage, build).what_if({"agent": "wanderer"}, uid).other.candidates.shape == (
        POINTS,
    )


def test_a_rehearsal_of_it_goes_through_all_steps(afm, storage, build, earlier):
    plan = curiosity(afm, {"agent": "heir"}, POINTS, build=build, stored=storage.resumable, learn_from=[earlier])
    assert sum("spectrum" in step.text for step in rehearse(plan, afm)) == POINTS


def test_an_earlier_run_that_is_gone_is_named(copied, build, earlier, learned):
    shutil.rmtree(copied.directory / "journal" / earlier)
    runs = curio_plans.StoredRuns(copied, build)
    words = f"run {learned} learned from run {earlier}, whose documents are missing here: bring them back"
    for ask in (runs.verify, lambda uid: runs.explain(1, uid), lambda uid: runs.what_if({"agent": "heir"}, uid)):
        with pytest.raises(PriorRunError, match=words):
            ask(learned)
    history = AgentRun(copied.documents(learned))
    with pytest.raises(PriorRunError, match=words):
        rebuild_agent(history, build)
    assert report.summary(history)["learned from"] == f"{earlier[:8]} (6 spectra)", "what needs no agent can be read"


def test_nothing_moves_where_a_run_to_resume_lacks_what_it_learned_from(afm, storage, build, earlier, learned):
    stopped = {"the run": storage.documents(learned)[:-8]}
    with pytest.raises(PriorRunError, match=rf"run {earlier} cannot be learned from: .*bring that one back"):
        RunEngine({})(resume_plan(afm, "the run", build=build, stored=stopped.__getitem__))
    assert afm.backend.time() == 0


def test_an_earlier_run_that_is_not_what_it_was_is_noticed(afm, storage, build, earlier, learned):
    changed = copy.deepcopy(storage.documents(earlier))
    data = events(changed, "primary")[0]["data"]
    data["afm_spectrometer_spectrum"] = data["afm_spectrometer_spectrum"] + 1e-12
    known = {"the run": storage.documents(learned)[:-8], earlier: changed}
    words = f"learned from run {earlier}, which has changed since: it had 6 spectra .*bring back its documents"
    with pytest.raises(PriorRunError, match=words):
        verify(storage.documents(learned), build, stored=known.__getitem__)
    with pytest.raises(ResumeError, match=words):
        RunEngine({})(resume_plan(afm, "the run", build=build, stored=known.__getitem__))


@pytest.mark.parametrize(
    ("prepare", "options", "words"),
    [
        (None, {"window": 7}, "expected a window in px of 7, got 9; use the settings of that run"),
        (None, {"channels": ["phase"]}, r"expected channels \['phase'\], got \['topography', "),
        (lambda afm: afm.spectrometer.cycles.put(3), {}, "expected spectral steps 48, got 32"),
        (lambda afm: afm.spectrometer.amplitude.put(6.0), {}, "expected at spectral step 1 1.5, got 2.0"),
        (lambda afm: afm.spectrometer.quantity.publish("current"), {}, "expected spectra of current, got "),
    ],
    ids=["window", "channels", "length", "axis", "quantity"],
)
def test_a_run_that_is_not_like_the_new_one_is_refused_first(afm, run, earlier, prepare, options, words):
    if prepare is not None:
        prepare(afm)
    with pytest.raises(PriorRunError, match=f"run {earlier} does not match the new run.*{words}"):
        run("heir", afm=afm, learn_from=[earlier], **options)
    assert afm.backend.time() == 0


def test_what_cannot_be_learned_from(storage, run, build, earlier, learned):
    with pytest.raises(
        PriorRunError, match="the agent 'wanderer' does not learn from prior runs; choose one that does"
    ):
        run("wanderer", learn_from=[earlier])
    with pytest.raises(
        PriorRunError, match=f"cannot be learned from: there is no run 'nowhere' in {storage.directory}; the newest"
    ):
        run("heir", learn_from=["nowhere"])
    with pytest.raises(PriorRunError, match=f"run {earlier} would be learned from twice"):
        run("heir", learn_from=[earlier, earlier[:8]])
    with pytest.raises(ValueError, match=r"expected a list of runs to learn from; give \['latest'\]"):
        run("heir", learn_from="latest")
    with pytest.raises(PriorRunError, match=r"pass stored=storage\.resumable"):
        measure(curiosity, {"agent": "heir"}, POINTS, build=build, learn_from=[earlier])
    known = {"pictures": measure(image), "going on": storage.documents(earlier)[:-1]}
    for uid, words in (
        ("pictures", "of the plan 'image' cannot be learned from: expected a run of the plan 'curiosity'"),
        ("going on", f"run {earlier} has not ended"),
    ):
        with pytest.raises(PriorRunError, match=words):
            measure(curiosity, {"agent": "heir"}, POINTS, build=build, stored=known.__getitem__, learn_from=[uid])


def test_the_parts_of_a_resumed_run_are_learned_from_once(storage, build, earlier):
    whole = storage.documents(earlier)
    known = {"first": whole[:-8]}
    known["both"] = known["first"] + measure(resume_plan, "first", build=build, stored=known.__getitem__)
    options = {"build": build, "stored": known.__getitem__}
    start = measure(curiosity, {"agent": "heir"}, 2, learn_from=["both"], **options)[0][1]
    assert [one["observations"] for one in start["learned_from"]] == [POINTS]
    assert start["learned_from"][0]["uid"] != earlier
    known["first"] = [*whole[:-8], whole[-1]]
    with pytest.raises(PriorRunError, match=f"run {earlier} would be learned from twice"):
        measure(curiosity, {"agent": "heir"}, 2, learn_from=["first", "both"], **options)
