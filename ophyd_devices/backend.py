"""What any AFM controller must answer so that the devices of this package can drive it.

The devices are written once against :class:`AfmBackend`; the simulated twin, a recorded sample, EPICS or a vendor's
Python interface implement it. Calls block until they are done and are made from one thread, one at a time; only
:meth:`AfmBackend.stop` may come from another thread at any moment.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Area = tuple[float, float, float, float]
"""(x_min, x_max, y_min, y_max) in nm, to the outer edges of the pixels."""

Progress = Callable[[int, int], None]
"""Called with (lines done, lines in all) while a frame is taken."""


class BackendError(RuntimeError):
    """The controller could not do what it was asked; the message says what it was and what to check."""


class Interrupted(BackendError):
    """:meth:`AfmBackend.stop` ended the action."""


@dataclass(frozen=True)
class Channel:
    """One channel of a frame."""

    name: str
    unit: str


@dataclass(frozen=True, eq=False)
class Spectroscopy:
    """What a spectrum of this instrument is.

    Attributes
    ----------
    quantity, unit : str
        What is measured at each step, e.g. ``"off-field piezoresponse"`` in ``"a.u."``.
    axis_name, axis_unit : str
        The spectral axis, e.g. ``"bias"`` in ``"V"``.
    axis : (K,) float64 or None
        The axis where it cannot be chosen (a recorded sample); None where the bias waveform is the axis.
    on_field : bool
        Whether a loop measured with the bias applied comes with each spectrum.
    full_scale : (low, high) or None
        The range of the detector in `unit`; a value at one of its ends is saturated. None where it is not known.
    """

    quantity: str
    unit: str
    axis_name: str
    axis_unit: str
    axis: NDArray[np.float64] | None = None
    on_field: bool = False
    full_scale: tuple[float, float] | None = None


@dataclass(frozen=True)
class Info:
    """What is fixed about an instrument: its channels, its spectroscopy, its limits.

    Attributes
    ----------
    channels : tuple of Channel
        The channels of every frame, in order.
    spectroscopy : Spectroscopy
        What a spectrum is.
    scan_range : Area
        Where the scanner can go, in nm.
    pixels : (ny, nx)
        A sensible frame size; the only one where `fixed_frame` is true.
    fixed_frame : bool
        Only the whole scan range at `pixels` can be imaged (a recorded sample).
    setpoint_range : (low, high)
        Contact force in nN.
    amplitude_max : float
        Largest bias amplitude in V.
    simulated : bool
        True where no real tip can be harmed.
    """

    channels: tuple[Channel, ...]
    spectroscopy: Spectroscopy
    scan_range: Area
    pixels: tuple[int, int]
    fixed_frame: bool
    setpoint_range: tuple[float, float]
    amplitude_max: float
    simulated: bool


@dataclass(frozen=True, eq=False)
class Loop:
    """The outcome of one spectroscopy.

    Attributes
    ----------
    spectrum : (K,) float64
        The quantity of :class:`Spectroscopy`; for a ferroelectric the off-field loop.
    on_field : (K,) float64 or None
        The loop measured with the bias applied, where the instrument has it.
    resonance : float
        The fraction of steps, 0…1, at which the contact resonance was found; 1 where the instrument does not look.
    """

    spectrum: NDArray[np.float64]
    on_field: NDArray[np.float64] | None = None
    resonance: float = 1.0


@runtime_checkable
class AfmBackend(Protocol):
    """An AFM controller. Positions in nm, voltages in V, times in s, forces in nN."""

    @property
    def info(self) -> Info:
        """What is fixed about this instrument."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """Return JSON-able facts about sample and instrument for the start document."""
        ...

    def time(self) -> float:
        """Return the instrument's time in s; simulated where the instrument is."""
        ...

    def position(self) -> tuple[float, float]:
        """Return x and y."""
        ...

    def move(self, x: float, y: float, velocity: float, settle: float) -> None:
        """Move in a straight line with `velocity` nm/s, then wait `settle` s."""
        ...

    def engage(self, setpoint: float) -> None:
        """Bring the tip into contact with `setpoint` nN; when in contact, change the setpoint."""
        ...

    def withdraw(self) -> None:
        """Lift the tip off the surface; harmless when it is."""
        ...

    def in_contact(self) -> bool:
        """Return whether the tip touches the surface."""
        ...

    def force(self) -> float:
        """Return the force that is measured on the tip; 0 off the surface."""
        ...

    def keep_alive(self, seconds: float) -> None:
        """Promise another call within `seconds`; 0 takes the promise back.

        When it is broken, because the process that drives the instrument died, the controller withdraws by itself. A
        controller that lives in that process has nothing to do here.
        """
        ...

    def frame(self, area: Area, pixels: tuple[int, int], line_rate: float, progress: Progress) -> NDArray[np.float32]:
        """Image `area` with `pixels` (ny, nx) at `line_rate` Hz; return (C, ny, nx), row 0 at y_min."""
        ...

    def spectrum(self, bias: NDArray[np.float64], dwell: float) -> Loop:
        """Apply `bias` (K,) with `dwell` s a step at the present position and return what was measured."""
        ...

    def reference(self, positions: NDArray[np.float64], bias: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """Return the true spectra (N, K) at `positions` (N, 2), where they are known; None on a real instrument.

        Only evaluation uses it; an agent never sees it.
        """
        ...

    def stop(self) -> None:
        """End the running action at once, from any thread; it raises :class:`Interrupted`."""
        ...

    def close(self) -> None:
        """Withdraw and release the controller."""
        ...
