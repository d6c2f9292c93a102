"""What imager and spectrometer have in common: a measurement that is asked for twice is made once."""

from collections.abc import Callable
from typing import Any

from ophyd import Component as Cpt
from ophyd import Device, DeviceStatus, Kind

from ophyd_devices.link import Link
from ophyd_devices.signals import TypedSignal


class Measuring(Device):
    """A device with a ``ticket``: triggered again with the ticket of what it has measured, it does nothing.

    After a pause the RunEngine repeats all messages since the last checkpoint, and if the pause came between a point
    and the checkpoint behind it, a completed point is among them. A plan that puts a new ticket before each measurement
    repeats the put as well, so that the instrument can tell a repetition from a second measurement. An interrupted
    measurement is made again, and ``starts`` then says 2; with an empty ticket every trigger measures.

    From the moment it is triggered until the measurement is complete, what was measured before is gone and reads NaN.
    """

    ticket = Cpt(TypedSignal, dtype="U", value="", kind=Kind.omitted)
    starts = Cpt(
        TypedSignal,
        dtype="<i8",
        value=0,
        writable=False,
        kind=Kind.normal,
        doc="How often it was begun.",
    )
    timeout = Cpt(
        TypedSignal, value=300.0, units="s", limits=(0.1, 1e6), kind=Kind.config,
        doc="A measurement is given up so long after its expected end.",
    )  # fmt: skip

    def __init__(self, prefix: str = "", **kwargs: Any) -> None:
        super().__init__(prefix, **kwargs)
        self._link: Link = self.parent.link
        self._measured = self._begun = ""

    def _blank(self) -> None:
        """Let everything that is measured read NaN."""
        raise NotImplementedError

    def _measure(self, status: DeviceStatus, action: Callable[[], None], expected: float) -> DeviceStatus:
        """Do `action`, which should take `expected` s."""
        ticket = self.ticket.get()
        if ticket and ticket == self._measured:
            status.set_finished()
            return status

        self.starts.publish(self.starts.get() + 1 if ticket and ticket == self._begun else 1)
        self._measured, self._begun = "", ticket
        self._blank()

        def measure() -> None:
            action()
            self._measured = ticket

        return self._link.submit(status, measure, timeout=expected + self.timeout.get())
