"""The atomic force microscope: scanner, tip, imager and spectrometer under one name."""

from collections.abc import Mapping
from typing import Any

from ophyd import Component as Cpt
from ophyd import Device, Kind
from ophyd.device import Staged

from ophyd_devices.backend import AfmBackend
from ophyd_devices.imager import Imager
from ophyd_devices.link import Link
from ophyd_devices.reference import Reference
from ophyd_devices.scanner import Scanner
from ophyd_devices.spectrometer import Spectrometer
from ophyd_devices.tip import Tip


class AFM(Device):
    """An atomic force microscope, whatever drives it.

    Parameters
    ----------
    backend : AfmBackend
        The controller: the twin, a recorded sample, or a vendor's interface.
    name : str
        Prefix of every data key.

    Examples
    --------
    >>> from ophyd_devices import AFM
    >>> from ophyd_devices.twin import twin
    >>> afm = AFM(twin(seed=0), name="afm")
    >>> afm.tip.position
    'withdrawn'
    """

    scanner = Cpt(Scanner, "")
    tip = Cpt(Tip, "")
    imager = Cpt(Imager, "")
    spectrometer = Cpt(Spectrometer, "")
    reference = Cpt(Reference, "", kind=Kind.omitted)

    def __init__(self, backend: AfmBackend, *, name: str = "afm", **kwargs: Any) -> None:
        self.backend = backend
        self.link = Link(backend, name)
        super().__init__("", name=name, **kwargs)

    @property
    def baseline(self) -> list[Any]:
        """What to record before and after a run: where scanner and tip are, and every configuration signal."""
        signals = [walk.item for walk in self.walk_signals() if walk.item.kind == Kind.config]
        return [
            self.scanner,
            self.tip,
            *(signal for signal in signals if signal.parent not in (self.scanner, self.tip)),
        ]

    def stage(self) -> list[Any]:
        """Stage; an unstaging that failed, because the controller was lost, is finished first."""
        if self._staged is Staged.partially:
            self.unstage()
        return super().stage()  # type: ignore[no-any-return]

    def describe_sample(self) -> Mapping[str, Any]:
        """Return JSON-able facts about sample and instrument, for the start document."""
        return self.backend.describe()

    def close(self) -> None:
        """Withdraw the tip and release the controller."""
        self.tip.stop().wait()
        self.link.close()
        self.backend.close()
