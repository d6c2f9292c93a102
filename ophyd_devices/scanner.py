"""The scanner: moves the tip in x and y, in a straight line."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ophyd import Component as Cpt
from ophyd import Device, DeviceStatus, Kind
from ophyd.positioner import PositionerBase

from ophyd_devices.backend import BackendError
from ophyd_devices.guard import EnvelopeError
from ophyd_devices.link import Link
from ophyd_devices.place import Place, as_place
from ophyd_devices.signals import TypedSignal


class Axis(Device, PositionerBase):
    """One axis of the scanner, in nm. Moving it does not change the other."""

    readback = Cpt(TypedSignal, units="nm", writable=False, kind=Kind.hinted)
    setpoint = Cpt(TypedSignal, units="nm", writable=False, kind=Kind.normal)
    user_offset = Cpt(
        TypedSignal, units="nm", writable=False, kind=Kind.omitted, doc="Always 0; Bluesky's ``%wa`` shows one."
    )

    def __init__(self, prefix: str, *, axis: int, **kwargs: Any) -> None:
        super().__init__(prefix, **kwargs)
        self._axis = axis
        self.readback.name = self.name

    @property
    def egu(self) -> str:
        """Return ``"nm"``."""
        return "nm"

    @property
    def limits(self) -> tuple[float, float]:
        """The scan range of this axis in nm."""
        limits: tuple[float, float] = self.parent.scan_range[self._axis]
        return limits

    @property
    def position(self) -> float:
        """The last position that was read back, in nm."""
        return float(self.readback.get())

    def check_value(self, value: float) -> None:
        """Raise EnvelopeError if the tip may not be there, ValueError if `value` is not a finite number."""
        target = list(self.parent.setpoint)
        target[self._axis] = value
        self.parent.check_value(target)

    def move(self, position: float, wait: bool = True, timeout: float | None = None, **_: Any) -> DeviceStatus:
        """Move to `position` in nm; see :meth:`Scanner.set`."""
        target = list(self.parent.setpoint)
        target[self._axis] = position
        status = self.parent.set(target)
        if wait:
            status.wait(timeout)
        return status

    def set(self, new_position: float, **_: Any) -> DeviceStatus:
        """Start moving to `new_position` in nm; see :meth:`Scanner.set`."""
        return self.move(new_position, wait=False)

    def stop(self, *, success: bool = False) -> None:
        """Stop the scanner."""
        self.parent.stop(success=success)


class Scanner(Device):
    """The scanner. ``set((x, y))`` moves in a straight line; ``x`` and ``y`` are positioners of their own.

    Positions are checked against the envelope before anything moves. If the tip is engaged and must not be dragged all
    the way, it is withdrawn first and stays withdrawn; a plan engages again after the move.
    """

    x = Cpt(Axis, "", axis=0, labels={"motors"})
    y = Cpt(Axis, "", axis=1, labels={"motors"})
    velocity = Cpt(TypedSignal, value=2000.0, units="nm/s", limits=(1.0, 1e6), kind=Kind.config)
    settle = Cpt(TypedSignal, value=0.01, units="s", limits=(0.0, 60.0), kind=Kind.config)
    tolerance = Cpt(
        TypedSignal, value=20.0, units="nm", limits=(0.0, 1e6), kind=Kind.config,
        doc="A move that ends farther from its target fails.",
    )  # fmt: skip
    timeout = Cpt(
        TypedSignal, value=60.0, units="s", limits=(0.1, 1e6), kind=Kind.config,
        doc="A move is given up this long after its expected end.",
    )  # fmt: skip

    def __init__(self, prefix: str = "", **kwargs: Any) -> None:
        super().__init__(prefix, **kwargs)
        self._link: Link = self.parent.link
        x_min, x_max, y_min, y_max = self._link.backend.info.scan_range
        self.scan_range = ((x_min, x_max), (y_min, y_max))
        for axis, limits in zip((self.x, self.y), self.scan_range, strict=True):
            axis.readback.limits = axis.setpoint.limits = limits
        self._publish(*self._link.backend.position())
        self._aim(self.position)

    @property
    def position(self) -> tuple[float, float]:
        """The last position (x, y) that was read back, in nm."""
        return self.x.position, self.y.position

    @property
    def setpoint(self) -> tuple[float, float]:
        """The last position (x, y) that was asked for, in nm."""
        return float(self.x.setpoint.get()), float(self.y.setpoint.get())

    def check_value(self, value: Sequence[float] | NDArray[np.float64]) -> None:
        """Raise if the scanner cannot go to `value`.

        Raises
        ------
        ValueError
            If `value` is not a sequence or an array of two finite numbers. A set has no order, so it is none.
        EnvelopeError
            If the position is outside the scan range or too near to a forbidden zone.
        """
        self._link.backend.check_place(*self._place(value))

    def set(self, value: Sequence[float] | NDArray[np.float64]) -> DeviceStatus:
        """Start moving to (x, y) in nm; raises like :meth:`check_value` before anything moves."""
        self.check_value(value)
        x, y = self._place(value)
        self._aim((x, y))
        velocity, settle, backend = self.velocity.get(), self.settle.get(), self._link.backend
        tolerance = self.tolerance.get()
        # From corner to corner: where the move starts depends on the commands that are waiting before it.
        expected = float(np.hypot(*(np.ptp(limits) for limits in self.scan_range))) / velocity + settle

        def move() -> None:
            try:
                if backend.in_contact():
                    try:
                        backend.check_contact_move(x, y)
                    except EnvelopeError:
                        backend.withdraw()
                backend.move(x, y, velocity, settle)
                there = backend.position()
                if np.hypot(there[0] - x, there[1] - y) > tolerance:
                    raise BackendError(
                        f"{self.name}: asked for ({x:g}, {y:g}) nm, arrived at ({there[0]:g}, {there[1]:g}) nm, more "
                        f"than {tolerance:g} nm away; is the scanner stuck?"
                    )
            finally:
                self._publish(*backend.position())

        return self._link.submit(DeviceStatus(self), move, timeout=expected + self.timeout.get())

    def stop(self, *, success: bool = False) -> None:
        """Stop the running command; with `success` its status ends well. The scanner stays where it is."""
        self._link.interrupt(success=success)

    def _place(self, value: Any) -> Place:
        try:
            return as_place(value)
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}; nothing moved") from error

    def _aim(self, target: tuple[float, float]) -> None:
        self.x.setpoint.publish(target[0])
        self.y.setpoint.publish(target[1])

    def _publish(self, x: float, y: float) -> None:
        self.x.readback.publish(x)
        self.y.readback.publish(y)
