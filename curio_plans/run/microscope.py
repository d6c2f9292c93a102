"""What a plan needs of a microscope. `ophyd_devices.AFM` is one; any object with these parts will do."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from bluesky.protocols import Movable, Readable, Triggerable


class Scanner(Readable[Any], Movable[Any], Protocol):
    """Moves to (x, y) in nm; refuses places outside its range before anything moves.

    `x` and `y` are positioners of their own.
    """

    x: Any
    y: Any
    position: Any
    velocity: Any
    settle: Any

    def check_value(self, value: Any) -> None:
        """Raise if the scanner cannot go to `value`."""


class Tip(Readable[Any], Movable[Any], Protocol):
    """Moves to ``"engaged"`` or ``"withdrawn"``."""

    position: Any


class Imager(Readable[Any], Triggerable, Protocol):
    """Takes frames (C, ny, nx) of `area` with `pixels` (ny, nx).

    `frame` is the last one. Where spectra can be taken at some places only, `places` (M, 2) has them.
    """

    frame: Any
    area: Any
    pixels: Any
    channels: Any
    line_rate: Any
    places: Any
    ticket: Any

    def check(self) -> None:
        """Raise if the frame that is set may not be taken."""


class Spectrometer(Readable[Any], Triggerable, Protocol):
    """Takes spectra (K,) at the present position."""

    axis: Any
    quantity: Any
    dwell: Any
    steps_per_cycle: Any
    cycles: Any
    ticket: Any

    def check(self, places: Iterable[tuple[float, float]] = ()) -> None:
        """Raise if spectra may not be taken at `places` (x, y) in nm, one after the other."""


class Reference(Readable[Any], Triggerable, Protocol):
    """The true spectra at `positions`, where they are known."""

    available: bool
    positions: Any


class Microscope(Readable[Any], Protocol):
    """An atomic force microscope as the plans see it."""

    scanner: Scanner
    tip: Tip
    imager: Imager
    spectrometer: Spectrometer
    reference: Reference

    def describe_sample(self) -> Mapping[str, Any]:
        """Return JSON-able facts about sample and instrument."""

    def replaying(self, tip_loops: int | None = None) -> AbstractContextManager[None]:
        """Return a context for measuring stored spectra again without counting their dose twice.

        `tip_loops` is how many spectra the tip had taken before. A real instrument raises.
        """
