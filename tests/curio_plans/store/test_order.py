"""A clock that is set back changes neither the order of runs nor that of points."""

import time
from itertools import pairwise

import pytest
from bluesky import RunEngine
from documents import same
from support import microscope

from agents.registry import build, configure
from curio_plans.documents.history import History
from curio_plans.page.runs import Runs
from curio_plans.plans import curiosity, image
from curio_plans.store.errors import StorageError
from curio_plans.store.mailbox import Mailbox
from curio_plans.store.order import STARTED, in_order
from curio_plans.store.storage import Storage
from curio_plans.store.tiled_reader import read_documents, read_stream
from curio_plans.study.replay import verify

HOUR = 3600.0


class Clock:
    """The time of day, which is set back by an hour, again and again."""

    def __init__(self, monkeypatch):
        self.back, true = 0.0, time.time
        monkeypatch.setattr(time, "time", lambda: true() - self.back)
        monkeypatch.setattr(time, "time_ns", lambda: int(time.time() * 1e9))

    def set_back(self):
        self.back += HOUR


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def test_runs_are_in_the_order_in_which_they_started(tmp_path, clock):
    engine, afm, uids = RunEngine({}), microscope(), []
    with Storage.local(tmp_path) as storage:
        storage.attach(engine)
        for _ in range(3):
            uids += engine(image(afm))
            clock.set_back()
        assert storage.resolve("latest") == uids[-1]
        assert [run.uid for run in storage.runs()] == uids[::-1]
        assert [line["uid"] for line in Runs(tmp_path).list("", 9, 0)["runs"]] == uids[::-1]
        times = [storage.documents(uid)[0][1]["time"] for uid in uids]
        assert times == sorted(times, reverse=True)  # by the clock it is the other way round
        (tmp_path / STARTED).unlink()  # a directory of version 0.1
        assert [run.uid for run in storage.runs()] == uids
    afm.close()


def test_points_are_in_the_order_in_which_they_were_measured(tmp_path, clock):
    engine, afm, emitted = RunEngine({}), microscope(), []

    def setting_back(name, doc):
        emitted.append((name, doc))
        if name == "event" and "candidate" in doc["data"]:
            clock.set_back()

    engine.subscribe(setting_back)
    with Storage.local(tmp_path) as storage:
        storage.attach(engine)
        (uid,) = engine(curiosity(afm, configure("random"), points=4, build=build, stride=8))
        assert same(storage.documents(uid), emitted)
        assert verify(storage.lineage(uid), build, stored=storage.lineage).identical
        run = storage.catalog[uid]
        measured = History(emitted)
        with pytest.raises(StorageError, match="the clock was set back"):
            read_documents(run)
        table = read_stream(run, "primary")
        assert all(first > second for first, second in pairwise(table["time"].values))  # the clock's own word is kept
        assert table["candidate"].values.tolist() == [one.index for one in measured.observations]
        assert storage.verify(uid).is_whole
    afm.close()


def test_a_run_that_is_not_noted_has_its_place_by_its_time(tmp_path):
    (tmp_path / STARTED).write_text("late\nset-back\ngone\nnew\nlate\n")
    times = {"old": 1.0, "late": 5.0, "set-back": 2.0, "brought": 6.0, "new": 7.0}
    assert in_order(tmp_path, times) == ["old", "late", "set-back", "brought", "new"]
    (tmp_path / STARTED).write_bytes(b"\xff\x00\n" * 9)
    assert in_order(tmp_path, times) == ["old", "set-back", "late", "brought", "new"]


def test_what_is_asked_first_is_answered_first(tmp_path, clock):
    mailbox = Mailbox(tmp_path, "run")
    names = []
    for _ in range(3):
        names.append(mailbox.ask({"act": "note"}))
        clock.set_back()
    assert [name for name, _ in mailbox.asked()] == names
