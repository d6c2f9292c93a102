"""The base of imager and spectrometer: a measurement that is asked for twice is made once."""

from collections.abc import Callable
from typing import Any

from ophyd import Component as Cpt
from ophyd import Device, DeviceStatus, Kind

from ophyd_devices.link import Link
from ophyd_devices.signals import TypedSignal


class Measuring(Device):
    """A device with a ``ticket``. Triggered again with the ticket of its last measurement, it does nothing.

    After a pause the RunEngine repeats all messages since the last checkpoint. If the pause came between a point and
    the next checkpoint, a completed point is among them. A plan that puts a new ticket before each measurement repeats
    that put as well; so the instrument can tell a repetition from a second measurement. An interrupted measurement is
    made again, and ``starts`` is then 2. With an empty ticket every trigger measures.

    From the trigger until the measurement is complete, the signals read NaN and not the values measured before.
    """

    ticket = Cpt(TypedSignal, dtype="U", value="", kind=Kind.omitted)
    starts = Cpt(
        TypedSignal,
        dtype="<i8",
        value=0,
        writable=False,
        kind=Kind.normal,
        doc="How many times the measurement was started.",
    )
    timeout = Cpt(
        TypedSignal, value=300.0, units="s", limits=(0.1, 1e6), kind=Kind.config,
        doc="A measurement is given up this long after its expected end.",
    )  # fmt: skip

    def __init__(self, prefix: str = "", **kwargs: Any) -> None:
        super().__init__(prefix, **kwargs)
        self._link: Link = self.parent.link
        self._measured = self._begun = ""

    def _blank(self) -> None:
        """Set every measured signal to NaN."""
        raise NotImplementedError

    def _measure(self, status: DeviceStatus, action: Callable[[], None], expected: float) -> DeviceStatus:
        """Run `action`, which should take `expected` s, unless the ticket says that it was done."""
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
