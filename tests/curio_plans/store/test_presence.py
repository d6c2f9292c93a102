"""Two machines on one shared data directory: the second may read, and is refused where it would write."""

import contextlib
import json
import os
import subprocess
import time

import pytest
from bluesky import RunEngine
from processes import PYTHON
from support import microscope, python, until

from curio_plans.plans import image
from curio_plans.store.errors import StorageError
from curio_plans.store.presence import FOLDER, GONE_S, Presence
from curio_plans.store.storage import Storage

RUN = ["run", "--agent", "random", "--points", "2", "--pixels", "16", "--no-figure"]
OTHER = """
import sys, time
import curio_plans.store.presence as presence
presence.machine = lambda: "another boot"
presence.BEAT_S = 0.1
here = presence.Presence(sys.argv[1])
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def measured(data):
    """A data directory with a run that has no stop document."""
    engine, afm = RunEngine({}), microscope()
    with Storage.local(data) as storage:
        storage.attach(engine)
        (uid,) = engine(image(afm))
    afm.close()
    lines = data / "journal" / uid / "documents.jsonl"
    lines.write_bytes(b"".join(lines.read_bytes().splitlines(keepends=True)[:-1]))
    return data, uid


@contextlib.contextmanager
def another_machine(data):
    """A process that takes itself for one on another machine."""
    with subprocess.Popen([*PYTHON, "-c", OTHER, str(data)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def age(data, seconds):
    for file in (data / FOLDER).iterdir():
        moment = file.stat().st_mtime - seconds
        os.utime(file, (moment, moment))


def test_a_second_machine_may_read_only(measured):
    data, uid = measured
    with another_machine(data), Storage.local(data) as storage:
        assert [run.uid for run in storage.runs()] == [uid]
        with pytest.raises(StorageError, match=r"in use by another machine: .+, process \d+, [0-9] s ago"):
            storage.attach(RunEngine({}))
        assert "another machine" in storage.recover(uid).problem
        with pytest.raises(StorageError, match="another machine"):
            storage.resumable(uid)
        with pytest.raises(StorageError, match="another machine"):
            storage.prepare_recovery()
        (file,) = (data / FOLDER).iterdir()
        age(data, 2 * GONE_S)
        until(lambda: file.stat().st_mtime > time.time() - GONE_S)  # it touches the file again and again
        told = python("-m", "curio_plans.cli", *RUN, "--data", data, code=2, stderr=subprocess.STDOUT)
        assert "another machine" in told
        assert "Traceback" not in told
        assert len(storage.runs()) == 1, "nothing was measured"
    age(data, 2 * GONE_S)  # it was switched off
    with Storage.local(data) as storage:
        assert storage.recover(uid).closed
        storage.attach(RunEngine({}))
        (file,) = (data / FOLDER).iterdir()
        assert json.loads(file.read_text())["process"] == os.getpid()
    assert not list((data / FOLDER).iterdir())


def test_processes_of_one_machine_share_a_directory(tmp_path):
    first, second = Presence(tmp_path), Presence(tmp_path)
    assert len(list((tmp_path / FOLDER).iterdir())) == 2
    for file in (tmp_path / FOLDER).iterdir():
        file.write_text("junk")  # whoever that is
    with pytest.raises(StorageError, match="another machine: unknown"):
        Presence(tmp_path)
    Presence(tmp_path, alone=False).end()  # with a catalog elsewhere
    first.end()
    second.end()
    Presence(tmp_path).end()
