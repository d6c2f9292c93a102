"""Frames: the scan of the controller, set up, followed line by line, fetched and put back."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ophyd_devices.backend import Area, BackendError, Progress
from ophyd_devices.nanonis.commands import PIXELS_MULTIPLE
from ophyd_devices.nanonis.geometry import NM, Geometry
from ophyd_devices.nanonis.operator import Operator
from ophyd_devices.nanonis.session import Session, Signal

FirstRow = Literal["top", "bottom"]
"""Which line of the frame is the first row that the controller sends."""
START_S = 0.5
"""A scan that is not running this long after its start has ended already."""
SLACK_S = 30.0
"""A scan may take twice the time of its lines, and this."""
LINE_MS = 500
"""How long to wait for the next line before the status is looked at, ms."""
START, STOP, UP, FORWARD, BACKWARD = 0, 1, 1, 1, 0
OFF, AUTOSAVE_OFF, KEEP_TIME, UNCHANGED = 2, 3, 2, 0
SETTINGS = ("Scan.FrameGet", "Scan.BufferGet", "Scan.SpeedGet", "Scan.PropsGet", "FolMe.SpeedGet")


BACKWARD_MARK = " [bwd]"
"""At the end of a signal's name: its backward lines. The controller's own files name them so."""


@dataclass(frozen=True)
class ScanChannel:
    """The forward or the backward lines of a signal."""

    signal: Signal
    forward: bool = True

    @property
    def name(self) -> str:
        """The name of the signal without unit, and which lines if they are the backward ones."""
        return self.signal.name if self.forward else f"{self.signal.name} backward"


def find_channel(session: Session, name: str) -> ScanChannel:
    """Return the channel of a name such as ``"Z (m)"`` or ``"Z (m) [bwd]"``.

    Raises
    ------
    BackendError
        If the controller has no such signal, or several.
    """
    return ScanChannel(session.signal(name.removesuffix(BACKWARD_MARK)), not name.endswith(BACKWARD_MARK))


def oriented(rows: NDArray[np.float32], first_row: FirstRow) -> NDArray[np.float32]:
    """Return a channel with row 0 at y_min. In which order the controller sends rows is documented nowhere."""
    return rows[::-1] if first_row == "top" else rows


class Scanner:
    """Takes frames.

    Parameters
    ----------
    session : Session
        The controller.
    operator : Operator
        Keeps the scan settings.
    geometry : Geometry
        The coordinates.
    channels : sequence of ScanChannel
        The channels of every frame.
    first_row : str
        ``"top"`` or ``"bottom"``.
    backward_mirrored : bool
        Whether backward lines come with the last column first.
    """

    def __init__(
        self,
        session: Session,
        operator: Operator,
        geometry: Geometry,
        channels: Sequence[ScanChannel],
        first_row: FirstRow,
        *,
        backward_mirrored: bool,
    ) -> None:
        self._session, self._operator, self._geometry = session, operator, geometry
        self._channels, self._first_row, self._mirrored = channels, first_row, backward_mirrored

    def frame(self, area: Area, pixels: tuple[int, int], line_rate: float, progress: Progress) -> NDArray[np.float32]:
        """Scan `area` upwards and return its channels (C, ny, nx), row 0 at y_min; then go back to the old place.

        Raises
        ------
        BackendError
            If the controller changes the number of pixels, or the frame is not complete.
        Interrupted
            If it was stopped.
        """
        call, (ny, nx) = self._session.call, pixels
        place = call("FolMe.XYPosGet", 1)
        self._operator.keep(*SETTINGS)
        try:
            with self._session.acting("the frame", "Scan.Action", STOP, 0):
                speed = self._prepare(area, pixels, line_rate)
                call("Scan.Action", START, UP)
                self._follow(ny, ny / line_rate, progress)
                frame = np.stack([self._grab(channel, (ny, nx)) for channel in self._channels])
                call("FolMe.SpeedSet", speed, 1)
                call("FolMe.XYPosSet", *place, 1, timeout=self._session.timeout + SLACK_S + 4 / line_rate)
        finally:
            if not self._session.lost:
                self._operator.restore(*SETTINGS)
        progress(ny, ny)
        return frame

    def _prepare(self, area: Area, pixels: tuple[int, int], line_rate: float) -> float:
        """Set up the scan and return its speed in m/s."""
        call, (ny, nx) = self._session.call, pixels
        x_min, x_max, y_min, y_max = area
        centre = self._geometry.to_scanner((x_min + x_max) / 2, (y_min + y_max) / 2)
        width, seconds = (x_max - x_min) * NM, 1 / (2 * line_rate)
        call("Scan.FrameSet", *centre, width, (y_max - y_min) * NM, self._geometry.angle)
        call("Scan.BufferSet", sorted({channel.signal.index for channel in self._channels}), nx, ny)
        _, got_nx, got_ny = call("Scan.BufferGet")
        if (got_ny, got_nx) != (ny, nx):
            raise BackendError(
                f"asked for {ny} lines of {nx} px, the controller takes {got_ny} lines of {got_nx} px; choose a "
                f"multiple of {PIXELS_MULTIPLE} px a line, nothing moved"
            )
        call("Scan.SpeedSet", width / seconds, width / seconds, seconds, seconds, KEEP_TIME, 1.0)
        _, _, _, series, comment, modules, *_ = call("Scan.PropsGet")
        call("Scan.PropsSet", OFF, OFF, AUTOSAVE_OFF, series, comment, modules, UNCHANGED)
        return width / seconds

    def _follow(self, ny: int, expected: float, progress: Progress) -> None:
        """Report each line until the scan has ended."""
        call, began, done, ran = self._session.call, time.monotonic(), 0, False
        while True:
            self._session.check_stopped()
            running, waited = call("Scan.StatusGet"), time.monotonic() - began
            ran = ran or bool(running)
            if not running and (ran or waited > START_S):
                return
            if waited > 2 * expected + SLACK_S:
                raise BackendError(f"the scan did not end within {waited:.0f} s; look at the controller")
            timed_out, line, _, _ = call("Scan.WaitEndOfLine", LINE_MS, timeout=self._session.timeout + LINE_MS / 1e3)
            if not timed_out and done < line + 1 < ny:
                done = line + 1
                progress(done, ny)

    def _grab(self, channel: ScanChannel, shape: tuple[int, int]) -> NDArray[np.float32]:
        self._session.check_stopped()
        signal, direction = channel.signal, FORWARD if channel.forward else BACKWARD
        _, rows, up = self._session.call("Scan.FrameDataGrab", signal.index, direction)
        if rows.shape != shape or up != UP:
            raise BackendError(
                f"expected {shape[0]} lines of {shape[1]} px, scanned upwards, of {signal.label!r}, the controller "
                f"sent {rows.shape[0]} lines of {rows.shape[1]} px, scanned {'upwards' if up == UP else 'downwards'}"
            )
        missing = int((~np.isfinite(rows)).any(axis=1).sum())
        if missing:
            raise BackendError(
                f"{missing} of {shape[0]} lines of {signal.label!r} are missing: somebody stopped the scan"
            )
        if self._mirrored and not channel.forward:
            rows = rows[:, ::-1]
        return oriented((rows * signal.scale).astype(np.float32), self._first_row)
