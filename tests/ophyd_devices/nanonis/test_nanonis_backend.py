"""The Nanonis backend against the simulated controller."""

import socket
import threading
import time
from contextlib import closing

import numpy as np
import pytest
from support import film, until

from ophyd_devices import AFM, AfmBackend, EnvelopeError
from ophyd_devices.backend import BackendError, Interrupted
from ophyd_devices.doctor import examine
from ophyd_devices.nanonis.backend import NanonisBackend
from ophyd_devices.nanonis.client import LostError
from ophyd_devices.nanonis.geometry import Geometry
from ophyd_devices.nanonis.operator import RESTORE
from ophyd_devices.nanonis.simulator import faults
from ophyd_devices.nanonis.simulator.faults import Fault
from ophyd_devices.nanonis.simulator.signals import V_PER_AU
from ophyd_devices.registry import make_backend
from ophyd_devices.spectrometer import triangle
from ophyd_devices.twin import SimulatedClock, TwinBackend
from ophyd_devices.twin.forces import ForceCurves
from ophyd_devices.twin.kelvin import KelvinCurves
from ophyd_devices.twin.tunnelling import CurrentCurves
from ophyd_devices.waveform import there_and_back


def ignore(*_):
    pass


def settings_of(backend):
    """The settings of the operator that curio changes, as the controller tells them."""
    return {getter: repr(backend._session.call(getter)) for getter in RESTORE}


@pytest.mark.parametrize("real_time", [False, True])
def test_the_doctor_finds_it_well(serve, connect, real_time):
    backend = connect(serve(real_time=real_time))
    assert isinstance(backend, AfmBackend)
    findings = list(examine(backend, contact=True))
    assert [finding for finding in findings if finding.verdict == "fails"] == []
    assert {finding.step: finding.verdict for finding in findings}["stop"] == ("works" if real_time else "skipped")


def test_it_is_found_by_name_and_its_options_are_checked(serve):
    server = serve()
    backend = make_backend("nanonis", ports=list(server.ports[:3]), force_per_unit=50)
    backend.close()
    with pytest.raises(ValueError, match=r"backend 'nanonis' has no option prot"):
        make_backend("nanonis", prot=1)
    with pytest.raises(ValueError, match=r"option mode of backend 'nanonis' = 'pulse'"):
        make_backend("nanonis", mode="pulse")


@pytest.mark.parametrize("first_row", ["top", "bottom"])
def test_frames_moves_and_sweeps_are_those_of_the_twin(serve, connect, first_row):
    backend = connect(serve(bottom_first=first_row == "bottom"), first_row=first_row)
    same = TwinBackend(film(3), SimulatedClock(), 3)
    backend.move(150.0, -250.0, 2000.0, 0.0)
    same.move(1150.0, 750.0, 2000.0, 0.0)
    assert backend.position() == pytest.approx((150, -250), abs=1e-6)
    backend.engage(20.0)
    same.engage(20.0)
    assert backend.in_contact()
    assert backend.force() == pytest.approx(20, rel=1e-6)
    lines = []
    frame = backend.frame((-100.0, 400.0, -300.0, 0.0), (12, 16), 50.0, lambda *line: lines.append(line))
    topography, amplitude, phase, polarisation = same.frame((900.0, 1400.0, 700.0, 1000.0), (12, 16), 50.0, ignore)
    expected = [topography, polarisation * V_PER_AU, amplitude * np.sin(np.radians(phase)) * V_PER_AU]
    np.testing.assert_allclose(frame, expected, atol=1e-3)
    assert frame.dtype == np.float32
    assert lines[-1] == (12, 12)
    assert backend.position() == pytest.approx((150, -250), abs=1e-6)
    bias = triangle(8.0, 32, 3)
    spectrum = backend.spectrum(bias, 1e-3).spectrum
    swept = np.concatenate([np.linspace(0, 8, 9), *[np.linspace(s, -s, 17) for s in (8, -8, 8, -8, 8)],
                            np.linspace(-8, bias[-1], 8)])  # fmt: skip
    measured = same.spectrum(swept, 1e-3).channels[1] * V_PER_AU
    assert len(measured) == len(bias) + 6  # both ends of each of the 7 segments are measured
    assert spectrum[:8] == pytest.approx(measured[:8], abs=1e-6)
    assert spectrum[-7:] == pytest.approx(measured[-7:], abs=1e-6)


@pytest.mark.parametrize("mirrored", [False, True])
def test_backward_lines_are_channels_of_their_own(serve, connect, mirrored):
    names = ("Z (m)", "LI Demod 1 X", "Z (m) [bwd]")
    backend = connect(serve(), channels=names, backward_mirrored=mirrored)
    assert [(one.name, one.unit) for one in backend.info.channels][::2] == [("Z", "nm"), ("Z backward", "nm")]
    backend.engage(20.0)
    forward, _, backward = backend.frame((0.0, 200.0, 0.0, 200.0), (16, 16), 50.0, ignore)
    np.testing.assert_array_equal(backward[:, ::-1] if mirrored else backward, np.roll(forward, -1, axis=1))
    with pytest.raises(BackendError, match="no signal 'Y2'"):
        connect(serve(), channels=("Y2 [bwd]",))


def test_kelvin_spectra_are_those_of_the_twin(serve, connect):
    server = serve(sample=KelvinCurves(3))
    backend = connect(server, spectrum=("OC M1 Freq. Shift (Hz)",))
    assert backend.info.spectroscopy.channels[0].unit == "Hz"
    backend.engage(20.0)
    bias = triangle(2.0, 32, 1)
    shift = backend.spectrum(bias, 1e-3).spectrum
    x, y = backend.position()
    truth = server.controller.twin.reference(np.array([(x + 1000, y + 1000)]), bias)[0]
    assert np.abs(shift - truth).max() < 5 * 0.3
    assert np.ptp(truth) > 5


def test_pulses_measure_the_off_field_and_the_on_field_loop(serve, connect):
    backend = connect(serve(), mode="pulses")
    assert [channel.name for channel in backend.info.spectroscopy.channels] == [
        "off-field LI Demod 1 X", "on-field LI Demod 1 X",
    ]  # fmt: skip
    backend.engage(20.0)
    bias = triangle(8.0, 32, 1)
    loop = backend.spectrum(bias, 1e-4)
    truth = film(3).spectra(np.array([(1000.0, 1000.0)]), bias)[:, 0] * V_PER_AU
    spread = np.ptp(truth)
    np.testing.assert_allclose(loop.channels, truth, atol=0.25 * spread)
    assert np.abs(loop.channels - truth).mean() < 0.05 * spread
    assert np.abs(loop.channels[::-1] - truth).mean() > np.abs(loop.channels - truth).mean()


def test_currents_and_other_signals_are_recorded_together(serve, connect):
    sample = CurrentCurves(3)
    names = ["Current (A)", "LI Demod 1 X (V)", "Bias (V)"]
    backend = connect(serve(sample=sample), spectrum=names, hold_z=True)
    kind = backend.info.spectroscopy
    assert [(channel.name, channel.unit) for channel in kind.channels] == [
        ("Current", "nA"), ("LI Demod 1 X", "V"), ("Bias", "V"),
    ]  # fmt: skip
    assert kind.full_scale == pytest.approx((-1000, 1000))
    backend.engage(20.0)
    bias = triangle(4.0, 64, 1)
    loop = backend.spectrum(bias, 1e-3)
    current, slope = sample.spectra(np.array([(1000.0, 1000.0)]), bias)[:, 0]
    assert loop.channels.shape == (3, 64)
    np.testing.assert_allclose(loop.spectrum, current, atol=0.1)
    np.testing.assert_allclose(loop.channels[1], slope * V_PER_AU, atol=0.015)
    np.testing.assert_allclose(loop.channels[2], bias, atol=1e-6)
    assert backend._session.call("BiasSpectr.AdvPropsGet")[:2] == [1, 1]  # the feedback is off, the bias comes back


def test_a_tunnel_current_is_the_setpoint_of_an_stm(serve, connect):
    server = serve(sample=CurrentCurves(3), regulates="Current")
    options = {"deflection": "Current (A)", "controller": "Current", "force_per_unit": None}
    with pytest.raises(BackendError, match="force curves need a Z controller that holds a force"):
        connect(server, **options, setpoint_range=(0.05, 5.0), mode="z")
    backend = connect(server, **options, spectrum=["Current (A)"], setpoint_range=(0.05, 5.0), hold_z=True)
    with closing(AFM(backend, name="afm")) as afm:
        assert afm.tip.setpoint.limits == (0.05, 5.0)
        assert afm.tip.describe()["afm_tip_force"]["units"] == "nA"
        with pytest.raises(EnvelopeError, match=r"a setpoint of 6 nA is outside 0\.05 … 5 nA"):
            afm.backend.check_setpoint(6.0)
        afm.tip.setpoint.put(0.5)
        afm.tip.set("engaged").wait()
        assert afm.tip.force.get() == pytest.approx(0.5)
        assert server.controller.settings["ZCtrl.Setpnt"] == pytest.approx([5e-10])


def test_force_curves_are_those_of_the_twin(serve, connect):
    sample = ForceCurves(3)
    server = serve(sample=sample)
    with closing(AFM(connect(server, mode="z", spectrum=["Deflection (V)"]), name="afm")) as afm:
        assert afm.spectrometer.spectrum.units == "nN"
        assert [f for f in examine(afm.backend._backend, contact=True) if f.verdict == "fails"] == []
        afm.tip.set("engaged").wait()
        afm.spectrometer.trigger().wait()
        heights, measured = afm.spectrometer.axis.get(), afm.spectrometer.spectrum.get()
    expected = sample.spectra(np.array([(1000.0, 1000.0)]), heights)[0, 0]
    np.testing.assert_allclose(measured, expected, atol=0.6)
    assert np.abs(measured[::-1] - expected).max() > 3  # the ways there and back differ
    assert server.controller.settings["ZSpectr.Range"] == pytest.approx([0.0, 1e-8])  # the operator's again
    assert server.controller.settings["ZSpectr.Retract"][0] == 0


def test_a_force_curve_ends_at_the_trigger_force_and_is_stopped(serve, connect):
    backend = connect(serve(sample=ForceCurves(3), real_time=True), mode="z", spectrum=["Deflection (V)"],
                      trigger_force=10.0)  # fmt: skip
    backend.engage(20.0)
    with pytest.raises(BackendError, match=r"the force may have gone beyond the trigger force of 10 nN"):
        backend.spectrum(there_and_back(20.0, 16), 1e-3)
    with pytest.raises(BackendError, match="evenly up and back"):
        backend.spectrum(np.array([0.0, 5.0, 6.0, 0.0]), 1e-3)
    with pytest.raises(BackendError, match=r"within 0 … 200 nm"):
        backend.spectrum(there_and_back(300.0, 16), 1e-3)
    timer = threading.Timer(0.2, backend.stop)
    timer.start()
    with pytest.raises(Interrupted):
        backend.spectrum(there_and_back(20.0, 16), 0.5)
    timer.join()


def test_a_turned_frame_is_scanned_along_its_own_axes(serve, connect):
    server = serve()
    server.controller.settings["Scan.Frame"] = [1e-7, -5e-8, 8e-7, 6e-7, 30.0]
    backend = connect(server)
    assert backend.info.scan_range == pytest.approx((-300, 500, -350, 250))
    geometry = Geometry(1e-7, -5e-8, 30.0)
    x, y = geometry.to_scanner(500.0, -50.0)  # the middle of the right edge; clockwise, it has gone down
    assert (x, y) == pytest.approx((1e-7 + 4e-7 * np.cos(np.pi / 6), -5e-8 - 4e-7 * np.sin(np.pi / 6)))
    backend.move(500.0, -50.0, 1e4, 0.0)
    assert server.controller.twin.position() == pytest.approx((1000 + x * 1e9, 1000 + y * 1e9), abs=1e-3)
    assert backend.position() == pytest.approx((500, -50), abs=1e-3)
    backend.engage(20.0)
    area, (ny, nx) = (-100.0, 300.0, -250.0, 150.0), (32, 32)
    frame = backend.frame(area, (ny, nx), 50.0, ignore)[1] / V_PER_AU
    centres = [(area[0] + (c + 0.5) * 400 / nx, area[2] + (r + 0.5) * 400 / ny) for r in range(ny) for c in range(nx)]
    places = np.array([geometry.to_scanner(*centre) for centre in centres]) * 1e9 + 1000
    truth = np.array([film(3).frame((px - 1, px + 1, py - 1, py + 1), (1, 1))[3, 0, 0] for px, py in places])
    assert np.corrcoef(frame.ravel(), truth)[0, 1] > 0.97
    assert np.corrcoef(frame[::-1].ravel(), truth)[0, 1] < 0.8


def test_a_frame_outside_the_piezos_is_refused_and_the_whole_range_has_no_angle(serve, connect):
    server = serve()
    server.controller.settings["Scan.Frame"] = [9e-7, 0.0, 8e-7, 6e-7, 0.0]
    with pytest.raises(BackendError, match=r"the scan frame reaches to \(1300, -300\) nm, outside the piezos' ±1000"):
        connect(server)
    assert connect(server, area="piezo").info.scan_range == (-1000, 1000, -1000, 1000)


def test_an_angle_and_the_whole_range_do_not_go_together(serve, connect):
    server = serve()
    server.controller.settings["Scan.Frame"][4] = 10.0
    with pytest.raises(BackendError, match=r"turned by 10°.*area = 'frame'"):
        connect(server, area="piezo")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"channels": ["Z (m)", "Amplitude"]}, r"no signal 'Amplitude'; it has 'Current \(A\)', 'Deflection \(V\)'"),
        ({"spectrum": ["Curent"]}, r"no signal 'Curent'; it has"),
        ({"force_per_unit": None}, r"expected force_per_unit, the force in nN for one unit of 'Deflection \(V\)'"),
        (
            {"controller": "Amplitude"},
            r"'Amplitude' must be active; the controller has \['Deflection', 'Current'\]",
        ),
        ({"setpoint_range": (600.0, 700.0)}, r"600 … 700 nN is outside what 'Deflection \(V\)' can show"),
        ({"ports": (6501, 6501, 6502)}, "expected three different ports"),
        ({"channels": ()}, "at least one signal"),
    ],
)
def test_what_does_not_fit_the_controller_is_refused_at_once(serve, connect, options, told):
    server = serve()
    before = repr(server.controller.settings)
    with pytest.raises(BackendError, match=told):
        connect(server, **options)
    assert repr(server.controller.settings) == before


def test_the_controllers_limits_narrow_the_envelope(serve, connect):
    info = connect(serve(), setpoint_range=(1.0, 900.0), amplitude_max=50.0).info
    assert info.setpoint_range == (1.0, 500.0)  # ±10 V of deflection, 50 nN each
    assert info.amplitude_max == 10.0


def test_a_wrong_host_and_a_port_in_use_are_told(serve):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(LostError, match=rf"127.0.0.1:{port} to ZCtrl.StatusGet.*Check that the software runs"):
        NanonisBackend(ports=(1, port, 2), force_per_unit=1.0, timeout=0.3)
    server = serve()
    with socket.create_connection(("127.0.0.1", server.ports[0])) as user:
        user.sendall(b"\0")
        with pytest.raises(LostError, match="no other program uses the port"):
            NanonisBackend(ports=server.ports[:3], force_per_unit=1.0, timeout=0.3)


def test_a_busy_controller_and_a_tip_in_contact_are_refused(serve, connect):
    server = serve(real_time=True)
    first = connect(server)
    first.engage(20.0)
    first._session.close()  # a process that died
    first._closed = True
    with pytest.raises(BackendError, match="the tip is in contact with the surface already"):
        connect(server)
    assert server.controller.twin.in_contact()
    server.controller.settings["Scan.Speed"][2:4] = [0.05, 0.05]
    server.controller.answer("Scan.Action", [0, 1])
    with pytest.raises(BackendError, match="the controller is scanning; stop the scan there"):
        connect(server, take_over=True)
    server.controller.answer("Scan.Action", [1, 0])
    until(lambda: server.controller.answer("Scan.StatusGet", []) == [0])
    second = connect(server, take_over=True)
    assert second.in_contact()
    second.withdraw()
    assert not server.controller.twin.in_contact()


def test_the_operators_settings_come_back(serve, connect):
    server = serve()
    client = connect(server)
    before = settings_of(client)
    client.move(100.0, 100.0, 2000.0, 0.0)
    client.engage(30.0)
    client.frame((0.0, 200.0, 0.0, 200.0), (4, 16), 50.0, ignore)
    after = settings_of(client)
    assert {getter for getter in RESTORE if after[getter] != before[getter]} == {"SafeTip.OnOffGet", "ZCtrl.SetpntGet"}
    client.spectrum(triangle(1.0, 16, 1), 1e-3)
    after = settings_of(client)
    changed = {getter for getter in RESTORE if after[getter] != before[getter]}
    assert {"SafeTip.OnOffGet", "ZCtrl.SetpntGet", "BiasSpectr.PropsGet", "BiasSpectr.MLSValsGet"} <= changed
    assert {"BiasSpectr.MLSModeGet", "BiasSpectr.ChsGet"} <= changed
    client.close()
    assert settings_of(connect(server)) == before


def test_a_frame_is_stopped_at_once_and_leaves_everything_in_order(serve, connect):
    server = serve(real_time=True)
    backend = connect(server)
    backend.engage(20.0)
    before = settings_of(backend)
    stopped = []

    def stop(done, total):
        if not stopped:
            stopped.append(time.monotonic())
            threading.Thread(target=backend.stop).start()

    with pytest.raises(Interrupted, match="was stopped"):
        backend.frame((0.0, 200.0, 0.0, 200.0), (400, 16), 10.0, stop)
    assert time.monotonic() - stopped[0] < 2
    assert backend.in_contact()
    assert settings_of(backend) == before


def test_a_sweep_a_pulsed_spectrum_and_an_approach_are_stopped(serve, connect):
    server = serve(real_time=True)
    backend = connect(server)

    def stopped(action):
        timer = threading.Timer(0.3, backend.stop)
        timer.start()
        began = time.monotonic()
        with pytest.raises(Interrupted):
            action()
        timer.join()
        assert time.monotonic() - began < 2.5

    stopped(lambda: backend.engage(20.0))
    assert not backend.in_contact()
    backend.engage(20.0)
    stopped(lambda: backend.spectrum(triangle(5.0, 32, 1), 0.5))
    assert server.controller.settings["Bias"] == [0.0]
    backend.close()
    backend = connect(server, mode="pulses")
    backend.engage(20.0)
    stopped(lambda: backend.spectrum(triangle(5.0, 32, 1), 0.5))
    assert server.controller.settings["Bias"] == [0.0]


def test_lost_contact_the_safe_tip_and_a_feedback_that_stays_off(serve, connect):
    server = serve()
    backend = connect(server)
    backend.engage(20.0)
    server.controller.lose_contact()
    assert not backend.in_contact()  # the feedback is on, but Z is at its end
    with pytest.raises(BackendError, match="a spectrum needs the tip on the surface"):
        backend.spectrum(np.zeros(4), 1e-3)
    backend.withdraw()
    backend.engage(20.0)
    server.controller.trip_safe_tip()
    with pytest.raises(BackendError, match="SafeTip has lifted the tip; check the tip"):
        backend.engage(20.0)
    backend.withdraw()
    backend.engage(20.0)
    backend.withdraw()
    server.controller.break_feedback()
    with pytest.raises(BackendError, match="the Z controller does not stay on"):
        backend.engage(20.0)


TOLD = {
    "contact-lost": "surface|contact",
    "safe-tip": "SafeTip|surface|contact",
    "error": "the module reported an error, as it was told to",
    "junk": "answer",
    "reset": "to BiasSpectr.Start",
}


@pytest.mark.parametrize("name", TOLD)
def test_what_goes_wrong_at_a_spectrum_is_told_and_the_tip_can_be_withdrawn(serve, connect, name):
    server = serve(fault=Fault(name, after=1))
    backend = connect(server, timeout=0.5)
    backend.engage(20.0)
    backend.spectrum(triangle(2.0, 16, 1), 1e-3)
    with pytest.raises(BackendError, match=TOLD[name]):
        backend.spectrum(triangle(2.0, 16, 1), 1e-3)
    backend.withdraw()
    assert not server.controller.twin.in_contact()


def test_a_scan_that_somebody_stops_and_a_slow_controller(serve, connect, monkeypatch):
    monkeypatch.setattr(faults, "LATE_S", 0.05)
    for real_time in (False, True):
        backend = connect(serve(real_time=real_time, fault=Fault("scan-stopped", after=4)))
        backend.engage(20.0)
        with pytest.raises(BackendError, match=r"lines of .* are missing: somebody stopped the scan"):
            backend.frame((0.0, 200.0, 0.0, 200.0), (64, 16), 50.0, ignore)
        frame = backend.frame((0.0, 200.0, 0.0, 200.0), (8, 16), 50.0, ignore)
        assert np.isfinite(frame).all(), "it is stopped once"
    late = Fault("slow")
    backend = connect(serve(fault=late))
    backend.engage(20.0)
    assert backend.spectrum(triangle(2.0, 16, 1), 1e-3).spectrum.size == 16, "late, and right"
    late.end()
    backend = connect(serve(fault=Fault("feedback-off")))
    with pytest.raises(BackendError, match="the Z controller does not stay on"):
        backend.engage(20.0)


def test_an_unknown_fault_is_refused():
    with pytest.raises(ValueError, match="no fault 'fire'; known are contact-lost, safe-tip"):
        Fault("fire")
    with pytest.raises(ValueError, match="at least 0, got -1"):
        Fault("error", -1)


def test_limits_are_refused_before_anything_moves(serve, connect):
    server = serve()
    afm = AFM(connect(server), name="afm")
    try:
        with pytest.raises(ValueError, match="lines of a multiple of 16 px"):
            afm.imager.pixels.put((20, 20))
        afm.spectrometer.cycles.put(8)
        with pytest.raises(EnvelopeError, match="the waveform has 17 straight segments, the instrument takes 16"):
            afm.spectrometer.check()
        backend = afm.backend
        with pytest.raises(EnvelopeError):
            backend.move(2000.0, 0.0, 1e3, 0.0)
        assert server.controller.twin.position() == (1000, 1000)
    finally:
        afm.close()


def test_a_pulled_cable_is_told_once_and_the_tip_is_withdrawn_over_a_new_connection(serve, connect):
    server = serve(real_time=True)
    backend = connect(server)
    backend.engage(20.0)
    threading.Timer(0.5, server.disconnect).start()
    with pytest.raises(LostError, match=r"to Scan.*the tip's state is not known"):
        backend.frame((0.0, 200.0, 0.0, 200.0), (400, 16), 10.0, ignore)
    assert server.controller.answer("Scan.StatusGet", []) == [1]  # nobody told the controller to stop
    backend.withdraw()
    assert server.controller.answer("Scan.StatusGet", []) == [0]
    assert not server.controller.twin.in_contact()


def test_the_windows_are_locked_while_a_run_measures(serve, connect):
    server = serve()
    backend = connect(server, lock=True)
    backend.keep_alive(60.0)
    assert server.controller.locked
    backend.keep_alive(0)
    assert not server.controller.locked
    backend.keep_alive(60.0)
    backend.close()
    assert not server.controller.locked


def test_the_watchdog_withdraws_when_the_promise_is_broken(serve, connect, capfd):
    server = serve()
    backend = connect(server, lock=True)
    backend.keep_alive(0.3)
    backend.engage(20.0)
    until(lambda: not server.controller.twin.in_contact())
    until(lambda: not server.controller.locked)
    with pytest.raises(BackendError, match="the watchdog's process has ended"):
        until(lambda: backend.keep_alive(5.0))
    assert "the watchdog withdrew the tip" in capfd.readouterr().err


def test_a_long_command_renews_the_promise(serve, connect):
    server = serve(real_time=True)
    backend = connect(server)
    backend.keep_alive(0.8)
    backend.engage(20.0)  # 2 s
    backend.spectrum(np.zeros(16), 0.05)  # 2.4 s
    assert server.controller.twin.in_contact()
    backend.keep_alive(0)


def test_without_its_port_the_watchdog_refuses_before_the_tip_approaches(serve, connect):
    server = serve()
    backend = connect(server)
    with socket.create_connection(("127.0.0.1", server.ports[2])):
        time.sleep(0.1)
        backend._session.watchdog._arguments[2] = "0.2"
        with pytest.raises(BackendError, match="the watchdog cannot watch, so the tip stays where it is: no answer"):
            backend.keep_alive(10.0)
