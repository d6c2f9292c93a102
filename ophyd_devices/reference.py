"""The true spectra of a simulation, for evaluation only."""

from typing import Any

import numpy as np
from ophyd import Component as Cpt
from ophyd import Device, DeviceStatus, Kind

from ophyd_devices.link import Link
from ophyd_devices.signals import TypedSignal


class Reference(Device):
    """The true spectra of the learned channel at `positions`, which a simulation or a recorded sample knows.

    A run records them in a separate stream, so that errors can be computed from its documents. No agent sees them.
    """

    positions = Cpt(TypedSignal, value=np.zeros((0, 2)), units="nm", dims=("candidate", "axis"), kind=Kind.omitted)
    spectra = Cpt(TypedSignal, value=np.zeros((0, 1)), dims=("candidate", "step"), writable=False, kind=Kind.normal)

    def __init__(self, prefix: str = "", **kwargs: Any) -> None:
        super().__init__(prefix, **kwargs)
        self._link: Link = self.parent.link

    @property
    def available(self) -> bool:
        """Whether this instrument knows the true spectra; False on a real one."""
        return self._link.backend.info.simulated

    def describe(self) -> Any:
        """Return the data keys; the unit is that of the channel that is learned."""
        self.spectra.units = self.parent.spectrometer.spectrum.units
        return super().describe()

    def trigger(self) -> DeviceStatus:
        """Compute ``spectra`` (N, K) at ``positions`` (N, 2); the status fails on a real instrument."""
        backend, positions, spectrometer = self._link.backend, self.positions.get(), self.parent.spectrometer
        axis, channel = spectrometer.axis.get(), spectrometer.channel

        def look_up() -> None:
            spectra = backend.reference(positions, axis, channel)
            if spectra is None:
                raise ValueError(f"{self.name}: this instrument does not know the true spectra")
            self.spectra.publish(spectra)

        return self._link.submit(DeviceStatus(self), look_up)
