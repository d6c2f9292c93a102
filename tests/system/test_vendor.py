"""The worked example of a vendor's interface: its backend against its TCP server, in a process of its own."""

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from bluesky import RunEngine

from curio_plans.documents.history import History
from curio_plans.plans import curiosity
from ophyd_devices import AFM, AfmBackend
from ophyd_devices.backend import BackendError, Interrupted
from ophyd_devices.doctor import examine
from ophyd_devices.registry import make_backend

VENDOR = Path(__file__).parents[1] / "vendor"
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "vendor-backend.md"


def serve(*options):
    process = subprocess.Popen(
        [sys.executable, str(VENDOR / "server.py"), "0", *options], stdout=subprocess.PIPE, text=True
    )
    return process, int(process.stdout.readline().split()[-1])


@pytest.fixture(scope="module")
def ports():
    """Ports of two instruments: one in simulated time, one in real time."""
    quick, slow = serve(), serve("--real-time")
    yield quick[1], slow[1]
    for process, _ in (quick, slow):
        process.kill()
        process.communicate()


@pytest.fixture
def connect(monkeypatch):
    monkeypatch.syspath_prepend(str(VENDOR))
    backends = []

    def connect(port):
        backends.append(make_backend("vendor_afm:connect", port=port))
        return backends[-1]

    yield connect
    for backend in backends:
        backend.close()


def test_the_page_shows_the_backend_as_it_is():
    assert f"<<'PYTHON'\n{(VENDOR / 'vendor_afm.py').read_text()}PYTHON\n" in PAGE.read_text()


def test_the_doctor_finds_it_well(connect, ports):
    for port, stop in zip(ports, ("skipped", "works"), strict=True):
        findings = list(examine(connect(port), contact=True))
        assert [finding for finding in findings if finding.verdict == "fails"] == []
        assert {finding.step: finding.verdict for finding in findings}["stop"] == stop


def test_the_whole_plan_runs_on_it(connect, ports, wanderer):
    backend = connect(ports[0])
    assert isinstance(backend, AfmBackend)
    afm, history = AFM(backend, name="afm"), History()
    afm.imager.pixels.put((24, 24))
    try:
        engine = RunEngine({})
        documents = []
        engine.subscribe(lambda *document: documents.append(document))
        engine.subscribe(history)
        engine(curiosity(afm, {}, 5, build=wanderer))
    finally:
        afm.close()
    assert documents[-1][1]["exit_status"] == "success"
    assert documents[0][1]["sample"]["instrument"] == "vendorscope"
    assert len(history.observations) == 5
    assert all(np.isfinite(observation.spectrum).all() for observation in history.observations)
    assert not any(doc.get("name") == "reference" for _, doc in documents)


def test_what_the_controller_refuses_is_told_in_its_words(connect, ports):
    backend = connect(ports[0])
    backend.withdraw()
    with pytest.raises(BackendError, match="refused STAT: 4 a spectrum needs the tip on the surface"):
        backend.spectrum(np.full(4, 30.0), 1e-3)
    with pytest.raises(BackendError, match="the vendorscope refused JUMP: 1 unknown command JUMP"):
        backend._ask("JUMP")


def test_a_lost_connection_is_told_once_and_made_again(connect, ports):
    backend = connect(ports[0])
    backend._socket.sendall(b"DROP\n")
    with pytest.raises(BackendError, match=r"no answer from the vendorscope.*the tip's state is not known"):
        backend.position()
    assert backend.position() == pytest.approx((1000, 1000), abs=1000)


def test_a_scan_is_stopped_from_another_thread(connect, ports):
    backend = connect(ports[1])
    backend.engage(20)

    def stop_soon(done, total):
        threading.Thread(target=backend.stop).start()

    with pytest.raises(Interrupted, match="SCAN was stopped"):
        backend.frame((0, 1000, 0, 1000), (100, 4), 10.0, stop_soon)
    backend.withdraw()
    assert not backend.in_contact()
