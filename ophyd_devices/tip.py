"""The tip: whether it touches the surface, with what force, and how many spectra it has taken."""

from enum import StrEnum
from typing import Any

from ophyd import Component as Cpt
from ophyd import Device, DeviceStatus, Kind
from ophyd.status import Status

from ophyd_devices.backend import BackendError
from ophyd_devices.guard import EnvelopeError
from ophyd_devices.link import Link
from ophyd_devices.signals import TypedSignal


class TipState(StrEnum):
    """Where the tip is. The values are plain text: plans write ``mv(tip, "engaged")``."""

    ENGAGED = "engaged"
    WITHDRAWN = "withdrawn"


class Tip(Device):
    """The tip. ``set("engaged")`` brings it into contact, ``set("withdrawn")`` lifts it.

    It withdraws whenever it is stopped or unstaged: the RunEngine does that when a plan fails, pauses or is halted. It
    never engages by itself. A plan engages after each checkpoint; engaging twice is harmless.

    ``contact``, ``force`` and ``force_error`` are updated after each command to the instrument, and every few seconds
    while the tip is engaged.
    """

    contact = Cpt(TypedSignal, labels={"detectors"}, dtype="|b1", value=False, writable=False, kind=Kind.normal)
    force = Cpt(
        TypedSignal,
        units="nN",
        writable=False,
        kind=Kind.normal,
        labels={"detectors"},  # what Bluesky's ``%ct`` reads: it changes nothing
        doc="Measured on the tip; 0 off the surface.",
    )
    force_error = Cpt(
        TypedSignal, units="nN", writable=False, kind=Kind.omitted, doc="Force minus the setpoint engaged with."
    )
    loops = Cpt(TypedSignal, dtype="<i8", value=0, writable=False, kind=Kind.normal, doc="Spectra this tip has taken.")
    setpoint = Cpt(TypedSignal, value=20.0, units="nN", kind=Kind.config)
    force_limit = Cpt(
        TypedSignal, value=100.0, units="nN", limits=(0.0, 1e6), kind=Kind.config,
        doc="A force that differs more from the setpoint is a crash: the tip withdraws and the command fails.",
    )  # fmt: skip
    timeout = Cpt(
        TypedSignal,
        value=60.0,
        units="s",
        limits=(0.1, 1e6),
        kind=Kind.config,
        doc="An approach that takes longer is given up.",
    )

    def __init__(self, prefix: str = "", **kwargs: Any) -> None:
        super().__init__(prefix, **kwargs)
        self._link: Link = self.parent.link
        info = self._link.backend.info
        self.setpoint.limits = info.setpoint_range
        for signal in (self.force, self.force_error, self.setpoint, self.force_limit):
            signal.units = info.setpoint_unit
        if info.setpoint_unit != "nN":  # the defaults are those of a force: begin gently, and trip at the largest
            self.setpoint.publish(info.setpoint_range[0])
            self.force_limit.publish(info.setpoint_range[1])
        self._engaged_with = float(self.setpoint.get())
        self._link.on_settled = self._refresh
        self._refresh(self._link.backend.in_contact())
        if self.contact.get():  # another process left it engaged
            self._link.submit(Status(), self._link.promise, protected=True)

    @property
    def position(self) -> TipState:
        """Where the tip is: :class:`TipState`, which equals ``"engaged"`` or ``"withdrawn"``."""
        return TipState.ENGAGED if self.contact.get() else TipState.WITHDRAWN

    def check_value(self, value: str) -> None:
        """Raise if the tip cannot be set to `value`.

        Raises
        ------
        ValueError
            If `value` is neither ``"engaged"`` nor ``"withdrawn"``.
        EnvelopeError
            If the tip is to engage and the setpoint is outside the limits.
        """
        if self._state(value) is TipState.ENGAGED:
            self._link.backend.check_setpoint(self.setpoint.get())

    def set(self, value: str) -> DeviceStatus:
        """Engage with the setpoint, or withdraw; raises like :meth:`check_value`.

        Withdrawing cannot be interrupted and goes first: like ``stop(success=True)`` it ends what is running or
        waiting, so that a plan that is aborted in the middle of a frame does not wait for the last line.
        """
        self.check_value(value)
        if self._state(value) is TipState.WITHDRAWN:
            self._link.interrupt(success=True)
            return self._link.submit(DeviceStatus(self), self._link.backend.withdraw, protected=True)
        setpoint = self.setpoint.get()

        def engage() -> None:
            self._link.promise()
            self._engaged_with = setpoint
            self._link.backend.engage(setpoint)

        return self._link.submit(DeviceStatus(self), engage, timeout=self.timeout.get())

    def stop(self, *, success: bool = False) -> DeviceStatus | None:
        """Stop the running command and withdraw; return the status of that, or None if the AFM was closed.

        With `success` the status of the stopped command ends well; see :meth:`Link.interrupt`.
        """
        if self._link.closed:  # a paused RunEngine stops everything at the end of the process
            return None
        self._link.interrupt(success=success)
        return self.set(TipState.WITHDRAWN)

    def unstage(self) -> list[Any]:
        """Withdraw, and wait until it is done."""
        if not self._link.closed:
            self.set(TipState.WITHDRAWN).wait()
        return super().unstage()  # type: ignore[no-any-return]

    def replace(self) -> None:
        """Say that a new tip was mounted; it has taken no spectrum yet.

        Raises
        ------
        EnvelopeError
            If the tip is engaged.
        """
        if self._link.backend.in_contact():
            raise EnvelopeError(
                f"{self.name}: a tip is replaced off the surface, and this one is engaged; withdraw first"
            )
        self._link.backend.doses.replace_tip()
        self.loops.publish(0)

    def _state(self, value: str) -> TipState:
        try:
            return TipState(value)
        except ValueError:
            raise ValueError(f"{self.name}: expected one of {', '.join(TipState)}, got {value!r}") from None

    def _refresh(self, engaged: bool) -> None:
        force = self._link.backend.force() if engaged else 0.0
        self.contact.publish(engaged)
        self.force.publish(force)
        self.force_error.publish(force - self._engaged_with if engaged else 0.0)
        self.loops.publish(self._link.backend.doses.tip_loops)
        if abs(self.force_error.get()) > self.force_limit.get():
            self._link.backend.withdraw()
            self.contact.publish(self._link.backend.in_contact())
            unit = self._link.backend.info.setpoint_unit
            raise BackendError(
                f"{self.name}: the force is {force:g} {unit}, more than {self.force_limit.get():g} {unit} from the "
                f"setpoint of {self._engaged_with:g} {unit}; the tip was withdrawn; check whether it is still good"
            )
