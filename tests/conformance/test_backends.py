"""The laws of every backend, each in front of its real other side: a twin, a sample, an IOC, a controller, a server.

A new backend joins with a line in ``BACKENDS``. ``curio doctor`` tries the same on an instrument.
"""

import json
import runpy
import threading
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import pytest
from ioc import Ioc, loopback
from support import film, write_sample

from curio_plans.plans import image, spectra_at
from ophyd_devices import AFM
from ophyd_devices.backend import AfmBackend, BackendError
from ophyd_devices.doctor import Verdict, examine
from ophyd_devices.epics import EpicsBackend
from ophyd_devices.nanonis.backend import NanonisBackend
from ophyd_devices.nanonis.simulator.controller import SimulatedController
from ophyd_devices.nanonis.simulator.server import Server
from ophyd_devices.twin import SimulatedClock, TwinBackend, sample_from


def of_twin(_stack, _directory):
    return TwinBackend(film(3), SimulatedClock(), 3)


def of_sample(_stack, directory):
    return TwinBackend(sample_from(write_sample(directory / "sample.npz")), SimulatedClock())


def of_epics(stack, _directory):
    stack.enter_context(loopback())
    ioc = Ioc("laws:", "seed=3")
    stack.callback(ioc.kill)
    return EpicsBackend(ioc.prefix, timeout=5.0)


def of_nanonis(stack, _directory):
    controller = SimulatedController(of_twin(stack, None))
    stack.callback(controller.close)
    server = Server(controller)
    stack.callback(server.close)
    return NanonisBackend(ports=server.ports[:3], force_per_unit=50.0, timeout=5.0)


def of_vendor(stack, _directory):
    vendor = Path(__file__).parents[1] / "vendor"
    server, backend = (runpy.run_path(str(vendor / f"{name}.py")) for name in ("server", "vendor_afm"))
    scope = stack.enter_context(server["Server"]())
    threading.Thread(target=scope.serve_forever, daemon=True).start()
    stack.callback(scope.shutdown)
    return backend["connect"](port=scope.server_address[1])


BACKENDS = {
    "twin": of_twin,
    "recorded sample": of_sample,
    "EPICS": of_epics,
    "Nanonis": of_nanonis,
    "the vendor of the how-to": of_vendor,
}


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request, tmp_path_factory):
    with ExitStack() as stack:
        made = BACKENDS[request.param](stack, tmp_path_factory.mktemp("laws"))
        stack.enter_context(closing(made))
        yield made


@pytest.fixture(scope="module")
def afm(backend):
    with closing(AFM(backend, name="afm")) as afm:  # which closes the backend: twice does no harm
        yield afm


@pytest.fixture(autouse=True)
def lifted(backend):
    yield
    backend.withdraw()


def test_the_doctor_finds_nothing_wrong(backend):
    findings = list(examine(backend, contact=True))
    assert [f"{one.step}: {one.detail}" for one in findings if one.verdict is Verdict.FAILS] == []
    assert len(findings) > 10
    assert isinstance(backend, AfmBackend)
    json.dumps(dict(backend.describe()), allow_nan=False)


def test_what_is_outside_the_scan_range_is_refused_and_nothing_moves(backend):
    x_min, x_max, y_min, y_max = backend.info.scan_range
    before, time = backend.position(), backend.time()
    for x, y in ((x_max + 500, y_min), (x_min, y_min - 500), (np.nan, y_max), (np.inf, y_max)):
        with pytest.raises((BackendError, ValueError)):
            backend.move(float(x), float(y), 1000.0, 0.0)
    assert backend.position() == pytest.approx(before, abs=1.0)
    assert backend.time() >= time


def test_no_spectrum_without_contact_and_every_channel_with_it(backend):
    info = backend.info
    kind = info.spectroscopy
    bias = kind.axis if kind.axis is not None else np.tile([0.0, 1.0, 0.0, -1.0], 4)
    with pytest.raises(BackendError, match="on the surface"):
        backend.spectrum(bias, 1e-3)
    low, high = info.setpoint_range
    backend.engage(low + 0.1 * (high - low))
    assert backend.in_contact()
    loop = backend.spectrum(bias, 1e-3)
    assert loop.channels.shape == (len(kind.channels), len(bias))
    assert loop.channels.dtype == np.float64
    assert np.isfinite(loop.channels).all()
    assert 0 <= loop.resonance <= 1
    backend.withdraw()
    backend.withdraw()
    assert not backend.in_contact()


def test_lines_are_told_one_after_the_other_up_to_the_last(backend):
    info, told = backend.info, []
    pixels = info.pixels if info.fixed_frame else (16, 16)
    low, high = info.setpoint_range
    backend.engage(low + 0.1 * (high - low))
    frame = backend.frame(info.scan_range, pixels, 50.0, lambda done, total: told.append((done, total)))
    assert frame.shape == (len(info.channels), *pixels)
    assert frame.dtype == np.float32
    assert told[-1] == (pixels[0], pixels[0])
    assert told == sorted(told)


def test_a_stop_while_nothing_runs_stops_nothing_later(backend):
    thread = threading.Thread(target=backend.stop)
    thread.start()
    thread.join(5.0)
    x, y = backend.position()
    backend.move(x, y, 1000.0, 0.0)
    backend.keep_alive(10.0)
    backend.keep_alive(0.0)


def test_plans_run_on_it_and_leave_the_tip_withdrawn(backend, afm, engine):
    if not backend.info.fixed_frame:
        afm.imager.pixels.put((16, 16))
        afm.imager.line_rate.put(50.0)
    documents = []
    engine.subscribe(lambda name, doc: documents.append((name, doc)))
    engine(image(afm))
    x_min, x_max, y_min, y_max = backend.info.scan_range
    middle = ((x_min + x_max) / 2, (y_min + y_max) / 2)
    near = [(middle[0] + 0.1 * (x_max - x_min) * step, middle[1]) for step in (0, 1)]
    engine(spectra_at(afm, near))
    assert not backend.in_contact()
    assert [doc["exit_status"] for name, doc in documents if name == "stop"] == ["success", "success"]
    taken = [doc["data"] for name, doc in documents if name == "event" and "afm_spectrometer_spectrum" in doc["data"]]
    assert len(taken) == 2
    for one, (x, y) in zip(taken, near, strict=True):
        assert np.hypot(one["afm_scanner_x"] - x, one["afm_scanner_y"] - y) <= afm.scanner.tolerance.get()
    with pytest.raises(Exception, match="; nothing moved"):
        engine(spectra_at(afm, [near[0], (x_max + 1e4, y_max)]))
    assert not backend.in_contact()
