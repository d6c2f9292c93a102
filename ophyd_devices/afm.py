"""The atomic force microscope: scanner, tip, imager and spectrometer under one name."""

import logging
import weakref
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from ophyd import Component as Cpt
from ophyd import Device, Kind
from ophyd.device import Staged

from ophyd_devices.backend import AfmBackend
from ophyd_devices.dose import DoseLog
from ophyd_devices.envelope import Envelope
from ophyd_devices.guard import Guard
from ophyd_devices.imager import Imager
from ophyd_devices.link import Link
from ophyd_devices.reference import Reference
from ophyd_devices.scanner import Scanner
from ophyd_devices.signals import TypedSignal
from ophyd_devices.spectrometer import Spectrometer
from ophyd_devices.tip import Tip

logger = logging.getLogger(__name__)


class AFM(Device):
    """An atomic force microscope with any controller.

    Parameters
    ----------
    backend : AfmBackend
        The controller: the twin, a recorded sample, EPICS, or a vendor's interface.
    name : str
        Prefix of every data key.
    envelope : Envelope, optional
        The limits; by default only those of the instrument.
    doses : DoseLog, optional
        The spectra that tip and sample have taken before. With a file the counts outlive the session.

    Raises
    ------
    ValueError
        If the envelope allows what the controller cannot do.

    Attributes
    ----------
    backend : Guard
        The controller behind its envelope.

    Examples
    --------
    >>> from ophyd_devices import AFM
    >>> from ophyd_devices.twin import twin
    >>> afm = AFM(twin(seed=0), name="afm")
    >>> print(afm.tip.position)
    withdrawn
    """

    scanner = Cpt(Scanner, "")
    tip = Cpt(Tip, "")
    imager = Cpt(Imager, "")
    spectrometer = Cpt(Spectrometer, "")
    reference = Cpt(Reference, "", kind=Kind.omitted)

    envelope = Cpt(
        TypedSignal, dtype="U", value="", writable=False, kind=Kind.config, doc="The safety envelope, as JSON."
    )

    def __init__(
        self,
        backend: AfmBackend,
        *,
        name: str = "afm",
        envelope: Envelope | None = None,
        doses: DoseLog | None = None,
        **kwargs: Any,
    ) -> None:
        self.backend = Guard(backend, envelope or Envelope(), doses or DoseLog())
        self.link = Link(self.backend, name)
        super().__init__("", name=name, **kwargs)
        self.envelope.publish(self.backend.envelope.model_dump_json())
        self._leave = weakref.finalize(self, _leave, self.link)

    @property
    def baseline(self) -> list[Any]:
        """The devices to record before and after a run: scanner, tip, and every configuration signal."""
        signals = [walk.item for walk in self.walk_signals() if walk.item.kind == Kind.config]
        return [
            self.scanner,
            self.tip,
            *(signal for signal in signals if signal.parent not in (self.scanner, self.tip)),
        ]

    def stage(self) -> list[Any]:
        """Stage. If an earlier unstaging failed because the controller was lost, finish that first."""
        if self._staged is Staged.partially:
            self.unstage()
        return super().stage()  # type: ignore[no-any-return]

    def describe_sample(self) -> Mapping[str, Any]:
        """Return JSON-able facts about sample and instrument, for the start document."""
        return self.backend.describe()

    def replace_sample(self) -> None:
        """Say that a new sample, or a new region of it, is under the tip; no spectrum was taken there yet."""
        self.backend.doses.replace_sample()

    def replaying(self, tip_loops: int | None = None) -> AbstractContextManager[None]:
        """Return a context for measuring stored spectra again, on a simulated instrument, without counting them twice.

        Parameters
        ----------
        tip_loops : int, optional
            How many spectra the tip had taken before the next one, for ``tip.loops``; by default as many as now.

        Raises
        ------
        BackendError
            When entered on a real instrument, where each spectrum is a dose.
        """
        return self.backend.replaying(tip_loops)

    def close(self) -> None:
        """Withdraw the tip and release the controller. This also happens at the end of the process."""
        if self._leave.detach() is not None:
            self.link.close()


def _leave(link: Link) -> None:
    """Close the link at the end of the process, where nobody can catch what a dead controller raises."""
    try:
        link.close()
    except Exception as error:  # noqa: BLE001
        logger.warning("the controller could not be released: %s; check where the tip is", error)
