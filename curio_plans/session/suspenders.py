"""Ready-made suspenders: a run waits, its tip off the surface, while tip or signal are not as they should be.

>>> for suspender in suspenders(afm):  # doctest: +SKIP
...     RE.install_suspender(suspender)

When a suspender trips, the RunEngine leaves what it is doing and the tip is withdrawn. After a while the run goes on
from its last checkpoint: the interrupted point is measured again. If the suspender trips time and again, the run is
paused for a human, who looks, and calls ``RE.resume()`` or ``RE.abort()``.
"""

import math
from collections.abc import Callable
from typing import Any, Protocol

from bluesky import RunEngine
from bluesky import plan_stubs as bps
from bluesky.suspenders import SuspenderBase
from bluesky.utils import MsgGenerator


class Watched(Protocol):
    """What the suspenders need of a microscope; `ophyd_devices.AFM` has it."""

    @property
    def tip(self) -> Any:
        """Moves to ``"withdrawn"``; has the signals ``contact`` and ``force_error``."""

    @property
    def spectrometer(self) -> Any:
        """Has the signal ``snr``."""


def suspenders(
    afm: Watched,
    *,
    force_error: float | None = 10.0,
    snr: float | None = 2.0,
    in_a_row: int = 3,
    sleep: float = 30.0,
    patience: int = 2,
) -> list[SuspenderBase]:
    """Return suspenders for the setpoint error of the tip and for the quality of the spectra.

    Parameters
    ----------
    afm : Watched
        The microscope.
    force_error : float, optional
        Largest deviation in nN of the measured force from the setpoint; None to let it be.
    snr : float, optional
        Least signal to noise of a spectrum; None to let it be.
    in_a_row : int
        How many spectra below it trip the suspender.
    sleep : float
        Seconds to wait before the run goes on.
    patience : int
        How often in a row the run goes on by itself, without a good value in between; 0 asks a human at once.
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
    """Withdraw the tip when a signal is bad several times in a row; then wait and go on, or ask a human.

    Only values that come after it was installed and while the tip is engaged say anything.

    Parameters
    ----------
    afm : Watched
        Whose tip is withdrawn.
    signal : ophyd.Signal
        What to watch.
    bad : callable
        Whether a value of it is bad.
    in_a_row : int
        How many bad values in a row trip the suspender.
    sleep : float
        Seconds to wait before the run goes on.
    patience : int
        How often in a row the run goes on by itself, without a good value in between; 0 asks a human at once.
    tripped_message : str
        What is wrong, in words.

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
        super().__init__(signal, sleep=sleep, pre_plan=self._rest, tripped_message=tripped_message)  # type: ignore[no-untyped-call]
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
            # Off the surface nothing will be measured that could end the suspension: it ends after the sleep.
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

    def _rest(self) -> MsgGenerator[None]:
        yield from bps.mv(self._afm.tip, "withdrawn")
        if self._trips > self._patience:
            self._trips = 0
            yield from bps.pause()
