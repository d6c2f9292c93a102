"""A run that cannot be read is listed as damaged, with the reason and the remedy; all others are read as ever."""

import io
import json
import os
import shutil
import tracemalloc

import corruption
import numpy as np
import pytest
from corruption import LINES, change_lines, put, swap, unsealed
from documents import keep, run_documents, same
from typer.testing import CliRunner

from curio_plans.cli import app
from curio_plans.store.errors import JournalError, RunNotFound
from curio_plans.store.lines import sealed_line
from curio_plans.store.reader import read_journal
from curio_plans.store.storage import Storage

GOOD, BAD = "good-run", "bad-run"
DEEP = b'["start", {"uid": "bad-run", "time": 1.0, "a": ' + b"[" * 5000 + b"]" * 5000 + b"}]"


def curio(*arguments):
    """Run a command in this process: its exit code, and what it prints. A traceback fails the test."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def documents_of(uid, time):
    documents = run_documents(uid, {"x": np.arange(40.0)})
    documents[0][1].update(time=time, plan_name="scan")
    return documents


@pytest.fixture
def directory(tmp_path, spare):
    """Two runs, each with an array; the later one is to be damaged."""
    keep(tmp_path, documents_of(GOOD, 1.0))
    keep(tmp_path, documents_of(BAD, 2.0))
    return tmp_path


def change(change_one):
    """Change the lines."""
    return lambda folder: change_lines(folder, change_one)


def old(damage):
    """Damage a run of version 0.1, which has no checksums: what it says is checked."""

    def damage_old(folder):
        unsealed(folder)
        damage(folder)

    return damage_old


def start(**values):
    """Change the start document of a run of version 0.1."""

    def change_start(lines):
        name, doc = json.loads(lines[0])
        lines[0] = json.dumps([name, {**doc, **values}]).encode()

    return old(change(change_start))


def flip_a_bit(folder):
    lines = bytearray((folder / LINES).read_bytes())
    lines[lines.index(b'"time"') + 1] ^= 1
    (folder / LINES).write_bytes(lines)


def a_directory(folder):
    (folder / LINES).unlink()
    (folder / LINES).mkdir()


def a_pipe(folder):
    (folder / LINES).unlink()
    os.mkfifo(folder / LINES)


def a_line_of_another_run(lines):
    stop = json.dumps(["stop", {"uid": "s", "run_start": BAD, "time": 4.0, "exit_status": "success"}]).encode()
    put(lines, 3, sealed_line(GOOD, 4, stop).rstrip())


DAMAGED = {
    "a flipped bit in the first line": (flip_a_bit, "line 1 of 4 in .* is not what was written"),
    "a start document that is a number": (old(change(lambda lines: put(lines, 0, b'["start", 7]'))), "line 1 of 4"),
    "a start document that is null": (old(change(lambda lines: put(lines, 0, b'["start", null]'))), "line 1 of 4"),
    "a start document nested deeply": (old(change(lambda lines: put(lines, 0, DEEP))), "line 1 .*nested too deep"),
    "a start document without uid": (start(uid=None), "expected the start document of run bad-run, got that of None"),
    "that of another run": (start(uid=GOOD), "expected the start document of run bad-run, got that of 'good-run'"),
    "a start document without time": (start(time=None), "expected a time in s since 1970, got None"),
    "a time of NaN": (start(time=float("nan")), "expected a time in s since 1970, got nan"),
    "a time of text": (start(time="noon"), "expected a time in s since 1970, got 'noon'"),
    "a time beyond all calendars": (start(time=1e300), r"expected a time in s since 1970, got 1e\+300"),
    "a line that is a list": (old(change(lambda lines: put(lines, 2, b"[1, 2, 3]"))), "line 3 of 4"),
    "a line that is a text": (old(change(lambda lines: put(lines, 2, b'"text"'))), "line 3 of 4"),
    "a document of no kind": (old(change(lambda lines: put(lines, 2, b'["a", {}]'))), "line 3 .*the event model"),
    "a tag with junk": (start(note={"__tuple__": 3}), "what stands under __tuple__ makes no sense"),
    "a tag with something beside it": (start(note={"__tuple__": [], "a": 1}), "under __tuple__ makes no sense"),
    "an array of another shape": (start(note={"__array__": [1], "dtype": "<f8", "shape": [2]}), r"shape \[2\] of <f8"),
    "an array of 4 GB": (start(note={"__array__": ["a"], "dtype": "<U99999999", "shape": [1]}), "shape .1. of <U9999"),
    "an array of another run": (start(note={"__npy__": "../good-run/000000.npy"}), r"like 000000\.npy, got '\.\./good"),
    "a run that resumes itself": (start(resumes=BAD), "bad-run resumes bad-run"),
    "a run that resumes a number": (start(resumes=7), "expected resumes as str, got 7"),
    "a journal that is a directory": (a_directory, "expected a file with the documents of run bad-run"),
    "a journal that is a pipe": (a_pipe, "expected a file with the documents of run bad-run"),
    "an event before its descriptor": (old(change(lambda lines: swap(lines, 1, 2))), "descriptor 'bad-run-d' is"),
    "a document after the end": (old(change(lambda lines: lines.append(lines[2]))), "nothing after the stop"),
    "two swapped lines": (change(lambda lines: swap(lines, 2, 3)), "line 3 of 4 .*was written as line 4"),
    "a missing line": (change(lambda lines: lines.pop(2)), "line 3 of 3 .*was written as line 4"),
    "a double line": (change(lambda lines: lines.insert(2, lines[2])), "line 4 of 5 .*was written as line 3"),
    "a line of another run": (change(a_line_of_another_run), "line 4 of 4 .*is not what was written"),
    "a line without checksum": (change(lambda lines: put(lines, 3, b'["stop", {"uid": "s"}]')), "it has no checksum"),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_run_hides_no_other(kind, directory):
    damage, words = DAMAGED[kind]
    damage(directory / "journal" / BAD)
    with Storage.local(directory) as storage:
        bad, good = sorted(storage.runs(), key=lambda run: run.uid)
        assert (good.uid, good.damaged, good.points, good.exit_status) == (GOOD, "", 1, "success")
        assert bad.uid == BAD
        assert bad.damaged
        assert storage.resolve("latest") == GOOD
        assert same(storage.lineage("good"), documents_of(GOOD, 1.0))
        assert storage.resolve("bad") == BAD
        with pytest.raises(JournalError, match=words):
            storage.lineage("bad")
    code, output = curio("runs", "--data", directory)
    assert code == 0
    assert "damaged: " in output
    assert curio("show", "good", "--data", directory)[0] == 0
    for command in (["show"], ["replay"], ["explain", "1"], ["report"], ["export"]):
        code, output = curio(command[0], "bad", *command[1:], "--data", directory)
        assert code == 2, output
        assert output.splitlines()[-1].startswith("error: "), output


def test_a_list_does_not_look_into_arrays_and_reading_does(directory):
    path = directory / "journal" / BAD / "000000.npy"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with Storage.local(directory) as storage:
        assert [run.damaged for run in storage.runs()] == ["", ""]
        with pytest.raises(JournalError, match=r"line 3 of 4 .*000000\.npy.* was changed after it was written"):
            storage.documents(BAD)


def test_names_that_are_markup_are_shown_as_they_are(directory):
    start(plan_name="[/nope]", agent={"agent": "[bold]"})(directory / "journal" / BAD)
    (directory / "journal" / BAD).rename(directory / "journal" / "[red]")
    code, output = curio("runs", "--data", directory)
    assert code == 0
    assert "[red]" in output
    (directory / "journal" / "[red]").rename(directory / "journal" / BAD)
    assert "[/nope]" in curio("runs", "--data", directory)[1]


def test_runs_that_resume_each_other_are_a_circle(directory):
    start(resumes=GOOD)(directory / "journal" / BAD)
    start(resumes=BAD, uid=GOOD)(directory / "journal" / GOOD)
    with Storage.local(directory) as storage:
        assert all("resumes" in run.damaged for run in storage.runs())
        with pytest.raises(JournalError, match="bad-run resumes good-run resumes bad-run; bring back"):
            storage.lineage("bad")
        with pytest.raises(RunNotFound, match=r"all runs in .* are damaged: bad-run, good-run; curio verify"):
            storage.resolve("latest")


@pytest.mark.parametrize("header", corruption.HEADERS)
@pytest.mark.parametrize("old", [True, False])
def test_an_array_takes_no_memory_before_its_size_is_checked(header, old, directory):
    if old:
        unsealed(directory / "journal" / BAD)
    path = directory / "journal" / BAD / "000000.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(256))
    tracemalloc.start()
    with pytest.raises(JournalError, match=r"line 3 of 4 .*expected an array in .*000000\.npy"):
        read_journal(directory, BAD)
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()


def test_a_link_is_no_array(directory):
    path = directory / "journal" / BAD / "000000.npy"
    shutil.move(path, directory / "elsewhere.npy")
    path.symlink_to(directory / "elsewhere.npy")
    with pytest.raises(JournalError, match=r"000000\.npy.*cannot be read"):
        read_journal(directory, BAD)


def test_a_run_of_version_0_1_is_read_without_checksums(directory):
    unsealed(directory / "journal" / BAD)
    assert b"__check__" not in (directory / "journal" / BAD / LINES).read_bytes()
    assert same(read_journal(directory, BAD), documents_of(BAD, 2.0))


def test_version_0_1_reads_what_is_written_now(directory):
    """It knew no checksums, and took a key that it did not know for a part of the document."""
    lines = (directory / "journal" / BAD / LINES).read_text().splitlines()
    names, documents = zip(*map(json.loads, lines), strict=True)
    assert names == ("start", "descriptor", "event", "stop")
    assert documents[0]["plan_name"] == "scan"
    array = np.load(io.BytesIO((directory / "journal" / BAD / documents[2]["data"]["x"]["__npy__"]).read_bytes()))
    np.testing.assert_array_equal(array, np.arange(40.0))
