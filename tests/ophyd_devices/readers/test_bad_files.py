"""Files that cannot be measured: a sentence with what was found and what to do, at once and without taking memory."""

import io
import struct
import time
import tracemalloc
import zipfile
import zlib

import h5py
import numpy as np
import pytest
from measured_files import igor_wave, nanonis_grid, nanosurf_map
from scipy.io import savemat
from terminal import curio

from ophyd_devices.twin import SampleError, sample_from

RNG = np.random.default_rng(0)
CUBE, PICTURE = RNG.normal(size=(5, 4, 6)), RNG.normal(size=(5, 4))
TERA = 10**12


def layout(path, **changes):
    with h5py.File(path, "w") as file:
        for name, values in ({"spectra": CUBE, "image": PICTURE, "axis": np.arange(6.0)} | changes).items():
            if values is not None:
                file[name] = values
    return path


def npz(path, **changes):
    arrays = {"spectra": CUBE, "image": PICTURE} | changes
    np.savez(path, **{name: values for name, values in arrays.items() if values is not None})
    return path


def bomb(path):
    """An archive of 60 kB whose array has 48 MB of zeros, said to be 1 GB."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (100, 100, 12500)})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("spectra.npy", b"\x93NUMPY\x01\x00" + header.getvalue()[8:] + bytes(48_000_000))
    return path


def promising(path):
    """A header that promises 8 TB."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (TERA,)})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("spectra.npy", header.getvalue())
    return path


def promising_grid(path):
    nanonis_grid(path, CUBE.reshape(5, 4, 1, 6), channels=("Current (A)",))
    path.write_bytes(path.read_bytes().replace(b'"4 x 5"', b'"4000000 x 5000000"'))
    return path


def promising_layout(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("spectra", (10**5, 10**5, 100), "f8", chunks=(100, 100, 100))  # allocates nothing
    return path


def promising_scan(path):
    nanosurf_map(path, 1e-7 * PICTURE, 1e-7 * CUBE, np.full((5, 4), 6))
    path.write_bytes(path.read_bytes().replace(b"Lines=20", b"Lines=20000000000"))
    return path


def written(content):
    def write(path):
        path.write_bytes(content)
        return path

    return write


def renamed(path):
    return npz(path.with_suffix(".npz")).rename(path)


def scan_of(header):
    return written(b"Gwyddion Simple Field 1.0\n" + header + b"\0" * 4)


BAD = {
    "nothing.3ds": (written(b""), "this one is empty; copy it again"),
    "text.h5": (written(b"hello"), "its content is text"),
    "renamed.h5": (renamed, "its content is a zip archive"),
    "renamed.nid": (renamed, r"begins with \[DataSet\]"),
    "picture.npz": (written(b"\x89PNG\r\n\x1a\n" + bytes(64)), "its content is a PNG picture"),
    "unknown.mdt": (written(b"\x01\xb0\x93\xff" + bytes(64)), "an NT-MDT file .* is not opened yet. Convert it"),
    "map.spm": (written(b"\\*File list\r\n" + bytes(64)), "pyfmreader reads its force volumes"),
    "map.003": (written(b"\\*Force file list\r\n" + bytes(64)), "content is a Bruker Nanoscope force file"),
    "bomb.npz": (bomb, "promises more bytes than there are|promises .* GiB"),
    "tera.npz": (promising, "promises 7,451 GiB, and at most 4 GiB are read"),
    "tera.3ds": (promising_grid, "promises .* GiB"),
    "tera.h5": (promising_layout, "promises 7,451 GiB"),
    "tera.nid": (promising_scan, "promises .* GiB"),
    "tera.gsf": (scan_of(b"XRes = 900000\nYRes = 900000\n"), "promises .* GiB"),
    "objects.npz": (lambda path: npz(path, spectra=np.array([{}, []], object)), "Python objects, which are never"),
    "letters.npz": (lambda path: npz(path, spectra=np.full((5, 4, 6), b"1.5")), "expected real numbers .* got dtype"),
    "images.npz": (lambda path: npz(path, spectra=None), "expected an array 'spectra', found image"),
    "one.npz": (lambda path: npz(path, spectra=CUBE[:1, :1], image=None), "at least 2×2 px"),
    "metres.npz": (lambda path: npz(path, extent_nm=[2e-6, 2e-6]), "looks like metres: .* 2000 × 2000 nm"),
    "metres.h5": (lambda path: layout(path, extent=[2e-6, 2e-6]), "'extent' has no unit; write"),
    "axis.npz": (lambda path: npz(path, axis=np.zeros(6)), "an axis that changes, got 0 at all 6 steps"),
    "equal.npz": (lambda path: npz(path, spectra=np.ones((5, 4, 6))), "spectra that differ, got 20 equal ones"),
    "two grids.npz": (lambda path: npz(path, spectra=CUBE.swapaxes(0, 1)), "one of them is transposed; turn it"),
    "wave.ibw": (written(struct.pack("<h", 77) + bytes(400)), "igor2 cannot read it"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_it_is_told_in_one_sentence_at_once(tmp_path, name):
    make, words = BAD[name]
    path = make(tmp_path / name)
    tracemalloc.start()
    began = time.thread_time()
    try:
        with pytest.raises(SampleError, match=words) as caught:
            sample_from(path)
        assert tracemalloc.get_traced_memory()[1] < 30e6
    finally:
        tracemalloc.stop()
    assert time.thread_time() - began < 5
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_wrong_flag_in_a_matlab_file_does_not_end_the_process(tmp_path, compressed):
    """The flag of complex numbers, without an imaginary part: scipy would read beyond the matrix."""
    path = tmp_path / "map.mat"
    savemat(path, {"spectra": CUBE, "image": PICTURE}, do_compression=compressed)
    np.testing.assert_array_equal(sample_from(path).cube, CUBE)
    savemat(path, {"spectra": CUBE * (1 + 2j), "image": PICTURE}, do_compression=compressed)
    assert len(sample_from(path).values) == 2
    savemat(path, {"spectra": CUBE, "image": PICTURE})
    content = bytearray(path.read_bytes())
    content[145] |= 8
    if compressed:
        size = 8 + int.from_bytes(content[132:136], "little")
        part = zlib.compress(bytes(content[128 : 128 + size]))
        content = content[:128] + struct.pack("<II", 15, len(part)) + part + content[128 + size :]
    path.write_bytes(content)
    with pytest.raises(SampleError, match="do not fit its flags; the file is damaged"):
        sample_from(path)


def test_the_command_says_no_more(tmp_path):
    path = promising(tmp_path / "tera.npz")
    for command in (("look",), ("run", "--sample"), ("trial",)):
        output = curio(*command, path, directory=tmp_path / "data", code=2)
        assert output.count("error: ") == 1
        assert "Traceback" not in output
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("kind", ["map.npz", "map.3ds", "map.nid", "map.ibw", "map.h5"])
def test_no_damage_is_more_than_a_sentence(tmp_path, kind):
    """Cut off, or bytes changed: read as it is, or refused."""
    good, bad = tmp_path / kind, tmp_path / f"bad {kind}"
    {
        "map.npz": lambda: npz(good),
        "map.3ds": lambda: nanonis_grid(good, CUBE.reshape(5, 4, 1, 6), channels=("Current (A)",)),
        "map.nid": lambda: nanosurf_map(good, 1e-7 * PICTURE, 1e-7 * CUBE, np.full((5, 4), 6)),
        "map.ibw": lambda: igor_wave(good, CUBE),
        "map.h5": lambda: layout(good),
    }[kind]()
    sample_from(good)
    whole, rng, refused = good.read_bytes(), np.random.default_rng(1), 0
    for number in range(24):
        content = bytearray(whole)
        place = int(rng.integers(1, min(len(whole), 3000)))
        if number % 3 == 0:
            content = content[: int(rng.integers(1, len(whole)))]
        elif number % 3 == 1:
            content[place] = int(rng.integers(256))
        else:
            content[place : place + 16] = b"\xff" * 16
        bad.write_bytes(content)
        try:
            sample_from(bad)
        except SampleError:
            refused += 1
    assert refused >= 6


def test_the_spectral_dimension_is_the_one_that_fits_the_axis_or_the_longest(tmp_path):
    cube = RNG.normal(size=(5, 4, 2, 16, 3))
    longest = sample_from(npz(tmp_path / "longest.npz", spectra=cube))
    assert longest.values.shape == (1, 20, 16)
    assert any("number 2 is taken as the spectral axis: the longest" in note for note in longest.describe()["notes"])
    fitting = sample_from(npz(tmp_path / "fitting.npz", spectra=cube, axis=np.arange(3.0)))
    assert fitting.values.shape == (1, 20, 3)


def test_an_archive_that_was_cut_is_told_as_such(tmp_path):
    whole = npz(tmp_path / "map.npz").read_bytes()
    for name in ("cut.jpk-qi-data", "cut.h5", "cut.npz"):
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(SampleError, match=r"truncated.*zip archive.*copy it again"):
            sample_from(tmp_path / name)
