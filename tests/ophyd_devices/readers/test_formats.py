"""The other kinds of files, written here and read back, and what is refused."""

from importlib.metadata import EntryPoint

import numpy as np
import pytest
from measured_files import nanonis_scan
from support import measure, write_sample

from curio_plans.export import export
from curio_plans.plans import grid_spectroscopy, spectra_at
from ophyd_devices.readers import SampleError, known_readers, layout, read, registry
from ophyd_devices.twin import sample_from

H, W, K = 4, 5, 6
IMAGE = np.random.default_rng(0).normal(size=(H, W))
CUBE = np.random.default_rng(1).normal(size=(H, W, K))
AXIS = np.linspace(-2, 2, K)


def plain(path):
    """Write the few lines of h5py that the docs show."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        file["spectra"], file["axis"], file["image"], file["extent"] = CUBE, AXIS, IMAGE, [5e-6, 4e-6]
        file["spectra"].attrs.update(name="current", unit="nA")
        file["axis"].attrs.update(name="bias", unit="V")
        file["extent"].attrs["unit"] = "m"
    return path


def same(sample, area=(0, 5000, 0, 4000)):
    np.testing.assert_allclose(sample.cube, CUBE)
    np.testing.assert_allclose(sample.image[0], IMAGE, rtol=1e-6)
    np.testing.assert_allclose(sample.area, area)


def test_a_file_in_the_documented_layout(tmp_path):
    sample = sample_from(plain(tmp_path / "map.h5"))
    same(sample)
    about = sample.spectroscopy
    assert (about.quantity, about.unit, about.axis_name, about.axis_unit) == ("current", "nA", "bias", "V")
    assert all(line.well for line in layout.check(tmp_path / "map.h5"))


def test_a_check_says_line_by_line_what_to_mend(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(plain(tmp_path / "map.h5"), "a") as file:
        del file["axis"], file["extent"].attrs["unit"]
        file["notes"] = "tip 3"
    told = {(line.about, line.well): line.text for line in layout.check(tmp_path / "map.h5")}
    assert "steps are numbered" in told["axis", True]
    assert "file['extent'].attrs['unit'] = 'nm'" in told["extent", False]
    assert "is not read" in told["notes", True]
    assert "has no unit" in told["all", False]


def test_several_channels_of_the_layout(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(plain(tmp_path / "map.h5"), "a") as file:
        del file["spectra"]
        for name in ("current", "phase"):
            file[f"spectra/{name}"] = CUBE if name == "current" else CUBE + 1
        file["spectra/phase"].attrs["unit"] = "deg"
    sample = sample_from(tmp_path / "map.h5", spectrum_channel="phase")
    assert [one.name for one in sample.spectroscopy.channels] == ["phase", "current"]
    np.testing.assert_allclose(sample.cube, CUBE + 1)


@pytest.mark.parametrize("suffix", [".nxs", ".h5", ".hf5"])
def test_our_own_exports_are_read_back(tmp_path, suffix):
    places = [(20.0, 30.0), (150.0, 40.0), (90.0, 160.0)]
    documents = measure(spectra_at, places)
    found = read(export(documents, tmp_path / f"run{suffix}"))
    spectra = found.spectra[0]
    np.testing.assert_allclose(sorted(map(tuple, spectra.positions)), sorted(places))
    assert spectra.values.shape == (3, 32)
    assert (spectra.name, spectra.axes[0].unit) == ("off-field piezoresponse", "V")


def test_a_grid_in_nsid_is_read_back(tmp_path):
    pytest.importorskip("pyNSID")
    found = read(export(measure(grid_spectroscopy, 3, 2), tmp_path / "grid.hf5"))
    assert found.spectra[0].grid == (2, 3)
    same_npz = sample_from(export(measure(grid_spectroscopy, 3, 2), tmp_path / "grid.npz"))
    np.testing.assert_allclose(found.spectra[0].values, same_npz.values[0])
    np.testing.assert_allclose(found.spectra[0].area, same_npz.area, atol=1e-9)


def test_matlab_arrays_without_objects(tmp_path):
    from scipy.io import savemat

    content = {"data": CUBE, "topo": IMAGE, "axis": AXIS, "extent_nm": [5000.0, 4000.0], "axis_unit": "V",
               "history": {"user": "x"}}  # fmt: skip
    savemat(tmp_path / "map.mat", content)
    sample = sample_from(tmp_path / "map.mat")
    same(sample)
    assert sample.spectroscopy.axis_unit == "V"
    savemat(tmp_path / "none.mat", {"a": IMAGE})
    with pytest.raises(SampleError, match=r"expected an array 'spectra' .*, found a 4×5"):
        sample_from(tmp_path / "none.mat")
    (tmp_path / "bad.mat").write_bytes((tmp_path / "map.mat").read_bytes()[:300])
    with pytest.raises(SampleError, match=r"truncated or damaged"):
        sample_from(tmp_path / "bad.mat")


def test_matlab_7_3_is_hdf5(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "map.mat", "w", userblock_size=512) as file:
        for name, values in (("spectra", CUBE), ("image", IMAGE), ("extent_nm", np.array([[5000.0, 4000.0]]))):
            file[name] = values.T
            file[name].attrs["MATLAB_class"] = np.bytes_(b"double")
    with (tmp_path / "map.mat").open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file")
    same(sample_from(tmp_path / "map.mat"))


def test_a_simple_field_is_an_image_beside_spectra(tmp_path):
    header = f"Gwyddion Simple Field 1.0\nXRes = {W}\nYRes = {H}\nXReal = 5e-6\nYReal = 4e-6\nXYUnits = m\nTitle = Z\n"
    padded = header.encode() + b"\0" * (4 - len(header) % 4)
    (tmp_path / "topo.gsf").write_bytes(padded + IMAGE[::-1].astype("<f4").tobytes())
    write_sample(tmp_path / "map.npz", (3, 3), extent_nm=[5000.0, 4000.0])
    sample = sample_from(tmp_path / "map.npz", image=tmp_path / "topo.gsf", image_channel="Z")
    np.testing.assert_allclose(sample.image[0], IMAGE, rtol=1e-6)
    assert sample.places.shape == (9, 2)
    (tmp_path / "topo.gsf").write_bytes(padded)
    with pytest.raises(SampleError, match="promises 5×4 numbers, there are 0"):
        read(tmp_path / "topo.gsf")


def test_a_gwyddion_file_has_images(tmp_path):
    gwyfile = pytest.importorskip("gwyfile")
    field = gwyfile.objects.GwyDataField(
        IMAGE[::-1].copy(), xreal=5e-6, yreal=4e-6, si_unit_xy=gwyfile.objects.GwySIUnit(unitstr="m"),
        si_unit_z=gwyfile.objects.GwySIUnit(unitstr="V"),
    )  # fmt: skip
    container = gwyfile.objects.GwyContainer()
    container["/0/data"], container["/0/data/title"] = field, "Height"
    container.tofile(str(tmp_path / "topo.gwy"))
    (image,) = read(tmp_path / "topo.gwy").images
    assert (image.name, image.unit) == ("Height", "V")
    np.testing.assert_allclose(image.values, IMAGE)
    np.testing.assert_allclose(image.area, (0, 5000, 0, 4000))


def test_hyperspy_through_rosettasciio(tmp_path):
    hspy = pytest.importorskip("rsciio.hspy")
    axes = [
        {"size": H, "name": "y", "units": "um", "scale": -1.0, "offset": 3.5, "navigate": True},
        {"size": W, "name": "x", "units": "µm", "scale": 1.0, "offset": 0.5, "navigate": True},
        {"size": K, "name": "Energy", "units": "eV", "scale": 0.5, "offset": 1.0, "navigate": False},
    ]
    metadata = {"General": {"title": "map"}, "Signal": {"quantity": "Intensity (Counts)"}}
    signal = {"data": CUBE, "axes": axes, "metadata": metadata, "original_metadata": {}, "attributes": {"_lazy": False},
              "learning_results": {}, "package_info": {"package": "", "package_version": ""}, "tmp_parameters": {},
              "models": {}}  # fmt: skip
    hspy.file_writer(str(tmp_path / "map.hspy"), signal)
    (spectra,) = read(tmp_path / "map.hspy").spectra
    assert (spectra.name, spectra.unit) == ("Intensity", "Counts")
    assert (spectra.axes[0].name, spectra.axes[0].unit) == ("Energy", "eV")
    np.testing.assert_allclose(spectra.axes[0].values, 1.0 + 0.5 * np.arange(K))
    np.testing.assert_allclose(spectra.area, (0, 5000, 0, 4000), atol=1e-9)
    np.testing.assert_allclose(spectra.values.reshape(H, W, K), CUBE[::-1])


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("map.xyz", b"1 2 3", "no reader knows files that end in '.xyz', and its content is text"),
        ("map.3ds", b"PK\x03\x04abc", "ends with :HEADER_END:, found none"),
        ("map.h5", b"\x89HDF\r\n\x1a\nabc", "the file is truncated, damaged or still being written"),
        ("map.nxs", b"nothing", "its content is text"),
        ("map.gsf", b"nothing", "its header is damaged"),
        ("map.jpk-qi-data", b"nothing", "cannot read it"),
        ("map.wdf", b"nothing", "cannot read it"),
        ("map.gwy", b"nothing", "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_told_in_a_sentence(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SampleError, match=words) as caught:
        read(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


def test_every_reader_is_registered_with_a_kind_and_endings():
    assert {"npz", "nanonis", "curio-hdf5", "nsid", "rosettasciio", "matlab", "jpk"} <= set(known_readers())
    for reader in known_readers().values():
        assert reader.kind
        assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in reader.suffixes)


def test_a_reader_that_cannot_be_loaded_breaks_no_other(tmp_path, monkeypatch, caplog):
    broken = EntryPoint("theirs", "nowhere.at_all:READER", registry.GROUP)
    known = [*registry.entry_points(group=registry.GROUP), broken]
    monkeypatch.setattr(registry, "entry_points", lambda group: known)
    registry.known_readers.cache_clear()
    try:
        assert read(write_sample(tmp_path / "map.npz", (4, 5))).facts["reader"] == "npz"
    finally:
        registry.known_readers.cache_clear()
    assert "'theirs' cannot be loaded from nowhere.at_all:READER" in caplog.text


def test_an_unknown_reader_is_told(tmp_path):
    with pytest.raises(SampleError, match="expected a reader among"):
        read(nanonis_scan(tmp_path / "scan.sxm", IMAGE), "telepathy")


def test_hdf5_in_no_known_layout_is_told_by_its_datasets(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "map.h5", "w") as file:
        file["deep/cube"] = np.zeros((4, 5, 6))
        file["gain"] = 2.0
    with pytest.raises(SampleError, match="an HDF5 file with the datasets deep/cube 4×5×6, gain one value"):
        read(tmp_path / "map.h5")
