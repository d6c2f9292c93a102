"""What people ask of a run while it goes on: what becomes of it in the documents, and what is refused."""

import pytest
from bluesky import RunEngine
from support import microscope

from agents.protocols import Question
from agents.registry import build, configure
from curio_plans.documents.agent_run import AgentRun
from curio_plans.documents.history import History
from curio_plans.documents.streams import HUMAN, Steered
from curio_plans.plans import curiosity, resume
from curio_plans.run.resume import ResumeError
from curio_plans.store.mailbox import Mailbox
from curio_plans.study.counterfactual import counterfactual
from curio_plans.study.explain import explain
from curio_plans.study.replay import verify
from ophyd_devices.twin import twin

QUARTER = [[0, 0], [1000, 0], [1000, 1000], [0, 1000]]


class Post:
    """The mail of a run: acts are put into it after so many points; what it answered is kept."""

    def __init__(self, directory, script):
        self.directory, self.script = directory, script
        self.points, self.names, self.box = 0, {}, None

    def __call__(self, uid):
        self.box = Mailbox(self.directory, uid)
        return self

    def asked(self):
        for act, values in self.script.pop(self.points, ()):
            by = values.pop("by", "ann") if isinstance(values, dict) else "ann"
            self.names[act, len(self.names)] = self.box.ask({"act": act, "values": values, "by": by, "time": 5.0})
        return self.box.asked()

    def answer(self, name, answer):
        self.box.answer(name, answer)

    def want(self, what):
        self.box.want(what)

    def watch(self, name, doc):
        if name == "event" and "candidate" in doc["data"] and "afm_spectrometer_spectrum" in doc["data"]:
            self.points += 1

    @property
    def answers(self):
        return [(act, self.box.answered(name)) for (act, _), name in self.names.items()]


def run(tmp_path, script, agent=None, points=12, make=build, plan=None, afm=None, **options):
    """Run with what is asked; return documents, history and answers."""
    post, documents = Post(tmp_path, script), []
    used = microscope() if afm is None else afm
    engine = RunEngine({})
    engine.subscribe(post.watch)
    config = configure("random", seed=1) if agent is None else agent
    chosen = curiosity(used, config, points, build=make, steer=post, **options) if plan is None else plan(used, post)
    try:
        engine(chosen, lambda name, doc: documents.append((name, doc)))
        assert used.tip.position == "withdrawn"
    finally:
        if afm is None:
            used.close()
    return documents, History(documents), post.answers


@pytest.mark.parametrize("lookahead", [0, 1])
@pytest.mark.parametrize("name", ["random", "curio"])
def test_a_steered_run_replays_bit_for_bit(tmp_path, name, lookahead):
    script = {
        2: [("pick", {"x": 1480.0, "y": 1510.0}), ("exclude", {"area": QUARTER}), ("note", {"text": "<b>a step</b>"})],
        4: [("pick", {"candidate": 500}), ("pick", {"candidate": 510}), ("points", {"points": 14})],
        7: [("include", {"number": 1}), ("restrict", {"area": QUARTER}), ("map_every", {"map_every": 3})],
        10: [("free", {}), ("image", {}), ("points", {"points": 13})],
    }
    config = configure(name, seed=1, **({"initial": 4} if name == "curio" else {}))
    documents, history, answers = run(tmp_path, script, config, lookahead=lookahead)
    assert all(answer["done"] for _, answer in answers), answers
    assert len(history.observations) == 13
    humans = [decision for decision in history.decisions if decision.phase == HUMAN]
    assert [decision.candidate for decision in humans][1:] == [500, 510]
    assert max(abs(humans[0].position[0] - 1480), abs(humans[0].position[1] - 1510)) <= 32
    inside = [one.index for one in history.observations if (one.requested < 1000).all()]
    where = [history.measured().index(index) for index in inside]
    excluded = [act.decision for act in history.of(Steered) if act.act in ("exclude", "include")]
    assert not [number for number in where if excluded[0] <= number < excluded[1]]
    assert len(history.images) == 2
    assert history.budget == 13
    assert [act.by for act in history.of(Steered)] == ["ann"] * 12
    assert verify(documents, build).identical
    other = counterfactual(documents, build, configure("farthest-point"))
    assert len(set(other.other.candidates.tolist())) == 13
    number = humans[0].number + 1
    assert ("picked by", "ann") in explain(documents, number).rows()


def test_what_cannot_be_done_is_refused_with_the_reason(tmp_path):
    script = {
        3: [
            ("pick", {"x": 9e9, "y": 0}), ("pick", {"x": 1}), ("pick", {"candidate": 99999}), ("fly", {}), ("note", []),
            ("exclude", {"area": [[0, 0], [1, 1]]}), ("exclude", {"area": [[0, 0], [1e-3, 0], [0, 1e-3]]}),
            ("include", {"number": 4}), ("points", {"points": 2}), ("points", {"points": 10**6}),
            ("until", {"rule": {"error": 0.1}}),
            ("until", {"rule": {"eror": 1}}), ("answer", {"text": "yes"}), ("accept", {"decision": 3}), ("go", {}),
            ("note", {"text": "x", "by": ""}), ("pick", {"x": float("nan"), "y": 1}),
        ],
        5: [("pick", {"candidate": 7}), ("pick", {"candidate": 7})],
    }  # fmt: skip
    count = len(script[3])
    documents, history, answers = run(tmp_path, script)
    refused = [answer["text"] for _, answer in answers[:count] if not answer["done"]]
    assert len(refused) == count
    assert "nearest is" in refused[0]
    assert "one of the acts" in refused[3]
    assert "does not estimate" in refused[10]
    assert [answer["done"] for _, answer in answers[count:]] == [True, False]
    assert [act.act for act in history.of(Steered)] == ["pick"]
    assert verify(documents, build).identical


def test_nothing_is_left_where_all_is_excluded(tmp_path):
    everything = [[-1e4, -1e4], [1e4, -1e4], [1e4, 1e4], [-1e4, 1e4]]
    _, history, _ = run(tmp_path, {4: [("exclude", {"area": everything})]})
    assert (history.ending.rule, len(history.observations)) == ("candidates", 4)


def test_a_preferred_region_is_left_when_it_is_used_up(tmp_path):
    script = {2: [("restrict", {"area": [[900, 900], [1100, 900], [1100, 1100], [900, 1100]], "prefer": True})]}
    documents, history, (answer,) = run(tmp_path, script, points=30)
    within = int(answer[1]["text"].rsplit(":", 1)[1].split()[0])
    later = [bool((abs(one.requested - 1000) < 100).all()) for one in history.observations[2:]]
    assert later == [True] * within + [False] * (28 - within)
    assert 0 < within < 28
    assert verify(documents, build).identical


@pytest.mark.parametrize(("act", "status"), [("end", "success"), ("abort", "abort")])
def test_a_human_ends_a_run(tmp_path, act, status):
    documents, history, _ = run(tmp_path, {5: [(act, {})]})
    stop = documents[-1][1]
    assert (stop["exit_status"], len(history.observations)) == (status, 5)
    assert stop["reason"] == f"ann {act}ed the run"


def test_an_abort_ends_an_image_in_the_middle(tmp_path):
    backend = twin(seed=3, real_time=True)
    afm = microscope(backend)
    afm.imager.line_rate.put(1.0)  # the image would take more than half a minute
    script = {0: [("note", {"text": "too long"}), ("abort", {})]}
    documents, history, answers = run(tmp_path, script, afm=afm, setup={"pixels": 32})
    afm.close()
    assert history.images == []
    assert [act.act for act in history.of(Steered)] == ["abort"]
    assert [(act, answer["done"]) for act, answer in answers] == [("note", False), ("abort", True)]
    assert documents[-1][1]["reason"] == "ann aborted the run"


def test_a_paused_run_waits_with_the_tip_withdrawn_and_goes_on(tmp_path):
    class Later(Post):
        looks = 0

        def asked(self):
            self.looks += self.points == 3
            if self.looks == 4:
                self.box.ask({"act": "go", "values": {}, "by": "bob", "time": 0.0})
                assert self.box.wanted() == {"paused": True}
                assert self.afm.tip.position == "withdrawn"
            return super().asked()

    afm = microscope()
    post = Later(tmp_path, {3: [("pause", {})]})
    post.afm = afm
    documents = []
    engine = RunEngine({})
    engine.subscribe(post.watch)
    engine(curiosity(afm, configure("random"), 5, build=build, steer=post), lambda *pair: documents.append(pair))
    afm.close()
    history = History(documents)
    assert [(act.act, act.by) for act in history.of(Steered)] == [("pause", "ann"), ("go", "bob")]
    assert len(history.observations) == 5


def test_suggestions_wait_for_a_human(tmp_path):
    class Person(Post):
        says = ()

        def asked(self):
            suggestion = self.box.wanted().get("suggestion")
            if suggestion and self.says and not self.box.asked():
                act, *self.says = self.says
                values = {"candidate": 100} if act == "pick" else {"decision": suggestion["decision"]}
                self.box.ask({"act": act, "values": values, "by": "bob", "time": 0.0})
                self.seen.append((act, suggestion["candidate"]))
            return super().asked()

    afm = microscope()
    post = Person(tmp_path, {3: [("approve", {"mode": "accept"})]})
    post.seen, post.says = [], ["skip", "accept", "pick", "accept"]
    documents = []
    engine = RunEngine({})
    engine.subscribe(post.watch)
    engine(curiosity(afm, configure("random"), 6, build=build, steer=post), lambda *pair: documents.append(pair))
    afm.close()
    history = History(documents)
    (_, skipped), (_, first), (_, replaced), (_, last) = post.seen
    assert history.measured()[3:] == [first, 100, last]
    assert skipped not in history.measured()
    assert replaced != 100
    assert verify(documents, build).identical


def test_a_veto_has_its_time(tmp_path):
    documents, history, _ = run(tmp_path, {1: [("approve", {"mode": "veto", "seconds": 0.2})]}, points=3)
    assert len(history.observations) == 3
    assert verify(documents, build).identical


def test_a_question_is_answered_by_who_steers(tmp_path, wanderer):
    class Asking(wanderer):
        answers = 0

        def ingest(self, *records):
            self.answers += sum(type(record).__name__ == "Answer" for record in records)
            super().ingest(*(record for record in records if type(record).__name__ != "Answer"))

        def suggest(self, n=1, context=None):
            if len(self.measured) == 3 and not self.answers:
                return Question("Is the tip still good?", ("yes", "no"))
            return super().suggest(n, context)

    script = {3: [("answer", {"text": "too early"}), ("note", {"text": "hm"})]}

    class Waits(Post):
        def asked(self):
            if self.box.wanted().get("question") and not self.script:
                self.script = {self.points: [("answer", {"text": "maybe"}), ("answer", {"text": "yes"})]}
            return super().asked()

    post, documents, afm, engine = Waits(tmp_path, script), [], microscope(), RunEngine({})
    engine.subscribe(post.watch)
    engine(curiosity(afm, {"seed": 1}, 6, build=Asking, steer=post), lambda *pair: documents.append(pair))
    afm.close()
    assert [answer["done"] for _, answer in post.answers] == [False, True, False, True]
    assert len(History(documents).observations) == 6
    assert verify(documents, Asking).identical


def test_a_run_is_extended_and_the_whole_replays(tmp_path):
    afm = microscope()
    documents, history, _ = run(tmp_path, {4: [("points", {"points": 8})]}, afm=afm, points=6)
    assert len(history.observations) == 8

    def stored(_):
        return documents

    def extend(points):
        return lambda used, post: resume(
            used, "any", build=build, stored=stored, points=points, steer=post, rebuild=False
        )

    for points, message in ((None, "nothing to resume"), (8, "nothing to resume"), (7, "at least 8")):
        with pytest.raises(ResumeError, match=message):
            run(tmp_path, {}, plan=extend(points), afm=afm)
    more, _, _ = run(tmp_path, {}, plan=extend(11), afm=afm)
    afm.close()
    whole = AgentRun(documents + more)
    assert (len(whole.observations), whole.budget) == (11, 11)
    assert more[0][1]["points"] == 11
    assert [act.act for act in whole.of(Steered)] == ["points", "points"]
    assert verify(documents + more, build).identical


def test_what_was_asked_of_a_killed_run_is_done_when_it_is_resumed(tmp_path):
    documents, _, _ = run(tmp_path, {})
    cut = (
        next(
            place
            for place, (name, doc) in enumerate(documents)
            if name == "event" and doc["seq_num"] == 6 and "candidate" in doc["data"]
        )
        + 1
    )
    killed = documents[:cut]
    uid = documents[0][1]["uid"]
    names = [
        Mailbox(tmp_path, uid).ask({"act": act, "values": values, "by": "ann", "time": 1.0})
        for act, values in (("pick", {"candidate": 570}), ("exclude", {"area": QUARTER}))
    ]

    def plan(used, post):
        return resume(used, uid, build=build, stored=lambda _: killed, steer=lambda one: Mailbox(tmp_path, one))

    more, _, _ = run(tmp_path, {}, plan=plan)
    whole = History(killed + more)
    assert [Mailbox(tmp_path, uid).answered(name)["done"] for name in names] == [True, True]
    assert Mailbox(tmp_path, uid).asked() == []
    assert len(whole.observations) == 12
    assert whole.measured()[6] == 570
    assert verify(killed + more, build).identical
