"""Reading the arrays of npz files: every value is checked, and errors say what to do. Nothing is unpickled."""

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ophyd_devices.readers.measurement import SampleError
from ophyd_devices.readers.registry import describe_content, refuse_large, refuse_truncated


class Archive:
    """Arrays by name, as a file has them.

    Parameters
    ----------
    path : Path
        The file, for messages.
    arrays : mapping of str to array
        Its arrays.
    """

    def __init__(self, path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.path = path
        self._arrays = dict(arrays)

    @classmethod
    def of_npz(cls, path: Path) -> Self:
        """Read an npz file.

        Raises
        ------
        SampleError
            If it is not an npz file of plain arrays.
        """
        self = cls(path, {})
        if not zipfile.is_zipfile(path):
            refuse_truncated(path)
            raise self.error(f"expected an npz file, its content is {describe_content(path)}; save it with numpy.savez")
        try:
            with zipfile.ZipFile(path) as archive:
                refuse_large(path, sum(member.file_size for member in archive.infolist()), "the archive")
                for member in archive.infolist():
                    self._arrays[member.filename.removesuffix(".npy")] = self._read(archive, member)
        except SampleError:
            raise
        except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as cause:
            raise self.error(
                f"expected an npz file of plain arrays, could not read it ({cause}); save it with numpy.savez"
            ) from cause
        except (RuntimeError, NotImplementedError) as cause:  # zipfile's, for passwords and rare compressions
            raise self.error(
                f"the archive has a password, or a compression that Python does not know ({cause}); save it with "
                "numpy.savez"
            ) from cause
        return self

    def _read(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
        name = member.filename.removesuffix(".npy")
        with archive.open(member) as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(file)
            if dtype.hasobject:
                raise self.error(
                    f"the array {name!r} holds Python objects, which are never loaded from a file; save it as plain "
                    "numbers or text, e.g. numpy.asarray(values, float)"
                )
            # The header alone decides how much memory numpy takes.
            promised = int(np.prod([int(side) for side in shape], dtype=object)) * dtype.itemsize
            refuse_large(self.path, promised, f"the header of {name!r}")
            if promised > member.file_size:
                raise self.error(f"the header of {name!r} promises more bytes than there are; the file is damaged")
        with archive.open(member) as file:
            return np.lib.format.read_array(file, allow_pickle=False)

    def __contains__(self, key: str) -> bool:
        return key in self._arrays

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def error(self, message: str) -> SampleError:
        """Return an error that names the file."""
        return SampleError(f"{self.path}: {message}")

    def raw(self, key: str) -> NDArray[Any]:
        """Return the array as it is.

        Raises
        ------
        SampleError
            If there is none of this name; the message lists the arrays of the file.
        """
        if key not in self._arrays:
            found = ", ".join(f"{name} {array.shape}" for name, array in sorted(self._arrays.items())) or "nothing"
            raise self.error(f"expected an array {key!r}, found {found}; add it, or rename the one that is meant")
        return self._arrays[key]

    def numbers(self, key: str, dtype: DTypeLike | None = None, kinds: str = "iuf") -> NDArray[Any]:
        """Return the array as it is, or as `dtype`, which must hold its numbers; NaN and infinity stay.

        Raises
        ------
        SampleError
            If it is missing, is not of one of numpy's `kinds`, or has a number that does not fit into `dtype`.
        """
        array = self.raw(key)
        if array.dtype.kind not in kinds:
            raise self.error(f"expected real numbers in {key!r}, got dtype {array.dtype}; convert them")
        if dtype is None:
            return array
        with np.errstate(over="ignore"):
            cast = array.astype(dtype)
        bad = np.argwhere(~np.isfinite(cast) & np.isfinite(array))
        if len(bad):
            first = tuple(int(index) for index in bad[0])
            raise self.error(
                f"expected numbers in {key!r} that fit into {cast.dtype}, got {array[first]!r} at index {first}; "
                "choose a smaller unit"
            )
        return cast

    def finite(self, key: str, dtype: DTypeLike) -> NDArray[Any]:
        """Return the array as `dtype`; raise also if a number is not finite."""
        array = self.numbers(key, dtype)
        bad = np.argwhere(~np.isfinite(array))
        if len(bad):
            first = tuple(int(index) for index in bad[0])
            raise self.error(
                f"expected finite {array.dtype} numbers in {key!r}, got {len(bad)} that are not, the first at index "
                f"{first}; correct them"
            )
        return array

    def texts(self, key: str, default: list[str]) -> list[str]:
        """Return the texts of an array, which may be bytes as h5py gives them, or `default` if it is missing.

        Raises
        ------
        SampleError
            If it is not text, or has another length than `default`.
        """
        if key not in self:
            return default
        array = np.atleast_1d(self.raw(key))
        if array.dtype.kind == "S":
            array = np.char.decode(array, "utf-8", "replace")
        if array.dtype.kind != "U" or array.shape != (len(default),):
            raise self.error(
                f"expected {len(default)} text(s) in {key!r}, got shape {array.shape} of dtype {array.dtype}; "
                "correct it or leave it out"
            )
        return [str(text) for text in array]

    def text(self, key: str, default: str) -> str:
        """Return one text, or `default`; raises like :meth:`texts`."""
        return self.texts(key, [default])[0]
