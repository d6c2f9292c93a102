"""A measured cube as a sample, and every way in which a file can be wrong."""

import hashlib
import json

import numpy as np
import pytest

from ophyd_devices.backend import BackendError, Channel
from ophyd_devices.twin import SampleError, load_recorded, recorded

H, W, K = 3, 4, 5


def arrays(**changes):
    """Return the arrays of a good file with changes; None leaves one out."""
    rng = np.random.default_rng(0)
    good = {"image": rng.normal(size=(H, W)).astype(np.float32), "spectra": rng.normal(size=(H, W, K))}
    return {key: value for key, value in (good | changes).items() if value is not None}


@pytest.fixture
def save(tmp_path):
    def save(**changes):
        path = tmp_path / "cube.npz"
        np.savez(path, **arrays(**changes))
        return path

    return save


def with_value(value, key="spectra", index=(1, 2, 3)):
    array = arrays()[key].copy()
    array[index] = value
    return array


def test_a_bare_file_gets_named_defaults(save):
    sample = load_recorded(save())
    assert sample.channels == (Channel("image", ""),)
    assert (sample.spectroscopy.axis_name, sample.spectroscopy.axis_unit) == ("step", "")
    assert sample.spectroscopy.on_field is False
    np.testing.assert_array_equal(sample.spectroscopy.axis, np.arange(K))
    assert sample.area == (0.0, W, 0.0, H)
    assert sample.pixels == (H, W)
    assert sample.fixed_frame
    assert sample.describe()["extent_source"] == "assumed 1 px = 1 nm"


def test_a_full_file_keeps_its_words_and_numbers(save):
    path = save(
        image=np.arange(2 * H * W).reshape(2, H, W),
        axis=np.linspace(1600, 1700, K),
        axis_name="wavenumber",
        axis_unit="1/cm",
        quantity="photo-induced force",
        spectrum_unit="mV",
        channels=np.array(["topography", "force"]),
        channel_units=np.array(["nm", "mV"]),
        extent_nm=256.0,
        mask=np.zeros(3),
    )
    sample = load_recorded(path)
    assert sample.channels == (Channel("topography", "nm"), Channel("force", "mV"))
    kind = sample.spectroscopy
    assert (kind.quantity, kind.unit, kind.axis_name, kind.axis_unit) == (
        "photo-induced force",
        "mV",
        "wavenumber",
        "1/cm",
    )
    frame = sample.frame(sample.area, sample.pixels)
    assert frame.dtype == np.float32
    np.testing.assert_array_equal(frame, np.arange(2 * H * W).reshape(2, H, W))
    facts = json.loads(json.dumps(sample.describe()))
    assert facts["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert facts["extent_source"] == "file"
    assert facts["unused_keys"] == ["mask"]
    assert facts["spectra_shape"] == [H, W, K]


@pytest.mark.parametrize(
    ("extent", "area"),
    [
        (400, (0, 400, 0, 300)),
        ([400.0, 200.0], (0, 400, 0, 200)),
        ((-10.0, 30.0, 5.0, 35.0), (-10, 30, 5, 35)),
    ],
)
def test_an_extent_is_a_width_two_sides_or_four_edges(save, extent, area):
    from_file = load_recorded(save(extent_nm=extent))
    assert from_file.area == area
    given = load_recorded(save(extent_nm=1.0), extent_nm=extent)
    assert given.area == area
    assert given.describe()["extent_source"] == "given"


def test_the_spectrum_is_that_of_the_pixel_that_contains_the_position(save):
    sample = load_recorded(save(), extent_nm=(40.0, 30.0))
    cube = arrays()["spectra"]
    x, y = np.meshgrid(10 * (np.arange(W) + 0.5), 10 * (np.arange(H) + 0.5))
    centres = np.stack([x.ravel(), y.ravel()], axis=1)
    for shift in (-4.9, 0.0, 4.9):
        spectra, on_field = sample.spectra(centres + shift, np.arange(K, dtype=float), np.random.default_rng(0))
        np.testing.assert_array_equal(spectra, cube.reshape(-1, K))
        assert on_field is None
    corners = sample.spectra(np.array([[0.0, 0.0], [40.0, 30.0]]), np.arange(K, dtype=float))[0]
    np.testing.assert_array_equal(corners, cube[[0, -1], [0, -1]])


def test_what_it_returns_is_a_copy(save):
    sample = load_recorded(save())
    sample.frame(sample.area, sample.pixels)[:] = 0
    sample.spectra(np.ones((1, 2)), np.arange(K, dtype=float))[0][:] = 0
    np.testing.assert_array_equal(sample.image[0], arrays()["image"])
    np.testing.assert_array_equal(sample.cube, arrays()["spectra"])


def test_only_its_own_frame_and_axis_are_there(save):
    sample = load_recorded(save())
    with pytest.raises(BackendError, match="only has its own frame"):
        sample.frame((0.0, 2.0, 0.0, 2.0), sample.pixels)
    with pytest.raises(BackendError, match="only has its own frame"):
        sample.frame(sample.area, (H, W + 1))
    for other in (np.arange(K) + 0.1, np.arange(K - 1.0)):
        with pytest.raises(BackendError, match=r"pass info.spectroscopy.axis"):
            sample.spectra(np.ones((1, 2)), other)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"spectra": None, "axis": np.arange(K)}, "expected an array 'spectra', found axis, image"),
        ({"image": None}, "expected an array 'image', found spectra"),
        ({"image": np.zeros(5)}, r"reshape them"),
        ({"spectra": np.zeros((H * W, K))}, r"got \(3, 4\) and \(12, 5\)"),
        ({"image": np.zeros((W, H))}, "image of 4×3 px and spectra of 3×4 px.*transposed"),
        ({"image": np.zeros((0, H, W))}, "at least 1 channel"),
        ({"image": np.zeros((1, W)), "spectra": np.zeros((1, W, K))}, "2×2 px"),
        ({"spectra": np.zeros((H, W, 1))}, "2 steps a spectrum"),
        ({"spectra": with_value(np.nan)}, r"'spectra', got 1 that are not, the first at index \(1, 2, 3\)"),
        ({"spectra": with_value(-np.inf)}, r"'spectra', got 1 that are not"),
        ({"image": with_value(np.nan, "image", (0, slice(1, 3)))}, r"'image', got 2 .* first at index \(0, 1\)"),
        ({"image": np.full((H, W), 1e300)}, "that fit into float32"),
        ({"image": np.full((H, W), "a")}, "real numbers in 'image', got dtype <U1"),
        ({"spectra": np.zeros((H, W, K), complex)}, "real numbers in 'spectra', got dtype complex128"),
        ({"axis": np.arange(K + 1)}, r"axis of shape \(5,\).*got .axis. of \(6,\)"),
        ({"axis": np.array([0, 1, np.nan, 3, 4])}, r"'axis', got 1 that are not, the first at index \(2,\)"),
        ({"channels": np.array(["a", "b"])}, r"expected 1 text\(s\) in 'channels', got shape \(2,\)"),
        ({"channel_units": np.array([1.0])}, "'channel_units'.*dtype float64"),
        ({"axis_name": 3}, "'axis_name'"),
        ({"extent_nm": 0.0}, "positive sides"),
        ({"extent_nm": np.array([10.0, -1.0])}, "positive sides"),
        ({"extent_nm": np.nan}, "finite"),
        ({"extent_nm": np.arange(3.0)}, "expected an extent"),
        ({"extent_nm": "wide"}, "expected an extent"),
        ({"image": np.array([[None, 1]])}, "could not read it"),
    ],
)
def test_a_wrong_file_is_refused_in_words(save, changes, match):
    path = save(**changes)
    with pytest.raises(SampleError, match=match) as caught:
        load_recorded(path)
    assert str(path) in str(caught.value)


def test_a_wrong_extent_given_is_refused(save):
    with pytest.raises(SampleError, match="positive sides"):
        load_recorded(save(), extent_nm=-5.0)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(SampleError, match="there is none; check the path"):
        load_recorded(tmp_path / "nothing.npz")


def test_a_file_that_is_not_npz_is_refused(tmp_path, save):
    path = tmp_path / "text.npz"
    path.write_text("bias,response\n0,1\n")
    with pytest.raises(SampleError, match="could not read it"):
        load_recorded(path)
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(SampleError, match="got a single array"):
        load_recorded(tmp_path / "one.npy")
    path.write_bytes(b"")
    with pytest.raises(SampleError, match="could not read it"):
        load_recorded(path)
    whole = save().read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SampleError, match="could not read it"):
        load_recorded(path)


def test_the_backend_plays_it_back_without_noise(save):
    axis = np.linspace(1600, 1700, K)  # far above any voltage: the amplitude limit is for voltages
    backend = recorded(save(axis=axis), extent_nm=400.0)
    assert backend.info.fixed_frame
    assert backend.info.pixels == (H, W)
    backend.engage(20.0)
    frame = backend.frame(backend.info.scan_range, backend.info.pixels, 1.0, lambda done, total: None)
    np.testing.assert_array_equal(frame[0], arrays()["image"])
    backend.move(350.0, 50.0, 1000.0, 0.0)
    loop = backend.spectrum(axis, 1e-3)
    np.testing.assert_array_equal(loop.spectrum, arrays()["spectra"][0, 3])
    assert loop.on_field is None
    np.testing.assert_array_equal(backend.reference(np.array([[350.0, 50.0]]), axis)[0], loop.spectrum)
    before = backend.time()
    with pytest.raises(BackendError, match="its own axis"):
        backend.spectrum(axis + 1, 1e-3)
    with pytest.raises(BackendError, match="its own frame"):
        backend.frame((0.0, 100.0, 0.0, 100.0), (H, W), 1.0, lambda done, total: None)
    assert backend.time() == before


def test_another_array_can_be_the_axis(tmp_path):
    path, wavenumber = tmp_path / "sample.npz", np.linspace(1600, 1700, 5)
    np.savez(path, image=np.zeros((4, 4)), spectra=np.zeros((4, 4, 5)), wavenumber=wavenumber, other=np.zeros(3))
    plain = load_recorded(path)
    assert plain.spectroscopy.axis_name == "step"
    assert plain.describe()["possible_axes"] == ["wavenumber"]
    infrared = load_recorded(path, axis="wavenumber", axis_unit="cm⁻¹")
    assert (infrared.spectroscopy.axis_name, infrared.spectroscopy.axis_unit) == ("wavenumber", "cm⁻¹")
    assert np.array_equal(infrared.spectroscopy.axis, wavenumber)
    assert infrared.describe()["possible_axes"] == []
    with pytest.raises(SampleError, match=r"got 'other' of \(3,\)"):
        load_recorded(path, axis="other")
    with pytest.raises(SampleError, match="expected an array 'colour', found image, other, spectra, wavenumber"):
        load_recorded(path, axis="colour")


def test_channels_of_one_name_and_numbers_out_of_range_are_refused(tmp_path):
    path = tmp_path / "sample.npz"
    np.savez(path, image=np.zeros((2, 4, 4)), spectra=np.zeros((4, 4, 5)), channels=["a", "a"])
    with pytest.raises(SampleError, match="expected 2 different names in 'channels'"):
        load_recorded(path)
    np.savez(path, image=np.full((4, 4), 1e200), spectra=np.zeros((4, 4, 5)))
    with pytest.raises(SampleError, match=r"that fit into float32, got .*1e\+200.* at index \(0, 0\)"):
        load_recorded(path)
