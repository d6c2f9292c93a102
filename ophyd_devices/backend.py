"""The interface that an AFM controller must implement so that the devices of this package can drive it.

The devices are written once, against :class:`AfmBackend`. The simulated twin, a recorded sample, EPICS and vendors'
Python interfaces implement it. Calls block until they are done and come from one thread, one at a time. Only
:meth:`AfmBackend.stop` may come from another thread at any moment.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Area = tuple[float, float, float, float]
"""(x_min, x_max, y_min, y_max) in nm, to the outer edges of the pixels."""

Progress = Callable[[int, int], None]
"""Called with (lines done, total lines) while a frame is taken."""


class BackendError(RuntimeError):
    """The controller could not do what it was asked to; the message says what that was and what to check."""


class Interrupted(BackendError):
    """:meth:`AfmBackend.stop` ended the action."""


@dataclass(frozen=True)
class Channel:
    """One channel of a frame or of a spectrum."""

    name: str
    unit: str


@dataclass(frozen=True, eq=False)
class Spectroscopy:
    """The kind of spectra that an instrument measures.

    Attributes
    ----------
    quantity, unit : str
        The quantity measured at each step, e.g. ``"off-field piezoresponse"`` in ``"a.u."``.
    axis_name, axis_unit : str
        The spectral axis, e.g. ``"bias"`` in ``"V"``.
    axis : (K,) float64 or None
        The axis if it is fixed (a recorded sample); None if the waveform is the axis.
    waveform : str
        What a waveform is: ``"bias"`` in V, or ``"z"``, heights in nm above where the tip is held by the setpoint.
    others : tuple of Channel
        What else is measured at each step, e.g. the on-field loop, or the deflection beside the current.
    full_scale : (low, high) or None
        The range of the detector of `quantity` in `unit`; a value at either end is saturated. None if it is not known.
    """

    quantity: str
    unit: str
    axis_name: str
    axis_unit: str
    axis: NDArray[np.float64] | None = None
    others: tuple[Channel, ...] = ()
    full_scale: tuple[float, float] | None = None
    waveform: Literal["bias", "z"] = "bias"

    @property
    def channels(self) -> tuple[Channel, ...]:
        """All C channels of a spectrum; `quantity` is the first."""
        return (Channel(self.quantity, self.unit), *self.others)


@dataclass(frozen=True)
class Ramp:
    """The limits of spectra over the height.

    Attributes
    ----------
    range_max : float
        Largest height, nm.
    speed_max : float
        Largest speed of the tip, nm/s.
    trigger_force : float
        The instrument ends a ramp at once where the force, in nN, is larger than this.
    """

    range_max: float
    speed_max: float
    trigger_force: float


@dataclass(frozen=True, eq=False)
class Info:
    """The fixed properties of an instrument: channels, spectroscopy, limits.

    Attributes
    ----------
    channels : tuple of Channel
        The channels of every frame, in order.
    spectroscopy : Spectroscopy
        The kind of spectra.
    scan_range : Area
        Where the scanner can go, in nm.
    pixels : (ny, nx)
        A suggested frame size; the only one if `fixed_frame` is true.
    fixed_frame : bool
        Only the whole scan range at `pixels` can be imaged (a recorded sample).
    setpoint_range : (low, high)
        Contact force in nN, or what else the feedback holds, in `setpoint_unit`.
    amplitude_max : float
        Largest bias amplitude in V.
    simulated : bool
        Whether the instrument is simulated, so that no real tip can be harmed.
    pixels_multiple : int
        The pixels of a line are a multiple of this.
    segments_max : int or None
        The largest number of straight segments of a bias waveform; None if there is no limit.
    setpoint_unit : str
        ``"nN"``, or ``"nA"`` of an instrument whose feedback holds a tunnel current; then :meth:`AfmBackend.force`
        returns the current.
    ramp : Ramp or None
        The limits of spectra over the height; None if the instrument takes none.
    places : (M, 2) float64 or None
        The only places where it has spectra, in nm (a recorded sample); None if it can take one anywhere.
    """

    channels: tuple[Channel, ...]
    spectroscopy: Spectroscopy
    scan_range: Area
    pixels: tuple[int, int]
    fixed_frame: bool
    setpoint_range: tuple[float, float]
    amplitude_max: float
    simulated: bool
    pixels_multiple: int = 1
    segments_max: int | None = None
    ramp: Ramp | None = None
    setpoint_unit: str = "nN"
    places: NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False)
class Loop:
    """The result of one spectroscopy.

    Attributes
    ----------
    spectrum : (K,) float64
        The quantity of :class:`Spectroscopy`; for a ferroelectric the off-field loop.
    others : (C−1, K) float64 or None
        The other channels, in the order of :attr:`Spectroscopy.others`; None if there are none.
    resonance : float
        The fraction of steps, 0…1, at which the contact resonance was found; 1 if the instrument does not look for it.
    """

    spectrum: NDArray[np.float64]
    others: NDArray[np.float64] | None = None
    resonance: float = 1.0

    @property
    def channels(self) -> NDArray[np.float64]:
        """All channels (C, K)."""
        return np.vstack([self.spectrum[None], *(() if self.others is None else (self.others,))])


@runtime_checkable
class AfmBackend(Protocol):
    """An AFM controller. Positions in nm, voltages in V, times in s, forces in nN."""

    @property
    def info(self) -> Info:
        """The fixed properties of this instrument."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """Return JSON-able facts about sample and instrument, for the start document."""
        ...

    def time(self) -> float:
        """Return the instrument's time in s; a simulated instrument has its own."""
        ...

    def position(self) -> tuple[float, float]:
        """Return x and y as measured by the scanner."""
        ...

    def move(self, x: float, y: float, velocity: float, settle: float) -> None:
        """Move in a straight line with `velocity` nm/s, then wait `settle` s."""
        ...

    def engage(self, setpoint: float) -> None:
        """Bring the tip into contact with `setpoint` nN; if it is in contact, change the setpoint."""
        ...

    def withdraw(self) -> None:
        """Lift the tip off the surface; do nothing if it is lifted."""
        ...

    def in_contact(self) -> bool:
        """Return whether the tip touches the surface."""
        ...

    def force(self) -> float:
        """Return the force measured on the tip; 0 off the surface."""
        ...

    def keep_alive(self, seconds: float) -> None:
        """Promise another call within `seconds`; 0 ends the promise.

        If the promise is broken, because the process that drives the instrument died, the controller withdraws by
        itself. A controller that lives in that process has nothing to do here.
        """
        ...

    def frame(self, area: Area, pixels: tuple[int, int], line_rate: float, progress: Progress) -> NDArray[np.float32]:
        """Image `area` with `pixels` (ny, nx) at `line_rate` Hz; return (C, ny, nx), row 0 at y_min."""
        ...

    def spectrum(self, bias: NDArray[np.float64], dwell: float) -> Loop:
        """Apply `bias` (K,) with `dwell` s per step at the present position and return the measured loop.

        With ``info.spectroscopy.waveform == "z"`` it holds heights in nm instead, and the bias stays.
        """
        ...

    def reference(
        self, positions: NDArray[np.float64], bias: NDArray[np.float64], channel: int = 0
    ) -> NDArray[np.float64] | None:
        """Return the true spectra (N, K) at `positions` (N, 2) if they are known; None on a real instrument.

        `channel` counts in :attr:`Spectroscopy.channels`. Only evaluation uses them; an agent never sees them.
        """
        ...

    def stop(self) -> None:
        """End the running action at once, from any thread. That action raises :class:`Interrupted`."""
        ...

    def close(self) -> None:
        """Withdraw the tip and release the controller."""
        ...
