"""A run of the command line whose agent asks a question."""

import io
import sys

import pytest
import typer

from agents.protocols import Answer, Question
from curio_plans.cli.common import INTERRUPTED, Place
from curio_plans.cli.execute import keep_run, make_engine
from curio_plans.documents.history import History
from curio_plans.plans import curiosity
from curio_plans.store.storage import Storage


@pytest.fixture
def asking(wanderer):
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


def execute(afm, agent, directory):
    with Storage.local(directory) as storage:
        keep_run(
            make_engine(), afm, lambda ask, steer: curiosity(afm, {}, 5, build=agent, ask=ask, steer=steer),
            storage, Place(directory), figure=False,
        )  # fmt: skip


def stored(directory):
    with Storage.local(directory) as storage:
        return History(storage.documents("latest"))


def test_a_question_is_answered_at_standard_input(afm, asking, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("perhaps\nyes\n"))
    execute(afm, asking, tmp_path)
    assert "is the tip still good?" in capsys.readouterr().out
    history = stored(tmp_path)
    assert history.stop["exit_status"] == "success"
    assert len(history.observations) == 5


def test_a_question_without_anybody_to_answer_ends_the_run(afm, asking, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.raises(typer.Exit) as ending:
        execute(afm, asking, tmp_path)
    assert ending.value.exit_code == INTERRUPTED
    history = stored(tmp_path)
    reason = "the agent asked 'is the tip still good?', and standard input is closed"
    assert (history.stop["exit_status"], history.stop["reason"]) == ("abort", reason)
    assert len(history.observations) == 3
    assert not afm.backend.in_contact()
    assert reason in capsys.readouterr().err
