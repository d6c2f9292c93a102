"""Force curves and tunnel currents of the twin: their physics, their limits, and whole runs with them."""

from contextlib import closing

import numpy as np
import pytest
from ophyd.utils import ReadOnlyError
from support import events, measure

from curio_plans.documents.history import History
from curio_plans.plans import curiosity
from ophyd_devices import AFM, Envelope, EnvelopeError
from ophyd_devices.backend import BackendError
from ophyd_devices.doctor import examine
from ophyd_devices.epics import wire
from ophyd_devices.spectrometer import triangle
from ophyd_devices.twin import twin
from ophyd_devices.twin.forces import HELD_NN, STIFFNESS, ForceCurves, _curve
from ophyd_devices.twin.kelvin import KelvinCurves
from ophyd_devices.waveform import there_and_back

HEIGHTS = there_and_back(40.0, 400)


def test_a_force_curve_begins_at_the_setpoint_pulls_off_at_the_adhesion_and_ends_where_it_began():
    adhesion, potential = 12.0, 0.0
    force = _curve(adhesion, potential, HEIGHTS)
    up, down = force[:400], force[400:]
    assert force[[0, -1]] == pytest.approx(HELD_NN, abs=1e-3)
    assert force.min() == pytest.approx(-adhesion, rel=0.05)
    pulled_off = int(up.argmin())
    assert HEIGHTS[pulled_off] == pytest.approx((HELD_NN + adhesion) / STIFFNESS, abs=1.0)  # the spring's way
    assert np.diff(up[: pulled_off // 2]) == pytest.approx(-STIFFNESS * HEIGHTS[1], rel=0.1)  # a hard surface
    assert -adhesion / 4 < down.min() < 0  # it snaps in, from closer
    assert abs(up[-1]) < 0.01
    np.testing.assert_array_equal(up[-50:], down[49::-1])  # far away both ways are the same


def test_the_electrostatic_force_is_hudlets_far_from_the_surface():
    quiet, charged = (_curve(10.0, potential, HEIGHTS) for potential in (0.0, 2.0))
    gap = HEIGHTS[399] + (quiet[0] - HELD_NN) / STIFFNESS
    base = gap - HELD_NN / STIFFNESS  # held at 20 nN, the base is that much lower
    expected = np.pi * 8.854e-3 * 4 * 400 / (base * (base + 20))
    assert quiet[399] - charged[399] == pytest.approx(expected, rel=0.1)


def test_adhesion_depends_on_the_surface_around_the_tip():
    film = ForceCurves(3)
    places = np.random.default_rng(0).uniform(50, 1950, (300, 2))
    adhesion = -film.spectra(places, HEIGHTS)[0].min(axis=1)
    domain, _ = film.surface(places)
    assert np.corrcoef(adhesion, domain)[0, 1] > 0.8
    assert adhesion.std() > 2
    near = -film.spectra(places + 3.0, HEIGHTS)[0].min(axis=1)
    assert np.median(np.abs(near - adhesion)) < 0.2 * adhesion.std()


def test_the_vertex_of_a_kelvin_parabola_is_the_contact_potential():
    with closing(twin(seed=3, spectroscopy="kelvin")) as backend:
        bias, places = triangle(4.0, 64, 1), np.random.default_rng(0).uniform(50, 1950, (200, 2))
        shifts = backend.reference(places, bias)
        fits = np.polynomial.polynomial.polyfit(bias, shifts.T, 2)  # (3, N)
        vertex = -fits[1] / (2 * fits[2])
        assert (fits[2] < 0).all()
        assert fits[0] - fits[1] ** 2 / (4 * fits[2]) == pytest.approx(np.full(200, -8.0))
        assert vertex.min() == pytest.approx(0.1, abs=0.02)
        assert vertex.max() == pytest.approx(0.7, abs=0.02)
        domain, _ = KelvinCurves(3).surface(places)
        assert np.corrcoef(vertex, domain)[0, 1] > 0.999
        assert backend.info.spectroscopy.channels[0].unit == "Hz"


def test_currents_are_simmons_and_their_slope_is_their_derivative():
    with closing(twin(seed=3, spectroscopy="current")) as backend:
        bias = triangle(4.0, 64, 1)
        current = backend.reference(np.array([(700.0, 900.0)]), bias)[0]
        slope = backend.reference(np.array([(700.0, 900.0)]), bias, 1)[0]
    up = slice(0, 17)
    np.testing.assert_allclose(np.gradient(current[up], bias[up])[1:-1], slope[up][1:-1], rtol=0.02)
    np.testing.assert_allclose(current[1:16], -current[33:48], rtol=1e-9)


@pytest.mark.parametrize(
    ("spectroscopy", "axis", "unit", "keys"),
    [("force", "height", "nm", {"distance", "points"}), ("current", "bias", "V", {"amplitude", "cycles"})],
)
def test_a_whole_run_learns_it_and_says_what_was_measured(spectroscopy, axis, unit, keys, wanderer):
    afm = AFM(twin(seed=3, pixels=(32, 32), spectroscopy=spectroscopy), name="afm")
    with closing(afm):
        documents = measure(curiosity, {"initial": 2}, 4, build=wanderer, afm=afm)
    (descriptor,) = [doc for name, doc in documents if name == "descriptor" and doc["name"] == "primary"]
    configuration = descriptor["configuration"]["afm_spectrometer"]
    assert configuration["data"]["afm_spectrometer_axis_name"] == axis
    assert configuration["data_keys"]["afm_spectrometer_axis"]["units"] == unit
    assert {f"afm_spectrometer_{key}" for key in keys} <= set(configuration["data"])
    assert len(History(documents).observations) == 4
    first = events(documents, "primary")[0]["data"]
    length = len(configuration["data"]["afm_spectrometer_axis"])
    assert np.shape(first["afm_spectrometer_spectrum"]) == (length,)
    assert ("afm_spectrometer_channels" in first) == (spectroscopy == "current")
    assert documents[0][1]["sample"]["sample"]["spectroscopy"] == spectroscopy


def test_a_ramp_outside_the_envelope_is_refused_before_anything_moves():
    envelope = Envelope(z_range_max=60, z_speed_max=1000)
    with closing(AFM(twin(seed=3, spectroscopy="force"), name="afm", envelope=envelope)) as afm:
        with pytest.raises(ValueError, match="60"):
            afm.spectrometer.distance.put(61.0)
        afm.spectrometer.dwell.put(1e-4)
        with pytest.raises(EnvelopeError, match=r"a ramp of 3937\.01 nm/s is faster than 1000 nm/s"):
            afm.spectrometer.check()
        for heights in ([0.0, -1.0], [0.0, 61.0], [0.0, np.nan]):
            with pytest.raises(EnvelopeError, match=r"are outside 0 … 60 nm"):
                afm.backend.check_waveform(np.array(heights), 1.0)
        with pytest.raises(ReadOnlyError, match="this instrument takes spectra over height; they have no amplitude"):
            afm.spectrometer.amplitude.put(1.0)
        afm.tip.set("engaged").wait()
        with pytest.raises(BackendError, match="expected heights of 0 … 500 nm"):
            afm.backend._backend.spectrum(np.array([-1.0]), 1e-3)


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ({"z_range_max": 600}, "height of 600 nm is above that of the instrument, 500 nm"),
        ({"z_speed_max": 1e6}, "ramp speed of 1e\\+06 nm/s is above"),
        ({"trigger_force_max": 100}, "ends a ramp at 200 nN, the envelope allows 100 nN"),
    ],
)
def test_an_envelope_that_the_instrument_does_not_keep_is_refused(limits, told):
    with pytest.raises(ValueError, match=told), closing(twin(spectroscopy="force")) as backend:
        AFM(backend, name="afm", envelope=Envelope(**limits))


def test_epics_tells_the_limits_of_a_ramp():
    info = twin(spectroscopy="force").info
    again = wire.decode_info(wire.encode_info(info))
    assert (again.ramp, again.spectroscopy.waveform) == (info.ramp, "z")
    assert wire.decode_info(wire.encode_info(twin().info)).ramp is None


@pytest.mark.parametrize("spectroscopy", ["force", "current"])
def test_the_doctor_examines_it(spectroscopy):
    findings = list(examine(twin(seed=3, spectroscopy=spectroscopy), contact=True))
    assert [finding for finding in findings if finding.verdict == "fails"] == []


def test_effects_of_switching_do_not_go_with_it():
    with pytest.raises(ValueError, match="memory and bad_loops are effects of switching spectroscopy"):
        twin(spectroscopy="force", effects="realistic")
