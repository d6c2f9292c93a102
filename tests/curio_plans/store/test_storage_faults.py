"""What goes wrong with disks and servers in the middle of a run costs neither a point nor the run."""

import contextlib
import importlib
import os
import pkgutil
import re
import shutil
import sqlite3
import subprocess
import time

import event_model
import numpy as np
import pytest
from bluesky import RunEngine

import curio_plans.documents
import curio_plans.store
from curio_plans.plans import spectra_at
from curio_plans.store.errors import JournalError
from curio_plans.store.journal import Journal
from curio_plans.store.places import parts
from curio_plans.store.reader import read_journal, summarise
from curio_plans.store.recovery import close_unfinished, unite
from curio_plans.store.storage import Storage
from curio_plans.store.tiled_reader import read_stream

PLACES = [(10.0 * number, 5.0 * number) for number in range(12)]
BROKEN_AT = 5


@pytest.fixture
def small_disk(spare, empty):
    """A data directory on a file system of its own, of 4 MB."""
    mount = spare / "disk"
    mount.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", mount], check=False, capture_output=True
        ).returncode
    ):
        pytest.skip("needs the right to mount a small file system")
    yield shutil.copytree(empty, mount / "data")
    subprocess.run(["umount", "-l", mount], check=True)


@pytest.fixture
def own_data(spare, empty, afm):
    """A data directory of somebody who is not root, whom no permission stops."""
    data = shutil.copytree(empty, spare / "data")
    if os.geteuid() != 0:
        yield data
        return
    # Without root's rights nothing can be imported from a checkout that others may not read.
    for package in (curio_plans.store, curio_plans.documents):
        for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            importlib.import_module(found.name)
    rehearsal = shutil.copytree(empty, spare / "rehearsal")
    with Storage.local(rehearsal, tell=lambda _: None, patience=1) as storage:
        fault = lambda: block(*(rehearsal / "journal").iterdir())  # noqa: E731
        uid, _ = measure(RunEngine({}), afm, storage, fault, lambda: None)
        storage.recover(uid)
    for path in (data, *data.rglob("*")):
        os.chown(path, 65534, 65534)
    os.seteuid(65534)
    yield data
    os.seteuid(0)


def measure(engine, afm, storage, fault, mend):
    """Run 12 points; after the fifth `fault` happens, and after the run `mend`. Return uid and emitted documents."""
    emitted = []

    def keep(name, doc):
        emitted.append((name, doc))
        if name == "event" and doc["seq_num"] == BROKEN_AT:
            fault()

    storage.attach(engine)
    engine.subscribe(keep)
    try:
        (uid,) = engine(spectra_at(afm, PLACES))
    finally:
        mend()
    assert not afm.tip.contact.get()
    return uid, emitted


def assert_complete(storage, uid, emitted):
    """The journal has every document as it was emitted, Tiled every event, once; and there is nothing more to do."""
    kept = read_journal(storage.directory, uid)
    assert [name for name, _ in kept] == [name for name, _ in emitted]
    for (_, one), (_, other) in zip(kept, emitted, strict=True):
        np.testing.assert_equal(one, {**other})
    spectra = read_stream(storage.catalog[uid])["afm_spectrometer_spectrum"]
    measured = [doc["data"]["afm_spectrometer_spectrum"] for name, doc in emitted if name == "event"]
    np.testing.assert_array_equal(spectra, measured)
    assert storage.catalog[uid].stop["uid"] == emitted[-1][1]["uid"]
    assert storage.recover(uid).was_in_order
    assert parts(storage.directory, uid) == [storage.directory / "journal" / uid]


def test_a_full_disk(small_disk, spare, engine, afm):
    filler = small_disk.parent / "filler"

    def fill():
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))

    told = []
    with Storage.local(small_disk, tell=told.append, patience=3) as storage:
        uid, emitted = measure(engine, afm, storage, fill, filler.unlink)
        (message,) = [text for text in told if "No space left" in text and "curio recover unites" in text]
        assert str(spare / "state") in message
        assert storage.runs()[0].points == 12, "a run in two places is read as one"
        assert storage.runs()[0].exit_status == "success"
        recovery = storage.recover(uid)
        assert recovery.united > 0
        assert not recovery.problem
        assert_complete(storage, uid, emitted)


def test_a_directory_that_becomes_read_only(own_data, engine, afm):
    data, told = own_data, []

    def forbid(mode):
        for folder in (*(data / "journal").iterdir(), data / "journal", data / "tiled", data):
            folder.chmod(mode)

    with Storage.local(data, tell=told.append, patience=3) as storage:
        uid, emitted = measure(engine, afm, storage, lambda: forbid(0o555), lambda: None)
        assert len([text for text in told if "Permission denied" in text and str(data) in text]) == 1
        assert "Permission denied" in storage.recover(uid).problem, "it is told that there is still no room"
        forbid(0o755)
        assert storage.recover(uid).united > 0
        assert_complete(storage, uid, emitted)


def test_a_slow_disk(data, engine, afm, monkeypatch):
    """As a share over a network: each point waits until it is on the disk, and nothing else happens."""
    synchronise, slow = os.fsync, []

    def slowly(descriptor):
        slow.append(descriptor)
        time.sleep(0.05)
        synchronise(descriptor)

    told = []
    with Storage.local(data, tell=told.append, patience=3) as storage:
        uid, emitted = measure(engine, afm, storage, lambda: monkeypatch.setattr(os, "fsync", slowly), lambda: None)
        assert len(slow) >= 7, "each point after the fault"
        monkeypatch.undo()
        storage.close()
        assert told == []
        assert_complete(storage, uid, emitted)


def test_a_locked_database(data, spare, engine, afm):
    told = []
    with Storage.local(data, tell=told.append, patience=1.5) as storage:
        _ = storage.catalog
        other = sqlite3.connect(data / "tiled" / "catalog.db", check_same_thread=False)
        uid, emitted = measure(engine, afm, storage, lambda: other.execute("BEGIN EXCLUSIVE"), other.rollback)
        other.close()
        assert len([text for text in told if "curio recover" in text]) == 1
        storage.recover(uid)
        assert_complete(storage, uid, emitted)


def block(directory):
    """Make it impossible to write the next array there: something else has its name."""
    taken = directory / f"{len(list(directory.glob('*.npy'))):06}.npy"
    taken.mkdir()
    return taken


def test_only_when_no_place_is_left_does_the_plan_end_with_the_tip_withdrawn(data, spare, engine, afm):
    for name in ("state", "temporary"):
        (spare / name).write_text("a file, where nothing can be kept")
    told = []
    with Storage.local(data, tell=told.append) as storage:
        with pytest.raises(OSError, match="Not a directory"):
            measure(engine, afm, storage, lambda: block(*(data / "journal").iterdir()), lambda: None)
        assert not afm.tip.contact.get()
        assert storage.runs()[0].points == BROKEN_AT
        assert len([text for text in told if "cannot write to" in text]) == 2


def run_documents(points):
    keys = {"x": {"source": "test", "dtype": "array", "shape": [100], "dtype_numpy": "<f8"}}
    events = [
        ("event", {"uid": f"e{n}", "descriptor": "d", "time": 3.0 + n, "seq_num": n + 1, "data": {"x": np.ones(100)}})
        for n in range(points)
    ]
    return [
        ("start", {"uid": "a", "time": 1.0}),
        ("descriptor", {"uid": "d", "run_start": "a", "time": 2.0, "name": "primary", "data_keys": keys}),
        *events,
        ("stop", {"uid": "s", "run_start": "a", "time": 9.0, "exit_status": "success"}),
    ]


@pytest.fixture
def divided(tmp_path, spare):
    """A run whose last three points and stop document are in the spare directory; its documents, its two folders."""
    documents = run_documents(5)
    journal = Journal(tmp_path, tell=lambda text: None)
    for name, doc in documents[:4]:
        journal(name, doc)
    taken = block(tmp_path / "journal" / "a")
    for name, doc in documents[4:]:
        journal(name, doc)
    taken.rmdir()
    return documents, *parts(tmp_path, "a")


def test_a_divided_run_is_read_as_one_and_united(divided, tmp_path):
    documents, home, spare = divided
    np.testing.assert_equal(read_journal(tmp_path, "a"), documents)
    summary = summarise(tmp_path, "a")
    assert (summary.stop, summary.points, summary.damage) == (documents[-1][1], 5, "")
    assert unite(tmp_path, "a") == 4
    np.testing.assert_equal(read_journal(tmp_path, "a"), documents)
    assert parts(tmp_path, "a") == [home]
    assert not spare.exists()
    assert unite(tmp_path, "a") == 0


def test_uniting_that_broke_off_is_done_again_without_doubling_anything(divided, tmp_path):
    documents, home, spare = divided
    shutil.copytree(spare, tmp_path / "saved")
    unite(tmp_path, "a")
    lines = (home / "documents.jsonl").read_bytes()
    (home / "documents.jsonl").write_bytes(lines[: lines.index(b'"e4"') + 20])  # torn in the last point
    shutil.copytree(tmp_path / "saved", spare)
    np.testing.assert_equal(read_journal(tmp_path, "a"), documents)
    assert unite(tmp_path, "a") == 2
    np.testing.assert_equal(read_journal(tmp_path, "a"), documents)


def test_a_backup_torn_at_its_end_counts_as_far_as_it_goes_and_the_run_is_closed(divided, tmp_path):
    documents, _, spare = divided
    lines = (spare / "documents.jsonl").read_bytes()
    (spare / "documents.jsonl").write_bytes(lines[: lines.index(b'"e4"') + 20])
    assert close_unfinished(tmp_path, "a", "a test")
    kept = read_journal(tmp_path, "a")
    np.testing.assert_equal(kept[:-1], documents[:-2])
    name, stop = kept[-1]
    assert name == "stop"
    assert (stop["exit_status"], stop["time"], stop["num_events"]) == ("fail", 6.0, {"primary": 4})
    assert re.fullmatch(r"the process ended before the run, after 1970-.*; closed by a test", stop["reason"])
    event_model.schema_validators[event_model.DocumentNames.stop].validate(stop)
    assert not close_unfinished(tmp_path, "a", "a test"), "once"


def test_a_backup_damaged_in_the_middle_is_told_and_kept(divided, tmp_path):
    _, _, spare = divided
    lines = (spare / "documents.jsonl").read_bytes()
    (spare / "documents.jsonl").write_bytes(lines.replace(b'"e3"', b"e3", 1))
    with pytest.raises(JournalError, match=r"line 4 of 6 in .*state.* is damaged: .*curio recover a rescues"):
        unite(tmp_path, "a")
    assert spare.exists()


def test_a_run_that_is_still_written_is_neither_united_nor_closed(tmp_path, spare):
    journal = Journal(tmp_path)
    for name, doc in run_documents(1)[:3]:
        journal(name, doc)
    with pytest.raises(JournalError, match="still being measured"):
        close_unfinished(tmp_path, "a", "a test")
    journal.close()


def test_a_last_document_without_its_line_end_is_kept(tmp_path, spare):
    journal = Journal(tmp_path)
    for name, doc in run_documents(2)[:4]:
        journal(name, doc)
    journal.close()
    lines = tmp_path / "journal" / "a" / "documents.jsonl"
    lines.write_bytes(lines.read_bytes()[:-1])
    close_unfinished(tmp_path, "a", "a test")
    assert [doc["uid"] for _, doc in read_journal(tmp_path, "a")][:4] == ["a", "d", "e0", "e1"]


def test_an_array_that_a_killed_process_left_without_an_entry_is_not_in_the_way(data, spare, engine, afm):
    with Storage.local(data) as storage:
        storage.attach(engine)
        (uid,) = engine(spectra_at(afm, PLACES))
        with sqlite3.connect(data / "tiled" / "catalog.db") as catalog:  # as if it had come no further than the array
            (node,) = catalog.execute("SELECT id FROM nodes WHERE key = 'afm_spectrometer_spectrum'").fetchone()
            catalog.execute("PRAGMA foreign_keys = ON")
            catalog.execute("DELETE FROM nodes WHERE id = ?", (node,))
        assert (data / "tiled" / "arrays" / uid / "primary" / "afm_spectrometer_spectrum").exists()
        assert storage.recover(uid).missing == "afm_spectrometer_spectrum of 'primary'"
        assert read_stream(storage.catalog[uid])["afm_spectrometer_spectrum"].shape == (12, 32)
