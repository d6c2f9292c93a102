"""A run whose agent thinks elsewhere waits with the tip withdrawn, says so, and then does what it was told."""

import threading
from contextlib import ExitStack

import pytest
from support import free_port, microscope, streams, thinking, until

from agents.protocols import PlaceError
from curio_plans.documents.history import History
from curio_plans.documents.streams import Distant
from curio_plans.plans import curiosity, resume
from curio_plans.run.thinker import ThinkingError
from curio_plans.study.replay import verify

POINTS = 4


class Place:
    """A place that thinks for the first so many decisions, and then is gone, slow, or both."""

    def __init__(self, wanderer, decisions=2):
        self.port, self.release, self.reached = free_port(), threading.Event(), threading.Event()
        self.address = f"http://127.0.0.1:{self.port}"
        place = self

        class Held(wanderer):
            def suggest(self, n=1, context=None):
                if len(self.measured) == decisions:
                    place.reached.set()
                    assert place.release.wait(60)
                return super().suggest(n, context)

        self.build = Held


@pytest.fixture
def held(wanderer):
    place = Place(wanderer)
    with thinking(place.build, port=place.port, patience=0.2):
        yield place
        place.release.set()


def said(documents):
    return [entry.what for entry in History(documents).of(Distant)]


@pytest.fixture(scope="module")
def local(wanderer, facts):
    from support import measure

    return facts(measure(curiosity, {}, POINTS, build=wanderer))


def test_a_run_is_the_same_whether_its_agent_thinks_here_or_there(afm, engine, documents, wanderer, facts, local):
    with thinking(wanderer) as address:
        engine(curiosity(afm, {}, POINTS, build=wanderer, agent_at=address))
    assert facts(documents) == local
    history = History(documents)
    assert {decision.place["address"] for decision in history.decisions} == {address}
    assert history.start["plan_args"]["agent_at"]["address"] == address
    assert streams(documents).count("elsewhere") == 0
    assert verify(documents, wanderer).identical
    for name, doc in documents:  # a decision that another machine would make
        if name == "event" and "agent_place_json" in doc["data"]:
            doc["data"]["agent_place_json"] = '{"host": "gpu", "threads": 8}'
            doc["data"]["agent_score"] += 1e-9
    assert "host: stored gpu, present" in str(verify(documents, wanderer))


def test_while_it_waits_the_tip_is_withdrawn_and_a_late_answer_is_taken(afm, engine, documents, wanderer, held, facts):
    def watch():
        until(lambda: said(documents) == ["waits"])
        tips.append(afm.tip.position)
        held.release.set()

    tips, thread = [], threading.Thread(target=watch)
    thread.start()
    engine(curiosity(afm, {}, POINTS, build=wanderer, agent_at={"address": held.address, "withdraw_after": 0.3}))
    thread.join()
    assert tips == ["withdrawn"]
    assert said(documents) == ["waits", "answers"]
    assert documents[-1][1]["exit_status"] == "success"
    assert verify(documents, wanderer).identical


@pytest.mark.parametrize("then", ["local", "end", "pause, here", "pause, again", "pause, end", "pause, nobody"])
def test_a_place_that_is_too_slow(then, afm, engine, documents, wanderer, held, facts, local):
    questions = []

    def ask(question):
        questions.append(question.text)
        if answer == "wait longer":
            held.release.set()
        yield from ()
        return answer

    then, _, human = then.partition(", ")
    answer = {"here": "think here", "again": "wait longer"}.get(human, human)
    rule = {"address": held.address, "slow": 0.2, "then": then, "withdraw_after": 30}
    asking = ask if human not in ("", "nobody") else None
    plan = curiosity(afm, {}, POINTS, build=wanderer, agent_at=rule, ask=asking)
    if "end" in (then, human) or human == "nobody":
        with pytest.raises(ThinkingError, match=r"has been thinking for 0 s|nobody is there to ask"):
            engine(plan)
        assert documents[-1][1]["exit_status"] == "fail"
        assert afm.tip.position == "withdrawn"
        with_here = resume(
            afm, documents[0][1]["uid"], build=wanderer, stored=lambda _: documents, agent_at="here", rebuild=False
        )
        engine(with_here)
        assert len(History(documents).observations) == POINTS
        return
    engine(plan)
    assert len(questions) == (then == "pause")
    assert said(documents) == ["again" if human == "again" else "here"]
    hosts = [decision.place.get("address", "here") for decision in History(documents).decisions]
    assert hosts == [held.address] * 2 + [held.address if human == "again" else "here"] * 2
    assert verify(documents, wanderer).identical
    if then == "local":  # the tip stays where it is
        assert facts(documents) == local


def test_a_place_that_is_gone(afm, engine, documents, wanderer, facts, local):
    place = Place(wanderer)
    with ExitStack() as stack:
        stack.enter_context(thinking(place.build, port=place.port))

        def cut():
            assert place.reached.wait(60)
            stack.close()
            place.release.set()

        thread = threading.Thread(target=cut)
        thread.start()
        rule = {"address": place.address, "wait": 0.5, "then": "local", "withdraw_after": 30}
        engine(curiosity(afm, {}, POINTS, build=wanderer, agent_at=rule))
        thread.join()
    assert facts(documents) == local
    (gone,) = History(documents).of(Distant)
    assert gone.what == "here"
    assert "has not answered for" in gone.reason


def test_a_place_that_does_not_answer_or_lacks_the_agent_is_refused_before_anything_moves(
    afm, engine, documents, wanderer
):
    with pytest.raises(PlaceError, match="start curio think there"):
        engine(curiosity(afm, {}, POINTS, build=wanderer, agent_at=f"http://127.0.0.1:{free_port()}"))
    with pytest.raises(ValueError, match=r"agent_at.address: expected an address such as .* got 'gpu:8765'"):
        engine(curiosity(afm, {}, POINTS, build=wanderer, agent_at="gpu:8765"))
    assert documents == []
    assert afm.tip.position == "withdrawn"


def test_looking_ahead_there_is_looking_ahead_here(engine, documents, wanderer, facts):
    afm, again = microscope(), microscope()
    with thinking(wanderer) as address:
        engine(curiosity(afm, {}, POINTS, build=wanderer, agent_at=address, lookahead=1))
    there = facts(documents)
    documents.clear()
    engine(curiosity(again, {}, POINTS, build=wanderer, lookahead=1))
    assert facts(documents) == there
    afm.close()
    again.close()
