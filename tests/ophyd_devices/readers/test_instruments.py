"""Files of instruments and of pycroscopy, written small: what comes out, in which units and where."""

import h5py
import numpy as np
import pytest
from measured_files import igor_wave, nanosurf_map

from ophyd_devices.readers import read
from ophyd_devices.twin import SampleError, sample_from

RNG = np.random.default_rng(0)
CUBE = RNG.normal(size=(5, 4, 6))
"""y, x, steps."""


def test_channels_of_an_igor_wave_are_images(tmp_path):
    found = read(igor_wave(tmp_path / "scan.ibw", CUBE[..., :2].swapaxes(0, 1), names=("Height", "Phase")))
    assert [image.name for image in found.images] == ["Height", "Phase"]
    np.testing.assert_allclose(found.images[1].values, CUBE[..., 1], rtol=1e-6)
    np.testing.assert_allclose(found.images[0].area, (-0.5, 3.5, -1, 9))
    with pytest.raises(SampleError, match="expected spectra, found only images: Height, Phase"):
        sample_from(tmp_path / "scan.ibw")


def test_an_igor_wave_over_an_axis_is_a_map(tmp_path):
    sample = sample_from(igor_wave(tmp_path / "map.ibw", CUBE.swapaxes(0, 1)))
    np.testing.assert_allclose(sample.cube, CUBE, rtol=1e-6)
    np.testing.assert_allclose(sample.spectroscopy.axis, -1 + 0.5 * np.arange(6))
    assert sample.spectroscopy.axis_unit == "V"
    np.testing.assert_allclose(sample.area, (-0.5, 3.5, -1.0, 9.0))
    with pytest.raises(SampleError, match="this wave of 6×4 is a single curve"):
        read(igor_wave(tmp_path / "curve.ibw", CUBE[0].T, names=("Raw", "Defl", "ZSnsr", "Amp")))


def test_curves_of_unequal_length_turn_at_distance_0(tmp_path):
    """Curves of 40 points, but three of 36 and one of 9; each is its place's number times the distance in nm."""
    lengths = np.full((5, 4), 40)
    lengths[0, :3], lengths[4, 3] = 36, 9
    curves = np.zeros((5, 4, 40))
    for number, (row, column) in enumerate(np.ndindex(5, 4)):
        count = lengths[row, column]
        curves[row, column, :count] = 1e-10 * (1 + number) * np.arange(count)[::-1]
    picture = 1e-7 * RNG.normal(size=(20, 20))
    sample = sample_from(nanosurf_map(tmp_path / "map.nid", picture, curves, lengths))
    np.testing.assert_allclose(sample.area, (-1000, 1000, -1000, 1000))
    assert (len(sample.places), sample.spectroscopy.axis_name, sample.spectroscopy.axis_unit) == (19, "distance", "nm")
    np.testing.assert_allclose(sample.spectroscopy.axis, np.arange(36), atol=1e-6)
    np.testing.assert_allclose(sample.values[0], 0.1 * np.outer(np.arange(1, 20), np.arange(36)), atol=1e-6)
    np.testing.assert_allclose(sample.image[0], 1e9 * picture, atol=0.02)
    np.testing.assert_allclose(sample.places[[0, 18]], [[-750, -800], [250, 800]])
    assert sample.describe()["seconds_per_spectrum"] == 1.5
    assert any("36 of 40 steps 0 … 35 nm, which 19 of 20" in note for note in sample.describe()["notes"])


def usid(path, table, fields=None):
    """Write a main dataset of 5 rows × 4 columns × 2 cycles × 6 voltages; x runs fastest, voltage within a cycle."""
    with h5py.File(path, "w") as file:
        group = file.create_group("Measurement_000/Channel_000")
        x, y = np.tile(np.arange(4), 5), np.repeat(np.arange(5), 4)
        voltage, cycle = np.tile(np.arange(6), 2), np.repeat(np.arange(2), 6)
        tables = {
            "Position_Indices": np.stack([x, y], 1), "Position_Values": np.stack([0.1 * x, 0.2 * y], 1),
            "Spectroscopic_Indices": np.stack([voltage, cycle]),
            "Spectroscopic_Values": np.stack([voltage - 3.0, cycle]),
        }  # fmt: skip
        main = group.create_dataset("Raw_Data", data=table)
        main.attrs.update(quantity="Response", units="mV")
        for name, values in tables.items():
            node = group.create_dataset(name, data=values)
            places = name.startswith("Position")
            node.attrs["labels"], node.attrs["units"] = (
                (["X", "Y"], ["um", "um"]) if places else (["DC_Offset", "Cycle"], ["V", ""])
            )
            main.attrs[name] = node.ref
    return path


def test_a_main_dataset_of_usid_is_a_map(tmp_path):
    table = np.concatenate([CUBE, -CUBE], axis=2).reshape(20, 12)
    path = usid(tmp_path / "map.h5", table)
    sample = sample_from(path)
    np.testing.assert_array_equal(sample.cube, CUBE)
    np.testing.assert_array_equal(sample_from(path, select={"Cycle": 1}).cube, -CUBE)
    about = sample.spectroscopy
    assert (about.quantity, about.unit, about.axis_name, about.axis_unit) == ("Response", "mV", "DC_Offset", "V")
    assert sample.describe()["reader"] == "usid"
    np.testing.assert_allclose(sample.area, (-50, 350, -100, 900))


def test_fields_of_a_compound_dataset_are_channels(tmp_path):
    table = np.zeros((20, 12), [("Amplitude [V]", "f4"), ("Phase [rad]", "f4")])
    table["Amplitude [V]"], table["Phase [rad]"] = RNG.normal(size=(2, 20, 12))
    found = read(usid(tmp_path / "map.h5", table))
    assert [(one.name, one.unit) for one in found.spectra] == [("Amplitude", "V"), ("Phase", "rad")]


def test_a_map_in_nexus_is_found_by_its_axes(tmp_path):
    path = tmp_path / "map.nxs"
    with h5py.File(path, "w") as file:
        for name, data, axes in (
            ("map", CUBE.transpose(2, 0, 1), ["energy", "y", "x"]), ("picture", CUBE[..., 0], ["y", "x"])
        ):  # fmt: skip
            group = file.create_group(f"entry/{name}")
            group.attrs.update(NX_class="NXdata", signal="data", axes=axes)
            group["data"] = data
            group["x"], group["y"] = 1e-3 * np.arange(4), 1e-3 * np.arange(5)[::-1]
            group["x"].attrs["units"] = group["y"].attrs["units"] = "um"
        file["entry/map/energy"] = np.linspace(1, 2, 6)
        file["entry/map/energy"].attrs["units"] = "eV"
    sample = sample_from(path)
    np.testing.assert_array_equal(sample.cube, CUBE[::-1])
    np.testing.assert_allclose(sample.image[0], CUBE[::-1, :, 0], rtol=1e-6)
    assert (sample.spectroscopy.axis_name, sample.spectroscopy.axis_unit) == ("energy", "eV")
    np.testing.assert_allclose(sample.area, (-0.5, 3.5, -0.5, 4.5))


@pytest.mark.parametrize("name", ["scan.ibw", "map.nid", "map.h5"])
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.98])
def test_a_truncated_file_is_told(tmp_path, name, kept):
    path = tmp_path / name
    if name == "scan.ibw":
        igor_wave(path, CUBE.swapaxes(0, 1))
    elif name == "map.nid":
        nanosurf_map(path, 1e-7 * CUBE[..., 0], 1e-7 * CUBE, np.full((5, 4), 6))
    else:
        usid(path, np.concatenate([CUBE, CUBE], axis=2).reshape(20, 12))
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(SampleError, match=r"damaged|truncated|copy|promises|content"):
        sample_from(path)
