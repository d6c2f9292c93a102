"""What can be rescued is rescued, and what was damaged is kept aside."""

import re
import shutil
import sqlite3

import numpy as np
import pytest
from corruption import LINES, change_lines, put, swap, unsealed
from documents import keep, lines_of, run_documents, same
from test_damage import curio

from curio_plans.plans import spectra_at
from curio_plans.store.catalog_damage import damage
from curio_plans.store.errors import JournalError, StorageError
from curio_plans.store.reader import read_journal
from curio_plans.store.rescue import finish_rescues, originals, rescue
from curio_plans.store.storage import Storage
from curio_plans.store.tiled_reader import count_points

PLACES = [(10.0 * number, 5.0 * number) for number in range(12)]


def run_of(points, uid="a"):
    """Documents of a run with an array in each event."""
    start, descriptor, event, stop = run_documents(uid, {"x": np.arange(40.0)})
    events = [
        ("event", {**event[1], "uid": f"e{n}", "seq_num": n, "time": 3.0 + n, "data": {"x": np.arange(40.0) + n}})
        for n in range(1, points + 1)
    ]
    return [start, descriptor, *events, stop]


@pytest.fixture
def folder(tmp_path, spare):
    """The folder of a run of five points."""
    keep(tmp_path, run_of(5))
    return tmp_path / "journal" / "a"


def uids(documents):
    return [doc["uid"] for _, doc in documents]


def test_a_damaged_line_in_the_middle_costs_one_document(folder, tmp_path):
    before = shutil.copytree(folder, tmp_path / "before")
    change_lines(folder, lambda lines: put(lines, 3, lines[3][:-30]))
    rescued = rescue(tmp_path, "a", {})
    assert (rescued.kept, rescued.lost) == (7, 1)
    assert "line 4 of 8" in rescued.reason
    assert uids(read_journal(tmp_path, "a")) == ["a", "a-d", "e1", "e3", "e4", "e5", "a-s"]
    (original,) = originals(tmp_path, "a")
    assert original == rescued.original
    assert sorted(path.name for path in (original / "0").iterdir()) == sorted(path.name for path in before.iterdir())
    with pytest.raises(JournalError, match="line 4 of 8"):
        list(read_journal_in(original / "0", tmp_path))


def read_journal_in(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "looked at" / "journal" / "a")
    return read_journal(copy.parents[1], "a")


def test_what_is_only_in_a_wrong_place_is_all_rescued(folder, tmp_path):
    whole = read_journal(tmp_path, "a")
    change_lines(folder, lambda lines: (swap(lines, 2, 5), lines.insert(1, lines[4])))
    rescued = rescue(tmp_path, "a", {})
    assert rescued.lost == 0
    assert same(read_journal(tmp_path, "a"), whole)


def test_an_event_without_its_array_is_lost_and_so_are_those_without_descriptor(folder, tmp_path):
    (folder / "000001.npy").write_bytes(b"junk")
    assert rescue(tmp_path, "a", {}).lost == 1
    assert uids(read_journal(tmp_path, "a")) == ["a", "a-d", "e1", "e3", "e4", "e5", "a-s"]
    change_lines(folder, lambda lines: put(lines, 1, b"junk"))
    assert rescue(tmp_path, "a", {}).lost == 5
    assert uids(read_journal(tmp_path, "a")) == ["a", "a-s"]


def test_a_lost_stop_document_is_replaced_and_says_so(folder, tmp_path):
    change_lines(folder, lambda lines: put(lines, 7, b"junk"))
    rescue(tmp_path, "a", {})
    name, stop = read_journal(tmp_path, "a")[-1]
    assert (name, stop["exit_status"], stop["num_events"]) == ("stop", "fail", {"primary": 5})
    assert stop["reason"] == "1 documents were damaged, the stop document perhaps among them; closed by curio recover"


def test_start_and_stop_document_come_from_tiled_where_that_has_them(folder, tmp_path):
    whole = read_journal(tmp_path, "a")
    change_lines(folder, lambda lines: (put(lines, 0, b"junk"), put(lines, 7, b"junk")))
    with pytest.raises(JournalError, match=r"nothing of run a can be rescued \(line 1 of 8.*from a backup"):
        rescue(tmp_path, "a", {})
    with pytest.raises(JournalError, match="nothing of run a can be rescued"):
        rescue(tmp_path, "a", {"start": {**whole[0][1], "uid": "another"}})
    assert rescue(tmp_path, "a", {"start": whole[0][1], "stop": whole[-1][1]}).lost == 2
    assert same(read_journal(tmp_path, "a"), whole)


def test_a_run_that_had_only_begun_is_put_aside(tmp_path, spare):
    (tmp_path / "journal" / "a").mkdir(parents=True)
    (tmp_path / "journal" / "a" / LINES).write_bytes(b'["start", {"ui')
    code, output = curio("recover", "--data", tmp_path)
    assert code == 0
    assert "0 documents rescued, 0 lost: it is empty" in output
    assert curio("runs", "--data", tmp_path)[0] == 0
    assert len(originals(tmp_path, "a")) == 1


def test_a_rescue_that_broke_off_is_finished(folder, tmp_path):
    whole = read_journal(tmp_path, "a")
    keep(tmp_path / "damaged" / "new" / "x", [])
    shutil.copytree(folder, tmp_path / "damaged" / "new" / "a")
    finish_rescues(tmp_path)
    assert (tmp_path / "damaged" / "new" / "a").exists(), "the run is there: what is new may not be complete"
    shutil.rmtree(folder)
    finish_rescues(tmp_path)
    assert same(read_journal(tmp_path, "a"), whole)


def test_a_run_of_version_0_1_is_rescued(folder, tmp_path):
    unsealed(folder)
    change_lines(folder, lambda lines: put(lines, 3, lines[3][:-30]))
    assert rescue(tmp_path, "a", {}).lost == 1
    assert uids(read_journal(tmp_path, "a")) == ["a", "a-d", "e1", "e3", "e4", "e5", "a-s"]


@pytest.fixture
def kept(data, spare, engine, afm):
    """A data directory with a run of twelve points, in the journal and in Tiled; its uid."""
    with Storage.local(data) as storage:
        storage.attach(engine)
        (uid,) = engine(spectra_at(afm, PLACES))
    return data, uid


def test_what_tiled_has_more_than_a_damaged_journal_is_left_there(kept):
    data, uid = kept
    folder = lines_of(data, uid).parent
    change_lines(folder, lambda lines: (put(lines, 0, b"junk"), put(lines, 5, b"junk"), lines.pop()))
    with Storage.local(data) as storage:
        done = storage.recover(uid)
        assert "14 documents rescued, 2 lost" in done.rescued
        assert not done.problem
        documents = storage.documents(uid)
        assert documents[0][1]["plan_name"] == "spectra_at", "as Tiled had it"
        assert documents[-1][1]["exit_status"] == "success", "likewise"
        assert count_points(storage.catalog[uid]) == 12
        assert storage.recover(uid).was_in_order
        verified = storage.verify(uid)
        assert verified.journal == "its stop document tells of events that are not there: 1 of 12 events of 'primary'"


def test_a_journal_that_lost_its_end_does_not_cost_tiled_its_own(kept):
    data, uid = kept
    lines = lines_of(data, uid).read_bytes().splitlines(keepends=True)
    lines_of(data, uid).write_bytes(b"".join(lines[:-3]))
    with Storage.local(data) as storage:
        assert storage.runs()[0].exit_status is None
        done = storage.recover(uid)
        assert done.problem == "Tiled has 2 events of 'primary' that the journal lacks, so it is left as it is"
        assert count_points(storage.catalog[uid]) == 12
        assert storage.documents(uid)[-1][1]["exit_status"] == "success", "its stop document came from Tiled"


def test_a_deleted_directory_is_made_again_with_all_that_was_measured(data, spare, engine, afm):
    told, emitted = [], []

    def delete(name, doc):
        emitted.append((name, doc))
        if name == "event" and doc["seq_num"] == 5:
            shutil.rmtree(data)

    with Storage.local(data, tell=told.append, patience=2) as storage:
        storage.attach(engine)
        engine.subscribe(delete)
        (uid,) = engine(spectra_at(afm, PLACES))
        assert not afm.tip.contact.get()
        assert any("was deleted or moved" in text for text in told), told
        assert [(run.points, run.exit_status) for run in storage.runs()] == [(12, "success")]
    with Storage.local(data) as storage:
        storage.prepare_recovery()
        assert storage.recover(uid).missing == "the run"
        assert same(storage.documents(uid), [(name, {**doc}) for name, doc in emitted])
        assert count_points(storage.catalog[uid]) == 12


def test_what_was_measured_after_a_directory_became_unreachable_is_found_and_comes_home(data, spare, engine, afm):
    """A share that goes away, with the file that was being written."""
    emitted = []

    def lose(name, doc):
        emitted.append((name, doc))
        if name == "event" and doc["seq_num"] == 5:
            shutil.rmtree(data)
            data.write_text("something else has its name")

    with Storage.local(data, tell=lambda _: None, patience=2) as storage:
        storage.attach(engine)
        engine.subscribe(lose)
        (uid,) = engine(spectra_at(afm, PLACES))
        assert [(run.points, run.exit_status) for run in storage.runs()] == [(12, "success")]
    data.unlink()
    data.mkdir()
    code, output = curio("recover", "--data", data)
    assert code == 0
    assert "15 documents brought home from a spare directory" in output
    assert same(read_journal(data, uid), [(name, {**doc}) for name, doc in emitted])


def ruin(name, content):
    def ruin_file(data):
        for ending in ("-wal", "-shm"):
            (data / "tiled" / f"{name}{ending}").unlink(missing_ok=True)
        path = data / "tiled" / name
        path.write_bytes(content(path.read_bytes()))

    return ruin_file


def no_directory(data):
    shutil.rmtree(data / "tiled" / "arrays")
    (data / "tiled" / "arrays").write_text("a file")


def no_tables(data):
    with sqlite3.connect(data / "tiled" / "catalog.db") as catalog:
        catalog.execute("PRAGMA foreign_keys = OFF")
        catalog.execute("DROP TABLE nodes")


def elsewhere(data):
    with sqlite3.connect(data / "tiled" / "catalog.db") as catalog:
        catalog.execute("UPDATE assets SET data_uri = 'file://localhost/somewhere/' || data_uri WHERE id = 1")


CATALOGS = {
    "catalog.db that is text": (ruin("catalog.db", lambda _: b"junk" * 100), "file is not a database"),
    "catalog.db that is empty": (ruin("catalog.db", lambda _: b""), "has no table 'nodes'"),
    "catalog.db cut in half": (ruin("catalog.db", lambda content: content[: len(content) // 2]), r"catalog\.db"),
    "catalog.db without a table": (no_tables, "has no table 'nodes'"),
    "tables.db that is text": (ruin("tables.db", lambda _: b"junk" * 100), "file is not a database"),
    "tables.db that is empty": (ruin("tables.db", lambda _: b""), "is empty"),
    "arrays that are a file": (no_directory, "is no directory"),
    "entries that point elsewhere": (elsewhere, "of its entries point neither to"),
}  # fmt: skip


@pytest.mark.parametrize("kind", CATALOGS)
def test_a_damaged_catalog_is_told(kind, kept):
    data, _ = kept
    assert damage(data) == ""
    ruin_catalog, words = CATALOGS[kind]
    ruin_catalog(data)
    assert re.search(words, damage(data))


@pytest.mark.parametrize("kind", ["catalog.db that is text", "tables.db that is empty"])
def test_a_damaged_catalog_does_not_stop_measuring_and_is_made_anew(kind, kept, engine, afm):
    data, first = kept
    ruin_catalog, words = CATALOGS[kind]
    ruin_catalog(data)
    told = []
    with Storage.local(data, tell=told.append) as storage:
        storage.attach(engine)
        (second,) = engine(spectra_at(afm, PLACES[:2]))
        assert {run.uid: run.points for run in storage.runs()} == {first: 12, second: 2}
        with pytest.raises(StorageError, match="detach or close this storage first"):
            storage.prepare_recovery()
    assert told
    code, output = curio("recover", "--data", data)
    assert code == 0, output
    assert re.search(f"the Tiled catalog could not be used .*{words}", output)
    with Storage.local(data) as storage:
        assert [storage.verify(uid).tiled for uid in (first, second)] == ["", ""]
        assert count_points(storage.catalog[first]) == 12
    assert len(list((data / "tiled").glob("damaged-*"))) == 1
