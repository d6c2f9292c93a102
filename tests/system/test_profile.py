"""The profile in a real IPython, in a terminal of its own, and without IPython as the queueserver runs it."""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pexpect
import pytest
import yaml
from processes import PYTHON
from support import events, python, write_sample

from curio_plans.session.persistent import PersistentMetadata
from curio_plans.store.storage import Storage

STARTUP = Path(__file__).parents[2] / "profile_collection" / "startup"
PROMPT = re.compile(r"In \[\d+\]: ")
SMALL = "agent('paper-latent', filters=8, initial=3)"


class Session:
    """IPython with the profile; what is typed is answered with what was printed."""

    def __init__(self, directory, environment):
        profile = directory / f"profile-{len(list(directory.glob('profile-*')))}"
        shutil.copytree(STARTUP, profile / "startup")
        self._shell = pexpect.spawn(
            PYTHON[0],
            [
                *PYTHON[1:],
                "-m",
                "IPython",
                f"--profile-dir={profile}",
                "--simple-prompt",
                "--colors=NoColor",
                "--no-confirm-exit",
            ],
            env=environment,
            cwd=str(directory),
            encoding="utf-8",
            use_poll=True,
            timeout=120,
            dimensions=(50, 200),
            echo=False,
        )
        self._shell.delayafterterminate = 5  # a session that is told to end takes a while
        self._welcome = None

    @property
    def welcome(self):
        if self._welcome is None:
            self._welcome = self._answer()
            assert "Traceback" not in self._welcome, self._welcome
        return self._welcome

    def type(self, line):
        """Type a line, wait for the next prompt, return what was printed."""
        _ = self.welcome
        self._shell.sendline(line)
        answer = self._answer()
        assert "Traceback" not in answer, answer
        return answer

    def send(self, line, until):
        """Type a line and wait until it has printed what matches a pattern."""
        _ = self.welcome
        self._shell.sendline(line)
        self._shell.expect(until)

    @property
    def pid(self):
        return self._shell.pid

    def wait(self):
        """Wait for the end of the session; return its exit status."""
        self._shell.expect(pexpect.EOF)
        self._shell.close()
        return self._shell.exitstatus

    def end(self):
        """Leave as a user does; return the exit status."""
        self._shell.sendline("exit")
        return self.wait()

    def kill(self):
        self._shell.close(force=True)

    def _answer(self):
        self._shell.expect(PROMPT)
        return self._shell.before


@pytest.fixture
def environment(tmp_path):
    ours = {"CURIO_DATA": str(tmp_path / "data"), "PAGER": "cat", "IPYTHONDIR": str(tmp_path / "ipython")}
    return os.environ | ours


@pytest.fixture
def start(tmp_path, environment):
    sessions = []

    def start(**more):
        sessions.append(Session(tmp_path, environment | more))
        return sessions[-1]

    yield start
    for session in sessions:
        session.kill()


def test_a_session_from_the_welcome_to_the_catalog(start, data):
    session = start()
    assert "paper-latent" in session.welcome
    assert "OrderlyEngine" in session.type("RE")
    assert "AFM" in session.type("afm")
    for plan in ("image", "spectra_at", "grid_spectroscopy", "curiosity"):
        assert f"{plan}(" in session.type(f"{plan}?")
    assert " build" not in session.type("import inspect; print(inspect.signature(curiosity))")

    session.type("%mov afm.scanner.x 100 afm.scanner.y 150")
    everywhere = session.type("%wa")
    assert re.search(r"afm_scanner_x +100\.0 +0\.0 +2000\.0", everywhere)
    assert re.search(r"afm_scanner_y +150\.0", everywhere)
    assert re.findall(r"\n  (\S+) +afm_scanner_[xy] *\r", everywhere) == ["afm.scanner.x", "afm.scanner.y"]

    session.type("afm.imager.pixels.put((32, 32))")
    run = session.type(f"uid, = RE(curiosity(afm, {SMALL}, points=5))")
    assert "Start-of-run baseline" in run
    assert len(re.findall(r"\d+  (?:initial|curious|random) +[\d.]+ +[\d.]+ ", run)) == 5
    assert "('success', 5)" in session.type(
        "print((catalog[uid].metadata['stop']['exit_status'], len(catalog[uid]['primary/candidate'].read())))"
    )
    assert "withdrawn" in session.type("afm.tip.position")
    assert "2/2 decisions identical" in session.type("print(runs.verify())")
    assert "candidate" in session.type("print(runs.explain(5))")
    assert session.end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["TERM", "HUP"])
def test_a_signal_ends_the_run_and_then_the_session(start, data, number):
    session = start(CURIO_BACKEND="twin", CURIO_BACKEND_OPTIONS='{"seed": 1, "real_time": true}')
    session.type("afm.imager.pixels.put((16, 16)); afm.imager.line_rate.put(8.0)")
    session.send("RE(curiosity(afm, 'random', points=50, window=5))", until=r"\b2  random")
    os.kill(session.pid, number)
    assert session.wait() == 128 + number
    with Storage.local(data) as storage:
        (run,) = storage.runs()
        contact = [event["data"]["afm_tip_contact"] for event in events(storage.documents(run.uid), "baseline")]
    assert (run.exit_status, run.reason) == ("abort", f"the process received {number.name}")
    assert run.points >= 2
    assert contact == [False, False]


def test_metadata_outlive_a_session_and_two_open_ones_share_them_but_no_number(start, tmp_path):
    earlier = PersistentMetadata(tmp_path / "data" / "metadata.db")
    earlier["operator"] = "Ada"
    assert earlier.next_scan_id() == 1
    first, second = start(), start()  # both at once make the catalog
    assert "Ada" in first.type("RE.md['operator']")
    second.type("RE.md['operator'] = 'Grace'")
    assert "Grace" in first.type("RE.md['operator']")
    numbers = []
    for session in (first, second, first):
        session.type("uid, = RE(spectra_at(afm, [(100, 200)]))")
        numbers.append(int(session.type("catalog[uid].metadata['start']['scan_id']").split()[-1]))
    assert numbers == [2, 3, 4]
    assert first.end() == second.end() == 0


QUEUESERVER = """
import multiprocessing, pathlib, sys, IPython

class Dummy:
    user_ns = {}

def work():
    IPython.get_ipython = Dummy
    namespace = {"__name__": "__main__"}
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*.py")):
        exec(compile(path.read_text(), str(path), "exec"), namespace)
    exec(sys.argv[2], namespace)

process = multiprocessing.get_context("fork").Process(target=work)
process.start()
process.join()
sys.exit(process.exitcode)
"""
"""Run the files as the queueserver does: in a forked process, with something that is not IPython in its place."""


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"CURIO_BACKEND": "twn"}, "environment: unknown backend 'twn'; known are epics, nanonis, recorded, twin"),
        (
            {"CURIO_SETTINGS": "lab.toml"},
            "lab.toml: there is no setting colour (= 'red'); known are data, doses, tiled",
        ),
    ],
)
def test_a_wrong_setting_is_told_before_anything_is_made(tmp_path, environment, variables, words):
    (tmp_path / "lab.toml").write_text('colour = "red"')
    engine = STARTUP / "00-engine.py"
    assert words in python(engine, code=1, env=environment | variables, cwd=tmp_path, stderr=subprocess.STDOUT)
    assert [path.name for path in tmp_path.iterdir()] == ["lab.toml"]


def test_a_settings_file_may_name_a_backend_of_ones_own(empty, tmp_path, environment):
    shutil.copytree(empty, tmp_path / "kept")
    (tmp_path / "curio.toml").write_text('data = "kept"\n[backend]\nname = "lab_scope:make"\noptions = { number = 7 }')
    (tmp_path / "lab_scope.py").write_text(
        "from ophyd_devices.twin import twin\ndef make(number: int):\n    return twin(seed=number, pixels=(16, 16))\n"
    )
    del environment["CURIO_DATA"]
    check = "RE(image(afm)); print(afm.describe_sample()['seed'])"
    told = python("-c", QUEUESERVER, STARTUP, check, env=environment, cwd=tmp_path)
    assert told.splitlines()[-1] == "7"
    assert "afm (lab_scope:make)" in told
    with Storage.local(tmp_path / "kept") as storage:
        assert storage.runs()[0].plan_name == "image"


def test_without_ipython_as_in_the_queueserver(data, tmp_path, environment):
    sample = write_sample(tmp_path / "sample.npz", extent_nm=[240.0, 200.0])
    check = (
        "RE.md['people'] = ['Ada']; RE(grid_spectroscopy(afm, 3, 1)); "
        "RE.md['people'].append('Grace'); print(afm.describe_sample()['sample']['kind'], *globals())"
    )
    environment |= {"CURIO_SAMPLE": str(sample)}
    told = python("-c", QUEUESERVER, STARTUP, check, env=environment, cwd=tmp_path, stderr=subprocess.STDOUT)
    assert "Traceback" not in told
    kind, *names = told.splitlines()[-1].split()
    assert kind == "recorded"
    user = yaml.safe_load((STARTUP / "user_group_permissions.yaml").read_text())["user_groups"]["primary"]
    assert {*user["allowed_plans"], *user["allowed_devices"], *user["allowed_functions"]} <= set(names)
    # Everything is closed when the process ends, although it does not end like a session.
    assert PersistentMetadata(data / "metadata.db")["people"] == ["Ada", "Grace"]
    with Storage.local(data) as storage:
        assert len(storage.catalog[storage.resolve("latest")]["primary/afm_spectrometer_spectrum"].read()) == 3
