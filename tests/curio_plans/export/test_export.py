"""Runs as files: whatever the documents say is in them, other programs find it, and nothing is invented."""

import copy
import json
import sys
from contextlib import closing

import event_model
import h5py
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky import plan_stubs as bps
from bluesky.plans import count
from bluesky.preprocessors import SupplementalData
from ophyd import Signal
from support import emitted, events, measure, microscope
from terminal import curio

from curio_plans.documents.start import FORMAT, FormatError
from curio_plans.export import SUFFIXES, ExportError, export
from curio_plans.plans import curiosity, grid_spectroscopy, image, spectra_at
from curio_plans.store.journal import Journal
from ophyd_devices.twin import SampleError, recorded, sample_from

EXPERIMENT = {
    "title": "walls",
    "operator": "Ada",
    "institution": "ÅFM lab",
    "proposal": "2026-117",
    "sample": {"name": "PTO-7", "formula": "PbTiO3", "thickness": 200.0},
    "tip": {"name": "PPP-EFM", "spring_constant": 2.8},
}


@pytest.fixture(scope="module")
def curious(wanderer):
    """A run of 12 of 20 candidates, with a baseline; the agent is a stand-in."""
    options = {"build": wanderer, "window": 5, "stride": 4, "map_every": 6, "md": {"experiment": EXPERIMENT}}
    with closing(microscope()) as afm:
        afm.imager.pixels.put((20, 24))
        engine = RunEngine({})
        engine.preprocessors.append(SupplementalData(baseline=afm.baseline))
        return emitted(curiosity(afm, {"seed": 1}, 12, **options), engine)


@pytest.fixture(scope="module")
def grid():
    return measure(grid_spectroscopy, 4, 3, area=(100.0, 500.0, 200.0, 800.0))


def measured_again(sample, plan, *arguments, **options):
    """The documents of a run on a recorded sample."""
    with closing(microscope(recorded(sample))) as afm:
        return measure(plan, *arguments, afm=afm, **options)


def plain(doc):
    return json.loads(json.dumps(doc, cls=event_model.NumpyEncoder))


def test_everything_that_the_documents_say_is_in_the_file(curious, tmp_path):
    with h5py.File(export(curious, tmp_path / "run.nxs")) as file:
        streams = file["entry/streams"]
        assert set(streams) == {"baseline", "image", "reference", "agent", "primary", "agent_map"}
        for name in streams:
            stream, found = streams[name], events(curious, name)
            for key in found[0]["data"]:
                values = stream[key].asstr()[()] if stream[key].dtype.kind == "O" else stream[key][()]
                np.testing.assert_array_equal(values, [event["data"][key] for event in found])
                np.testing.assert_array_equal(stream["timestamps"][key], [event["timestamps"][key] for event in found])
            assert stream["event_uid"].asstr()[()].tolist() == [event["uid"] for event in found]
        for kind in ("start", "stop"):
            (original,) = [doc for name, doc in curious if name == kind]
            assert json.loads(file[f"entry/documents/{kind}"].asstr()[()]) == plain(original)
        descriptors = [plain(doc) for name, doc in curious if name == "descriptor"]
        assert json.loads(file["entry/documents/descriptors"].asstr()[()]) == descriptors
        assert streams["primary/afm_spectrometer_spectrum"].dtype == np.float64
        assert streams["image/afm_imager_frame"].dtype == np.float32


def test_units_are_with_the_data(curious, tmp_path):
    with h5py.File(export(curious, tmp_path / "run.nxs")) as file:
        for doc in (doc for name, doc in curious if name == "descriptor"):
            stream = file["entry/streams"][doc["name"]]
            for key, declared in doc["data_keys"].items():
                assert stream[key].attrs.get("units", "") == declared.get("units", "")
        assert file["entry/streams/primary/configuration/afm_spectrometer_axis"].attrs["units"] == "V"


def plots(file):
    """Return the NXdata groups of a file, as a viewer finds them."""
    return {name: node for name, node in file["entry"].items() if node.attrs.get("NX_class") == "NXdata"}


def test_a_viewer_finds_what_to_plot(curious, tmp_path):
    with h5py.File(export(curious, tmp_path / "run.nxs")) as file:
        shown = file[file.attrs["default"]]
        assert shown.attrs["NX_class"] == "NXentry"
        assert shown[shown.attrs["default"]].name == "/entry/spectra"
        groups = plots(file)
        assert set(groups) == {"image", "spectra", "points", "belief"}
        for name, group in groups.items():
            signal, axes = group[group.attrs["signal"]], list(group.attrs["axes"])
            scatter = name == "points"
            expected = [signal.shape[0]] * 2 if scatter else signal.shape
            assert [len(group[axis]) for axis in axes] == list(expected), name
            for other in group.attrs.get("auxiliary_signals", ()):
                assert group[other].shape == signal.shape
        frame = events(curious, "image")[0]["data"]["afm_imager_frame"]
        np.testing.assert_array_equal(file["entry/image/polarisation"], frame[3])
        np.testing.assert_allclose(np.diff(file["entry/image/x"]), 2000 / 24)
        assert file["entry/image/x"].attrs["units"] == "nm"
        bias = file["entry/spectra/bias"]
        assert (bias.attrs["units"], bias.shape) == ("V", (32,))
        assert file["entry/belief/predicted_error"].shape == (4, 5)
        on_field = [event["data"]["afm_spectrometer_channels"][1] for event in events(curious, "primary")]
        np.testing.assert_array_equal(file["entry/spectra/on_field_piezoresponse"], on_field)
        assert file["entry/spectra"].attrs["auxiliary_signals"].tolist() == ["on_field_piezoresponse"]


def test_nexus_names_say_what_it_is(curious, tmp_path):
    with h5py.File(export(curious, tmp_path / "run.nxs")) as file:
        entry = file["entry"]

        def text(path):
            return entry[path].asstr()[()]

        assert (text("definition"), text("title"), text("user/name")) == ("NXspm", "walls", "Ada")
        assert (text("user/affiliation"), text("sample/chemical_formula")) == ("ÅFM lab", "PbTiO3")
        assert text("experiment_identifier") == "2026-117"
        assert (entry["sample/thickness"][()], entry["sample/thickness"].attrs["units"]) == (200.0, "nm")
        assert entry["instrument/cantilever/cantilever_config/spring_constant"].attrs["units"] == "nN/nm"
        assert entry["instrument/scan_environment/scan_control/scan_region/scan_range_x"][()] == 2000
        sweep = entry["instrument/bias_spectroscopy_environment/bias_spectroscopy/bias_sweep"]
        assert (sweep["scan_region/scan_range_bias"][()], sweep["number_of_sweeps"][()]) == (16.0, 2)
        assert sweep["linear_sweep/backward_sweep"][()]
        assert sweep["linear_sweep/scan_data"] == entry["spectra"]
        assert json.loads(entry["curiosity/agent/data"][()])["agent"] == "wanderer"
        assert entry["curiosity/decisions"] == entry["streams/agent"]
        assert entry["spectra/spectrum"].attrs["target"] == "/entry/streams/primary/afm_spectrometer_spectrum"


def test_a_run_that_was_killed_is_exported_as_far_as_it_came(curious, tmp_path):
    last = [i for i, (name, _) in enumerate(curious) if name == "event"][-4]
    with h5py.File(export(curious[: last + 1], tmp_path / "run.nxs")) as file:
        assert "stop" not in file["entry/documents"]
        assert "end_time" not in file["entry"]
        assert 0 < len(file["entry/streams/primary/seq_num"]) <= 12


def test_an_event_that_was_repeated_after_a_pause_counts_once(curious, tmp_path):
    repeated = copy.deepcopy(next(doc for _, doc in curious if "candidate" in doc.get("data", {})))
    repeated["data"]["afm_spectrometer_spectrum"] += 1
    with h5py.File(export([*curious, ("event", repeated)], tmp_path / "run.nxs")) as file:
        original = [event["data"]["afm_spectrometer_spectrum"] for event in events(curious, "primary")]
        np.testing.assert_array_equal(file["entry/spectra/spectrum"], original)


def test_any_run_can_be_exported(tmp_path):
    documents = emitted(count([Signal(name="a", value=1.5)], 3))
    with h5py.File(export(documents, tmp_path / "count.h5")) as file:
        assert file["entry/streams/primary/a"][()].tolist() == [1.5] * 3
        assert plots(file) == {}
    for suffix, words in ((".npz", "got a run of 'count' without spectra"), (".hf5", "neither an image nor spectra")):
        with pytest.raises(ExportError, match=words):
            export(documents, tmp_path / f"count{suffix}")


@pytest.mark.parametrize("names", [["a/b", "a b", "µ"], ["x y", "x_y", "x-y"], ["x", "x_1", "spectra"]])
def test_awkward_channel_names_are_told_apart(names, tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "s.npz", image=rng.normal(size=(3, 8, 9)), spectra=rng.normal(size=(8, 9, 4)), channels=names)
    documents = measured_again(tmp_path / "s.npz", image)
    with h5py.File(export(documents, tmp_path / "run.nxs")) as file:
        group = file["entry/image"]
        fields = [group.attrs["signal"], *group.attrs["auxiliary_signals"]]
        assert [group[field].attrs["long_name"] for field in fields] == names
        assert file["entry"].attrs["default"] == "image"
    assert {dataset.quantity for dataset in read_nsid(export(documents, tmp_path / "run.hf5")).values()} == set(names)


def test_a_grid_is_a_sample_with_the_same_spectra(grid, tmp_path):
    sample = sample_from(export(grid, tmp_path / "grid.npz"))
    assert sample.area == (100.0, 500.0, 200.0, 800.0)
    assert sample.spectroscopy.axis_unit == "V"
    places = [(event["data"]["afm_scanner_x"], event["data"]["afm_scanner_y"]) for event in events(grid, "primary")]
    again = measured_again(tmp_path / "grid.npz", spectra_at, places)
    for one, other in zip(events(again, "primary"), events(grid, "primary"), strict=True):
        for part in ("spectrum", "height"):
            np.testing.assert_array_equal(
                one["data"][f"afm_spectrometer_{part}"], other["data"][f"afm_spectrometer_{part}"]
            )
    assert [channel.name for channel in sample.channels] == ["height of the spectrum"]
    np.testing.assert_allclose(sample.image[0], np.ptp(sample.cube, axis=2), rtol=1e-6)


def test_the_chosen_places_and_the_truth_are_a_sample(curious, tmp_path):
    path = export(curious, tmp_path / "run.npz", truth=True)
    sample = sample_from(path)
    frame = events(curious, "image")[0]["data"]["afm_imager_frame"]
    np.testing.assert_array_equal(sample.image, frame[:, 2:-2:4, 2:-2:4][:, :4, :5])
    measured = np.load(path)["measured"]
    assert measured.sum() == 12
    truth = events(curious, "reference")[0]["data"]["afm_reference_spectra"].reshape(sample.cube.shape)
    np.testing.assert_array_equal(sample.cube[~measured], truth[~measured])
    assert (sample.cube[measured] != truth[measured]).any(), "the twin measures with noise"
    places = [(event["data"]["agent_x"], event["data"]["agent_y"]) for event in events(curious, "agent")]
    (found,) = sample.spectra(np.array(places), np.asarray(sample.spectroscopy.axis))
    np.testing.assert_array_equal(
        found, [event["data"]["afm_spectrometer_spectrum"] for event in events(curious, "primary")]
    )


def test_nothing_is_invented(curious, grid, tmp_path):
    """Without the truth there are spectra at the places that were measured, in the whole image."""
    sample = sample_from(export(curious, tmp_path / "run.npz"))
    places = [(event["data"]["agent_x"], event["data"]["agent_y"]) for event in events(curious, "agent")]
    assert sorted(map(tuple, sample.places)) == sorted(places)
    np.testing.assert_array_equal(sample.image, events(curious, "image")[0]["data"]["afm_imager_frame"])
    (found,) = sample.spectra(np.array(places), np.asarray(sample.spectroscopy.axis))
    np.testing.assert_array_equal(
        found, [event["data"]["afm_spectrometer_spectrum"] for event in events(curious, "primary")]
    )
    dropped = next(doc["uid"] for name, doc in curious if name == "descriptor" and doc["name"] == "reference")
    instrument = [(name, doc) for name, doc in curious if dropped not in (doc.get("uid"), doc.get("descriptor"))]
    with pytest.raises(ExportError, match=r"the true spectra \(--truth\) are not known"):
        export(instrument, tmp_path / "truth.npz", truth=True)
    last = max(i for i, (_, doc) in enumerate(grid) if "afm_spectrometer_height" in doc.get("data", {}))
    unfinished = sample_from(export(grid[:last], tmp_path / "grid.npz"))
    assert len(unfinished.places) == 11
    assert any("interpolated between 11 places" in note for note in unfinished.describe()["notes"])


def test_a_pool_that_was_measured_completely_needs_no_truth(tmp_path, afm, wanderer):
    afm.imager.pixels.put((9, 9))
    documents = measure(curiosity, {}, 9, afm=afm, build=wanderer, window=5, stride=2)
    data = np.load(export(documents, tmp_path / "run.npz"))
    assert data["measured"].all()
    assert data["spectra"].shape == (3, 3, 32)


def test_single_places_are_a_sample_that_needs_an_image(tmp_path):
    documents = measure(spectra_at, [(1.0, 2.0), (3.0, 4.0)])
    path = export(documents, tmp_path / "run.npz")
    assert np.load(path)["positions_nm"].tolist() == [[1.0, 2.0], [3.0, 4.0]]
    with pytest.raises(SampleError, match="expected an image, or at least 4 spectra"):
        sample_from(path)
    one = measure(spectra_at, [(1.0, 2.0)])
    with pytest.raises(ExportError, match="at least two spectra, got 1"):
        export(one, tmp_path / "one.npz")


def test_a_measured_sample_survives_being_measured_and_exported(samples, tmp_path, wanderer):
    with closing(microscope(recorded(samples / "pfm_pto_paper.npz", extent_nm=1000.0))) as afm:
        documents = measure(curiosity, {}, 30, afm=afm, build=wanderer, window=9, stride=1)
    original = sample_from(samples / "pfm_pto_paper.npz", extent_nm=1000.0)
    again = sample_from(export(documents, tmp_path / "again.npz", truth=True))
    np.testing.assert_array_equal(again.image, original.image[:, 4:-4, 4:-4])
    np.testing.assert_array_equal(again.cube, original.cube[4:-4, 4:-4])
    np.testing.assert_allclose(again.area, [4 / 49 * 1000, 45 / 49 * 1000] * 2)


def read_nsid(path):
    from pyNSID import hdf_utils

    with h5py.File(path) as file:
        found = {node.name.split("/")[-1]: hdf_utils.read_h5py_dataset(node) for node in hdf_utils.get_all_main(file)}
        for dataset in found.values():
            dataset.values = np.asarray(dataset)
    return found


def test_pycroscopy_reads_images_and_a_cloud_of_points(curious, tmp_path):
    found = read_nsid(export(curious, tmp_path / "run.hf5"))
    images = {"topography", "amplitude", "phase", "polarisation"}
    assert set(found) == images | {"spectra", "spectra_on_field_piezoresponse"}
    spectra = found["spectra"]
    assert (spectra.data_type.name, spectra.units, spectra.bias.units) == ("POINT_CLOUD", "a.u.", "V")
    points = events(curious, "primary")
    np.testing.assert_array_equal(spectra.values, [event["data"]["afm_spectrometer_spectrum"] for event in points])
    on_field = [event["data"]["afm_spectrometer_channels"][1] for event in points]
    np.testing.assert_array_equal(found["spectra_on_field_piezoresponse"].values, on_field)
    np.testing.assert_array_equal(
        spectra.point_cloud["coordinates"][:, 0], [p["data"]["afm_scanner_x"] for p in points]
    )
    frame = events(curious, "image")[0]["data"]["afm_imager_frame"]
    np.testing.assert_array_equal(found["topography"].values, frame[0])
    assert (found["topography"].data_type.name, found["topography"].x.units) == ("IMAGE", "nm")


def test_pycroscopy_reads_a_grid_as_a_spectral_image(grid, tmp_path):
    spectra = read_nsid(export(grid, tmp_path / "run.usid"))["spectra"]
    assert (spectra.data_type.name, spectra.values.shape) == ("SPECTRAL_IMAGE", (3, 4, 32))
    np.testing.assert_array_equal(spectra.values, sample_from(export(grid, tmp_path / "grid.npz")).cube)


def test_a_wrong_name_is_told(curious, tmp_path):
    with pytest.raises(ExportError, match=r"ends in one of \.nxs, \.h5, \.npz, \.hf5, \.usid, got .*run\.txt"):
        export(curious, tmp_path / "run.txt")
    (tmp_path / "run.nxs").write_text("mine")
    with pytest.raises(ExportError, match=r"run\.nxs exists already"):
        export(curious, tmp_path / "run.nxs")
    assert (tmp_path / "run.nxs").read_text() == "mine"
    assert h5py.is_hdf5(export(curious, tmp_path / "run.nxs", force=True))
    assert h5py.is_hdf5(export(curious, tmp_path / "new" / "run.nxs"))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["new", "run.nxs", "run.nxs"]


@pytest.mark.parametrize(("suffix", "package"), [(".nxs", "h5py"), (".hf5", "sidpy")])
def test_a_missing_package_is_named(suffix, package, curious, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ExportError, match=r"pip install 'curio-plans\["):
        export(curious, tmp_path / f"run{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_documents_that_are_no_run_are_refused(curious, tmp_path):
    for documents, words in (
        ([], "got nothing"),
        (curious[1:], "a start document first, got descriptor"),
        ([*curious[:1], ("resource", {"uid": "r"})], "data in other files"),
    ):
        with pytest.raises(ExportError, match=words):
            export(documents, tmp_path / "run.nxs")
    with pytest.raises(FormatError):
        export([("start", {**curious[0][1], "curio_format": FORMAT + 1})], tmp_path / "run.nxs")


def test_an_array_that_changes_its_shape_is_told(tmp_path):
    signal = Signal(name="a", value=np.zeros(3))

    def plan():
        yield from bps.open_run()
        yield from bps.trigger_and_read([signal])
        yield from bps.abs_set(signal, np.zeros(4), wait=True)
        yield from bps.trigger_and_read([signal])
        yield from bps.close_run()

    documents = emitted(plan())
    with pytest.raises(ExportError, match="a changes its shape during the stream primary"):
        export(documents, tmp_path / "run.nxs")


def test_the_command_exports_a_stored_run(grid, tmp_path, monkeypatch):
    journal = Journal(tmp_path / "data")
    for name, doc in grid:
        journal(name, doc)
    journal.close()
    monkeypatch.chdir(tmp_path)
    assert "MB)" in curio("export", "--data", "data")
    (default,) = tmp_path.glob("*.nxs")
    assert default.stem == grid[0][1]["uid"]
    curio("export", default.stem[:8], "--to", "sample.npz", "--data", "data")
    assert sample_from("sample.npz").cube.shape == (3, 4, 32)
    assert "exists already" in curio("export", "--to", "sample.npz", "--data", "data", code=2)
    assert "recorded sample" in curio("export", "--help")
    assert set(SUFFIXES) >= {".nxs", ".npz", ".hf5"}
