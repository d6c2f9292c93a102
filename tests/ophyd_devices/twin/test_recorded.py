"""A measured cube as a sample, and every way in which a file can be wrong."""

import hashlib
import json
import zipfile

import numpy as np
import pytest

from ophyd_devices.backend import BackendError, Channel
from ophyd_devices.twin import SampleError, recorded, sample_from

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
    sample = sample_from(save())
    assert sample.channels == (Channel("image", ""),)
    assert (sample.spectroscopy.axis_name, sample.spectroscopy.axis_unit) == ("step", "")
    assert sample.spectroscopy.others == ()
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
    sample = sample_from(path)
    assert sample.channels == (Channel("topography", "nm"), Channel("force", "mV"))
    kind = sample.spectroscopy
    assert (kind.quantity, kind.unit, kind.axis_name, kind.axis_unit) == (
        "photo-induced force",
        "mV",
        "wavenumber",
        "cm⁻¹",
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
    from_file = sample_from(save(extent_nm=extent))
    assert from_file.area == area
    given = sample_from(save(extent_nm=1.0), extent_nm=extent)
    assert given.area == area
    assert given.describe()["extent_source"] == "given"


def test_the_spectrum_is_that_of_the_pixel_that_contains_the_position(save):
    sample = sample_from(save(), extent_nm=(40.0, 30.0))
    cube = arrays()["spectra"]
    x, y = np.meshgrid(10 * (np.arange(W) + 0.5), 10 * (np.arange(H) + 0.5))
    centres = np.stack([x.ravel(), y.ravel()], axis=1)
    for shift in (-4.9, 0.0, 4.9):
        (spectra,) = sample.spectra(centres + shift, np.arange(K, dtype=float), np.random.default_rng(0))
        np.testing.assert_array_equal(spectra, cube.reshape(-1, K))
    corners = sample.spectra(np.array([[0.0, 0.0], [40.0, 30.0]]), np.arange(K, dtype=float))[0]
    np.testing.assert_array_equal(corners, cube[[0, -1], [0, -1]])


def test_what_it_returns_is_a_copy(save):
    sample = sample_from(save())
    sample.frame(sample.area, sample.pixels)[:] = 0
    sample.spectra(np.ones((1, 2)), np.arange(K, dtype=float))[0][:] = 0
    np.testing.assert_array_equal(sample.image[0], arrays()["image"])
    np.testing.assert_array_equal(sample.cube, arrays()["spectra"])


def test_only_its_own_frame_and_axis_are_there(save):
    sample = sample_from(save())
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
        ({"spectra": None, "axis": np.arange(K)}, r"expected an array 'spectra', found axis \(5,\), image \(3, 4\)"),
        ({"image": np.zeros(5)}, r"got \(5,\); reshape it"),
        ({"spectra": np.zeros((H * W, K))}, r"or \(M, K\) with positions_nm \(M, 2\), got \(12, 5\)"),
        ({"image": np.zeros((W, H))}, "image of 4×3 px and spectra of 3×4 px.*transposed"),
        ({"image": np.zeros((0, H, W))}, "at least 1 channel"),
        ({"image": np.zeros((1, W)), "spectra": np.zeros((1, W, K))}, "2×2 px"),
        ({"spectra": np.zeros((H, W, 1))}, "2 steps a spectrum"),
        ({"spectra": np.full((H, W, K), np.nan)}, "found none at 12 places"),
        (
            {"spectra": np.where(np.arange(H * W * K) < K, 1.5, np.nan).reshape(H, W, K)},
            "found only one at 12 places: there is nothing",
        ),
        ({"image": with_value(np.nan, "image", (0, slice(1, 3)))}, "at most 10% of its pixels missing, got 2 of 12"),
        ({"image": np.full((H, W), np.nan)}, "no pixel has one"),
        ({"image": np.full((H, W), 1e300)}, "that fit into float32"),
        ({"image": np.full((H, W), "a")}, "real numbers in 'image', got dtype <U1"),
        ({"image": np.zeros((H, W), complex)}, "real numbers in 'image', got dtype complex128"),
        ({"axis": np.zeros(K)}, "expected an axis that changes, got 0 at all 5 steps of 'axis'"),
        ({"extent_nm": [1e-6, 1e-6]}, "looks like metres: that would be 1000 × 1000 nm"),
        ({"extent_nm": 1.0, "extent": 1.0}, "given twice"),
        ({"extent": 1.0, "extent_unit": "V"}, "expected a unit of length such as nm, µm or m, got 'V'"),
        ({"measured": np.ones((H, H), bool)}, r"truth values \(3, 4\), one a spectrum, got \(3, 3\)"),
        ({"positions_nm": np.zeros((2, 2))}, r"with positions_nm \(M, 2\), got \(3, 4, 5\) and \(2, 2\)"),
        ({"axis": np.arange(K + 1)}, r"axis of shape \(5,\).*got .axis. of \(6,\)"),
        ({"axis": np.array([0, 1, np.nan, 3, 4])}, r"'axis', got 1 that are not, the first at index \(2,\)"),
        ({"channels": np.array(["a", "b"])}, r"expected 1 text\(s\) in 'channels', got shape \(2,\)"),
        ({"channel_units": np.array([1.0])}, "'channel_units'.*dtype float64"),
        ({"axis_name": 3}, "'axis_name'"),
        ({"extent_nm": 0.0}, "positive sides"),
        ({"extent_nm": np.array([10.0, 0.0])}, "positive sides"),
        ({"extent_nm": np.nan}, "finite"),
        ({"extent_nm": np.arange(3.0)}, "expected an extent"),
        ({"extent_nm": "wide"}, "expected an extent"),
        ({"image": np.array([[None, 1]])}, "'image' holds Python objects, which are never loaded"),
    ],
)
def test_a_wrong_file_is_refused_in_words(save, changes, match):
    path = save(**changes)
    with pytest.raises(SampleError, match=match) as caught:
        sample_from(path)
    assert str(path) in str(caught.value)


def test_a_wrong_extent_given_is_refused(save):
    with pytest.raises(SampleError, match="positive sides"):
        sample_from(save(), extent_nm=-5.0)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(SampleError, match="there is none; check the path"):
        sample_from(tmp_path / "nothing.npz")


def test_a_file_that_is_not_npz_is_refused(tmp_path, save):
    path = tmp_path / "text.npz"
    path.write_text("bias,response\n0,1\n")
    with pytest.raises(SampleError, match="its content is text"):
        sample_from(path)
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(SampleError, match="its content is a single array of numpy"):
        sample_from(tmp_path / "one.npy")
    path.write_bytes(b"")
    with pytest.raises(SampleError, match="this one is empty"):
        sample_from(path)
    whole = save().read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SampleError, match=r"the file is truncated.*copy it again"):
        sample_from(path)


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
    assert loop.others is None
    np.testing.assert_array_equal(backend.reference(np.array([[350.0, 50.0]]), axis)[0], loop.spectrum)
    before = backend.time()
    with pytest.raises(BackendError, match="its own axis"):
        backend.spectrum(axis + 1, 1e-3)
    with pytest.raises(BackendError, match="its own frame"):
        backend.frame((0.0, 100.0, 0.0, 100.0), (H, W), 1.0, lambda done, total: None)
    assert backend.time() == before


def test_another_array_can_be_the_axis(tmp_path):
    path, wavenumber = tmp_path / "sample.npz", np.linspace(1600, 1700, 5)
    np.savez(
        path, image=np.zeros((4, 4)), spectra=np.arange(80).reshape(4, 4, 5), wavenumber=wavenumber, other=np.zeros(3)
    )
    plain = sample_from(path)
    assert plain.spectroscopy.axis_name == "step"
    assert plain.describe()["possible_axes"] == ["wavenumber"]
    infrared = sample_from(path, axis="wavenumber", axis_unit="cm⁻¹")
    assert (infrared.spectroscopy.axis_name, infrared.spectroscopy.axis_unit) == ("wavenumber", "cm⁻¹")
    assert np.array_equal(infrared.spectroscopy.axis, wavenumber)
    assert infrared.describe()["possible_axes"] == []
    with pytest.raises(SampleError, match=r"got 'other' of \(3,\)"):
        sample_from(path, axis="other")
    with pytest.raises(SampleError, match=r"expected an array 'colour', found image \(4, 4\), other \(3,\), spectra"):
        sample_from(path, axis="colour")


def test_channels_of_one_name_and_numbers_out_of_range_are_refused(tmp_path):
    path = tmp_path / "sample.npz"
    np.savez(path, image=np.zeros((2, 4, 4)), spectra=np.zeros((4, 4, 5)), channels=["a", "a"])
    with pytest.raises(SampleError, match="expected 2 different names in 'channels'"):
        sample_from(path)
    np.savez(path, image=np.full((4, 4), 1e200), spectra=np.zeros((4, 4, 5)))
    with pytest.raises(SampleError, match=r"that fit into float32, got .*1e\+200.* at index \(0, 0\)"):
        sample_from(path)


def test_places_without_a_spectrum_are_no_places(save):
    """NaN, infinity, zeros beside other numbers, and a mask all mean the same."""
    spectra = arrays()["spectra"].copy()
    spectra[0, 0, 3], spectra[1, 1, 0], spectra[2, 2] = np.nan, -np.inf, 0.0
    measured = np.ones((H, W), bool)
    measured[2, 3] = False
    sample = sample_from(save(spectra=spectra, measured=measured, extent_nm=40.0))
    held = {(x, y) for x, y in sample.places.tolist()}
    assert len(held) == H * W - 4
    assert not held & {(5.0, 5.0), (15.0, 15.0), (25.0, 25.0), (35.0, 25.0)}
    axis = np.asarray(sample.spectroscopy.axis)
    np.testing.assert_array_equal(sample.spectra(np.array([[15.0, 5.0]]), axis)[0, 0], spectra[0, 1])
    with pytest.raises(BackendError, match="spectra at 8 places"):
        _ = sample.cube
    notes = " ".join(sample.describe()["notes"])
    assert "1 places are marked as not measured" in notes
    assert "1 of 12 places hold only zeros" in notes
    assert "4 of 12 places have no complete spectrum" in notes


def test_counts_may_be_zero(save):
    spectra = np.arange(H * W * K).reshape(H, W, K)
    spectra[0, 0] = 0
    assert sample_from(save(spectra=spectra)).places is None


def test_image_and_spectra_keep_their_own_grids(save):
    image = np.random.default_rng(1).normal(size=(30, 40))
    sample = sample_from(save(image=image, extent_nm=[400.0, 300.0]))
    assert sample.pixels == (30, 40)
    assert sample.places.shape == (H * W, 2)
    np.testing.assert_allclose(sample.places[[0, -1]], [[50, 50], [350, 250]])
    found = sample.spectra(np.array([[52.0, 51.0]]), np.arange(K, dtype=float))
    np.testing.assert_array_equal(found[0, 0], arrays()["spectra"][0, 0])
    sparse = sample_from(save(image=image, extent_nm=[40.0, 30.0], spectra=arrays()["spectra"].reshape(-1, K)[:3],
                              positions_nm=np.array([[3.0, 4.0], [11.0, 7.0], [90.0, 7.0]])))  # fmt: skip
    assert sparse.places.tolist() == [[3.0, 4.0], [11.0, 7.0]]
    assert any("1 spectra lie outside the image" in note for note in sparse.describe()["notes"])
    with pytest.raises(BackendError, match="no spectrum was recorded within"):
        sparse.spectra(np.array([[30.0, 20.0]]), np.arange(K, dtype=float))


def test_an_image_is_made_of_the_spectra_and_declared(save):
    sample = sample_from(save(image=None, quantity="current", spectrum_unit="nA"))
    assert sample.channels == (Channel("mean of current", "nA"),)
    np.testing.assert_allclose(sample.image[0], arrays()["spectra"].mean(axis=2), rtol=1e-6)
    assert any("there is no image in the file" in note for note in sample.describe()["notes"])


def test_missing_pixels_of_a_large_image_are_filled_and_told(save):
    image = np.random.default_rng(1).normal(size=(30, 40))
    image[0, 0], image[-2:] = np.nan, np.nan
    sample = sample_from(save(image=image, extent_nm=[40.0, 30.0]))
    assert sample.pixels == (28, 40)
    assert sample.area == (0.0, 40.0, 0.0, 28.0)
    assert sample.image[0, 0, 0] in (np.float32(image[0, 1]), np.float32(image[1, 0]))
    notes = " ".join(sample.describe()["notes"])
    assert "cut to the 28×40 of 30×40 px" in notes
    assert "1 missing pixels of the image 'image' are filled" in notes


def test_a_negative_side_turns_rows_and_columns(save):
    plain, turned = sample_from(save(extent_nm=[40.0, 30.0])), sample_from(save(extent_nm=[40.0, -30.0]))
    assert turned.area == plain.area
    np.testing.assert_array_equal(turned.image, plain.image[:, ::-1])
    np.testing.assert_array_equal(turned.cube, plain.cube[::-1])


def test_units_are_converted_and_told(save):
    sample = sample_from(save(extent=np.array([4e-6, 3e-6]), extent_unit=np.bytes_(b"m"), axis=np.arange(K) * 1e-10,
                              axis_unit="m"))  # fmt: skip
    np.testing.assert_allclose(sample.area, (0.0, 4000.0, 0.0, 3000.0))
    assert sample.spectroscopy.axis_unit == "pm"
    np.testing.assert_allclose(sample.spectroscopy.axis, np.arange(K) * 100.0)
    assert any("given in pm (the file has m)" in note for note in sample.describe()["notes"])


@pytest.mark.parametrize("part", ["real", "imag", "abs", "phase"])
def test_a_part_of_complex_spectra_is_taken(save, part):
    values = arrays()["spectra"] * np.exp(1j * 0.3)
    sample = sample_from(save(spectra=values), part=part)
    expected = {"real": values.real, "imag": values.imag, "abs": np.abs(values),
                "phase": np.degrees(np.unwrap(np.angle(values), axis=2))}  # fmt: skip
    np.testing.assert_allclose(sample.cube, expected[part])
    with pytest.raises(SampleError, match="no part of real spectra"):
        sample_from(save(), part="abs")


def test_a_value_of_a_further_axis_is_selected(save):
    spectra = np.random.default_rng(2).normal(size=(H, W, 3, K))
    np.testing.assert_array_equal(sample_from(save(spectra=spectra)).cube, spectra[:, :, 0])
    chosen = sample_from(save(spectra=spectra), select={"dimension_1": 2})
    np.testing.assert_array_equal(chosen.cube, spectra[:, :, 2])
    with pytest.raises(SampleError, match="from among dimension_1, got cycle"):
        sample_from(save(spectra=spectra), select={"cycle": 1})


def test_nothing_large_is_begun(tmp_path):
    """A header that promises terabytes is refused before memory is taken."""
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w") as archive, archive.open("spectra.npy", "w") as member:
        np.lib.format.write_array_header_1_0(
            member, {"descr": "<f8", "fortran_order": False, "shape": (10**5, 10**5, 1000)}
        )
    with pytest.raises(SampleError, match=r"promises 74,506 GiB, and at most 4 GiB are read"):
        sample_from(path)


def test_the_imaginary_part_is_recorded_beside_the_real_one(save):
    values = arrays()["spectra"] * np.exp(1j * 0.3)
    sample = sample_from(save(spectra=values, quantity="response", spectrum_unit="pm"))
    assert [one.name for one in sample.spectroscopy.channels] == ["real part of response", "imaginary part of response"]
    backend = recorded(save(spectra=values))
    backend.engage(20.0)
    loop = backend.spectrum(np.arange(K, dtype=float), 1e-3)
    np.testing.assert_allclose(loop.channels, [values[1, 2].real, values[1, 2].imag])
    other = sample_from(save(spectra=values, quantity="response"), spectrum_channel="imaginary part of response")
    np.testing.assert_allclose(other.cube, values.imag)


def test_the_filling_of_an_unfinished_grid_is_no_spectrum(save):
    """A number from some place to the end; a constant spectrum in between was measured, as of a saturated amplifier."""
    spectra = arrays()["spectra"].copy()
    spectra[1, 1], spectra[2, 1:] = -99.0, -99.0
    sample = sample_from(save(spectra=spectra))
    assert len(sample.places) == H * W - 3
    assert any("3 of 12 places hold only the number -99" in note for note in sample.describe()["notes"])


def test_the_image_of_an_unfinished_grid_ends_where_its_spectra_end(save):
    spectra, image = np.random.default_rng(0).normal(size=(6, 8, 5)), np.random.default_rng(1).normal(size=(6, 8))
    image[1, 1] = 0.0  # a real zero
    spectra[4:], image[4:] = 0.0, 0.0
    sample = sample_from(save(spectra=spectra, image=image, axis=np.arange(5.0)))
    np.testing.assert_array_equal(sample.image[0], image[:4].astype(np.float32))
    assert any("cut to the 4×8 of 6×8 px" in note for note in sample.describe()["notes"])
    whole = sample_from(save(spectra=spectra, image=np.where(image == 0, 1.0, image), axis=np.arange(5.0)))
    assert whole.image.shape == (1, 6, 8), "there the image is known"


@pytest.mark.parametrize("value", [0.0, 3.3])
def test_equal_spectra_are_refused(save, value):
    with pytest.raises(SampleError, match="expected spectra that differ, got 12 equal ones"):
        sample_from(save(spectra=np.full((H, W, K), value)))


def test_spectra_that_end_early_are_cut_to_what_most_have(save):
    spectra = arrays()["spectra"].copy()
    for number, (row, column) in enumerate(np.ndindex(H, W)):
        spectra[row, column, 2 if number < 4 else 4 :] = np.nan
    sample = sample_from(save(spectra=spectra))
    assert (len(sample.places), len(sample.spectroscopy.axis)) == (8, 4)
    assert any("the 4 of 5 steps 0 … 3, which 8 of 12 spectra have" in note for note in sample.describe()["notes"])
    assert sample_from(save(spectra=spectra), preprocess=["range=0,1"]).places is None
    centred = sample_from(save(spectra=spectra), preprocess=["background=mean"])
    np.testing.assert_allclose(centred.values.mean(axis=2), 0, atol=1e-12)


def test_scattered_places_without_an_image_get_one(save):
    places = np.random.default_rng(1).uniform(0, 100, size=(60, 2))
    spectra = places[:, :1] + np.zeros((60, K))
    sample = sample_from(save(image=None, spectra=spectra, positions_nm=places))
    (x_min, x_max, _, _), (_, nx) = sample.area, sample.pixels
    columns = np.floor((places[:, 0] - x_min) / (x_max - x_min) * nx).astype(int)
    x = x_min + (np.arange(nx) + 0.5) * (x_max - x_min) / nx
    np.testing.assert_allclose(sample.image[0].mean(axis=0)[columns], x[columns], atol=12)
    assert len(sample.places) == 60
    assert any("interpolated between 60 places" in note for note in sample.describe()["notes"])


def test_several_channels_are_learned_each_over_its_own_spread(save):
    rng = np.random.default_rng(1)
    values = rng.normal(size=(H, W, K)) + 1e-12j * rng.normal(size=(H, W, K))
    names = "real part of spectrum + imaginary part of spectrum"
    sample = sample_from(save(spectra=values), spectrum_channel=names)
    assert sample.spectroscopy.quantity == names
    first, second = np.split(sample.cube, 2, axis=2)
    np.testing.assert_allclose(first, values.real / values.real.std())
    np.testing.assert_allclose(second, values.imag / values.imag.std())
    with pytest.raises(SampleError, match=r"or several joined by ' \+ ', got 'spectrum \+ current'"):
        sample_from(save(spectra=values), spectrum_channel="spectrum + current")


def test_the_mean_of_a_band_is_an_image(save):
    sample = sample_from(save(axis=np.linspace(0, 4, K), axis_unit="eV"), image_channel="mean=1,2")
    assert sample.channels == (Channel("mean of spectrum, 1 … 2 eV", ""),)
    np.testing.assert_allclose(sample.image[0], arrays()["spectra"][..., 1:3].mean(axis=2), rtol=1e-6)
    assert sample.places is None
    for wrong, words in (("mean=8,9", "no step of the axis 0 … 4"), ("mean=a,b", "or mean=LOW,HIGH, got 'mean=a,b'")):
        with pytest.raises(SampleError, match=words):
            sample_from(save(), image_channel=wrong)


@pytest.mark.parametrize("scale", [1e300, 1e-40])
def test_numbers_that_do_not_fit_are_refused(save, scale):
    with pytest.raises(SampleError, match=r"between 1e-18 and 1e\+18, got up to .* choose another unit"):
        sample_from(save(spectra=arrays()["spectra"] * scale))
