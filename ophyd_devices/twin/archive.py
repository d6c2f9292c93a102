"""Reading npz files from elsewhere: every value is checked, and errors say what to do."""

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class SampleError(ValueError):
    """A file is not a recorded sample; the message says what was expected, what came and what to do."""


class Archive:
    """The arrays of an npz file. Nothing in it is unpickled.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    SampleError
        If there is no such file, or it is not an npz file of plain arrays.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise self.error("expected an npz file, there is none; check the path")
        try:
            with path.open("rb") as file:
                archive = np.load(file, allow_pickle=False)
                zipped = isinstance(archive, np.lib.npyio.NpzFile)
                self._arrays: dict[str, NDArray[Any]] = dict(archive) if zipped else {}
        except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as cause:
            raise self.error(
                f"expected an npz file of plain arrays, could not read it ({cause}); save it with numpy.savez"
            ) from cause
        if not zipped:
            raise self.error("expected an npz file, got a single array; save it with numpy.savez")

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
            found = ", ".join(sorted(self._arrays)) or "nothing"
            raise self.error(f"expected an array {key!r}, found {found}; add it with numpy.savez")
        return self._arrays[key]

    def numbers(self, key: str, dtype: DTypeLike) -> NDArray[Any]:
        """Return the array as `dtype`.

        Raises
        ------
        SampleError
            If it is missing, does not hold real numbers, or is not finite in `dtype`.
        """
        array = self.raw(key)
        if array.dtype.kind not in "iuf":
            raise self.error(f"expected real numbers in {key!r}, got dtype {array.dtype}; convert them")
        with np.errstate(over="ignore"):
            cast = array.astype(dtype)
        bad = np.argwhere(~np.isfinite(cast) & np.isfinite(array))
        if len(bad):
            first = tuple(int(index) for index in bad[0])
            raise self.error(
                f"expected numbers in {key!r} that fit into {cast.dtype}, got {array[first]!r} at index {first}; "
                "choose a smaller unit"
            )
        array = cast
        bad = np.argwhere(~np.isfinite(array))
        if len(bad):
            first = tuple(int(index) for index in bad[0])
            raise self.error(
                f"expected finite {array.dtype} numbers in {key!r}, got {len(bad)} that are not, the first at index "
                f"{first}; repair them, e.g. with the median of their neighbours"
            )
        return array

    def texts(self, key: str, default: list[str]) -> list[str]:
        """Return the texts of an array, or `default` if it is missing.

        Raises
        ------
        SampleError
            If it is not text, or has another length than `default`.
        """
        if key not in self:
            return default
        array = np.atleast_1d(self.raw(key))
        if array.dtype.kind != "U" or array.shape != (len(default),):
            raise self.error(
                f"expected {len(default)} text(s) in {key!r}, got shape {array.shape} of dtype {array.dtype}; "
                "correct it or leave it out"
            )
        return [str(text) for text in array]

    def text(self, key: str, default: str) -> str:
        """Return one text, or `default`; raises like :meth:`texts`."""
        return self.texts(key, [default])[0]
