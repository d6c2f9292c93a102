"""The backend of a Nanonis controller: nm, V, s and nN on this side, SI units on the other."""

import math
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ophyd_devices.backend import Area, BackendError, Channel, Info, Loop, Progress, Ramp, Spectroscopy
from ophyd_devices.nanonis.client import ControllerError
from ophyd_devices.nanonis.commands import PIXELS_MULTIPLE, SEGMENTS_MAX
from ophyd_devices.nanonis.geometry import NM, Geometry, scan_range
from ophyd_devices.nanonis.operator import Operator
from ophyd_devices.nanonis.ramp import Ramps
from ophyd_devices.nanonis.scan import FirstRow, Scanner, find_channel
from ophyd_devices.nanonis.session import Session, Signal
from ophyd_devices.nanonis.spectra import Pulses, Sweep
from ophyd_devices.nanonis.tip import Tip
from ophyd_devices.nanonis.watchdog import STOPS

SLACK_S = 30.0
"""A move may take this much longer than its distance over its velocity, s."""


class NanonisBackend:
    """An :class:`~ophyd_devices.backend.AfmBackend` that drives a Nanonis controller over its TCP interface.

    Connecting reads and checks, and changes nothing. Measuring changes settings of the operator: those of the scan are
    written back after each frame, all others when the backend is closed.

    Parameters
    ----------
    host : str
        The computer on which the controller's software runs.
    ports : (int, int, int)
        Three of its TCP ports: for commands, for stopping, and for the watchdog. Nothing else may use them.
    timeout : float
        How long the controller may take to answer a command that does not block, s.
    channels : tuple of str
        The signals of a frame, by their names in the controller; the name without the unit will do. With `` [bwd]`` at
        its end, it stands for the backward lines of the signal.
    spectrum : tuple of str
        The signals of a spectrum; an agent learns the first unless it is told otherwise.
    mode : str
        ``"sweep"``: the controller's bias spectroscopy records while the bias is applied, at most 16 straight segments.
        ``"pulses"``: this computer applies each step as a pulse and reads the signals at rest, at 0 V, and during it.
        ``"z"``: the controller's Z spectroscopy lifts the tip and brings it back: force curves.
    hold_z : bool
        Switch the Z feedback off during a sweep.
    z_range_max : float
        Largest height of a force curve, nm; the range of the Z piezo may make it smaller.
    z_speed_max : float
        Largest speed of a force curve, nm/s.
    trigger_force : float, optional
        The controller retracts at once where the force in a force curve is larger, nN; by default the largest setpoint.
    z_sign : int
        1 if a positive distance of the controller's Z spectroscopy lifts the tip, -1 if it approaches.
    bias : str
        The signal whose range limits the bias.
    deflection : str
        The signal that the Z controller regulates.
    force_per_unit : float, optional
        Force in nN for one unit of that signal, as the name says it; negative if it falls with the force. Leave it out
        for a signal in N, and for one in A: the setpoint is then a tunnel current in nA.
    controller : str
        Name of the Z controller that must be active.
    setpoint_range : (low, high)
        Contact force in nN; the range of the signal may make it smaller.
    amplitude_max : float
        Largest bias in V; the range of the signal may make it smaller.
    area : str
        Where the tip may go: ``"frame"``, the operator's scan frame at the time of connecting, or ``"piezo"``, the
        whole range of the piezos.
    first_row : str
        Whether the first row of a frame that the controller sends is its ``"top"`` or its ``"bottom"`` line.
    backward_mirrored : bool
        Whether the controller sends backward lines with the last column first.
    auto_approach : bool
        Let an approach use the motor of the coarse approach.
    approach_s : float
        An approach that takes longer is given up, s.
    contact_tolerance : float
        An approach ends when the force is this share of the setpoint near it.
    safe_tip : bool
        Switch the controller's SafeTip on with the first contact.
    lock : bool
        Lock the windows of the controller while the tip is engaged.
    take_over : bool
        Connect also when the tip is in contact.

    Raises
    ------
    BackendError
        If the controller does not answer, has no signal of a name, regulates with another Z controller, is scanning, or
        its tip is in contact.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        ports: tuple[int, int, int] = (6501, 6502, 6503),
        timeout: float = 5.0,
        channels: tuple[str, ...] = ("Z (m)", "LI Demod 1 X (V)", "LI Demod 1 Y (V)"),
        spectrum: tuple[str, ...] = ("LI Demod 1 X (V)",),
        mode: Literal["sweep", "pulses", "z"] = "sweep",
        hold_z: bool = False,
        z_range_max: float = 200.0,
        z_speed_max: float = 1e4,
        trigger_force: float | None = None,
        z_sign: Literal[1, -1] = 1,
        bias: str = "Bias (V)",
        deflection: str = "Deflection (V)",
        force_per_unit: float | None = None,
        controller: str = "Deflection",
        setpoint_range: tuple[float, float] = (1.0, 100.0),
        amplitude_max: float = 10.0,
        area: Literal["frame", "piezo"] = "frame",
        first_row: FirstRow = "top",
        backward_mirrored: bool = False,
        auto_approach: bool = False,
        approach_s: float = 30.0,
        contact_tolerance: float = 0.3,
        safe_tip: bool = True,
        lock: bool = False,
        take_over: bool = False,
    ) -> None:
        if not channels or not spectrum:
            raise BackendError("expected at least one signal for frames and one for spectra; name them in the options")
        if len(set(ports)) != 3:
            raise BackendError(f"expected three different ports, got {ports}: one port serves one connection")
        self._address, self._lock, self._closed = f"{host}:{ports[0]}", lock, False
        self._locked = False
        self._began = time.time() - time.monotonic()
        self._session = session = Session(host, ports, timeout, lock)
        self._operator = operator = Operator(session)
        try:
            frame = [find_channel(session, name) for name in channels]
            measured = [session.signal(name) for name in spectrum]
            force, applied = session.signal(deflection), session.signal(bias)
            nn_per_unit = _force_per_unit(force, force_per_unit)
            self._geometry, where = self._scan_range(area)
            self._tip = Tip(
                session, operator, force, nn_per_unit, auto_approach=auto_approach, safe_tip=safe_tip,
                approach_s=approach_s, tolerance=contact_tolerance,
            )  # fmt: skip
            self._check_idle(controller, take_over)
            self._scanner = Scanner(
                session, operator, self._geometry, frame, first_row, backward_mirrored=backward_mirrored
            )
            forces = _narrowed(setpoint_range, self._range(force, nn_per_unit), deflection)
            trigger = forces[1] if trigger_force is None else trigger_force
            _check_positive("trigger_force", trigger, "nN")
            self._spectrometer: Sweep | Pulses | Ramps
            if mode == "z":
                self._spectrometer = Ramps(
                    session, operator, measured, force, nn_per_unit, trigger_force=trigger, z_sign=z_sign
                )
            elif mode == "sweep":
                self._spectrometer = Sweep(session, operator, measured, hold_z)
            else:
                self._spectrometer = Pulses(session, measured)
            over = ("height", "nm") if mode == "z" else ("bias", "V")
            z_range = session.call("Piezo.RangeGet")[2] / NM
            first, *others = self._spectrometer.channels
            self.info = Info(
                channels=tuple(Channel(one.name, one.signal.unit) for one in frame),
                spectroscopy=Spectroscopy(
                    first.name, first.unit, *over, others=tuple(others),
                    full_scale=self._range(measured[0], nn_per_unit if first.unit == "nN" else measured[0].scale),
                    waveform="z" if mode == "z" else "bias",
                ),
                scan_range=where,
                pixels=self._pixels(),
                fixed_frame=False,
                setpoint_range=forces,
                amplitude_max=min(amplitude_max, *(abs(end) for end in self._range(applied, 1.0))),
                simulated=False,
                pixels_multiple=PIXELS_MULTIPLE,
                setpoint_unit=force.unit if force_per_unit is None else "nN",
                segments_max=SEGMENTS_MAX if mode == "sweep" else None,
                ramp=Ramp(min(z_range_max, z_range), z_speed_max, trigger) if mode == "z" else None,
            )  # fmt: skip
        except BaseException:
            session.close()
            raise
        if mode == "z" and self.info.setpoint_unit != "nN":
            session.close()
            raise BackendError(
                "force curves need a Z controller that holds a force; give force_per_unit, or another mode"
            )
        self._facts = {
            "instrument": "Nanonis",
            "address": self._address,
            "mode": mode,
            "force_per_unit_nN": nn_per_unit,
        }

    def describe(self) -> Mapping[str, Any]:
        """Return software, frequency, Z controllers, gains, scan frame and session folder of the controller."""
        call = self._session.call
        product, version, host_release, engine_release = call("Util.VersionGet")
        names, active = call("ZCtrl.CtrlListGet")
        proportional, time_constant, integral = call("ZCtrl.GainGet")
        return {
            **self._facts,
            "product": product,
            "version": version,
            "releases": [host_release, engine_release],
            "real_time_Hz": call("Util.RTFreqGet"),
            "acquisition_period_s": call("Util.AcqPeriodGet"),
            "session": call("Util.SessionPathGet"),
            "z_controller": names[active] if 0 <= active < len(names) else "",
            "gains": {"proportional": proportional, "time_constant_s": time_constant, "integral": integral},
            "angle_deg": self._geometry.angle,
        }

    def time(self) -> float:
        """Return the time of this computer in s since 1970, which never goes back; the protocol has no clock."""
        return self._began + time.monotonic()

    def position(self) -> tuple[float, float]:
        """Return x and y in nm."""
        return self._geometry.from_scanner(*self._session.call("FolMe.XYPosGet", 1))

    def move(self, x: float, y: float, velocity: float, settle: float) -> None:
        """Move in a straight line with `velocity` nm/s, then wait `settle` s.

        Raises
        ------
        BackendError
            If the target is outside the scan range, or a number is none.
        Interrupted
            If stopped; the tip stays where it has got to.
        """
        x_min, x_max, y_min, y_max = self.info.scan_range
        if not (x_min <= x <= x_max and y_min <= y <= y_max):
            raise BackendError(f"({x:g}, {y:g}) nm is outside the scan range {self.info.scan_range} nm; nothing moved")
        _check_positive("velocity", velocity, "nm/s")
        if not 0 <= settle < math.inf:
            raise BackendError(f"expected a settling time of 0 s or more, got {settle}; nothing moved")
        call = self._session.call
        self._operator.keep("FolMe.SpeedGet", "FolMe.PSOnOffGet")
        call("FolMe.PSOnOffSet", 0)  # a click would else start an experiment at each place
        start = self.position()
        travel = math.hypot(x - start[0], y - start[1]) / velocity
        call("FolMe.SpeedSet", velocity * NM, 1)
        with self._session.acting("the move", "FolMe.Stop"):
            target = self._geometry.to_scanner(x, y)
            call("FolMe.XYPosSet", *target, 1, timeout=self._session.timeout + SLACK_S + 2 * travel)
            self._session.sleep(settle)

    def engage(self, setpoint: float) -> None:
        """Approach with `setpoint` nN; in contact, change the setpoint. See :meth:`.tip.Tip.engage`."""
        low, high = self.info.setpoint_range
        if not low <= setpoint <= high:
            raise BackendError(f"expected a setpoint of {low:g} … {high:g} nN, got {setpoint:g}; the tip stays")
        self._tip.engage(setpoint)

    def withdraw(self) -> None:
        """Lift the tip; after a lost connection, first stop what may still run."""
        if self._session.lost:
            for name, *values in STOPS:
                with suppress(ControllerError):  # a module that is not open has nothing to stop
                    self._session.call(str(name), *values)
        self._tip.withdraw()
        self._session.lost = False

    def in_contact(self) -> bool:
        """Return whether the feedback is on and Z is away from its limits."""
        return self._tip.in_contact()

    def force(self) -> float:
        """Return the measured force in nN; 0 off the surface."""
        return self._tip.force()

    def keep_alive(self, seconds: float) -> None:
        """Promise another call within `seconds` to the watchdog's process; 0 ends the promise.

        Commands that wait renew it. Where the windows are to be locked, they are while there is a promise.
        """
        self._session.watchdog.promise(seconds)
        if self._lock and bool(seconds) != self._locked:
            self._session.call("Util.Lock" if seconds else "Util.UnLock")
            self._locked = bool(seconds)

    def frame(self, area: Area, pixels: tuple[int, int], line_rate: float, progress: Progress) -> NDArray[np.float32]:
        """Image `area`; return (C, ny, nx), row 0 at y_min. See :meth:`.scan.Scanner.frame`."""
        low_x, high_x, low_y, high_y = self.info.scan_range
        x_min, x_max, y_min, y_max = area
        if not (low_x <= x_min < x_max <= high_x and low_y <= y_min < y_max <= high_y):
            raise BackendError(
                f"the area {area} nm is not inside the scan range {self.info.scan_range} nm; choose less"
            )
        _check_positive("line rate", line_rate, "Hz")
        if pixels[0] < 1 or pixels[1] < 1 or pixels[1] % PIXELS_MULTIPLE:
            raise BackendError(
                f"expected (ny, nx) with lines of a multiple of {PIXELS_MULTIPLE} px, got {pixels}; nothing moved"
            )
        self._check_contact("a frame")
        return self._scanner.frame(area, pixels, line_rate, progress)

    def spectrum(self, bias: NDArray[np.float64], dwell: float) -> Loop:
        """Measure at the present position; see :mod:`.spectra`."""
        bias = np.asarray(bias, dtype=np.float64)
        ramp = self.info.ramp
        low, high = (-self.info.amplitude_max, self.info.amplitude_max) if ramp is None else (0.0, ramp.range_max)
        if bias.ndim != 1 or not len(bias) or not (low <= bias.min() and bias.max() <= high):
            unit = self.info.spectroscopy.axis_unit
            raise BackendError(
                f"expected a waveform (K,) within {low:g} … {high:g} {unit}, got {bias!r:.100}; nothing was applied"
            )
        _check_positive("dwell", dwell, "s")
        self._check_contact("a spectrum")
        loop = self._spectrometer.measure(bias, dwell)
        if not np.isfinite(loop.channels).all():
            raise BackendError("the controller sent a spectrum with values that are no numbers; look at the signal")
        return loop

    def reference(self, positions: NDArray[np.float64], bias: NDArray[np.float64], channel: int = 0) -> None:  # noqa: ARG002
        """Return None: no instrument knows the truth."""
        return

    def stop(self) -> None:
        """End the running action, over a connection of its own."""
        self._session.stop()

    def close(self) -> None:
        """Withdraw, restore the operator's settings, unlock the windows and hang up; do nothing the second time."""
        if self._closed:
            return
        self._closed = True
        try:
            self.withdraw()
            self._operator.restore()
            if self._locked:
                self._session.call("Util.UnLock")
            self._session.watchdog.promise(0)
        finally:
            self._session.close()

    def _check_contact(self, what: str) -> None:
        if not self._tip.in_contact():
            raise BackendError(f"{what} needs the tip on the surface, it is withdrawn; engage first")

    def _check_idle(self, controller: str, take_over: bool) -> None:
        call = self._session.call
        if call("Scan.StatusGet"):
            raise BackendError("the controller is scanning; stop the scan there, then connect. Nothing was changed")
        with suppress(ControllerError):  # the module is not open
            if call("BiasSpectr.StatusGet") or call("ZSpectr.StatusGet"):
                raise BackendError("the controller takes a spectrum; stop it there, then connect. Nothing was changed")
        names, active = call("ZCtrl.CtrlListGet")
        if not (0 <= active < len(names) and names[active] == controller):
            raise BackendError(
                f"the Z controller {controller!r} must be active; the controller has {names}, number {active} is "
                "active; choose it there, or name another one with controller = …"
            )
        if not take_over and self._tip.in_contact():
            raise BackendError(
                "the tip is in contact with the surface already; withdraw it, or connect with take_over = true; "
                "nothing was changed"
            )

    def _scan_range(self, area: Literal["frame", "piezo"]) -> tuple[Geometry, Area]:
        x, y, width, height, angle = self._session.call("Scan.FrameGet")
        piezo_x, piezo_y, _ = self._session.call("Piezo.RangeGet")
        geometry = Geometry(x, y, angle)
        try:
            return geometry, scan_range(geometry, (width, height) if area == "frame" else None, (piezo_x, piezo_y))
        except ValueError as error:
            raise BackendError(str(error)) from None

    def _range(self, signal: Signal, scale: float) -> tuple[float, float]:
        ends = [end * scale for end in self._session.call("Signals.RangeGet", signal.index)]
        return min(ends), max(ends)

    def _pixels(self) -> tuple[int, int]:
        _, pixels, lines = self._session.call("Scan.BufferGet")
        return lines, pixels


def _force_per_unit(signal: Signal, given: float | None) -> float:
    if given is None and signal.unit in ("nN", "nA"):
        return signal.scale
    if given is None or not math.isfinite(given) or not given:
        raise BackendError(
            f"expected force_per_unit, the force in nN for one unit of {signal.label!r}, got {given}: stiffness (N/m) "
            "× sensitivity (nm per unit) of your cantilever"
        )
    return given


def _narrowed(wanted: tuple[float, float], possible: tuple[float, float], name: str) -> tuple[float, float]:
    low, high = max(wanted[0], possible[0]), min(wanted[1], possible[1])
    if low > high:
        raise BackendError(
            f"a setpoint of {wanted[0]:g} … {wanted[1]:g} nN is outside what {name!r} can show, {possible[0]:g} … "
            f"{possible[1]:g} nN; correct setpoint_range or force_per_unit"
        )
    return low, high


def _check_positive(name: str, value: float, unit: str) -> None:
    if not 0 < value < math.inf:
        raise BackendError(f"expected a positive {name} in {unit}, got {value}; nothing was done")
