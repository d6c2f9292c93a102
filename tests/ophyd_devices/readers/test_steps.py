"""Preprocessing: each step by its arithmetic, what it says, and that a run can make it again."""

import numpy as np
import pytest
from support import write_sample

from ophyd_devices.readers.steps import sweeps
from ophyd_devices.twin import SampleError, recorded, sample_from

AXIS = np.linspace(-1, 1, 12)


@pytest.fixture
def path(tmp_path):
    return write_sample(tmp_path / "map.npz", (6, 7), noise=0.1, axis=AXIS, axis_name="bias", axis_unit="V",
                        quantity="current", spectrum_unit="nA")  # fmt: skip


def test_a_range_of_the_axis_is_kept(path):
    plain, sample = sample_from(path), sample_from(path, preprocess=["range=-0.5,0.5"])
    kept = np.abs(AXIS) <= 0.5
    np.testing.assert_array_equal(sample.cube, plain.cube[:, :, kept])
    np.testing.assert_array_equal(sample.spectroscopy.axis, AXIS[kept])


def test_neighbours_are_averaged(path):
    plain, sample = sample_from(path), sample_from(path, preprocess=["bin=5"])
    np.testing.assert_allclose(sample.cube, plain.cube[:, :, :10].reshape(6, 7, 2, 5).mean(axis=3))
    np.testing.assert_allclose(sample.spectroscopy.axis, AXIS[:10].reshape(2, 5).mean(axis=1))


def test_a_background_is_taken_off(path):
    plain = sample_from(path).cube
    mean = sample_from(path, preprocess=["background=mean"]).cube
    np.testing.assert_allclose(mean, plain - plain.mean(axis=2, keepdims=True), atol=1e-12)
    linear = sample_from(path, preprocess=["background=linear"]).cube
    slope, offset = np.polyfit(AXIS, plain.reshape(-1, 12).T, 1)
    expected = plain.reshape(-1, 12) - slope[:, None] * AXIS - offset[:, None]
    np.testing.assert_allclose(linear.reshape(-1, 12), expected, atol=1e-12)


def test_a_background_is_fitted_to_a_part_of_the_axis(tmp_path):
    """A contact line, or a baseline: exact where it is a line, whatever the rest is."""
    slopes, peak = np.arange(1, 21).reshape(4, 5, 1), np.exp(-((AXIS / 0.2) ** 2)) * (np.abs(AXIS) < 0.45)
    np.savez(tmp_path / "map.npz", spectra=3 + slopes * AXIS + slopes * peak, axis=AXIS)
    cube = sample_from(tmp_path / "map.npz", preprocess=["background=linear,-1,-0.5"]).cube
    np.testing.assert_allclose(cube, slopes * peak, atol=1e-12)
    level = sample_from(tmp_path / "map.npz", preprocess=["background=mean,0.9,1.1"]).cube
    np.testing.assert_allclose(level[..., -1], 0, atol=1e-12)


def test_values_over_decades_are_compressed(path):
    plain, sample = sample_from(path), sample_from(path, preprocess=["asinh=0.5"])
    np.testing.assert_allclose(sample.cube, np.arcsinh(plain.cube / 0.5))
    assert sample.spectroscopy.quantity == "asinh current"
    with pytest.raises(SampleError, match=r"log needs positive values, .* use asinh=SCALE"):
        sample_from(path, preprocess=["log"])


def test_steps_are_made_in_order_and_told(path):
    steps = ["range=-0.9,0.9", "bin=2", "background=mean"]
    described = recorded(path, preprocess=steps).describe()["sample"]
    assert described["preprocess"] == steps
    assert described["spectra_shape"] == [6, 7, 5]
    assert "2 neighbouring steps averaged: 5 steps of 10" in described["notes"]
    again = recorded(path, preprocess=described["preprocess"])
    np.testing.assert_array_equal(again.sample.values, sample_from(path, preprocess=steps).values)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("smooth", "expected a step range=LOW,HIGH"),
        ("range=1", r"expected 2 number\(s\)"),
        ("range=5,6", "keeps 0 steps of the axis -1 … 1 V; at least 2 are needed"),
        ("bin=7", r"12 steps in 1 sweep\(s\) leaves 1, and 2 are needed; choose a smaller"),
        ("bin=2.5", "whole number"),
        ("asinh=-1", "positive scale"),
        ("background=quadratic", "background=linear"),
    ],
)
def test_a_wrong_step_is_refused(path, step, words):
    with pytest.raises(SampleError, match=words):
        sample_from(path, preprocess=[step])


TRIANGLE = np.concatenate([np.arange(0, 7), np.arange(5, -7, -1), np.arange(-5, 1)]).astype(float)
TWICE = np.tile(np.linspace(-1, 1, 10), 2)


@pytest.mark.parametrize(
    ("axis", "lengths"),
    [(TRIANGLE, [7, 12, 6]), (TWICE, [10, 10]), (AXIS, [12]), (AXIS[::-1], [12]), (np.array([0.0, 1.0]), [2]),
     (np.linspace(0, 9, 40) + 0.1 * np.random.default_rng(0).normal(size=40), [40])],
)  # fmt: skip
def test_the_sweeps_of_an_axis(axis, lengths):
    """Where it turns, and where it jumps back; noise of a measured axis is no turn."""
    parts = sweeps(axis)
    assert [part.stop - part.start for part in parts] == lengths
    assert np.concatenate([axis[part] for part in parts]).tolist() == axis.tolist()


def test_forward_and_backward_are_not_mixed(tmp_path):
    forward, backward = np.arange(10.0), np.arange(10.0)[::-1]
    spectra = np.tile(np.concatenate([forward, 100 + backward]), (4, 5, 1)) * np.arange(1, 21).reshape(4, 5, 1)
    path = tmp_path / "map.npz"
    np.savez(path, spectra=spectra, axis=np.concatenate([forward, backward]))
    plain = sample_from(path)
    assert any("in 2 sweeps, learned together" in note for note in plain.describe()["notes"])
    back = sample_from(path, preprocess=["sweep=2"])
    np.testing.assert_array_equal(back.cube, plain.cube[:, :, 10:])
    binned = sample_from(path, preprocess=["bin=3"])
    np.testing.assert_array_equal(binned.spectroscopy.axis, [1, 4, 7, 8, 5, 2])
    np.testing.assert_allclose(binned.cube[0, 0], [1, 4, 7, 108, 105, 102])


def test_ranks_keep_the_order_only(path):
    plain, ranked = sample_from(path).cube, sample_from(path, preprocess=["rank"]).cube
    np.testing.assert_array_equal(np.argsort(ranked.ravel()), np.argsort(plain.ravel()))
    assert (ranked.min(), ranked.max()) == (0, 1)


def test_a_channel_that_cannot_take_a_step_is_left_out(tmp_path):
    path = tmp_path / "map.npz"
    values = np.random.default_rng(0).uniform(1, 2, size=(5, 5, 6))
    np.savez(path, spectra=values - 1j * values)
    sample = sample_from(path, preprocess=["log"])
    assert len(sample.values) == 1
    assert any("log cannot be made of them: imaginary part" in note for note in sample.describe()["notes"])


def test_many_steps_are_averaged_and_told(tmp_path):
    path = write_sample(tmp_path / "map.npz", (4, 5), steps=2100, noise=0.1)
    plain, binned = sample_from(path, preprocess=["bin=1"]), sample_from(path)
    assert plain.cube.shape == (4, 5, 2100)
    np.testing.assert_allclose(binned.cube, plain.cube.reshape(4, 5, 420, 5).mean(axis=3))
    about = binned.describe()
    assert about["preprocess"] == ["bin=5"]
    assert "5 neighbouring steps averaged: 420 steps of 2100" in about["notes"]
    again = sample_from(path, preprocess=about["preprocess"])
    np.testing.assert_array_equal(again.cube, binned.cube)
    assert sample_from(path, preprocess=["range=0,1000"]).cube.shape[2] == 1001
