"""Readers by name, from the entry-point group ``curio.readers``. Other packages can add their own."""

import logging
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np

from ophyd_devices.readers.measurement import Measurement, SampleError, Spectra

logger = logging.getLogger(__name__)

GROUP = "curio.readers"

LARGEST = 4 * 2**30
"""Bytes of the largest array that is read; a header that promises more is refused before memory is taken."""

HDF5 = "an HDF5 file"
_MAGIC = {
    b"PK\x03\x04": "a zip archive, such as .npz",
    b"\x89HDF\r\n\x1a\n": HDF5,
    b"\x93NUMPY": "a single array of numpy (.npy)",
    b"Gwyddion Simple Field": "a Gwyddion simple field (.gsf)",
    b"GWYP": "a Gwyddion file (.gwy)",
    b":NANONIS_VERSION:": "a Nanonis scan (.sxm)",
    b"Grid dim=": "a Nanonis grid (.3ds)",
    b"WDF1": "a Renishaw file (.wdf)",
    b"MATLAB 5": "a MATLAB file (.mat)",
    b"\x89PNG": "a PNG picture",
    b"%PDF": "a PDF document",
    b"\\*File list": "a Bruker Nanoscope file; pyfmreader reads its force volumes, Gwyddion its images",
    b"\\*Force file list": "a Bruker Nanoscope force file; pyfmreader reads its force volumes",
}
"""First bytes of well-known files."""


_FOREIGN = {
    ".nhf": "a Nanosurf HDF5 file (.nhf; NSFopen reads it)",
    ".spm": "a Bruker Nanoscope file (.spm; pyfmreader reads its force volumes, Gwyddion its images)",
    ".pfc": "a Bruker PeakForce file (.pfc; pyfmreader reads it)",
    ".mdt": "an NT-MDT file (.mdt)",
    ".ardf": "an Asylum force map (.ardf)",
    ".pxp": "an Igor experiment (.pxp)",
    ".opju": "an Origin project (.opju)",
    ".dat": "a text or Nanonis point file (.dat)",
}
"""Formats that no reader knows, by ending."""


@dataclass(frozen=True)
class Reader:
    """Reads one kind of file.

    Attributes
    ----------
    kind : str
        What it reads, for people: ``"Nanonis grid spectroscopy"``.
    suffixes : tuple of str
        Endings of names in small letters, with the dot.
    read : callable
        Returns the :class:`~ophyd_devices.readers.measurement.Measurement` in a file, and raises SampleError where it
        cannot. It imports its library when it is called, not before.
    claims : callable
        Tells by its content whether a file with such an ending is of this kind. Needed only where several readers
        share an ending.
    extra : str
        What ``pip install`` needs for its library; empty if nothing.
    """

    kind: str
    suffixes: tuple[str, ...]
    read: Callable[[Path], Measurement]
    claims: Callable[[Path], bool] = lambda _: True
    extra: str = ""


@cache
def known_readers() -> Mapping[str, Reader]:
    """Return all installed readers by name; one that cannot be loaded is left out with a warning in the log."""
    found = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            found[entry.name] = entry.load()
        except Exception as error:  # noqa: BLE001  a package of a laboratory may be broken
            logger.warning(
                "the reader %r cannot be loaded from %s (%s): it is left out", entry.name, entry.value, error
            )
    return found


def read(path: str | Path, reader: str | None = None) -> Measurement:
    """Read a file of measured data.

    Parameters
    ----------
    path : str or Path
        The file.
    reader : str, optional
        One of :func:`known_readers`; by default the one that knows the ending and the content of the file.

    Returns
    -------
    Measurement
        Its ``facts`` have ``reader``, the name of the reader, and ``format``, the kind of file.

    Raises
    ------
    SampleError
        If there is no such file or reader, a library is missing, or the content cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        raise SampleError(f"{path}: expected a file, this is a directory; curio look DIRECTORY lists what is in it")
    if not path.is_file():
        raise SampleError(f"{path}: expected a file of measured data, there is none; check the path")
    if path.stat().st_size == 0:
        raise SampleError(f"{path}: expected a file of measured data, this one is empty; copy it again")
    name = reader or find_reader(path)
    if name not in known_readers():
        raise SampleError(f"{path}: expected a reader among {', '.join(known_readers())}, got {name!r}")
    chosen = known_readers()[name]
    try:
        found = chosen.read(path)
    except SampleError:
        raise
    except ImportError as error:
        raise SampleError(
            f"{path}: a {chosen.kind} file needs a library that is not installed ({error}); install it with: "
            f"pip install {chosen.extra or name}"
        ) from error
    except Exception as error:  # whatever a library makes of a damaged file
        refuse_truncated(path)
        told = " ".join(f"{type(error).__name__}: {error}".split())
        raise SampleError(
            f"{path}: the reader {name!r} failed ({told}); its content is {describe_content(path)}. The file is "
            "damaged, of another kind than its name says, or of a version that is not known. "
            "Copy it again, or save it anew"
        ) from error
    _check(path, name, found)
    return replace(found, facts={"reader": name, "format": chosen.kind, **found.facts})


def find_reader(path: Path) -> str:
    """Return the name of the reader that knows a file.

    Raises
    ------
    SampleError
        If none does; the message names the format, or the endings that are known.
    """
    ending = [name for name, reader in known_readers().items() if path.name.lower().endswith(reader.suffixes)]
    claiming = [name for name in ending if _claims(known_readers()[name], path)]
    if claiming:
        return claiming[0]
    refuse_truncated(path)
    content = describe_content(path)
    if ending:
        kinds = " or ".join(known_readers()[name].kind for name in ending)
        raise SampleError(f"{path}: by its name it should be a {kinds} file, but its content is {content}. {_ADVICE}")
    ending_text = f"files that end in {path.suffix!r}" if path.suffix else "files without an ending"
    foreign = next((what for end, what in _FOREIGN.items() if path.name.lower().endswith(end)), None)
    if foreign is not None:
        raise SampleError(f"{path}: {foreign} is not opened yet. {_ADVICE}")
    raise SampleError(
        f"{path}: no reader knows {ending_text}, and its content is {content}. What is opened is listed in "
        f"docs/how-to/your-own-files.md. {_ADVICE}"
    )


def _claims(reader: Reader, path: Path) -> bool:
    """Tell whether a reader claims a file; one that cannot be looked into is claimed by none."""
    try:
        return reader.claims(path)
    except Exception:  # noqa: BLE001  whatever a library makes of a damaged file
        return False


_ADVICE = "Convert it, or write it in the layout of docs/how-to/your-own-files.md (five lines of h5py)"


def describe_content(path: Path) -> str:
    """Return in words what the first bytes of a file look like."""
    with path.open("rb") as file:
        start = file.read(64)
    for magic, what in _MAGIC.items():
        if start.startswith(magic):
            return what + _datasets(path) if what == HDF5 else what
    text = all(byte >= 32 or byte in b"\t\r\n" for byte in start)
    return "text" if text else "unknown to curio"


def _datasets(path: Path, most: int = 6) -> str:
    """Return names and shapes of the first datasets of an HDF5 file; nothing where it cannot be looked into."""
    found: list[str] = []

    def note(name: str, item: Any) -> bool | None:
        if hasattr(item, "shape"):
            found.append(f"{name} {'×'.join(map(str, item.shape)) or 'one value'}")
        return True if len(found) > most else None

    try:
        import h5py

        with h5py.File(path, "r") as file:
            file.visititems(note)
    except Exception:  # noqa: BLE001  whatever HDF5 makes of a damaged file
        return ""
    return f" with the datasets {', '.join([*found[:most], *['…'] * (len(found) > most)])}" if found else ""


def refuse_truncated(path: Path) -> None:
    """Raise SampleError if a file begins as a zip archive or an HDF5 file, and its end is missing."""
    with path.open("rb") as file:
        start = file.read(8)
    cut = start.startswith(b"PK\x03\x04") and not zipfile.is_zipfile(path)
    why = "the list of contents at the end of a zip archive is missing" if cut else ""
    if start == b"\x89HDF\r\n\x1a\n":
        try:
            import h5py

            h5py.File(path, "r").close()
        except ImportError:
            return
        except OSError as error:
            why = f"HDF5 says: {error}"
    if why:
        raise SampleError(f"{path}: the file is truncated, damaged or still being written ({why}); copy it again")


def refuse_large(path: Path, promised: int, what: str) -> None:
    """Raise SampleError if `what` promises more bytes than :data:`LARGEST`."""
    if promised > LARGEST:
        raise SampleError(
            f"{path}: {what} promises {promised / 2**30:,.0f} GiB, and at most {LARGEST / 2**30:.0f} GiB are read; the "
            "file is damaged, or crop and bin it first"
        )


def _check(path: Path, reader: str, found: Measurement) -> None:
    """Raise SampleError if what a reader returned is not consistent."""
    for image in found.images:
        if image.values.ndim != 2 or not image.area[1] > image.area[0] or not image.area[3] > image.area[2]:
            raise SampleError(
                f"{path}: the reader {reader!r} returned an image {image.name!r} of shape {image.values.shape} over "
                f"{image.area} nm; an image has shape (ny, nx) and an area with positive sides"
            )
    for spectra in found.spectra:
        _check_spectra(path, reader, spectra)
    if not found.images and not found.spectra:
        raise SampleError(f"{path}: there is neither an image nor a spectrum in it; is it the right file?")


def _check_spectra(path: Path, reader: str, spectra: Spectra) -> None:
    shape = (len(spectra.positions), *(len(axis.values) for axis in spectra.axes))
    sound = spectra.positions.shape == (shape[0], 2) and len(shape) > 1 and spectra.values.shape == shape
    if not sound or not np.isfinite(spectra.positions).all():
        raise SampleError(
            f"{path}: the reader {reader!r} returned spectra {spectra.name!r} of shape {spectra.values.shape} at "
            f"positions {spectra.positions.shape} along axes of {[len(axis.values) for axis in spectra.axes]} values; "
            "they do not fit together"
        )
