"""How many spectra the sample and the tip have borne so far, and where; kept in a file, it outlives the session."""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


class DoseLogError(ValueError):
    """A file that is not a dose log, or a damaged one."""


class DoseLog:
    """Counts spectra, by place and by tip. One counts from the moment it is sent, whatever becomes of it.

    Parameters
    ----------
    path : path, optional
        A file of JSON lines that is read at the start and appended to, a line before each spectrum. Without it the
        counts end with the process.

    Raises
    ------
    DoseLogError
        If the file has a line that is none of a dose log.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = None if path is None else Path(path)
        self.places: NDArray[np.float64] = np.zeros((0, 2))
        """(N, 2): where, in nm, on the present sample."""
        self.tip_loops = 0
        """How many with the present tip."""
        if self.path is not None and self.path.exists():
            for number, line in enumerate(self.path.read_text().splitlines(), start=1):
                self._read(line, f"{self.path}, line {number}")

    def add(self, place: tuple[float, float]) -> None:
        """Count one spectrum at `place` (x, y) in nm."""
        self._write({"loop": place})
        self._count(place)

    def replace_tip(self) -> None:
        """Start to count for a new tip."""
        self._write({"replaced": "tip"})
        self.tip_loops = 0

    def replace_sample(self) -> None:
        """Start to count for a new sample, or a new region after a coarse move."""
        self._write({"replaced": "sample"})
        self.places = np.zeros((0, 2))

    def copy(self) -> "DoseLog":
        """Return a log with the same counts and no file, to try out what is planned."""
        other = DoseLog()
        other.places, other.tip_loops = self.places, self.tip_loops
        return other

    def within(self, radius: float, place: tuple[float, float]) -> int:
        """Return the number of spectra within `radius` nm of `place`."""
        return int((np.hypot(*(self.places - place).T) <= radius).sum())

    def _count(self, place: tuple[float, float]) -> None:
        self.places = np.vstack([self.places, place])
        self.tip_loops += 1

    def _write(self, entry: dict[str, object]) -> None:
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(json.dumps(entry) + "\n")

    def _read(self, line: str, where: str) -> None:
        try:
            match json.loads(line):
                case {"loop": [int() | float() as x, int() | float() as y]} if np.isfinite((x, y)).all():
                    self._count((x, y))
                case {"replaced": "tip"}:
                    self.tip_loops = 0
                case {"replaced": "sample"}:
                    self.places = np.zeros((0, 2))
                case _:
                    raise DoseLogError(f"{where}: expected an entry of a dose log, got {line[:80]!r}")
        except json.JSONDecodeError as error:
            raise DoseLogError(
                f"{where}: expected an entry of a dose log, got {line[:80]!r}; mend it, or start a new file"
            ) from error
