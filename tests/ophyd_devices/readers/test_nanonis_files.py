"""Nanonis grids and scans: positions, units, unfinished grids, the scan beside a grid."""

import numpy as np
import pytest
from measured_files import nanonis_grid, nanonis_scan

from ophyd_devices.readers import SampleError, read
from ophyd_devices.twin import recorded, sample_from

CURVES = np.random.default_rng(0).normal(size=(3, 4, 2, 6)).astype(np.float32) * 1e-9
PICTURE = np.random.default_rng(1).normal(size=(6, 8)).astype(np.float32) * 1e-9


def test_a_grid_has_its_channels_places_and_units(tmp_path):
    found = read(nanonis_grid(tmp_path / "map.3ds", CURVES))
    assert [(one.name, one.unit) for one in found.spectra] == [("Current", "A"), ("Phase", "°")]
    current = found.spectra[0]
    assert current.grid == (3, 4)
    np.testing.assert_allclose(current.area, (80, 120, 185, 215))
    np.testing.assert_allclose(current.positions[[0, 5]], [[85, 190], [95, 200]])
    np.testing.assert_array_equal(current.values.reshape(3, 4, 6), CURVES[:, :, 0])
    assert (current.axes[0].name, current.axes[0].unit) == ("Bias", "V")
    np.testing.assert_allclose(current.axes[0].values, np.linspace(-1, 1, 6))
    (height,) = found.images
    assert (height.name, height.unit) == ("Z", "nm")
    np.testing.assert_allclose(height.values, np.arange(12).reshape(3, 4), rtol=1e-6)
    assert found.seconds == pytest.approx(0.06)


@pytest.mark.parametrize("cut", [False, True])
def test_what_was_not_measured_is_no_candidate(tmp_path, cut):
    path = nanonis_grid(tmp_path / "map.3ds", CURVES, written=8)
    if cut:
        path.write_bytes(path.read_bytes()[: -4 * 4 * 17])
    sample = sample_from(path)
    assert sample.places.shape == (8, 2)
    assert sample.values.shape == (2, 8, 6)
    assert "not finished: 4 of 12 pixels" in " ".join(sample.describe()["notes"])


@pytest.mark.parametrize("up", [False, True])
def test_the_scan_beside_a_grid_is_its_image(tmp_path, up):
    nanonis_scan(tmp_path / "map.sxm", PICTURE, up=up)
    sample = sample_from(nanonis_grid(tmp_path / "map.3ds", CURVES), image_channel="Z")
    np.testing.assert_allclose(sample.area, (60, 140, 170, 230))
    np.testing.assert_array_equal(sample.image[0], PICTURE)
    assert sample.places.shape == (12, 2)
    backward = sample_from(tmp_path / "map.3ds", image_channel="Z backward")
    np.testing.assert_array_equal(backward.image, sample.image)
    assert recorded(tmp_path / "map.3ds").info.pixels == (6, 8)


def test_a_turned_grid_is_single_places(tmp_path):
    nanonis_scan(tmp_path / "map.sxm", PICTURE)
    sample = sample_from(nanonis_grid(tmp_path / "map.3ds", CURVES, angle=90.0))
    np.testing.assert_allclose(sample.places[0], [90, 215])  # clockwise: what was left is up
    (tmp_path / "map.sxm").unlink()
    alone = sample_from(tmp_path / "map.3ds")
    np.testing.assert_array_equal(alone.places, sample.places)
    told = " ".join(alone.describe()["notes"])
    assert "put the scan beside it" in told
    assert f"interpolated between {len(alone.places)} places" in told


def test_a_scan_alone_has_no_spectra(tmp_path):
    with pytest.raises(SampleError, match="expected spectra, found only images: Z, Z backward"):
        sample_from(nanonis_scan(tmp_path / "scan.sxm", PICTURE))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data[:100], "ends with :HEADER_END:, found none"),
        (lambda data: data.replace(b'"4 x 3"', b'"40000 x 90000"'), r"promises .* GiB, and at most 4 GiB are read"),
        (lambda data: data.replace(b"Points=6", b"Points=six"), "could not read"),
        (lambda data: data[:data.index(b":HEADER_END:") + 14], "the header promises 204 numbers, there are 0"),
        (lambda data: b"", "this one is empty"),
    ],
)  # fmt: skip
def test_a_damaged_grid_is_told(tmp_path, change, words):
    path = nanonis_grid(tmp_path / "map.3ds", CURVES)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(SampleError, match=words):
        sample_from(path)
