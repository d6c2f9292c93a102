import pytest
from bluesky.utils import RunEngineInterrupted
from support import until

from agents.protocols import Answer, Question
from curio_plans.documents.history import History
from curio_plans.plans import curiosity
from curio_plans.run.desk import Desk
from curio_plans.run.thinker import ThinkingError
from curio_plans.study.replay import verify


@pytest.fixture
def curious_of_humans(wanderer):
    """An agent that asks once, after three observations, and tells the answer in its phase."""

    class Asks(wanderer):
        answer = None

        def ingest(self, *records):
            for record in records:
                if isinstance(record, Answer):
                    self.answer = record.answer
                else:
                    super().ingest(record)

        def suggest(self, n=1, context=None):
            if len(self.measured) == 3 and self.answer is None:
                return Question("is the tip still good?", ("yes", "no"))
            return super().suggest(n, context)

    return Asks


@pytest.mark.parametrize("lookahead", [0, 1])
def test_a_question_pauses_the_run_with_the_tip_withdrawn_and_the_answer_resumes_it(
    afm, engine, documents, curious_of_humans, lookahead
):
    told = []
    desk = Desk(told.append)
    with pytest.raises(RunEngineInterrupted):
        engine(curiosity(afm, {}, 6, build=curious_of_humans, ask=desk.ask, lookahead=lookahead))
    assert engine.state == "paused"
    until(lambda: not afm.backend.in_contact())
    assert "is the tip still good?" in told[0]
    assert "'yes', 'no'" in told[0]
    with pytest.raises(RunEngineInterrupted):
        engine.resume()  # without an answer: it asks again
    assert len(told) == 2
    with pytest.raises(ValueError, match="expected one of yes, no; got 'perhaps'"):
        desk.answer("perhaps")
    desk.answer("yes")
    engine.resume()
    history = History(documents)
    assert history.stop["exit_status"] == "success"
    assert len(history.observations) == 6
    (answer,) = [record for record in history.records if isinstance(record, Answer)]
    assert answer == Answer("is the tip still good?", "yes")
    verdict = verify(documents, curious_of_humans)
    assert verdict.identical, str(verdict)


def test_a_question_without_anybody_to_answer_ends_the_run(afm, engine, documents, curious_of_humans):
    with pytest.raises(ThinkingError, match=r"'is the tip still good\?', and nobody is there to answer"):
        engine(curiosity(afm, {}, 6, build=curious_of_humans))
    assert documents[-1][1]["exit_status"] == "fail"
    assert not afm.backend.in_contact()


def test_nobody_answers_what_was_not_asked():
    with pytest.raises(ValueError, match="no run waits for an answer"):
        Desk().answer("yes")
