"""The synthetic film: reproducible, self-consistent, and like what was measured."""

import json

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from ophyd_devices.twin import Ferroelectric
from ophyd_devices.twin.domains import GRID_NM
from ophyd_devices.twin.sample import Condition

QUARTER = np.arange(8) / 8
CYCLE = np.concatenate([QUARTER, 1 - QUARTER, -QUARTER, QUARTER - 1])


@pytest.fixture(scope="module")
def film():
    return Ferroelectric(seed=3)


@pytest.fixture(scope="module")
def positions():
    return np.random.default_rng(0).uniform(0, 2000, (400, 2))


@pytest.fixture(scope="module")
def loops(film, positions):
    return film.spectra(positions, 8 * np.tile(CYCLE, 3))[0]


def polarisation_at(film, positions):
    half = 1e-6
    return np.array([film.frame((x - half, x + half, y - half, y + half), (1, 1))[3, 0, 0] for x, y in positions])


def coercive(loops, bias):
    """Return where each loop crosses the middle of its range, going up and going down, in V."""
    crossings = []
    for half in (slice(0, 16), slice(16, 32)):
        centred = loops[:, half] - (loops.max(axis=1) + loops.min(axis=1))[:, None] / 2
        after = np.argmax(np.diff(np.sign(centred), axis=1) != 0, axis=1)
        rows = np.arange(len(loops))
        low, high = centred[rows, after], centred[rows, after + 1]
        volts = bias[half]
        crossings.append(volts[after] + (volts[after + 1] - volts[after]) * low / (low - high))
    return crossings


def test_the_same_seed_gives_the_same_film(film, positions):
    again = Ferroelectric(seed=3)
    np.testing.assert_array_equal(again.frame(again.area, (32, 32)), film.frame(film.area, (32, 32)))
    np.testing.assert_array_equal(again.spectra(positions, CYCLE)[0], film.spectra(positions, CYCLE)[0])


def test_another_seed_gives_another_film(film):
    other = Ferroelectric(seed=4)
    assert not np.allclose(other.frame(other.area, (32, 32)), film.frame(film.area, (32, 32)))


def test_polarisation_is_amplitude_times_cosine_of_phase(film):
    _, amplitude, phase, polarisation = film.frame(film.area, (64, 64), np.random.default_rng(0))
    np.testing.assert_allclose(amplitude * np.cos(np.radians(phase)), polarisation, atol=1e-5)
    assert phase.min() >= -90
    assert phase.max() < 270


def test_a_zoom_shows_the_same_place(film):
    whole = film.frame(film.area, (64, 64))
    zoom = film.frame((0.0, 1000.0, 1000.0, 2000.0), (32, 32))
    np.testing.assert_allclose(zoom, whole[:, 32:, :32], atol=1e-4)


def test_the_loop_starts_from_the_image(film, positions):
    off, on = film.spectra(positions[:50], np.zeros(3))
    # The state is resolved to 2/64, and on walls a product of interpolated maps is not its interpolation.
    assert off[:, 0] == pytest.approx(polarisation_at(film, positions[:50]), abs=0.06)
    np.testing.assert_array_equal(off[:, 0], off[:, 2])
    assert on is not None


def test_the_on_field_loop_adds_a_line_in_the_bias(film, positions):
    bias = 8 * CYCLE
    off, on = film.spectra(positions, bias)
    assert np.ptp(on - off - 0.03 * bias) < 1e-12


def test_a_small_waveform_does_not_switch_inside_domains(film, positions, loops):
    inside = positions[np.abs(polarisation_at(film, positions)) > 0.45 * np.ptp(loops, axis=1)]
    assert len(inside) > 100
    small = np.ptp(film.spectra(inside, 1.0 * CYCLE)[0], axis=1)
    assert np.median(small) < 0.03
    assert (small < 0.05).mean() > 0.8
    assert (np.ptp(film.spectra(inside, 8.0 * CYCLE)[0], axis=1) > 0.5).mean() > 0.9


def test_a_larger_amplitude_opens_the_loop_further(film, positions):
    opened = [np.median(np.ptp(film.spectra(positions, volts * CYCLE)[0], axis=1)) for volts in (2.0, 4.0, 6.0, 10.0)]
    assert opened[0] < 0.1
    assert opened[0] < 0.5 * opened[1]
    assert opened == sorted(opened)
    assert opened[3] > 1.2


def test_loops_are_rounder_at_walls_and_defects_and_lower_in_needles(film, positions):
    bias = 8 * np.tile(CYCLE, 2)
    off = film.spectra(positions, bias)[0][:, 32:]
    state = np.abs(polarisation_at(film, positions)) / np.ptp(off, axis=1)
    inside, wall = off[state > 0.47], off[state < 0.3]
    partly = [(np.abs(loops / np.abs(loops).max(axis=1, keepdims=True)) < 0.7).mean() for loops in (inside, wall)]
    assert partly[1] > 1.2 * partly[0]
    assert np.median(np.ptp(wall, axis=1)) < np.median(np.ptp(inside, axis=1))


def test_what_is_measured_stays_within_the_full_scale(film, positions):
    low, high = film.spectroscopy.full_scale
    measured = film.spectra(positions, 10 * CYCLE, np.random.default_rng(0))
    assert all((low <= spectra).all() and (spectra <= high).all() for spectra in measured)


def test_beyond_its_edges_the_film_goes_on_as_its_mirror_image(film):
    inside = film.frame((0.0, 200.0, 0.0, 2000.0), (50, 20))
    outside = film.frame((-200.0, 0.0, 0.0, 2000.0), (50, 20))
    np.testing.assert_allclose(outside[3], inside[3][:, ::-1], atol=1e-6)


def test_a_loop_writes_a_domain_that_grows_with_the_voltage(film):
    grown, sizes = film.as_grown(), []
    row, column = np.unravel_index(gaussian_filter(grown, 8).argmax(), grown.shape)  # deep in an up domain
    place = (column * GRID_NM, row * GRID_NM)
    for volts in (4.0, 6.0, 8.0):
        where, becomes = film.written(place, volts * CYCLE, 45.0, grown)
        sizes.append(2 * np.sqrt((np.abs(becomes - grown[where]) > 0.5).sum() * GRID_NM**2 / np.pi))
    assert sizes == sorted(sizes)
    assert 20 < sizes[0] < sizes[2] < 150
    where, becomes = film.written(place, 0 * CYCLE, 45.0, grown)
    np.testing.assert_array_equal(becomes, grown[where])
    assert film.written((-500.0, 1000.0), 8 * CYCLE, 45.0, grown)[1].size == 0


def test_under_the_tip_what_is_written_is_how_the_loop_ends(film, positions):
    grown = film.as_grown()
    for place in positions[:30]:
        centre = (np.floor(place / GRID_NM) + 0.5) * GRID_NM  # a point of the grid
        where, becomes = film.written(tuple(centre), 6 * CYCLE, 45.0, grown)
        after = grown.copy()
        after[where] = becomes
        ends = film.spectra(centre[None], np.append(6 * CYCLE, 0.0))[0][0, -1]
        starts = film.spectra(centre[None], np.zeros(1), condition=Condition(state=after))[0][0, 0]
        assert starts == pytest.approx(ends, abs=0.06)


def test_cycles_after_the_first_repeat(loops):
    np.testing.assert_array_equal(loops[:, 33:64], loops[:, 65:])
    assert not np.array_equal(loops[:, :32], loops[:, 32:64])


def test_coercive_voltages_are_those_of_measured_loops(loops):
    switching = np.ptp(loops[:, 64:], axis=1) > 0.3
    up, down = coercive(loops[switching, 64:], 8 * CYCLE)
    assert np.median(up) == pytest.approx(5.4, abs=0.4)
    assert np.median(down) == pytest.approx(-2.9, abs=0.4)
    assert 0.8 < np.subtract(*np.percentile(up, [75, 25])) < 2.0
    assert 0.7 < np.subtract(*np.percentile(down, [75, 25])) < 1.6


def test_noise_is_unbiased_skewed_and_a_few_per_cent_of_the_loop(film, positions, loops):
    noise = film.spectra(positions, 8 * np.tile(CYCLE, 3), np.random.default_rng(1))[0] - loops
    share = noise.std(axis=1) / np.ptp(loops, axis=1)
    assert abs(noise.mean()) < 0.002
    assert ((noise / noise.std(axis=1, keepdims=True)) ** 3).mean() > 0.3
    assert 0.035 < np.median(share) < 0.075
    assert np.percentile(share, 1) > 0.015
    assert np.percentile(share, 99) < 0.2


def test_both_orientations_and_needles_are_there(film):
    polarisation = film.frame(film.area, (128, 128))[3]
    assert 0.3 < (polarisation > 0).mean() < 0.7
    assert 0.02 < (np.abs(polarisation) < 0.2).mean() < 0.3
    assert 0.8 < np.abs(polarisation).max() < 1.8


@pytest.mark.parametrize("extent", [(200.0, 200.0), (1003.0, 517.0)])
def test_other_extents(extent):
    film = Ferroelectric(seed=0, extent_nm=extent, pixels=(16, 32))
    assert film.area == (0.0, extent[0], 0.0, extent[1])
    frame = film.frame(film.area, film.pixels)
    assert frame.shape == (4, 16, 32)
    assert frame.dtype == np.float32
    assert np.isfinite(frame).all()
    assert json.loads(json.dumps(film.describe()))["extent_nm"] == list(extent)


@pytest.mark.parametrize("extent", [(100.0, 2000.0), (2000.0, 6000.0), (np.nan, 2000.0), (-1.0, 300.0)])
def test_an_extent_out_of_range_is_refused(extent):
    with pytest.raises(ValueError, match="expected an extent of 200 … 5000 nm"):
        Ferroelectric(extent_nm=extent)
