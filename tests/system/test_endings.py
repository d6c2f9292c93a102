"""What a run prints and returns in real processes: its output closed, in any character set, failing."""

import json
import os
import pty
import subprocess
import sys

import pytest
from terminal import curio

from curio_plans.documents.history import History
from curio_plans.store.journal import is_open, read_journal

CURIO = [sys.executable, "-m", "curio_plans.cli"]
RUN = [*CURIO, "run", "--agent", "random", "--pixels", "32", "--no-figure"]


def only_run(directory):
    (uid,) = [path.name for path in (directory / "journal").iterdir()]
    return uid, read_journal(directory, uid)


def read_until(descriptor, words):
    text = b""
    while words not in text:
        byte = os.read(descriptor, 1)
        assert byte, text
        text += byte


@pytest.mark.parametrize(("open_reader", "what"), [(os.pipe, "pipe"), (pty.openpty, "terminal")])
def test_a_run_whose_reader_goes_away_ends_and_can_be_resumed(open_reader, what, tmp_path):
    reader, writer = open_reader()
    with subprocess.Popen(
        [*RUN, "--points", "100", "--data", str(tmp_path)], stdout=writer, stderr=subprocess.PIPE, text=True
    ) as process:
        os.close(writer)
        read_until(reader, b" 2  random")
        os.close(reader)
        errors = process.stderr.read()
    assert process.returncode == 141, errors
    assert "Traceback" not in errors
    assert f"the run was ended: standard output has no reader: its {what} was closed" in errors
    uid, documents = only_run(tmp_path)
    stop = documents[-1][1]
    assert (stop["exit_status"], is_open(tmp_path, uid)) == ("abort", False)
    assert "standard output has no reader" in stop["reason"]
    measured = len(History(documents).observations)
    assert measured < 100
    contact = [doc["data"]["afm_tip_contact"] for _, doc in documents if "afm_tip_contact" in doc.get("data", {})]
    assert not contact[-1], "the baseline at the end"
    assert curio("runs", directory=tmp_path).split()[-2:] == [str(measured), "abort"]
    assert f"curio resume {uid[:8]}" in errors
    assert "100 measured of 100 planned" in curio("resume", "--no-figure", directory=tmp_path)


def test_a_closed_pipe_is_noticed_while_nothing_is_printed(tmp_path):
    """The image takes half a minute of real time, during which a run prints nothing."""
    with subprocess.Popen(
        [*RUN, "--points", "2", "--real-time", "--data", str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        process.stderr.read()
    assert process.returncode == 141
    assert not History(only_run(tmp_path)[1]).images


@pytest.mark.parametrize("command", [["--help"], ["run", "--help"], ["rnu"], ["runs"], ["show", "--no-figure"]])
def test_other_commands_end_quietly_when_nobody_reads(command, stored):
    reader, writer = os.pipe()
    os.close(reader)
    with subprocess.Popen(
        [*CURIO, *command],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "CURIO_DATA": str(stored)},
    ) as process:
        os.close(writer)
        errors = process.stderr.read()
    assert process.returncode == (2 if command == ["rnu"] else 0)
    assert "Traceback" not in errors
    assert "Exception ignored" not in errors


def test_a_table_that_nobody_reads_ends_early(stored):
    with subprocess.Popen(
        [*CURIO, "replay", "--table", "--pace", "0.05", "--data", str(stored)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
    assert process.returncode == 141
    assert "Traceback" not in errors


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A directory with one run, printed in ASCII."""
    directory = tmp_path_factory.mktemp("stored")
    done = subprocess.run(
        [*RUN, "--points", "4", "--data", str(directory)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        check=False,
    )
    (directory / "done.json").write_text(json.dumps([done.returncode, done.stdout, done.stderr]))
    return directory


def test_a_run_prints_in_ascii_where_the_terminal_has_nothing_else(stored):
    code, output, errors = json.loads((stored / "done.json").read_text())
    assert code == 0
    assert output.isascii()
    assert errors.isascii()
    assert "Traceback" not in errors
    assert "4 measured of 4 planned" in output
    assert "576 candidates (24 x 24)" in output


def test_a_run_that_fails_says_why_and_exits_with_one(tmp_path):
    output = curio(
        "run", "--agent", "random", "--points", "4", "--pixels", "32", "--no-figure",
        "--quality", "policy=stop", "--quality", "min_snr=1e9", directory=tmp_path, code=1,
    )  # fmt: skip
    uid, documents = only_run(tmp_path)
    assert "error: the spectrum at" in output
    assert f"curio resume {uid[:8]}" in output
    assert "Traceback" not in output
    assert documents[-1][1]["exit_status"] == "fail"


def test_a_report_that_fails_does_not_make_the_run_fail(tmp_path):
    (tmp_path / "figures").write_text("a file is in the way")
    output = curio("run", "--agent", "random", "--points", "8", "--pixels", "32", directory=tmp_path)
    assert "the run is complete and stored, but the report on it failed" in output
    assert only_run(tmp_path)[1][-1][1]["exit_status"] == "success"
