import threading

import numpy as np
import pytest
from ophyd.utils import LimitError, ReadOnlyError

from ophyd_devices import AFM, AfmBackend
from ophyd_devices.backend import BackendError, Interrupted
from ophyd_devices.spectrometer import signal_to_noise, triangle
from ophyd_devices.twin import recorded, twin


@pytest.fixture
def slow_afm():
    """A microscope whose actions take their real time."""
    microscope = AFM(twin(seed=3, real_time=True), name="afm")
    yield microscope
    microscope.close()


@pytest.fixture
def recorded_afm(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "sample.npz"
    axis = np.linspace(1600, 1700, 20)
    np.savez(path, image=rng.normal(size=(12, 15)), spectra=rng.normal(size=(12, 15, 20)), axis=axis,
             axis_name="wavenumber", axis_unit="cm⁻¹", extent_nm=[150.0, 120.0])  # fmt: skip
    microscope = AFM(recorded(path), name="afm")
    yield microscope
    microscope.close()


def test_the_twin_is_a_backend():
    assert isinstance(twin(seed=0), AfmBackend)


def test_every_number_says_its_unit_shape_and_dtype(afm):
    keys = {**afm.describe(), **afm.describe_configuration(), **afm.reference.describe()}
    reading = {**afm.read(), **afm.read_configuration(), **afm.reference.read()}
    assert set(keys) == set(reading)
    for name, key in keys.items():
        value = np.asarray(reading[name]["value"])
        assert key["shape"] == list(value.shape), name
        if key["dtype"] != "string" and value.dtype.kind != "U":
            assert np.dtype(key["dtype_numpy"]) == value.dtype, name
            assert "units" in key, name
    for limited in ("afm_scanner_x", "afm_scanner_y_setpoint", "afm_tip_setpoint", "afm_spectrometer_amplitude"):
        assert keys[limited]["limits"]["control"]["low"] < keys[limited]["limits"]["control"]["high"]


def test_the_scanner_moves_in_a_straight_line_in_the_time_it_takes(afm):
    start, (x, y) = afm.backend.time(), afm.scanner.position
    afm.scanner.velocity.put(100.0)
    afm.scanner.settle.put(0.5)
    afm.scanner.set((x + 30, y + 40)).wait(5)
    assert afm.scanner.position == pytest.approx((x + 30, y + 40))
    assert afm.backend.time() - start == pytest.approx(50 / 100 + 0.5)


def test_one_axis_moves_and_the_other_stays(afm):
    afm.scanner.set((100.0, 200.0)).wait(5)
    afm.scanner.x.set(300.0).wait(5)
    assert afm.scanner.position == pytest.approx((300, 200))
    assert afm.scanner.x.position == pytest.approx(300)


@pytest.mark.parametrize("target", [(-1, 5), (5, 1e9)])
def test_a_place_out_of_range_is_refused_before_anything_moves(afm, target):
    before, when = afm.scanner.position, afm.backend.time()
    with pytest.raises(LimitError, match=r"is outside 0 … 2000 nm; nothing moved"):
        afm.scanner.set(target)
    assert (afm.scanner.position, afm.backend.time()) == (before, when)
    assert afm.scanner.setpoint == before


@pytest.mark.parametrize(
    "target",
    [
        (np.nan, 5), (5, np.inf), (5,), (1, 2, 3), 5.0, None, [[1, 2]], np.ones((2, 1)),
        np.ma.array([1, 2], mask=[0, 1]),
        {700.0, 500.0}, frozenset({700.0, 500.0}), {700.0: 1, 500.0: 2}, {700.0: 1, 500.0: 2}.keys(), iter((1.0, 2.0)),
        "12", b"12", ("700", "500"), (True, False), (1j, 2.0), (10**400, 5), np.array(["1", "2"]),
    ],
    ids=lambda target: type(target).__name__,
)  # fmt: skip
def test_what_is_no_pair_of_numbers_in_order_is_no_place(afm, target):
    before, when = afm.scanner.position, afm.backend.time()
    for ask in (afm.scanner.set, afm.scanner.check_value, lambda place: afm.spectrometer.check([place])):
        with pytest.raises(
            ValueError, match=r"expected a position \(x, y\), a sequence of two finite numbers in nm, got"
        ):
            ask(target)
    assert (afm.scanner.position, afm.backend.time()) == (before, when)
    assert afm.scanner.setpoint == before


@pytest.mark.parametrize("target", [(70, 50.0), [70.0, 50], np.array([70, 50]), np.array([70, 50], np.float32)])
def test_a_place_is_any_ordered_pair_of_numbers(afm, target):
    afm.scanner.set(target).wait(5)
    assert afm.scanner.position == (70, 50)


@pytest.mark.parametrize("target", ["700", True, None, np.nan, [700.0]])
def test_one_axis_takes_one_finite_number(afm, target):
    for ask in (afm.scanner.x.set, afm.scanner.x.check_value):
        with pytest.raises(ValueError, match="two finite numbers in nm"):
            ask(target)


def test_the_edges_of_the_scan_range_can_be_reached(afm):
    (x_min, x_max), (y_min, y_max) = afm.scanner.scan_range
    for corner in ((x_min, y_min), (x_max, y_max)):
        afm.scanner.set(corner).wait(5)
        assert afm.scanner.position == corner
    with pytest.raises(LimitError, match="outside"):
        afm.scanner.x.check_value(np.nextafter(x_max, np.inf))


def test_the_tip_engages_and_withdraws(afm):
    assert afm.tip.position == "withdrawn"
    afm.tip.set("engaged").wait(5)
    assert afm.tip.position == "engaged"
    assert afm.backend.in_contact()
    afm.tip.set("withdrawn").wait(5)
    assert not afm.backend.in_contact()
    with pytest.raises(ValueError, match="expected one of"):
        afm.tip.set("up")


@pytest.mark.parametrize(
    "leave", [lambda afm: afm.tip.stop().wait(5), lambda afm: afm.unstage(), lambda afm: afm.close()]
)
def test_whatever_ends_the_work_withdraws_the_tip(leave):
    afm = AFM(twin(seed=0), name="afm")
    afm.stage()
    afm.tip.set("engaged").wait(5)
    leave(afm)
    assert not afm.backend.in_contact()


def test_a_frame_has_the_shape_that_was_asked_for_and_reports_its_lines(afm):
    afm.imager.pixels.put((20, 30))
    assert afm.imager.frame.describe()["afm_imager_frame"]["shape"][1:] == [20, 30]
    afm.tip.set("engaged").wait(5)
    status, seen = afm.imager.trigger(), []
    status.watch(lambda **progress: seen.append((progress["current"], progress["target"])))
    status.wait(10)
    frame = afm.imager.frame.get()
    assert frame.shape == (4, 20, 30)
    assert frame.dtype == np.float32
    assert np.isfinite(frame).all()
    assert all(total == 20 for _, total in seen)


def test_nothing_is_measured_off_the_surface(afm):
    for device in (afm.imager, afm.spectrometer):
        with pytest.raises(BackendError, match="engage"):
            device.trigger().wait(5)


def test_a_spectrum_comes_with_its_quality(afm):
    afm.tip.set("engaged").wait(5)
    afm.spectrometer.trigger().wait(5)
    reading = {name: entry["value"] for name, entry in afm.spectrometer.read().items()}
    spectrum = reading["afm_spectrometer_spectrum"]
    assert spectrum.shape == afm.spectrometer.axis.get().shape == (32,)
    assert reading["afm_spectrometer_channels"].shape == (2, *spectrum.shape)
    assert (reading["afm_spectrometer_channels"][0] == spectrum).all()
    assert reading["afm_spectrometer_height"] == pytest.approx(np.ptp(spectrum))
    assert reading["afm_spectrometer_snr"] > 1
    assert reading["afm_spectrometer_time"] == afm.backend.time()


def test_any_channel_can_be_the_spectrum(afm):
    spectrometer = afm.spectrometer
    assert spectrometer.channel_names.get().tolist() == ["off-field piezoresponse", "on-field piezoresponse"]
    spectrometer.quantity.put("on-field piezoresponse")
    afm.tip.set("engaged").wait(5)
    spectrometer.trigger().wait(5)
    assert (spectrometer.spectrum.get() == spectrometer.channels.get()[1]).all()
    assert spectrometer.height.get() == np.ptp(spectrometer.channels.get()[1])
    afm.reference.positions.put([afm.scanner.position])
    afm.reference.trigger().wait(5)
    truth = afm.reference.spectra.get()[0]
    assert np.abs(truth - spectrometer.spectrum.get()).mean() < np.abs(truth - spectrometer.channels.get()[0]).mean()
    with pytest.raises(ValueError, match="no channel 'current', only off-field piezoresponse, on-field piezoresponse"):
        spectrometer.quantity.put("current")
    assert spectrometer.quantity.get() == "on-field piezoresponse"


def test_the_waveform_follows_its_parameters(afm):
    afm.spectrometer.amplitude.put(5.0)
    afm.spectrometer.steps_per_cycle.put(8)
    afm.spectrometer.cycles.put(2)
    one = [0, 2.5, 5, 2.5, 0, -2.5, -5, -2.5]
    assert afm.spectrometer.axis.get().tolist() == one * 2
    assert afm.spectrometer.axis.describe()["afm_spectrometer_axis"]["units"] == "V"
    with pytest.raises(ValueError, match="multiple of 4"):
        afm.spectrometer.steps_per_cycle.put(10)
    with pytest.raises(LimitError, match="outside"):
        afm.spectrometer.amplitude.put(11.0)
    assert triangle(1.0, 8, 1).max() == 1


def test_a_recorded_sample_has_its_own_axis_and_frame(recorded_afm, tmp_path):
    afm = recorded_afm
    assert afm.spectrometer.axis.get()[-1] == 1700
    assert afm.spectrometer.axis_name.get() == "wavenumber"
    assert "afm_spectrometer_channels" not in afm.describe()
    assert "afm_spectrometer_amplitude" not in afm.describe_configuration()
    with pytest.raises(ReadOnlyError, match="no waveform to choose"):
        afm.spectrometer.amplitude.put(5.0)
    with pytest.raises(ValueError, match=r"only takes frames of \(12, 15\)"):
        afm.imager.pixels.put((12, 12))
    with pytest.raises(ValueError, match="whole range"):
        afm.imager.area.put((0, 50, 0, 50))
    afm.tip.set("engaged").wait(5)
    afm.scanner.set((45.0, 75.0)).wait(5)
    afm.spectrometer.trigger().wait(5)
    truth = np.load(tmp_path / "sample.npz")["spectra"]
    assert np.array_equal(afm.spectrometer.spectrum.get(), truth[7, 4])


def test_the_truth_of_a_simulation_can_be_asked_for(afm):
    assert afm.reference.available
    afm.reference.positions.put([[100.0, 100.0], [500.0, 300.0]])
    afm.reference.trigger().wait(5)
    assert afm.reference.spectra.get().shape == (2, 32)


def test_an_area_outside_the_scan_range_is_refused(afm):
    with pytest.raises(LimitError, match="outside the scan range"):
        afm.imager.area.put((0, 1e6, 0, 10))
    with pytest.raises(ValueError, match="x_min < x_max"):
        afm.imager.area.put((10, 0, 0, 10))


def test_stop_ends_a_running_frame_and_withdraws(slow_afm):
    afm = slow_afm
    afm.tip.set("engaged").wait(10)
    afm.imager.line_rate.put(2.0)  # the frame would take 64 s
    running = threading.Event()
    frame = afm.imager.trigger()
    frame.watch(lambda **_: running.set())
    waiting = afm.scanner.set((10.0, 10.0))
    assert running.wait(30)
    afm.tip.stop().wait(20)
    assert not afm.backend.in_contact()
    with pytest.raises(Interrupted):
        frame.wait(1)
    with pytest.raises(Interrupted, match="before it began"):
        waiting.wait(1)
    assert np.isnan(afm.imager.frame.get()).all()


@pytest.mark.parametrize(
    "end", [lambda afm: afm.tip.stop(success=True), lambda afm: afm.scanner.stop(success=True),
            lambda afm: afm.tip.set("withdrawn")]
)  # fmt: skip
def test_what_is_stopped_for_a_pause_ends_well_and_reads_nan(slow_afm, end):
    afm = slow_afm
    afm.tip.set("engaged").wait(10)
    frame = afm.imager.trigger()
    waiting = afm.spectrometer.trigger()
    end(afm)
    frame.wait(5)
    waiting.wait(5)
    assert np.isnan(afm.imager.frame.get()).all()
    assert np.isnan(afm.spectrometer.spectrum.get()).all()


def test_a_withdrawal_cannot_be_stopped(slow_afm):
    afm = slow_afm
    afm.tip.set("engaged").wait(10)
    withdrawn = afm.tip.stop()
    afm.scanner.stop()
    withdrawn.wait(5)
    assert not afm.backend.in_contact()


def test_commands_run_in_the_order_in_which_they_were_given(afm):
    statuses = [afm.scanner.set((float(x), 5.0)) for x in range(50)]
    order = []
    for number, status in enumerate(statuses):
        status.add_callback(lambda _, number=number: order.append(number))
    statuses[-1].wait(10)
    assert afm.scanner.position[0] == 49


def test_two_threads_may_command_at_once(afm):
    failures = []

    def wander(y):
        try:
            for x in range(30):
                afm.scanner.set((float(x), float(y))).wait(10)
        except Exception as error:  # noqa: BLE001  whatever it is, the test fails with it
            failures.append(error)

    threads = [threading.Thread(target=wander, args=(y,)) for y in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_signal_to_noise_of_a_known_noise():
    rng = np.random.default_rng(0)
    clean = np.sin(np.linspace(0, 6, 4000))
    assert signal_to_noise(clean + rng.normal(scale=0.1, size=4000)) == pytest.approx(clean.std() / 0.1, rel=0.1)
    assert signal_to_noise(np.zeros(10)) == 0
