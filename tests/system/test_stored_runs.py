"""Resume, recover, replay and explain, as a user types them."""

import json
import os
import re
import shutil
import signal
import subprocess

import pytest
from processes import CURIO
from support import rewritten, write_sample
from terminal import curio

from curio_plans.documents.history import History
from curio_plans.store.reader import read_journal
from curio_plans.store.storage import Storage


@pytest.fixture(scope="module")
def killed(empty, tmp_path_factory):
    """A data directory with a run whose process was killed after some points."""
    directory = shutil.copytree(empty, tmp_path_factory.mktemp("killed") / "data")
    command = [*CURIO, "run", "--agent", "random", "--points", "60", "--pixels", "32"]
    with subprocess.Popen(
        [*command, "--no-figure", "--data", str(directory)], stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout:
            if line.lstrip().startswith("9 "):
                os.kill(process.pid, signal.SIGKILL)
                break
    return directory


@pytest.fixture
def data(data, killed):
    """A journal of that run, in a directory of its own, whose catalog does not have it."""
    shutil.copytree(killed / "journal", data / "journal")
    return data


def test_a_killed_run_is_resumed_shown_and_challenged(data):
    (uid,) = [path.name for path in (data / "journal").iterdir()]
    stored = len(History(read_journal(data, uid)).observations)
    assert 9 <= stored < 60
    output = curio("resume", "--no-figure", directory=data)
    first = re.search(r"^ +(\d+)  random", output, flags=re.MULTILINE)
    assert int(first.group(1)) == stored + 1, "the count goes on"
    assert "60 measured of 60 planned" in output
    rows = curio("runs", directory=data).splitlines()[1:]
    assert [row.split()[-1] for row in rows] == ["success", "fail"]
    assert "60/60 decisions identical" in curio("replay", directory=data)
    assert f"{stored + 2} of 60: candidate" in curio("explain", "latest", stored + 2, directory=data)
    assert "there is nothing to resume" in curio("resume", directory=data, code=2)
    assert "2 of 2 runs were in order" in curio("recover", directory=data)


def test_recover_closes_and_inserts_once(data):
    output = curio("recover", directory=data)
    assert "closed: it had no stop document; put into Tiled: the run" in output
    assert "0 of 1 runs were in order" in output
    assert "1 of 1 runs were in order" in curio("recover", "latest", directory=data)


def test_recover_tells_what_it_cannot_mend_and_goes_on(data):
    (run,) = (data / "journal").iterdir()
    shutil.copytree(run, run.with_name("bad"))
    output = curio("recover", directory=data, code=1)
    assert re.search(r"bad +not in order: nothing of run bad can be rescued \(line 1 of \d+ in .* is damaged", output)
    assert re.search(rf"{run.name[:8]} +closed", output)


def test_another_agent_and_other_options_are_asked(data, tmp_path):
    output = curio("replay", "--agent", "grid", "--output", tmp_path / "grid.png", directory=data)
    assert "the other agent really continued" in output
    assert (tmp_path / "grid.png").read_bytes().startswith(b"\x89PNG")
    output = curio("replay", "--seed", "9", directory=data)
    assert re.search(r"stored +random, seed=0", output)
    assert re.search(r"other +random, seed=9", output)


def test_the_documents_are_shown_and_put_elsewhere(data, tmp_path):
    assert "Plan curiosity" in curio("replay", "--table", directory=data)
    assert "1 run(s) put into" in curio("replay", "--into", tmp_path / "elsewhere", directory=data)
    (row,) = curio("runs", directory=tmp_path / "elsewhere").splitlines()[1:]
    assert row.split()[-1] == "fail", "it got the stop document that it lacks"
    assert "already in the journal" in curio("replay", "--into", tmp_path / "elsewhere", directory=data, code=2)
    assert "leave out --agent" in curio("replay", "--table", "--agent", "grid", directory=data, code=2)


@pytest.mark.parametrize("command", ["resume", "recover", "replay", "explain"])
def test_help_teaches(command, tmp_path):
    output = curio(command, "--help", directory=tmp_path)
    assert "Usage" in output
    assert len(output) > 1000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["explain", "latest", "0"], "expected a point from 1 to "),
        (["explain", "nothing", "1"], "there is no run 'nothing'"),
        (["replay", "--agent", "bold"], "there is no agent 'bold'"),
        (["replay", "-o", "seed"], "expected --option name=value, got 'seed'"),
        (["replay", "--table", "--pace", "0"], "expected a positive pace"),
        (["resume", "--sample", "x.npz"], "not measured on a recorded sample; leave out --sample"),
        (["resume", "nothing"], "there is no run 'nothing'"),
    ],
)
def test_bad_input_is_told(arguments, words, data):
    assert words in curio(*arguments, directory=data, code=2)


def change_start(data, **changes):
    def change(lines):
        name, start = json.loads(lines[0])
        lines[0] = json.dumps([name, {**start, **changes}]).encode()

    (run,) = (data / "journal").iterdir()
    rewritten(run, change)


@pytest.mark.parametrize("command", [["resume"], ["replay"], ["explain", "latest", "1"]])
def test_a_run_from_a_future_version_is_refused(data, command):
    change_start(data, curio_format=99)
    assert "document format 99, and this version reads formats up to" in curio(*command, directory=data, code=2)


def test_an_instrument_that_the_command_cannot_make(data):
    change_start(data, sample={"instrument": "nanoscope"})
    assert "resume in the profile" in curio("resume", directory=data, code=2)


def test_a_lost_image_is_told_with_its_remedy(data):
    (run,) = (data / "journal").iterdir()
    frame = max(run.glob("*.npy"), key=lambda path: path.stat().st_size)
    frame.unlink()
    for command in (["resume"], ["replay"], ["explain", "latest", "1"]):
        output = curio(*command, directory=data, code=2)
        assert f"{frame.name}, but it cannot be read" in output
        assert "from a backup of the data" in output


def test_a_recorded_sample_is_needed_again(empty, tmp_path):
    sample = write_sample(tmp_path / "sample.npz")
    data = shutil.copytree(empty, tmp_path / "data")
    arguments = ["--sample", sample, "--agent", "random", "--points", "9", "--extent", "480"]
    curio("run", *arguments, "--no-figure", directory=data)
    (lines,) = data.glob("journal/*/documents.jsonl")
    kept = lines.read_text().splitlines(keepends=True)
    lines.write_text("".join(kept[: len(kept) // 2]))
    assert "give its file, --sample …/sample.npz" in curio("resume", directory=data, code=2)
    output = curio("resume", "--sample", sample, "--no-figure", directory=data)
    assert "9 measured of 9 planned" in output
    with Storage.local(data) as storage:
        starts = [doc for name, doc in storage.lineage("latest") if name == "start"]
    assert starts[1]["resumes"] == starts[0]["uid"]
