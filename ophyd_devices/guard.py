"""The last check before the instrument: every command is compared with the envelope here, whoever gives it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ophyd.utils import LimitError

from ophyd_devices.backend import AfmBackend, Area, BackendError, Info, Loop, Progress
from ophyd_devices.dose import DoseLog
from ophyd_devices.envelope import Envelope, corners
from ophyd_devices.place import as_place
from ophyd_devices.waveform import corners as corners_of


class EnvelopeError(LimitError):
    """A command is outside the safety envelope. Nothing was sent to the instrument."""


class Guard:
    """An :class:`~ophyd_devices.backend.AfmBackend` that refuses commands outside the envelope and passes on the rest.

    The devices call its ``check_…`` methods beforehand, so that a plan fails before anything moves. What depends on
    where the tip is and whether it is in contact is checked when the command is about to be sent. The guard never
    changes a command, and there is no way around it.

    Parameters
    ----------
    backend : AfmBackend
        The controller. Nothing else may call it.
    envelope : Envelope
        The limits.
    doses : DoseLog
        The spectra that tip and sample have taken so far.

    Raises
    ------
    ValueError
        If the envelope allows what the controller cannot do.
    """

    def __init__(self, backend: AfmBackend, envelope: Envelope, doses: DoseLog) -> None:
        envelope.check_within(backend.info)
        self._backend = backend
        self.envelope = envelope
        self.doses = doses
        self.info: Info = replace(
            backend.info,
            scan_range=envelope.scan_range or backend.info.scan_range,
            setpoint_range=envelope.setpoint_range or backend.info.setpoint_range,
            amplitude_max=envelope.amplitude_max or backend.info.amplitude_max,
            ramp=None if backend.info.ramp is None else envelope.ramp_within(backend.info.ramp),
        )
        """The controller's own info, with the limits of the envelope."""

    def check_place(self, x: float, y: float) -> None:
        """Raise EnvelopeError if the tip may not be at (x, y)."""
        x_min, x_max, y_min, y_max = self.info.scan_range
        for axis, number, low, high in (("x", x, x_min, x_max), ("y", y, y_min, y_max)):
            if not low <= number <= high:
                raise EnvelopeError(f"{axis} = {number:g} nm is outside {low:g} … {high:g} nm; nothing moved")
        self._check_clear(np.array([(x, y)]), f"({x:g}, {y:g}) nm", "choose another place; nothing moved")

    def check_setpoint(self, setpoint: float) -> None:
        """Raise EnvelopeError if the tip may not press with `setpoint` nN."""
        low, high = self.info.setpoint_range
        if not low <= setpoint <= high:
            unit = self.info.setpoint_unit
            raise EnvelopeError(
                f"a setpoint of {setpoint:g} {unit} is outside {low:g} … {high:g} {unit}; choose one inside"
            )

    def check_area(self, area: Area) -> None:
        """Raise EnvelopeError if the tip may not scan `area` (x_min, x_max, y_min, y_max) in nm."""
        low_x, high_x, low_y, high_y = self.info.scan_range
        x_min, x_max, y_min, y_max = area
        if not (low_x <= x_min < x_max <= high_x and low_y <= y_min < y_max <= high_y):
            raise EnvelopeError(f"{area} nm reaches outside the scan range {self.info.scan_range} nm; choose less")
        self._check_clear(
            corners(area), f"the frame {area} nm", "choose another area with afm.imager.area or setup={'area': …}"
        )

    def largest_frame(self) -> Area:
        """Return the area (x_min, x_max, y_min, y_max) in nm to image by default: the largest that may be scanned.

        It is the scan range, without what is too close to a forbidden zone. If nothing is left, or the instrument can
        only image its whole range, it is the scan range, and imaging that is refused.
        """
        whole = self.info.scan_range
        return whole if self.info.fixed_frame else self.envelope.clear_part(whole) or whole

    def check_waveform(self, bias: NDArray[np.float64], dwell: float) -> None:
        """Raise EnvelopeError if `bias` (K,), or heights instead, may not be applied with `dwell` s per step."""
        _check_positive("dwell time", dwell, "s")
        if self.info.spectroscopy.axis is not None:
            return  # the axis is fixed, and no voltage
        if self.info.spectroscopy.waveform == "z":
            self._check_ramp(bias, dwell)
            return
        largest = float(np.abs(bias).max(initial=0.0))
        if not largest <= self.info.amplitude_max:  # NaN is not
            raise EnvelopeError(
                f"a bias of {largest:g} V is outside ±{self.info.amplitude_max:g} V; lower the amplitude"
            )
        count, most = len(corners_of(bias)) - 1, self.info.segments_max
        if most is not None and count > most:
            raise EnvelopeError(
                f"the waveform has {count} straight segments, the instrument takes {most}; choose fewer cycles"
            )
        slew, slew_max = _slew(bias, dwell), self.envelope.slew_max
        if slew_max is not None and slew > slew_max * (1 + 1e-9):  # the steps of a waveform are rounded
            raise EnvelopeError(
                f"the bias changes by {slew:g} V/s, the limit is {slew_max:g} V/s; lower the amplitude, or take more "
                "steps or a longer dwell time"
            )

    def check_contact_move(self, x: float, y: float) -> None:
        """Raise EnvelopeError if the tip may not be dragged over the surface from its position to (x, y)."""
        self.check_place(x, y)
        path = np.array([self._backend.position(), (x, y)])
        length, longest = float(np.hypot(*(path[1] - path[0]))), self.envelope.contact_move_max
        if longest is not None and length > longest:
            raise EnvelopeError(f"{length:g} nm is more than {longest:g} nm in contact; withdraw first")
        self._check_inside(path[0])
        self._check_clear(path, f"the path to ({x:g}, {y:g}) nm", "withdraw first")

    def check_doses(self, places: Iterable[Sequence[float]]) -> None:
        """Raise EnvelopeError if tip or sample may not take spectra at `places`, one after the other.

        Raise ValueError if one of them is no position (x, y), DoseLogError if the dose log cannot be used.
        """
        self.doses.refresh()
        planned = self.doses.copy()
        for number, place in enumerate(map(as_place, places), start=1):
            self.check_place(*place)
            self._check_dose(place, planned, f"before point {number}: ")
            planned.add(place)

    @contextmanager
    def replaying(self, tip_loops: int | None = None) -> Iterator[None]:
        """Measure stored spectra again without counting their dose twice; see :meth:`DoseLog.replaying`.

        Raises
        ------
        BackendError
            On a real instrument, where each spectrum is a dose.
        """
        if not self.info.simulated:
            raise BackendError(
                "only a simulated instrument can measure stored spectra again, here each is a dose; resume with "
                "rebuild=False"
            )
        with self.doses.replaying(tip_loops):
            yield

    # ---- the backend protocol ----

    def describe(self) -> Mapping[str, Any]:
        """Return JSON-able facts about sample and instrument."""
        return self._backend.describe()

    def time(self) -> float:
        """Return the instrument's time in s."""
        return self._backend.time()

    def position(self) -> tuple[float, float]:
        """Return x and y in nm."""
        return self._backend.position()

    def move(self, x: float, y: float, velocity: float, settle: float) -> None:
        """Move; in contact only where the whole way is allowed."""
        _check_positive("velocity", velocity, "nm/s")
        if not 0 <= settle < np.inf:
            raise EnvelopeError(f"expected a settling time of 0 s or more, got {settle}; nothing moved")
        if self._backend.in_contact():
            self.check_contact_move(x, y)
        else:
            self.check_place(x, y)
        self._backend.move(x, y, velocity, settle)

    def engage(self, setpoint: float) -> None:
        """Engage, where the tip may be."""
        self.check_setpoint(setpoint)
        self.check_place(*self._backend.position())
        self._backend.engage(setpoint)

    def withdraw(self) -> None:
        """Withdraw, always."""
        self._backend.withdraw()

    def in_contact(self) -> bool:
        """Return whether the tip touches the surface."""
        return self._backend.in_contact()

    def force(self) -> float:
        """Return the measured force in nN."""
        return self._backend.force()

    def keep_alive(self, seconds: float) -> None:
        """Promise another call within `seconds`; 0 ends the promise."""
        self._backend.keep_alive(seconds)

    def frame(self, area: Area, pixels: tuple[int, int], line_rate: float, progress: Progress) -> NDArray[np.float32]:
        """Take a frame if the tip is engaged and both the area and the path into it are allowed."""
        self.check_area(area)
        for name, number in zip(("ny", "nx"), pixels, strict=True):
            _check_positive(name, number, "px")
        _check_positive("line rate", line_rate, "Hz")
        self._check_engaged("a frame")
        place = np.array(self._backend.position())
        self._check_inside(place)
        away = float(np.hypot(*(place - np.clip(place, (area[0], area[2]), (area[1], area[3])))))
        if self.envelope.contact_move_max is not None and away > self.envelope.contact_move_max:
            raise EnvelopeError(
                f"the tip is {away:g} nm from the frame, more than {self.envelope.contact_move_max:g} nm in contact; "
                "withdraw, move into the area and engage there"
            )
        self._check_clear(np.vstack([corners(area), place]), "the path into the frame", "move into the area first")
        return self._backend.frame(area, pixels, line_rate, progress)

    def spectrum(self, bias: NDArray[np.float64], dwell: float) -> Loop:
        """Measure if the tip is engaged and the dose allows it. The spectrum counts even if it fails."""
        bias = np.asarray(bias, dtype=np.float64)
        self.check_waveform(bias, dwell)
        self._check_engaged("a spectrum")
        x, y = self._backend.position()
        self.check_place(x, y)
        self.doses.claim()
        if not self.doses.is_replaying:
            self._check_dose((x, y), self.doses)
        self.doses.add((x, y))
        return self._backend.spectrum(bias, dwell)

    def reference(
        self, positions: NDArray[np.float64], bias: NDArray[np.float64], channel: int = 0
    ) -> NDArray[np.float64] | None:
        """Return the true spectra where they are known; nothing moves."""
        return self._backend.reference(positions, bias, channel)

    def stop(self) -> None:
        """End the running action."""
        self._backend.stop()

    def close(self) -> None:
        """Withdraw, release the controller, and let other sessions count the dose."""
        try:
            self._backend.close()
        finally:
            self.doses.close()

    def _check_dose(self, place: tuple[float, float], doses: DoseLog, where: str = "") -> None:
        envelope, loops = self.envelope, doses.tip_loops
        if envelope.loops_per_tip is not None and loops >= envelope.loops_per_tip:
            raise EnvelopeError(
                f"{where}the tip has taken {loops} spectra, the limit is {envelope.loops_per_tip}; mount a new tip and "
                "call tip.replace()"
            )
        for dose in (envelope.dose_per_spot, envelope.dose_per_area):
            if dose is not None and (found := doses.within(dose.radius, place)) >= dose.loops:
                raise EnvelopeError(
                    f"{where}{found} spectra were taken within {dose.radius:g} nm of ({place[0]:g}, {place[1]:g}) nm, "
                    f"the limit is {dose.loops}; choose another place"
                )

    def _check_engaged(self, what: str) -> None:
        if not self._backend.in_contact():
            raise BackendError(f"{what} needs the tip on the surface, it is withdrawn; engage first")

    def _check_inside(self, place: NDArray[np.float64]) -> None:
        x_min, x_max, y_min, y_max = self.info.scan_range
        if not (x_min <= place[0] <= x_max and y_min <= place[1] <= y_max):
            raise EnvelopeError(
                f"the tip is at ({place[0]:g}, {place[1]:g}) nm, outside {self.info.scan_range} nm; withdraw first"
            )

    def _check_ramp(self, heights: NDArray[np.float64], dwell: float) -> None:
        ramp = self.info.ramp
        if ramp is None:
            raise EnvelopeError("this instrument has no limits for a ramp of the height; nothing moved")
        low, high = float(heights.min(initial=0.0)), float(heights.max(initial=0.0))
        if not (low >= 0 and high <= ramp.range_max):  # NaN is neither
            raise EnvelopeError(
                f"heights of {low:g} … {high:g} nm are outside 0 … {ramp.range_max:g} nm above the place where the "
                "setpoint holds the tip; choose a shorter distance"
            )
        speed = _slew(heights, dwell)
        if speed > ramp.speed_max * (1 + 1e-9):  # the steps of a waveform are rounded
            raise EnvelopeError(
                f"a ramp of {speed:g} nm/s is faster than {ramp.speed_max:g} nm/s; take a shorter distance, more "
                "points, or a longer dwell time"
            )

    def _check_clear(self, points: NDArray[np.float64], what: str, advice: str) -> None:
        blocking = self.envelope.blocking(points)
        if blocking is not None:
            zone, distance = blocking
            raise EnvelopeError(
                f"{what} comes within {distance:g} nm of the forbidden {zone!r}, "
                f"less than {self.envelope.clearance:g} nm; {advice}"
            )


def _slew(bias: NDArray[np.float64], dwell: float) -> float:
    """Return the largest step of `bias` (K,) over `dwell` in its unit/s; the waveform starts from and ends at 0."""
    return float(np.abs(np.diff(bias, prepend=0.0, append=0.0)).max()) / dwell


def _check_positive(name: str, value: float, unit: str) -> None:
    if not 0 < value < np.inf:
        raise EnvelopeError(f"expected a positive {name} in {unit}, got {value}; nothing was done")
