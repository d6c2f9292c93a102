"""Whole runs through the simulated Nanonis controller: simulated and real time, kills, lost cables, resuming."""

import os
import socket
import subprocess
import time
import traceback
from contextlib import closing, suppress

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.utils import FailedStatus
from processes import CURIO
from support import film, free_port, microscope, python, until

from curio_plans.documents.history import History
from curio_plans.plans import curiosity
from curio_plans.plans import resume as resume_plan
from curio_plans.store.reader import read_journal
from ophyd_devices.backend import BackendError
from ophyd_devices.epics import EpicsBackend
from ophyd_devices.nanonis.backend import NanonisBackend
from ophyd_devices.nanonis.client import Connection
from ophyd_devices.nanonis.simulator.controller import SimulatedController
from ophyd_devices.nanonis.simulator.server import Server
from ophyd_devices.twin import SimulatedClock, TwinBackend

POINTS = 8


class Process:
    """A simulated controller in a process of its own, always on the same ports."""

    def __init__(self):
        port = next(port for port in range(20_000 + os.getpid() % 10_000, 32_000, 4) if all(map(is_free, four(port))))
        self.ports = four(port)
        self.start()

    def start(self):
        options = ["-o", "seed=3", "--port", str(self.ports[0])]
        command = [*CURIO, "nanonis-sim", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdout.readline().split()[-4:] == [str(port) for port in self.ports]

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def four(port):
    return tuple(range(port, port + 4))


def is_free(port):
    with socket.socket() as listener, suppress(OSError):
        listener.bind(("127.0.0.1", port))
        return True
    return False


@pytest.fixture
def process():
    process = Process()
    yield process
    process.kill()


def served(real_time=False):
    return Server(SimulatedController(TwinBackend(film(3), SimulatedClock(real_time), 3)))


def connected(ports):
    return NanonisBackend(ports=tuple(ports[:3]), force_per_unit=50.0, timeout=5.0)


def status(ports):
    """The status of the Z controller, asked over the port that curio does not use."""
    connection = Connection("127.0.0.1", ports[3], 5.0)
    with closing(connection):
        return connection.call("ZCtrl.StatusGet")


def explore(plan, hook=None):
    """Run a plan; return its documents, and the error that ended it."""
    documents = []
    engine = RunEngine({}, context_managers=[])
    engine.subscribe(lambda name, doc: documents.append((name, doc)))
    if hook is not None:
        engine.subscribe(lambda name, doc: hook(History(documents)) if name == "event" else None)
    try:
        engine(plan)
    except (FailedStatus, BackendError) as error:
        return documents, error
    return documents, None


@pytest.mark.parametrize("real_time", [False, True])
def test_the_whole_plan_runs_through_the_simulator(real_time, wanderer):
    with closing(served(real_time)) as server:
        afm = microscope(connected(server.ports))
        afm.imager.pixels.put((16, 16))
        afm.imager.line_rate.put(100.0)
        with closing(afm):
            documents, error = explore(curiosity(afm, {"initial": 2}, 4, build=wanderer))
        assert error is None
        assert not server.controller.twin.in_contact()
    history = History(documents)
    assert documents[-1][1]["exit_status"] == "success"
    assert documents[0][1]["sample"]["instrument"] == "Nanonis"
    assert len(history.observations) == 4
    assert all(np.isfinite(observation.spectrum).all() for observation in history.observations)
    assert not any(doc.get("name") == "reference" for _, doc in documents)


def test_a_pulled_cable_ends_the_run_with_the_tip_withdrawn_and_the_rest_follows(wanderer):
    with closing(served()) as server:

        def pull(history):
            if len(history.observations) == 3:
                server.disconnect()

        with closing(microscope(connected(server.ports))) as afm:
            before, error = explore(curiosity(afm, {"initial": 2}, POINTS, build=wanderer), pull)
            assert "the tip's state is not known" in "".join(traceback.format_exception(error))
            assert not server.controller.twin.in_contact()
            assert before[-1][1]["exit_status"] == "fail"
            kept = len(History(before).observations)
            assert 3 <= kept < POINTS
            after, error = explore(resume_plan(afm, "the run", build=wanderer, stored=lambda _: before))
        assert error is None
        assert len(History(before + after).observations) == POINTS


def test_a_killed_server_ends_the_run_and_its_successor_serves_the_rest(process, wanderer):
    def kill(history):
        if len(history.observations) == 3 and process.process.poll() is None:
            process.kill()

    with closing(microscope(connected(process.ports))) as afm:
        before, error = explore(curiosity(afm, {"initial": 2}, POINTS, build=wanderer), kill)
        assert "look at the tip" in "".join(traceback.format_exception(error))
        assert before[-1][1]["exit_status"] == "fail"
        assert len(History(before).observations) == 3
        process.start()
        after, error = explore(resume_plan(afm, "the run", build=wanderer, stored=lambda _: before))
        assert error is None
    assert len(History(before + after).observations) == POINTS
    assert status(process.ports) == 1


def test_a_killed_run_leaves_the_tip_withdrawn_and_is_resumed(process, data):
    folder = data.parent
    (folder / "curio.toml").write_text(
        f'data = "{data}"\n[backend]\nname = "nanonis"\n'
        f"options = {{ ports = {list(process.ports[:3])}, force_per_unit = 50 }}\n"
    )
    command = [*CURIO, "run", "--settings", "curio.toml", "--agent", "random",
               "--points", "60", "--pixels", "32", "--no-figure"]  # fmt: skip
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        until(lambda: points(data) >= 3)
        run.kill()
    until(lambda: status(process.ports) == 1, 10)
    stored = points(data)
    assert 3 <= stored < 60
    python("-m", "curio_plans.cli", "resume", "--settings", "curio.toml", "--no-figure", cwd=folder)
    assert points(data) == 60
    assert status(process.ports) == 1


def points(data):
    """How many points are stored, over all runs."""
    time.sleep(0.1)  # it is asked again and again
    total = 0
    for folder in (data / "journal").glob("*"):
        with suppress(Exception):
            total += len(History(read_journal(data, folder.name)).observations)
    return total


def test_an_ioc_over_it_that_is_killed_leaves_the_tip_withdrawn(process, monkeypatch):
    port = str(free_port(socket.SOCK_DGRAM))
    for name, value in (("ADDR_LIST", "127.0.0.1"), ("AUTO_ADDR_LIST", "NO"), ("SERVER_PORT", port)):
        monkeypatch.setenv(f"EPICS_CA_{name}", value)
    options = ["-o", f"ports={list(process.ports[:3])}", "-o", "force_per_unit=50", "--prefix", "nano:"]
    command = [*CURIO, "ioc", "--backend", "nanonis", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as ioc:
        assert "ready" in ioc.stdout.readline()
        client = EpicsBackend("nano:", timeout=10.0)
        client.keep_alive(60.0)
        client.engage(20.0)
        assert status(process.ports) == 2
        ioc.kill()
        until(lambda: status(process.ports) == 1, 10)  # long before the promise is broken
    with suppress(BackendError):
        client.close()
