"""How many spectra the tip and the sample have taken, and where. Kept in a file, the counts outlive the session."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ophyd_devices.dose_file import DoseFile, DoseLogError, Entry
from ophyd_devices.place import Place

__all__ = ["DoseLog", "DoseLogError"]


class DoseLog:
    """Counts spectra by place and by tip. A spectrum counts from the moment it is sent, even if it fails.

    With a file, the first session that measures owns the log until it closes the microscope or ends. Other sessions may
    read it; their spectra are refused. Before each spectrum the owner makes sure that nobody changed the file, adds a
    line, and waits until that line is on the disk.

    Parameters
    ----------
    path : path, optional
        A file of JSON lines. Without it the counts end with the process.

    Raises
    ------
    DoseLogError
        If the file is not a dose log or is damaged; the message says what to do. A last line that was torn by a crash
        is no damage: its spectrum was never sent.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self._file = None if path is None else DoseFile(path)
        self._mutex = threading.RLock()
        self._replayed: int | None = None
        self._tip_loops = 0
        self.places: NDArray[np.float64] = np.zeros((0, 2))
        """Where spectra were taken on the present sample, (N, 2) in nm."""
        if self._file is not None:
            self._count(self._file.read())

    @property
    def path(self) -> Path | None:
        """The file, if there is one."""
        return None if self._file is None else self._file.path

    @property
    def tip_loops(self) -> int:
        """How many spectra the present tip has taken; while :meth:`replaying`, how many it had taken then."""
        return self._tip_loops if self._replayed is None else self._replayed

    @property
    def is_replaying(self) -> bool:
        """Whether stored spectra are being measured again; see :meth:`replaying`."""
        return self._replayed is not None

    def within(self, radius: float, place: Place) -> int:
        """Return the number of spectra within `radius` nm of `place`."""
        return int((np.hypot(*(self.places - place).T) <= radius).sum())

    def copy(self) -> "DoseLog":
        """Return a log with the same counts and no file, to try out a plan."""
        other = DoseLog()
        other.places, other._tip_loops = self.places, self.tip_loops
        return other

    def claim(self) -> None:
        """Own the file from now on, and count what other sessions have added; called before each spectrum.

        Raises
        ------
        DoseLogError
            If another session owns the file, or it was deleted, changed or damaged, or cannot be written.
        """
        with self._mutex:
            if self._file is not None:
                self._count(self._file.take())

    def refresh(self) -> None:
        """Count what other sessions have added; raise what :meth:`claim` would raise. Plans call this beforehand."""
        with self._mutex:
            if self._file is not None:
                self._count(self._file.look())

    def add(self, place: Place) -> None:
        """Count one spectrum at `place` (x, y) in nm; raises like :meth:`claim`."""
        self._write(place)

    def replace_tip(self) -> None:
        """Start to count for a new tip; raises like :meth:`claim`."""
        self._write("tip")

    def replace_sample(self) -> None:
        """Start to count for a new sample, or a new region after a coarse move; raises like :meth:`claim`."""
        self._write("sample")

    @contextmanager
    def replaying(self, tip_loops: int | None = None) -> Iterator[None]:
        """Measure stored spectra again, on a simulated instrument, without counting them twice.

        They were counted in the file when they were first measured. Without a file that count is lost, so they are
        counted now, and the tip goes on from there.

        Parameters
        ----------
        tip_loops : int, optional
            How many spectra the tip had taken before the next one; by default as many as now.
        """
        with self._mutex:
            self._replayed = self._tip_loops if tip_loops is None else tip_loops
        try:
            yield
        finally:
            with self._mutex:
                if self._file is None:
                    self._tip_loops = self._replayed
                self._replayed = None

    def restore(self) -> None:
        """Write the file as this session knows it, after it was deleted or damaged.

        Raises
        ------
        DoseLogError
            If another session owns the file, or it cannot be written.
        """
        with self._mutex:
            if self._file is not None:
                self._file.restore()

    def close(self) -> None:
        """Let other sessions own the file."""
        with self._mutex:
            if self._file is not None:
                self._file.release()

    def _write(self, entry: Entry) -> None:
        with self._mutex:
            if self._replayed is not None and not isinstance(entry, str):
                self._replayed += 1
                if self._file is None:
                    self.places = np.vstack([self.places, entry])
                return
            self.claim()
            if self._file is not None:
                self._file.append(entry)
            self._count([entry])

    def _count(self, entries: Iterable[Entry]) -> None:
        fresh: list[Place] = []
        for entry in entries:
            if entry == "tip":
                self._tip_loops = 0
            elif entry == "sample":
                self.places, fresh = np.zeros((0, 2)), []
            elif not isinstance(entry, str):
                self._tip_loops += 1
                fresh.append(entry)
        self.places = np.vstack([self.places, np.reshape(fresh, (-1, 2))])
