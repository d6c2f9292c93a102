"""The tip: on the surface or off it, how hard it presses, how much it was used."""

from typing import Any

from ophyd import Component as Cpt
from ophyd import Device, DeviceStatus, Kind
from ophyd.status import Status

from ophyd_devices.backend import BackendError
from ophyd_devices.guard import EnvelopeError
from ophyd_devices.link import Link
from ophyd_devices.signals import TypedSignal

STATES = ("engaged", "withdrawn")


class Tip(Device):
    """The tip; ``set("engaged")`` and ``set("withdrawn")`` move it.

    It withdraws whenever it is stopped or unstaged, which is what the RunEngine does when a plan fails, pauses or is
    halted. It never engages by itself: a plan engages again after each checkpoint, and engaging twice is harmless.

    ``contact``, ``force`` and ``force_error`` are brought up to date after each command to the instrument, and every
    few seconds while the tip is engaged.
    """

    contact = Cpt(TypedSignal, dtype="|b1", value=False, writable=False, kind=Kind.normal)
    force = Cpt(
        TypedSignal, units="nN", writable=False, kind=Kind.normal, doc="Measured on the tip; 0 off the surface."
    )
    force_error = Cpt(
        TypedSignal, units="nN", writable=False, kind=Kind.omitted, doc="Force minus the setpoint engaged with."
    )
    loops = Cpt(TypedSignal, dtype="<i8", value=0, writable=False, kind=Kind.normal, doc="Spectra this tip has taken.")
    setpoint = Cpt(TypedSignal, value=20.0, units="nN", kind=Kind.config)
    force_limit = Cpt(
        TypedSignal, value=100.0, units="nN", limits=(0.0, 1e6), kind=Kind.config,
        doc="A force farther from the setpoint is a crash: the tip withdraws, and what was done has failed.",
    )  # fmt: skip
    timeout = Cpt(
        TypedSignal, value=60.0, units="s", limits=(0.1, 1e6), kind=Kind.config, doc="Approaching is given up after it."
    )

    def __init__(self, prefix: str = "", **kwargs: Any) -> None:
        super().__init__(prefix, **kwargs)
        self._link: Link = self.parent.link
        self.setpoint.limits = self._link.backend.info.setpoint_range
        self._engaged_with = float(self.setpoint.get())
        self._link.on_settled = self._refresh
        self._refresh(self._link.backend.in_contact())
        if self.contact.get():  # left by another process
            self._link.submit(Status(), self._link.promise)

    @property
    def position(self) -> str:
        """``"engaged"`` or ``"withdrawn"``."""
        return "engaged" if self.contact.get() else "withdrawn"

    def check_value(self, value: str) -> None:
        """Raise if the tip cannot be set to `value`.

        Raises
        ------
        ValueError
            If it is neither ``"engaged"`` nor ``"withdrawn"``.
        EnvelopeError
            If it is to engage, and the setpoint is outside the limits.
        """
        if value not in STATES:
            raise ValueError(f"{self.name}: expected one of {STATES}, got {value!r}")
        if value == "engaged":
            self._link.backend.check_setpoint(self.setpoint.get())

    def set(self, value: str) -> DeviceStatus:
        """Engage with the setpoint, or withdraw.

        Withdrawing cannot be interrupted and goes first: it ends, like ``stop(success=True)``, what is running or
        waiting, so that a plan that is aborted in the middle of a frame does not wait for the last line.
        """
        self.check_value(value)
        if value == "withdrawn":
            self._link.interrupt(success=True)
        backend = self._link.backend
        setpoint = self.setpoint.get()

        def move() -> None:
            if value == "engaged":
                self._link.promise()
                self._engaged_with = setpoint
                backend.engage(setpoint)
            else:
                backend.withdraw()

        protected = value == "withdrawn"
        return self._link.submit(
            DeviceStatus(self), move, protected=protected, timeout=None if protected else self.timeout.get()
        )

    def stop(self, *, success: bool = False) -> DeviceStatus | None:
        """End the running action of the instrument, well if `success`, and withdraw; None if it was closed before."""
        if self._link.closed:  # a paused RunEngine that is left stops everything at the end of the process
            return None
        self._link.interrupt(success=success)
        return self.set("withdrawn")

    def unstage(self) -> list[Any]:
        """Withdraw, and wait until it is done."""
        if not self._link.closed:
            self.set("withdrawn").wait()
        return super().unstage()  # type: ignore[no-any-return]

    def replace(self) -> None:
        """Say that a new tip was mounted: it has taken no spectrum yet.

        Raises
        ------
        EnvelopeError
            If the tip is engaged.
        """
        if self._link.backend.in_contact():
            raise EnvelopeError(f"{self.name}: a tip is replaced off the surface, this one is engaged; withdraw first")
        self._link.backend.doses.replace_tip()
        self.loops.publish(0)

    def _refresh(self, engaged: bool) -> None:
        force = self._link.backend.force() if engaged else 0.0
        self.contact.publish(engaged)
        self.force.publish(force)
        self.force_error.publish(force - self._engaged_with if engaged else 0.0)
        self.loops.publish(self._link.backend.doses.tip_loops)
        if abs(self.force_error.get()) > self.force_limit.get():
            self._link.backend.withdraw()
            self.contact.publish(self._link.backend.in_contact())
            raise BackendError(
                f"{self.name}: the force is {force:g} nN, more than {self.force_limit.get():g} nN from the setpoint of "
                f"{self._engaged_with:g} nN; the tip was withdrawn: look whether it is still good"
            )
