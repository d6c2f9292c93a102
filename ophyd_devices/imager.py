"""The imager: raster frames of several channels."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from ophyd import Component as Cpt
from ophyd import Kind

from ophyd_devices.backend import Area
from ophyd_devices.link import WatchableStatus
from ophyd_devices.measuring import Measuring
from ophyd_devices.signals import TypedSignal


class AreaSignal(TypedSignal):
    """The imaged area (x_min, x_max, y_min, y_max) in nm."""

    def check_value(self, value: ArrayLike) -> None:
        """Raise unless `value` is an area with positive sides that the tip may scan.

        Raises
        ------
        ValueError
            If it is not four finite numbers, a side is not positive, or the instrument can only image its whole range
            and this is another area.
        EnvelopeError
            If it reaches outside the scan range or too close to a forbidden zone.
        """
        super().check_value(value)
        x_min, x_max, y_min, y_max = np.asarray(value, dtype=float)
        info = self.parent.info
        if x_max <= x_min or y_max <= y_min:
            raise ValueError(f"{self.name}: expected x_min < x_max and y_min < y_max, got {value!r}")
        self.parent.check_area((float(x_min), float(x_max), float(y_min), float(y_max)))
        if info.fixed_frame and not np.array_equal((x_min, x_max, y_min, y_max), info.scan_range):
            raise ValueError(f"{self.name}: this instrument only images its whole range {info.scan_range} nm")


class PixelsSignal(TypedSignal):
    """Frame size (ny, nx) in px."""

    def check_value(self, value: ArrayLike) -> None:
        """Raise unless this instrument can take frames of this size; see also :class:`TypedSignal`."""
        super().check_value(value)
        info = self.parent.info
        if info.fixed_frame and tuple(np.asarray(value)) != info.pixels:
            raise ValueError(f"{self.name}: this instrument only takes frames of {info.pixels} px, got {value!r}")
        if np.asarray(value)[1] % info.pixels_multiple:
            raise ValueError(
                f"{self.name}: this instrument takes lines of a multiple of {info.pixels_multiple} px, got {value!r}"
            )


class Imager(Measuring):
    """Takes frames (C, ny, nx). Row 0 is at y_min, column 0 at x_min.

    The status of ``trigger()`` reports the lines done, which the RunEngine's progress bar shows.
    """

    frame = Cpt(
        TypedSignal,
        dtype="<f4",
        value=np.zeros((1, 1, 1), np.float32),
        dims=("channel", "y", "x"),
        writable=False,
        kind=Kind.normal,
    )
    time = Cpt(TypedSignal, units="s", writable=False, kind=Kind.normal, doc="Instrument time at the end of the frame.")
    area = Cpt(AreaSignal, value=np.zeros(4), fixed=True, units="nm", kind=Kind.config)
    pixels = Cpt(PixelsSignal, dtype="<i8", value=[1, 1], fixed=True, units="px", limits=(2, 4096), kind=Kind.config)
    timeout = Cpt(
        TypedSignal, value=3600.0, units="s", limits=(0.1, 1e6), kind=Kind.config,
        doc="A frame is given up this long after the time that its lines take; some modes take longer than that.",
    )  # fmt: skip
    line_rate = Cpt(TypedSignal, value=1.0, units="Hz", limits=(0.01, 100.0), kind=Kind.config)
    channels = Cpt(TypedSignal, dtype="U", value=["z"], writable=False, kind=Kind.config)
    channel_units = Cpt(TypedSignal, dtype="U", value=["nm"], writable=False, kind=Kind.config)
    places = Cpt(
        TypedSignal, value=np.zeros((0, 2)), units="nm", dims=("place", "axis"), writable=False, kind=Kind.omitted,
        doc="The only places of the image where a spectrum can be taken; omitted if it can be taken anywhere.",
    )  # fmt: skip

    def __init__(self, prefix: str = "", **kwargs: Any) -> None:
        super().__init__(prefix, **kwargs)
        self.info = self._link.backend.info
        self.channels.publish([channel.name for channel in self.info.channels])
        self.channel_units.publish([channel.unit for channel in self.info.channels])
        if self.info.places is not None:
            self.places.publish(self.info.places)
            self.places.kind = Kind.config
        self.check_area = self._link.backend.check_area
        self.area.publish(self._link.backend.largest_frame())
        self.pixels.on_put = self._blank
        self.pixels.put(self.info.pixels)

    def trigger(self) -> WatchableStatus:
        """Take one frame. The status fails if the tip is not engaged or the frame has another shape than asked for.

        Raises
        ------
        EnvelopeError
            Like :meth:`check`.
        """
        self.check()
        backend = self._link.backend
        area = self._area()
        ny, nx = (int(number) for number in self.pixels.get())
        line_rate = float(self.line_rate.get())
        shape = (len(self.info.channels), ny, nx)
        status = WatchableStatus(self, unit="lines")

        def image() -> None:
            frame = np.asarray(backend.frame(area, (ny, nx), line_rate, status.progress))
            if frame.shape != shape:
                raise ValueError(f"{self.name}: expected a frame of shape {shape}, the instrument sent {frame.shape}")
            self.frame.publish(frame)
            self.time.publish(backend.time())

        self._measure(status, image, ny / line_rate)
        return status

    def check(self) -> None:
        """Raise EnvelopeError if the tip may not scan the area that is set. Plans call this before anything moves."""
        self.check_area(self._area())

    def _area(self) -> Area:
        x_min, x_max, y_min, y_max = (float(edge) for edge in self.area.get())
        return x_min, x_max, y_min, y_max

    def _blank(self) -> None:
        ny, nx = self.pixels.get()
        self.frame.publish(np.broadcast_to(np.float32(np.nan), (len(self.info.channels), ny, nx)))
        self.time.publish(np.nan)
