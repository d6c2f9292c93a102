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
    measurement is made again; with an empty ticket every trigger measures.

    From the moment it is triggered until the measurement is complete, what was measured before is gone and reads NaN.
    """

    ticket = Cpt(TypedSignal, dtype="U", value="", kind=Kind.omitted)

    def __init__(self, prefix: str = "", **kwargs: Any) -> None:
        super().__init__(prefix, **kwargs)
        self._link: Link = self.parent.link
        self._measured = ""

    def _blank(self) -> None:
        """Let everything that is measured read NaN."""
        raise NotImplementedError

    def _measure(self, status: DeviceStatus, action: Callable[[], None]) -> DeviceStatus:
        ticket = self.ticket.get()
        if ticket and ticket == self._measured:
            status.set_finished()
            return status

        self._measured = ""
        self._blank()

        def measure() -> None:
            action()
            self._measured = ticket

        return self._link.submit(status, measure)
