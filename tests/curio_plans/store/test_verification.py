"""Verifying tells whether a run is whole, in the journal and in Tiled, and since when."""

import json
import re
import shutil
import sqlite3

import numpy as np
import pytest
from corruption import change_lines, unsealed
from documents import keep, lines_of, run_documents
from test_damage import curio

from curio_plans.plans import spectra_at
from curio_plans.store.journal import Journal
from curio_plans.store.storage import Storage

PLACES = [(10.0 * number, 5.0 * number) for number in range(4)]


@pytest.fixture
def kept(data, spare, engine, afm):
    """A data directory with a run in the journal and in Tiled; its uid."""
    with Storage.local(data) as storage:
        storage.attach(engine)
        (uid,) = engine(spectra_at(afm, PLACES))
    return data, uid


def verify(data, uid):
    with Storage.local(data) as storage:
        return storage.verify(uid)


def test_a_run_is_known_to_be_whole_since_it_was_measured(kept):
    data, uid = kept
    found = verify(data, uid)
    assert found.is_whole
    assert (found.journal, found.tiled, found.remarks) == ("", "", ())
    stop = json.loads(lines_of(data, uid).read_text().splitlines()[-1])[1]
    assert found.since.timestamp() == pytest.approx(stop["time"], abs=1e-3)


def test_a_changed_array_is_found_in_the_journal_and_when_it_was_last_whole(kept):
    data, uid = kept
    assert verify(data, uid).is_whole
    array = lines_of(data, uid).with_name("000001.npy")
    np.save(array, np.load(array) + 1e-9)
    found = verify(data, uid)
    assert "000001.npy" in found.journal
    assert found.since is not None
    code, output = curio("verify", uid, "--data", data)
    assert code == 1
    assert "damaged" in output
    assert "0 of 1 runs are whole" in output


def test_a_changed_value_is_found_in_tiled(kept):
    data, uid = kept
    with sqlite3.connect(data / "tiled" / "tables.db") as tables:
        names = [name for (name,) in tables.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = {name: [row[1] for row in tables.execute(f"PRAGMA table_info({name!r})")] for name in names}
        (table,) = [name for name, found in columns.items() if "afm_spectrometer_height" in found]
        tables.execute(f"UPDATE {table!r} SET afm_spectrometer_height = 7 WHERE seq_num = 2")
    found = verify(data, uid)
    assert found.journal == ""
    assert found.tiled == "it has other values of afm_spectrometer_height of 'primary'"
    code, output = curio("verify", "--all", "--data", data)
    assert code == 1
    assert "Tiled: it has other values of afm_spectrometer_height" in output


def test_what_tiled_lacks_is_told_and_recovered(kept):
    data, uid = kept
    shutil.rmtree(data / "tiled")
    assert verify(data, uid).tiled == "it lacks the run"
    assert curio("recover", "--data", data)[0] == 0
    code, output = curio("verify", "--data", data)
    assert code == 0
    assert "1 of 1 runs are whole" in output


def test_a_run_without_checksums_is_watched_from_the_first_time_on(kept):
    data, uid = kept
    unsealed(lines_of(data, uid).parent)
    first = verify(data, uid)
    assert first.is_whole
    assert first.remarks == ("without checksums: stored by version 0.1",)
    assert verify(data, uid).since == first.since
    lines = lines_of(data, uid)
    lines.write_bytes(re.sub(rb'("afm_spectrometer_snr": )(\d)', rb"\g<1>1\2", lines.read_bytes(), count=1))
    with Storage.local(data) as storage:
        assert storage.lineage(uid), "the change makes sense"
    found = verify(data, uid)
    assert "has no checksums, and is not what it was when it was last verified" in found.journal
    assert found.since is not None


def test_events_that_the_stop_document_counts_and_nobody_finds(tmp_path, spare):
    documents = run_documents("a", {"x": 1.0})
    documents[-1][1]["num_events"] = {"primary": 2}
    keep(tmp_path, documents)
    found = verify(tmp_path, "a")
    assert found.journal == "its stop document tells of events that are not there: 1 of 2 events of 'primary'"


def test_runs_that_go_on_or_were_killed_are_remarked(tmp_path, spare):
    journal = Journal(tmp_path)
    for name, doc in run_documents("a", {"x": 1.0})[:3]:
        journal(name, doc)
    assert verify(tmp_path, "a").remarks == ("still being measured",)
    journal.close()
    with lines_of(tmp_path, "a").open("ab") as file:
        file.write(b'["stop", {"uid": ')
    found = verify(tmp_path, "a")
    assert found.journal == ""
    assert found.remarks == (
        "without a stop document: its process ended before it",
        "17 bytes at its end are no document: they were being written when the process ended",
    )


def test_a_note_of_what_was_verified_may_be_junk(kept):
    data, uid = kept
    for junk in (b"\xff", b"[]", b'{"a": 1}', b'{"' + uid.encode() + b'": {"first": "noon", "last": "x"}}'):
        (data / "verified.json").write_bytes(junk)
        assert verify(data, uid).is_whole
        change_lines(lines_of(data, uid).parent, lambda lines: None)
        assert verify(data, uid).is_whole
