"""What ends a process in the middle of a run, real processes all: as the table of docs/reference/faults.md has it.

Three rows are tried. ``CURIO_DEATHS=all`` tries all, and with ``CURIO_REGENERATE=1`` writes the table.
"""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import events, free_port, until

from curio_plans import History, Storage
from curio_plans.run.resume import ResumedRun
from ophyd_devices.epics import EpicsBackend

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "faults.md"
MARK = "<!-- deaths -->\n"
COLUMNS = (
    "what happens",
    "instrument",
    "the run",
    "reason",
    "exit code",
    "tip",
    "goes on with",
    "stopped / s",
    "over / s",
)
RUN = ["run", "--agent", "random", "--points", "60", "--pixels", "16", "--no-figure"]
PREFIX = "deaths:"
LIMIT_S = float(os.environ.get("CURIO_DEATHS_S", "120"))
"""How long an ending may take before the test fails: generous, as other tests take the processors."""


@dataclass
class Ending:
    """How a process ended, and what it left."""

    status: str
    reason: str
    code: int
    contact: bool
    resumable: bool
    stopped: float
    over: float

    def cells(self):
        code = f"{self.code} ({signal.Signals(-self.code).name})" if self.code < 0 else str(self.code)
        return (
            self.status, self.reason, code, "in contact" if self.contact else "withdrawn",
            "`curio resume`" if self.resumable else "nothing",
        )  # fmt: skip


class Process:
    """A process that measures, told to end after two points."""

    def __init__(self, command, **streams):
        self.reader, writer = os.pipe() if "stdout" not in streams else (None, None)
        options = {"stdout": writer, "stderr": subprocess.PIPE, **streams}
        self.process = subprocess.Popen([sys.executable, *command], env=os.environ | {"COLUMNS": "200"}, **options)
        if writer is not None:
            os.close(writer)

    def wait_for(self, words):
        text = b""
        while not re.search(words, text):
            byte = os.read(self.reader, 1)
            assert byte, (text, self.process.stderr and self.process.stderr.read())
            text += byte

    def kill(self, number, times=1):
        for _ in range(times):
            os.kill(self.process.pid, number)

    def end(self):
        """Read what is left, so that nothing waits, and wait for the end."""
        while self.reader is not None and os.read(self.reader, 1 << 16):
            pass
        _, errors = self.process.communicate(timeout=LIMIT_S)
        return (errors or b"").decode()


def of_signal(number, times=1):
    return lambda process: process.kill(number, times)


def close_output(process):
    os.close(process.reader)
    process.reader = None


def close_errors(process):
    """Nothing ends then: the run goes on, and Ctrl-C ends it."""
    process.process.stderr.close()
    process.process.stderr = None
    process.wait_for(rb" 4  random ")
    process.kill(signal.SIGINT)


def stop_reading(process):
    """As Ctrl-S in a terminal, or a pager: the run goes on all the same, and SIGTERM ends it."""
    process.kill(signal.SIGTERM)
    assert process.process.wait(timeout=LIMIT_S)


def close_terminal(process):
    os.close(process.reader)
    process.reader = None


def nothing(process):
    """It happens in the process itself."""


COMMAND = {
    "Ctrl-C": of_signal(signal.SIGINT),
    "Ctrl-C, ten times": of_signal(signal.SIGINT, 10),
    "SIGTERM: `kill`, a service manager": of_signal(signal.SIGTERM),
    "SIGHUP: a logout": of_signal(signal.SIGHUP),
    "SIGQUIT: Ctrl-\\": of_signal(signal.SIGQUIT),
    "the output's reader ends, as with `head`": close_output,
    "the errors' reader ends; Ctrl-C two points later": close_errors,
    "the terminal is closed": close_terminal,
    "the reader does not read: Ctrl-S; then SIGTERM": stop_reading,
}
"""What happens to ``curio run``."""
SESSION = {"a callback raises": "callback", "the agent raises, in its thread": "agent",
           "the driver raises, in its thread": "driver", "a callback takes all memory": "memory"}  # fmt: skip
"""What happens in a session."""
TERMINAL = "the terminal is closed"


def begin(what, instrument, data, settings):
    """Start a process, and wait until it has measured two points."""
    on_epics = instrument == "EPICS"
    if what in SESSION:
        script = Path(__file__).with_name("dying.py")
        process = Process([str(script), str(data), PREFIX if on_epics else "", SESSION[what]])
        process.wait_for(rb"now\n")
        return process
    command = ["-m", "curio_plans.cli", *RUN, "--data", str(data)]
    command += ["--settings", str(settings)] if on_epics else ["--real-time"]
    if what == TERMINAL:
        reader, terminal = pty.openpty()
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), terminal)
        process = Process(command, start_new_session=True, preexec_fn=lambda: controlled_by(terminal), **streams)
        os.close(terminal)
        process.reader = reader
    else:
        process = Process(command)
    process.wait_for(rb" 2  random ")
    return process


def controlled_by(terminal):
    import fcntl
    import termios

    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)


def ending(what, instrument, data, settings):
    process = begin(what, instrument, data, settings)
    try:
        act = COMMAND.get(what, nothing)
        before = time.time()
        act(process)
        errors = process.end()
        over = time.time()
    finally:
        process.process.kill()
        process.process.wait()
        if process.reader is not None:
            os.close(process.reader)
    if what not in SESSION:  # of a session the traceback is the user's
        assert "Traceback" not in errors, errors
    with Storage.local(data) as storage:
        (run,) = storage.runs()
        documents = storage.documents(run.uid)
        stop = documents[-1][1] if documents[-1][0] == "stop" else None
        resumable = bool(ResumedRun.of(storage.resumable(run.uid)).request)
    assert stop is not None, errors
    points = len(History(documents).observations)
    assert 2 <= points == run.points == stop["num_events"]["primary"] < 60
    contact = [event["data"]["afm_tip_contact"] for event in events(documents, "baseline")]
    assert len(contact) == 2, "before and after the run"
    return Ending(stop["exit_status"], stop.get("reason", ""), process.process.returncode, contact[-1], resumable,
                  stop["time"] - before, over - before)  # fmt: skip


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """The settings of a session at an instrument over Channel Access, whose IOC takes its real time."""
    path = tmp_path_factory.mktemp("deaths") / "lab.toml"
    path.write_text(f'[backend]\nname = "epics"\noptions = {{ prefix = "{PREFIX}" }}\n')
    port = str(free_port())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EPICS_CA_ADDR_LIST", f"127.0.0.1:{port}")
        patch.setenv("EPICS_CA_AUTO_ADDR_LIST", "NO")
        command = ["-m", "curio_plans.cli", "ioc", "-o", "real_time=true", "--prefix", PREFIX, "--port", port]
        with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True) as ioc:
            assert "ready" in ioc.stdout.readline()
            yield path
            ioc.kill()


def is_in_contact():
    with closing(EpicsBackend(PREFIX)) as client:
        return client.in_contact()


ROWS = [(what, instrument) for what in (*COMMAND, *SESSION) for instrument in ("twin", "EPICS")]
USUAL = [
    ("Ctrl-C, ten times", "twin"),
    ("SIGHUP: a logout", "twin"),
    ("SIGTERM: `kill`, a service manager", "EPICS"),
]
CHOSEN = ROWS if os.environ.get("CURIO_DEATHS") == "all" else USUAL


@pytest.mark.parametrize(("what", "instrument"), CHOSEN)
def test_a_run_ends_as_the_table_says(what, instrument, data, settings):
    found = ending(what, instrument, data, settings)
    if instrument == "EPICS":
        until(lambda: not is_in_contact())
    head, mark, rest = PAGE.read_text().partition(MARK)
    table, gap, tail = rest.partition("\n\n")
    rows = {tuple(cell.strip() for cell in line.split("|")[1:3]): line for line in table.splitlines()[2:]}
    told = f"| {what} | {instrument} | {' | '.join(found.cells())} | "
    if os.environ.get("CURIO_REGENERATE"):
        rows[what, instrument] = f"{told}{found.stopped:.1f} | {found.over:.1f} |"
        lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|", *(rows[row] for row in ROWS if row in rows)]
        PAGE.write_text(head + mark + "\n".join(lines) + gap + tail)
    else:
        assert rows[what, instrument].startswith(told), "the table has another outcome"
    assert not found.contact
    assert found.resumable
