"""Ready-made suspenders: a run waits with the tip withdrawn while the force or the signal is bad.

>>> for suspender in suspenders(afm):  # doctest: +SKIP
...     RE.install_suspender(suspender)

When a suspender trips, the RunEngine interrupts the plan and withdraws the tip. After some time the run continues from
its last checkpoint: the interrupted point is measured again. If the suspender trips repeatedly, the run is paused; a
human checks the microscope and calls ``RE.resume()`` or ``RE.abort()``.
"""

import math
from collections.abc import Callable
from typing import Any, Protocol

from bluesky import RunEngine
from bluesky import plan_stubs as bps
from bluesky.suspenders import SuspenderBase
from bluesky.utils import MsgGenerator


class Watched(Protocol):
    """What the suspenders need of a microscope, e.g. of `ophyd_devices.AFM`."""

    @property
    def tip(self) -> Any:
        """The tip: moves to ``"withdrawn"``; has the signals ``contact`` and ``force_error``."""

    @property
    def spectrometer(self) -> Any:
        """The spectrometer: has the signal ``snr``."""


def suspenders(
    afm: Watched,
    *,
    force_error: float | None = 10.0,
    snr: float | None = 2.0,
    in_a_row: int = 3,
    sleep: float = 30.0,
    patience: int = 2,
) -> list[SuspenderBase]:
    """Return suspenders for the force error of the tip and for the quality of the spectra.

    Parameters
    ----------
    afm : Watched
        The microscope.
    force_error : float, optional
        Largest allowed deviation of the measured force from the setpoint in nN; None for no limit.
    snr : float, optional
        Least allowed signal to noise of a spectrum; None for no limit.
    in_a_row : int
        Number of consecutive spectra below it that trip the suspender.
    sleep : float
        Seconds to wait before the run continues.
    patience : int
        Number of consecutive times that the run continues by itself, without a good value in between; with 0 it is
        paused at once.
    """
    found: list[SuspenderBase] = []
    if force_error is not None:
        found.append(
            TipSuspender(
                afm,
                afm.tip.force_error,
                lambda error: abs(error) > force_error,
                sleep=sleep,
                patience=patience,
                tripped_message=f"the force is more than {force_error:g} nN from the setpoint",
            )
        )
    if snr is not None:
        found.append(
            TipSuspender(
                afm,
                afm.spectrometer.snr,
                lambda value: value < snr,
                in_a_row=in_a_row,
                sleep=sleep,
                patience=patience,
                tripped_message=f"{in_a_row} spectra in a row had a signal to noise below {snr:g}",
            )
        )
    return found


class TipSuspender(SuspenderBase):
    """Withdraw the tip when a signal is bad several times in a row; then wait and continue, or pause for a human.

    Only values that arrive after installation and while the tip is engaged count.

    Parameters
    ----------
    afm : Watched
        Its tip is withdrawn.
    signal : ophyd.Signal
        The watched signal.
    bad : callable
        Takes a value of the signal; returns whether it is bad.
    in_a_row : int
        Number of consecutive bad values that trip the suspender.
    sleep : float
        Seconds to wait before the run continues.
    patience : int
        Number of consecutive times that the run continues by itself, without a good value in between; with 0 it is
        paused at once.
    tripped_message : str
        What is wrong, as text.

    Raises
    ------
    ValueError
        If `in_a_row` is not positive or `patience` is negative.
    """

    def __init__(
        self,
        afm: Watched,
        signal: Any,
        bad: Callable[[float], bool],
        *,
        in_a_row: int = 1,
        sleep: float = 30.0,
        patience: int = 2,
        tripped_message: str = "",
    ) -> None:
        if in_a_row < 1 or patience < 0:
            raise ValueError(f"expected in_a_row ≥ 1 and patience ≥ 0, got {in_a_row} and {patience}")
        super().__init__(signal, sleep=sleep, pre_plan=self._withdraw, tripped_message=tripped_message)  # type: ignore[no-untyped-call]
        self._afm = afm
        self._bad = bad
        self._in_a_row = in_a_row
        self._patience = patience
        self._bad_values = 0
        self._trips = 0

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._sig.name}, sleep={self._sleep})"

    def install(self, RE: RunEngine, *, event_type: str | None = None) -> None:  # noqa: N803  the name is Bluesky's
        """Watch the signal from now on."""
        with self._lock:
            self.RE = RE
        self._sig.subscribe(self, event_type=event_type, run=False)

    def __call__(self, value: float, **kwargs: Any) -> None:
        """Take the next value of the signal."""
        if not self._afm.tip.contact.get() or math.isnan(value):  # NaN: a measurement has begun
            return
        super().__call__(value, **kwargs)  # type: ignore[no-untyped-call]
        if self.tripped:
            # With the tip withdrawn no good spectrum can end the suspension: it ends after the sleep.
            super().__call__(None, **kwargs)  # type: ignore[no-untyped-call]

    def _should_suspend(self, value: float | None) -> bool:
        if value is None:
            return False
        if not self._bad(value):
            self._bad_values = self._trips = 0
            return False
        self._bad_values += 1
        if self._bad_values < self._in_a_row:
            return False
        self._bad_values = 0
        self._trips += 1
        return True

    def _should_resume(self, value: float | None) -> bool:
        return value is None

    def _withdraw(self) -> MsgGenerator[None]:
        yield from bps.mv(self._afm.tip, "withdrawn")
        if self._trips > self._patience:
            self._trips = 0
            yield from bps.pause()
