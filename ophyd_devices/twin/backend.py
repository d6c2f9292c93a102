"""The simulated controller: a sample, measurement noise, a clock, and a tip on or off the surface."""

import math
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ophyd_devices.backend import Area, BackendError, Info, Interrupted, Loop, Progress, Ramp
from ophyd_devices.twin.clock import SimulatedClock
from ophyd_devices.twin.effects import Effects
from ophyd_devices.twin.sample import Sample
from ophyd_devices.twin.world import World

SETPOINT_RANGE = (1.0, 200.0)
"""Contact force, nN (usual for PFM cantilevers of 1 … 40 N/m)."""
AMPLITUDE_MAX = 10.0
"""Largest bias, V (the output of common controllers)."""
RAMP = Ramp(range_max=500.0, speed_max=1e5, trigger_force=SETPOINT_RANGE[1])
"""Limits of spectra over the height (usual for fast force curves)."""
ENGAGE_S = 2.0
"""Time to approach, s (engineering guess)."""
WITHDRAW_S = 0.5
"""Time to retract, s (engineering guess)."""
OVERHEAD_S = 0.8
"""Time to start the waveform of a spectrum and to transfer its data, s (engineering guess)."""
REPORT_S = 0.1
"""In real time, a frame reports its progress this often, s."""
REPORTS = 32
"""In simulated time, a frame reports its progress this many times."""

Imaging = Literal["single-frequency", "band-excitation", "averaged band-excitation"]
"""How a frame is taken; it decides how long the frame takes."""
PIXEL_S: dict[Imaging, float] = {"band-excitation": 8e-3, "averaged band-excitation": 37e-3}
"""Time of a pixel of a band-excitation frame, s: a 256² frame takes 9 min, an averaged 32² frame 38 s. A
single-frequency frame has the line rate that it is asked for."""

CALM = Effects()


class TwinBackend:
    """An :class:`~ophyd_devices.backend.AfmBackend` that is simulated.

    Duration of an action: a move ``distance / velocity + settle``; a frame ``ny / line_rate``, or with band excitation
    8 ms a pixel (37 ms averaged); a spectrum of K steps ``2 · K · dwell + 0.8 s`` (each step is a pulse and a rest);
    engaging 2 s, withdrawing 0.5 s.

    Data, time, drift, wear and written domains follow from `seed` and the completed commands: the same commands, given
    to a fresh twin, rebuild this one bit for bit. An action that is refused or interrupted takes no time and changes
    nothing. The exception is a move that is interrupted in real time: the tip stays where it has got to. A frame does
    not change the position.

    Parameters
    ----------
    sample : Sample
        The sample. Its area is the scan range; the tip starts withdrawn over its centre.
    clock : SimulatedClock
        The time.
    seed : int
        Decides the noise and the random part of the effects.
    effects : Effects
        What happens besides noise; nothing by default.
    imaging : str
        How frames are taken; one of :data:`Imaging`.

    Raises
    ------
    ValueError
        If `imaging` is unknown, or `effects` are asked of a recorded sample.
    """

    def __init__(
        self,
        sample: Sample,
        clock: SimulatedClock,
        seed: int = 0,
        effects: Effects = CALM,
        imaging: Imaging = "single-frequency",
    ) -> None:
        if imaging not in get_args(Imaging):
            raise ValueError(f"expected imaging as one of {', '.join(get_args(Imaging))}, got {imaging!r}")
        self.sample = sample
        self.clock = clock
        self.seed = seed
        self.effects = effects
        self.imaging: Imaging = imaging
        self._world = World(sample, effects, seed)
        x_min, x_max, y_min, y_max = sample.area
        self._position = ((x_min + x_max) / 2, (y_min + y_max) / 2)
        self._setpoint: float | None = None  # None while withdrawn
        self._stop = threading.Event()

    @property
    def info(self) -> Info:
        """What is fixed about this instrument."""
        return Info(
            channels=self.sample.channels,
            spectroscopy=self.sample.spectroscopy,
            scan_range=self.sample.area,
            pixels=self.sample.pixels,
            fixed_frame=self.sample.fixed_frame,
            setpoint_range=SETPOINT_RANGE,
            amplitude_max=AMPLITUDE_MAX,
            simulated=True,
            ramp=RAMP if self.sample.spectroscopy.waveform == "z" else None,
            places=self.sample.places,
        )

    def describe(self) -> Mapping[str, Any]:
        """Return the JSON-able facts from which it can be built again: sample, seed, effects, imaging, real time."""
        return {
            "instrument": "twin",
            "seed": self.seed,
            "real_time": self.clock.real_time,
            "effects": asdict(self.effects),
            "imaging": self.imaging,
            "sample": dict(self.sample.describe()),
        }

    def time(self) -> float:
        """Return the simulated time in s."""
        return self.clock.now()

    def position(self) -> tuple[float, float]:
        """Return x and y in nm, as the scanner's sensors say."""
        return self._position

    def true_position(self) -> tuple[float, float]:
        """Return where on the sample the tip is, in nm, with drift and creep. Only tests and evaluation may use it."""
        return self._world.true_position(self._position, self.clock.now())

    def move(self, x: float, y: float, velocity: float, settle: float) -> None:
        """Move in a straight line. When interrupted, the tip stays where it has got to.

        Raises
        ------
        BackendError
            If the target is outside the scan range, `velocity` not positive or `settle` negative.
        Interrupted
            If stopped.
        """
        self._check_inside(np.array([[x, y]], dtype=np.float64))
        _check_positive("velocity", velocity, "nm/s")
        if not (np.isfinite(settle) and settle >= 0):
            raise BackendError(f"expected a settling time of 0 s or more, got {settle}; nothing moved")
        start, target = np.array(self._position), np.array([x, y], dtype=np.float64)
        travel = float(np.hypot(*(target - start))) / velocity
        self._stop.clear()
        began = self.clock.now()
        try:
            self._wait(travel + settle, "the move")
        except Interrupted:
            passed = self.clock.now() - began
            if passed < travel:
                target = start + (target - start) * passed / travel
            raise
        finally:
            self._position = (float(target[0]), float(target[1]))
            if self._position != (start[0], start[1]):
                self._world.moved((self._position[0] - start[0], self._position[1] - start[1]), self.clock.now())

    def engage(self, setpoint: float) -> None:
        """Approach in 2 s; in contact, change the setpoint at once.

        Raises
        ------
        BackendError
            If the setpoint is out of range.
        Interrupted
            If stopped; the tip is then off the surface.
        """
        low, high = SETPOINT_RANGE
        if not low <= setpoint <= high:
            raise BackendError(
                f"expected a setpoint of {low:g} … {high:g} nN, got {setpoint}; the tip stays where it is"
            )
        self._stop.clear()
        if self._setpoint is None:
            with self._whole():
                self._wait(ENGAGE_S, "engaging")
        self._setpoint = float(setpoint)

    def withdraw(self) -> None:
        """Lift the tip in 0.5 s; nothing interrupts it. Do nothing if the tip is withdrawn."""
        if self._setpoint is not None:
            self._setpoint = None
            self.clock.sleep(WITHDRAW_S, threading.Event())

    def in_contact(self) -> bool:
        """Return whether the tip touches the surface."""
        return self._setpoint is not None

    def force(self) -> float:
        """Return the measured force in nN: the setpoint with a little noise, or 0 off the surface."""
        return 0.0 if self._setpoint is None else self._world.force(self._setpoint)

    def keep_alive(self, seconds: float) -> None:
        """Do nothing: the twin lives and dies with the process that drives it."""

    def frame(self, area: Area, pixels: tuple[int, int], line_rate: float, progress: Progress) -> NDArray[np.float32]:
        """Image `area`; return (C, ny, nx), row 0 at y_min.

        Raises
        ------
        BackendError
            If the tip is withdrawn, the area is not inside the scan range, a number of pixels or the line rate is not
            positive, or the sample cannot be imaged like that.
        Interrupted
            If stopped.
        """
        self._check_contact("a frame")
        low_x, high_x, low_y, high_y = self.sample.area
        x_min, x_max, y_min, y_max = area
        if not (low_x <= x_min < x_max <= high_x and low_y <= y_min < y_max <= high_y):
            raise BackendError(
                f"expected an area (x_min, x_max, y_min, y_max) inside the scan range {self.sample.area} nm, "
                f"got {area}; choose a smaller one"
            )
        ny, nx = pixels
        _check_positive("ny", ny, "px")
        _check_positive("nx", nx, "px")
        _check_positive("line_rate", line_rate, "Hz")
        line_s = nx * PIXEL_S[self.imaging] if self.imaging in PIXEL_S else 1 / line_rate
        frame, complete = self._world.frame(area, pixels, self._position, self.clock.now(), ny * line_s)
        lines = max(1, round(REPORT_S / line_s)) if self.clock.real_time else math.ceil(ny / REPORTS)
        self._stop.clear()
        with self._whole():
            for first in range(0, ny, lines):
                last = min(first + lines, ny)
                self._wait((last - first) * line_s, "the frame")
                progress(last, ny)
        complete()
        return frame

    def spectrum(self, bias: NDArray[np.float64], dwell: float) -> Loop:
        """Measure at the present position.

        Raises
        ------
        BackendError
            If the tip is withdrawn, `dwell` is not positive, or `bias` is not (K,), finite and within ±10 V (for a
            recorded sample: not the recorded axis).
        Interrupted
            If stopped.
        """
        self._check_contact("a spectrum")
        bias = self._check_bias(bias)
        _check_positive("dwell", dwell, "s")
        loop, complete = self._world.loop(bias, self._position, self.clock.now())
        self._stop.clear()
        with self._whole():
            self._wait(2 * len(bias) * dwell + OVERHEAD_S, "the spectrum")
        complete()
        return loop

    def reference(
        self, positions: NDArray[np.float64], bias: NDArray[np.float64], channel: int = 0
    ) -> NDArray[np.float64] | None:
        """Return the true spectra (N, K) of a channel: noise-free loops, or the recorded spectra.

        They belong to the sample as it was at first, at `positions` on the sample, with a new tip: what a perfect
        instrument would measure on its first visit. Drift, wear and written domains are errors against them.

        Raises
        ------
        BackendError
            If positions are not (N, 2) inside the scan range, or `bias` is not what :meth:`spectrum` takes.
        """
        positions = np.asarray(positions, dtype=np.float64)
        self._check_inside(positions)
        spectra: NDArray[np.float64] = self.sample.spectra(positions, self._check_bias(bias))[channel]
        return spectra

    def stop(self) -> None:
        """End the running action, which raises Interrupted. Do nothing if none is running."""
        self._stop.set()

    def close(self) -> None:
        """Withdraw."""
        self.withdraw()

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Set the clock back if the action does not complete."""
        began = self.clock.now()
        try:
            yield
        except BaseException:
            self.clock.rewind(began)
            raise

    def _wait(self, seconds: float, action: str) -> None:
        if not self.clock.sleep(seconds, self._stop):
            raise Interrupted(f"{action} was stopped at {self.clock.now():.3f} s; start it again if it is still wanted")

    def _check_contact(self, what: str) -> None:
        if self._setpoint is None:
            raise BackendError(f"{what} needs the tip on the surface, it is withdrawn; engage first")

    def _check_inside(self, positions: NDArray[np.float64]) -> None:
        if positions.ndim != 2 or positions.shape[1] != 2:
            raise BackendError(f"expected positions of shape (N, 2) in nm, got {positions.shape}")
        x_min, x_max, y_min, y_max = self.sample.area
        inside = (positions >= (x_min, y_min)) & (positions <= (x_max, y_max))
        if not inside.all():
            x, y = positions[~inside.all(axis=1)][0]
            raise BackendError(
                f"expected x in {x_min:g} … {x_max:g} nm and y in {y_min:g} … {y_max:g} nm, got ({x:g}, {y:g}); "
                "choose a position inside the scan range"
            )

    def _check_bias(self, bias: NDArray[np.float64]) -> NDArray[np.float64]:
        bias = np.asarray(bias, dtype=np.float64)
        if bias.ndim != 1 or not len(bias):
            raise BackendError(f"expected a bias of shape (K,) with at least one step, got {bias.shape}")
        if not np.isfinite(bias).all():
            step = int(np.argmax(~np.isfinite(bias)))
            raise BackendError(f"expected a finite bias, got {bias[step]} at step {step}; check the waveform")
        if self.sample.spectroscopy.waveform == "z":
            if bias.min() < 0 or bias.max() > RAMP.range_max:
                raise BackendError(
                    f"expected heights of 0 … {RAMP.range_max:g} nm, got {bias.min():g} … {bias.max():g}"
                )
        elif self.sample.spectroscopy.axis is None and np.abs(bias).max() > AMPLITUDE_MAX:
            raise BackendError(
                f"expected a bias within ±{AMPLITUDE_MAX:g} V, got {bias[np.abs(bias).argmax()]:g} V; "
                "reduce the amplitude"
            )
        return bias


def _check_positive(name: str, value: float, unit: str) -> None:
    if not (np.isfinite(value) and value > 0):
        raise BackendError(f"expected a positive {name} in {unit}, got {value}; nothing was done")
