"""The tip: on the surface or off it, and how hard it presses."""

from typing import Any

from ophyd import Component as Cpt
from ophyd import Device, DeviceStatus, Kind

from ophyd_devices.link import Link
from ophyd_devices.signals import TypedSignal

STATES = ("engaged", "withdrawn")


class Tip(Device):
    """The tip; ``set("engaged")`` and ``set("withdrawn")`` move it.

    It withdraws whenever it is stopped or unstaged, which is what the RunEngine does when a plan fails, pauses or is
    halted. It never engages by itself: a plan engages again after each checkpoint, and engaging twice is harmless.
    """

    contact = Cpt(TypedSignal, dtype="|b1", value=False, writable=False, kind=Kind.normal)
    setpoint = Cpt(TypedSignal, value=20.0, units="nN", kind=Kind.config)

    def __init__(self, prefix: str = "", **kwargs: Any) -> None:
        super().__init__(prefix, **kwargs)
        self._link: Link = self.parent.link
        self.setpoint.limits = self._link.backend.info.setpoint_range
        self.contact.publish(self._link.backend.in_contact())

    @property
    def position(self) -> str:
        """``"engaged"`` or ``"withdrawn"``."""
        return "engaged" if self.contact.get() else "withdrawn"

    def check_value(self, value: str) -> None:
        """Raise ValueError unless `value` is ``"engaged"`` or ``"withdrawn"``."""
        if value not in STATES:
            raise ValueError(f"{self.name}: expected one of {STATES}, got {value!r}")

    def set(self, value: str) -> DeviceStatus:
        """Engage with the setpoint, or withdraw; withdrawing cannot be interrupted."""
        self.check_value(value)
        backend = self._link.backend
        setpoint = self.setpoint.get()

        def move() -> None:
            try:
                if value == "engaged":
                    backend.engage(setpoint)
                else:
                    backend.withdraw()
            finally:
                self.contact.publish(backend.in_contact())

        return self._link.submit(DeviceStatus(self), move, protected=value == "withdrawn")

    def stop(self, *, success: bool = False) -> DeviceStatus:  # noqa: ARG002  the signature is Bluesky's
        """End the running action and withdraw."""
        self._link.interrupt()
        return self.set("withdrawn")

    def unstage(self) -> list[Any]:
        """Withdraw, and wait until it is done."""
        self.set("withdrawn").wait()
        return super().unstage()  # type: ignore[no-any-return]
