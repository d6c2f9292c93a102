"""The command look: a file, a check, a directory."""

import numpy as np
from support import write_sample
from terminal import curio


def test_a_file_is_described_and_drawn(tmp_path):
    image = np.random.default_rng(0).normal(size=(30, 40))
    path = write_sample(tmp_path / "map.npz", (9, 12), quantity="current", spectrum_unit="nA")
    np.savez(path, **{**np.load(path), "image": image, "extent_nm": [400.0, 300.0]})
    output = curio("look", path, directory=tmp_path / "data")
    for words in ("30×40 px", "9×12 places", "current / nA", "candidates", "each on its own"):
        assert words in output, output
    assert (tmp_path / "data" / "figures" / "map.npz.png").stat().st_size > 20_000


def test_a_file_that_cannot_be_measured_is_shown_and_told(tmp_path):
    (tmp_path / "topo.gsf").write_bytes(
        b"Gwyddion Simple Field 1.0\nXRes = 2\nYRes = 2\n" + b"\0" * 4 + np.arange(4, dtype="<f4").tobytes()
    )
    output = curio("look", tmp_path / "topo.gsf", directory=tmp_path / "data", code=1)
    assert "2×2 px" in output
    assert "cannot be measured as it is" in output
    assert not (tmp_path / "data").exists()


def test_a_directory_is_a_table(tmp_path):
    files = tmp_path / "files"
    files.mkdir()
    write_sample(files / "good.npz", extent_nm=240.0)
    (files / "bad.3ds").write_text("nothing")
    curio("look", files, "--output", tmp_path / "table.md")
    lines = (tmp_path / "table.md").read_text().splitlines()
    assert len(lines) == 4
    assert "| bad.3ds |  |  | expected a Nanonis header" in lines[2]
    assert "| good.npz | curio npz | npz | spectra: spectrum" in lines[3]


def test_a_check_fails_where_something_is_to_be_mended(tmp_path):
    import h5py

    with h5py.File(tmp_path / "map.h5", "w") as file:
        file["spectra"] = np.ones((3, 3, 4)).cumsum(axis=2)
        file["extent"] = [1.0, 1.0]
    output = curio("look", tmp_path / "map.h5", "--check", directory=tmp_path, code=1)
    assert "mend  extent" in output
    with h5py.File(tmp_path / "map.h5", "a") as file:
        file["extent"].attrs["unit"] = "µm"
    assert "well  all        fits together" in curio("look", tmp_path / "map.h5", "--check", directory=tmp_path)
