"""The simulated controller: its settings, what runs, and a twin under the tip. It knows nothing of sockets.

Where the vendor's document is silent, it does this: an action beside a running one is refused,
a stopped spectrum has no points, lines that were not scanned are NaN, and the first row of a frame is the top line.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from ophyd_devices.backend import BackendError, Interrupted
from ophyd_devices.nanonis.commands import PIXELS_MULTIPLE, SEGMENTS_MAX
from ophyd_devices.nanonis.geometry import Geometry
from ophyd_devices.nanonis.simulator import signals
from ophyd_devices.nanonis.simulator.signals import A_PER_NA, M_PER_NM, NN_PER_NA, NN_PER_V, V_PER_AU, Z_LIMIT
from ophyd_devices.twin.backend import TwinBackend

PRODUCT = "curio nanonis-sim"
ACQUISITION_S = 0.02
"""Period of the acquisition that answers queries, s; 0 where time is simulated."""
OFF, ON, SAFE_TIP = 1, 2, 5
NO_CHANGE = 0
MODULES = ["Scan", "Z-Controller"]

Regulates = Literal["Deflection", "Current"]
"""The Z controllers."""
Handler = Callable[..., Any]
_HANDLERS: dict[str, str] = {}


class RefusalError(Exception):
    """The controller does not do what it was asked to; the text goes into the error block."""


def _answers(name: str) -> Callable[[Handler], Handler]:
    def note(handler: Handler) -> Handler:
        _HANDLERS[name] = handler.__name__
        return handler

    return note


def _switched(before: int, wanted: int) -> int:
    """Return what a setting is after a setter with 0 no change, 1 on, 2 off."""
    return before if wanted == NO_CHANGE else int(wanted == 1)


def _changed(before: list[Any], wanted: list[Any]) -> list[Any]:
    """Return what floats are after a setter for which NaN changes nothing."""
    return [old if math.isnan(new) else new for old, new in zip(before, wanted, strict=True)]


class SimulatedController:
    """The commands of the controller, over a twin. Any thread may call :meth:`answer`; a call may block.

    Parameters
    ----------
    twin : TwinBackend
        What is under the tip. Its position (0, 0) is the lower left corner of the piezos' range.
    bottom_first : bool
        Send the bottom line of a frame first, instead of the top line.
    regulates : str
        What the feedback holds: the ``"Deflection"``, or the ``"Current"``.
    """

    def __init__(self, twin: TwinBackend, *, bottom_first: bool = False, regulates: Regulates = "Deflection") -> None:
        self.twin = twin
        self._regulates = regulates
        self._bottom_first = bottom_first
        x_min, x_max, y_min, y_max = twin.info.scan_range
        self._centre = ((x_min + x_max) / 2, (y_min + y_max) / 2)
        self._size = ((x_max - x_min) * M_PER_NM, (y_max - y_min) * M_PER_NM)
        self._busy = threading.Lock()
        self._doing = ""
        self._line = threading.Condition()
        self._lines, self._shape = 0, (0, 0)
        self._frame: dict[int, NDArray[np.float32]] = {}
        self._pulses: list[float] = []
        self._readings = 0
        self._approach: threading.Thread | None = None
        self._scan: threading.Thread | None = None
        self._status, self._z = OFF, Z_LIMIT
        self._feedback_works = True
        self._lines_max: int | None = None
        self._unanswered = 0
        self.locked = False
        self.spectra = 0
        self.settings: dict[str, list[Any]] = {
            "Bias": [0.0],
            "FolMe.Speed": [1e-6, 0],
            "FolMe.PSOnOff": [0],
            "Scan.Frame": [0.0, 0.0, *self._size, 0.0],
            "Scan.Buffer": [[signals.Z], twin.info.pixels[1], twin.info.pixels[0]],
            "Scan.Speed": [1e-6, 1e-6, 0.5, 0.5, 1, 1.0],
            "Scan.Props": [1, 0, 0, "scan", "", MODULES],
            "ZCtrl.Setpnt": [0.4],
            "SafeTip.OnOff": [0],
            "BiasSpectr.Chs": [[signals.CURRENT]],
            "BiasSpectr.Props": [0, 1, 0, 128, 1, 1],
            "BiasSpectr.AdvProps": [1, 1, 0, 0],
            "BiasSpectr.Timing": [0.1, 0.0, 0.01, 100.0, 0.001, 0.01, 0.01, 0.1],
            "BiasSpectr.MLSMode": ["Linear"],
            "BiasSpectr.MLSLockinPerSeg": [0],
            "BiasSpectr.MLSVals": [1, [-1.0], [1.0], [0.01], [0.001], [0.01], [128], [0]],
            "ZSpectr.Chs": [[signals.DEFLECTION]],
            "ZSpectr.Props": [1, 128, 1, 1, 1, 0],
            "ZSpectr.Range": [0.0, 1e-8],
            "ZSpectr.Timing": [0.1, 0.01, 100.0, 0.001, 0.01, 0.01, 0.1],
            "ZSpectr.Retract": [0, 0.0, -1, 2],
        }
        self._opened: set[str] = set()

    def answer(self, name: str, values: list[Any]) -> list[Any]:
        """Return the values of the response.

        Raises
        ------
        RefusalError
            If the controller does not do it.
        """
        handler = _HANDLERS.get(name)
        if handler is None:
            raise RefusalError(f"unknown command {name}")
        try:
            answer = getattr(self, handler)(*values)
        except BackendError as error:
            raise RefusalError(str(error)) from error
        return [] if answer is None else list(answer)

    # ---- what goes wrong on instruments ----

    def lose_contact(self) -> None:
        """Let the surface go out of reach: the feedback extends Z fully and finds nothing."""
        self._quiet()
        self.twin.withdraw()
        self._z = -Z_LIMIT

    def trip_safe_tip(self) -> None:
        """Let the SafeTip lift the tip."""
        self._quiet()
        self.twin.withdraw()
        self._status, self._z = SAFE_TIP, Z_LIMIT

    def break_feedback(self) -> None:
        """Let the Z controller stay off when it is switched on."""
        self._feedback_works = False

    def stop_scan_after(self, lines: int) -> None:
        """Let the next scan that has more than so many lines be stopped by somebody."""
        self._lines_max = lines

    def close(self) -> None:
        """Stop what runs and withdraw."""
        self._quiet()
        self.twin.withdraw()

    # ---- utilities, signals, bias ----

    @_answers("Util.VersionGet")
    def _version(self) -> list[Any]:
        return [PRODUCT, "1", 14718, 14718]

    @_answers("Util.RTFreqGet")
    def _frequency(self) -> list[Any]:
        return [20_000.0]

    @_answers("Util.SessionPathGet")
    def _session_path(self) -> list[Any]:
        return ["C:\\simulated"]

    @_answers("Util.AcqPeriodGet")
    def _acquisition_period(self) -> list[Any]:
        return [ACQUISITION_S if self.twin.clock.real_time else 0.0]

    @_answers("Util.Lock")
    def _lock(self) -> None:
        self.locked = True

    @_answers("Util.UnLock")
    def _unlock(self) -> None:
        self.locked = False

    @_answers("Piezo.RangeGet")
    def _piezo_range(self) -> list[Any]:
        return [*self._size, 2 * Z_LIMIT]

    @_answers("Signals.NamesGet")
    def _names(self) -> list[Any]:
        return [signals.NAMES]

    @_answers("Signals.RangeGet")
    def _range(self, index: int) -> list[Any]:
        self._check_index(index)
        largest = signals.KNOWN[index][1] if index in signals.KNOWN else 10.0
        return [largest, -largest]

    @_answers("Signals.ValGet")
    def _value(self, index: int, newest: int) -> list[Any]:
        return [self._values([index], newest)[0][0]]

    @_answers("Signals.ValsGet")
    def _values(self, indexes: list[int], newest: int) -> list[list[float]]:
        for index in indexes:
            self._check_index(index)
        if self.twin.clock.real_time:
            time.sleep(ACQUISITION_S * (1.5 if newest else 0.5))
        return [[self._signal(index) for index in indexes]]

    @_answers("Bias.Set")
    def _set_bias(self, volt: float) -> None:
        if abs(volt) > signals.KNOWN[signals.BIAS][1]:
            raise RefusalError(f"bias {volt:g} V out of range")
        self.settings["Bias"] = [volt]
        if volt:
            self._pulses.append(volt)

    @_answers("Bias.Get")
    def _get_bias(self) -> list[Any]:
        return self.settings["Bias"]

    # ---- moving ----

    @_answers("FolMe.XYPosSet")
    def _move(self, x: float, y: float, wait: int) -> None:
        target = self._to_twin(x, y)
        x_min, x_max, y_min, y_max = self.twin.info.scan_range
        rounded = 1e-3  # frames are given in 32 bits, so that their edges are rounded
        if not (x_min - rounded <= target[0] <= x_max + rounded and y_min - rounded <= target[1] <= y_max + rounded):
            raise RefusalError("position out of the scan range")
        speed, custom = self.settings["FolMe.Speed"]
        velocity = (speed if custom else self.settings["Scan.Speed"][0]) / M_PER_NM
        place = (min(max(target[0], x_min), x_max), min(max(target[1], y_min), y_max))
        self._pulses.clear()

        def go() -> None:
            with self._action("move"):
                self.twin.move(*place, velocity, 0.0)

        if wait:
            go()
        else:
            threading.Thread(target=go, daemon=True).start()

    @_answers("FolMe.XYPosGet")
    def _position(self, newest: int) -> list[Any]:
        if self.twin.clock.real_time:
            time.sleep(ACQUISITION_S * (1.5 if newest else 0.5))
        return list(self._from_twin(*self.twin.position()))

    @_answers("FolMe.SpeedSet")
    def _set_speed(self, speed: float, custom: int) -> None:
        if not speed > 0:
            raise RefusalError(f"speed {speed:g} m/s out of range")
        self.settings["FolMe.Speed"] = [speed, custom]

    @_answers("FolMe.Stop")
    def _stop_move(self) -> None:
        self._stop("move")

    # ---- scanning ----

    @_answers("Scan.Action")
    def _scan_action(self, action: int, direction: int) -> None:
        if action == 1:
            self._stop("scan")
        elif action == 0:
            self._start_scan(bool(direction))
        else:
            raise RefusalError(f"scan action {action} is not simulated")

    @_answers("Scan.StatusGet")
    def _scan_status(self) -> list[Any]:
        return [int(self._doing == "scan")]

    @_answers("Scan.WaitEndOfLine")
    def _wait_line(self, timeout: int) -> list[Any]:
        with self._line:
            before = self._lines
            news = self._line.wait_for(lambda: self._lines != before, None if timeout < 0 else timeout / 1e3)
            return [int(not news), max(self._lines - 1, 0), 0, 0]

    @_answers("Scan.BufferSet")
    def _set_buffer(self, channels: list[int], pixels: int, lines: int) -> None:
        for index in channels:
            self._check_index(index)
        rounded = max(PIXELS_MULTIPLE, round(pixels / PIXELS_MULTIPLE) * PIXELS_MULTIPLE)
        self.settings["Scan.Buffer"] = [list(channels), rounded, lines or rounded]
        self._frame = {}

    @_answers("Scan.PropsSet")
    def _set_props(
        self, continuous: int, bouncy: int, autosave: int, series: str, comment: str, modules: list[str], _: int
    ) -> None:
        before = self.settings["Scan.Props"]
        self.settings["Scan.Props"] = [
            _switched(before[0], continuous),
            _switched(before[1], bouncy),
            before[2] if autosave == NO_CHANGE else autosave - 1,
            series,
            comment,
            modules,
        ]

    @_answers("Scan.PropsGet")
    def _get_props(self) -> list[Any]:
        return [*self.settings["Scan.Props"], [0] * len(MODULES), [], 2]

    @_answers("Scan.SpeedSet")
    def _set_scan_speed(
        self, forward: float, backward: float, forward_s: float, backward_s: float, keep: int, ratio: float
    ) -> None:
        kept = self.settings["Scan.Speed"][4] if keep == NO_CHANGE else keep - 1
        if not (forward_s > 0 and backward_s > 0 and ratio > 0):
            raise RefusalError("scan speed out of range")
        self.settings["Scan.Speed"] = [forward, backward, forward_s, backward_s, kept, ratio]

    @_answers("Scan.FrameDataGrab")
    def _grab(self, channel: int, forward: int) -> list[Any]:
        channels, pixels, lines = self.settings["Scan.Buffer"]
        if channel not in channels:
            raise RefusalError(f"channel {channel} is not in the scan buffer")
        rows = self._frame.get(channel, np.full((lines, pixels), np.nan, np.float32))
        if not forward:
            rows = np.roll(rows, -1, axis=1)  # on the way back the feedback lags to the other side
        return [signals.NAMES[channel], rows if self._bottom_first else rows[::-1], 1]

    def _start_scan(self, up: bool) -> None:
        if not up:
            raise RefusalError("only scans upwards are simulated")
        _, pixels, lines = self.settings["Scan.Buffer"]
        self._shape, self._frame, self._lines = (lines, pixels), {}, 0
        self._claim("scan")
        self._scan = threading.Thread(target=self._scan_lines, daemon=True)
        self._scan.start()

    def _scan_lines(self) -> None:
        forward_s, backward_s = self.settings["Scan.Speed"][2:4]
        try:
            topography, amplitude, phase, polarisation = self._twin_frame(1 / (forward_s + backward_s))
            self._frame = {
                signals.Z: topography * np.float32(M_PER_NM),
                signals.LOCK_IN_X: polarisation * np.float32(V_PER_AU),
                signals.LOCK_IN_Y: amplitude * np.sin(np.radians(phase)) * np.float32(V_PER_AU),
            }
        except BackendError:
            self._frame = {}  # stopped, or off the surface: the lines stay NaN
        finally:
            self._release()
            with self._line:
                self._line.notify_all()

    def _twin_frame(self, line_rate: float) -> NDArray[np.float32]:
        """Return the twin's frame (C, ny, nx) of the scan frame; a turned one is interpolated."""
        x, y, width, height, angle = self.settings["Scan.Frame"]
        ny, nx = self._shape
        twin_x, twin_y = self._to_twin(x, y)
        half = (width / 2 / M_PER_NM, height / 2 / M_PER_NM)
        if not angle:
            area = self._inside((twin_x - half[0], twin_x + half[0], twin_y - half[1], twin_y + half[1]))
            return self.twin.frame(area, (ny, nx), line_rate, self._advance)
        turn = Geometry(x, y, angle)
        columns = x / M_PER_NM + ((np.arange(nx) + 0.5) / nx - 0.5) * 2 * half[0]
        rows = y / M_PER_NM + ((np.arange(ny) + 0.5) / ny - 0.5) * 2 * half[1]
        places = np.array([[self._to_twin(*turn.to_scanner(u, v)) for u in columns] for v in rows])
        step = 2 * min(half[0] / nx, half[1] / ny)
        low, high = places.min(axis=(0, 1)) - step, places.max(axis=(0, 1)) + step
        area = self._inside((low[0], high[0], low[1], high[1]))
        size = (round((area[3] - area[2]) / step), round((area[1] - area[0]) / step))
        whole = self.twin.frame(
            area, size, line_rate * size[0] / ny, lambda done, _: self._advance(done * ny // size[0], ny)
        )
        at = [
            (places[..., 1] - area[2]) / (area[3] - area[2]) * size[0] - 0.5,
            (places[..., 0] - area[0]) / (area[1] - area[0]) * size[1] - 0.5,
        ]
        return np.stack([map_coordinates(channel, at, order=1, mode="nearest") for channel in whole])

    def _inside(self, area: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        """Return an area whose edges, rounded to 32 bits on the way, are those of the twin's range again."""
        x_min, x_max, y_min, y_max = self.twin.info.scan_range
        near = 1e-3
        edges = zip(area, (x_min, x_max, y_min, y_max), strict=True)
        first, second, third, fourth = (edge if abs(value - edge) < near else value for value, edge in edges)
        return first, second, third, fourth

    def _advance(self, done: int, _: int) -> None:
        if self._lines_max is not None and done > self._lines_max:
            self._lines_max = None
            self.twin.stop()
        with self._line:
            self._lines = done
            self._line.notify_all()

    # ---- tip ----

    @_answers("ZCtrl.OnOffSet")
    def _set_feedback(self, on: int) -> None:
        if not on:
            self._quiet()
            self.twin.withdraw()
            self._status, self._z = OFF, Z_LIMIT
        elif self._feedback_works and self._status != ON:
            self._status = ON
            self._approach = threading.Thread(target=self._land, daemon=True)
            self._approach.start()

    @_answers("ZCtrl.OnOffGet")
    def _get_feedback(self) -> list[Any]:
        return [int(self._status == ON)]

    @_answers("ZCtrl.StatusGet")
    def _z_status(self) -> list[Any]:
        return [self._status]

    @_answers("ZCtrl.SetpntSet")
    def _set_setpoint(self, setpoint: float) -> None:
        self.settings["ZCtrl.Setpnt"] = [setpoint]
        if self.twin.in_contact():
            self.twin.engage(self._setpoint())

    @_answers("ZCtrl.CtrlListGet")
    def _controllers(self) -> list[Any]:
        names = list(get_args(Regulates))
        return [names, names.index(self._regulates)]

    @_answers("ZCtrl.GainGet")
    def _gains(self) -> list[Any]:
        return [1e-9, 1e-3, 1e-6]

    @_answers("ZCtrl.ZPosGet")
    def _z_position(self) -> list[Any]:
        return [self._z]

    @_answers("ZCtrl.LimitsGet")
    def _z_limits(self) -> list[Any]:
        return [Z_LIMIT, -Z_LIMIT]

    @_answers("ZCtrl.Withdraw")
    def _withdraw(self, wait: int, timeout: int) -> None:  # noqa: ARG002  it always waits, and is always in time
        self._set_feedback(0)

    @_answers("AutoApproach.Open")
    def _open_approach(self) -> None:
        self._opened.add("AutoApproach")

    @_answers("AutoApproach.OnOffSet")
    def _set_approach(self, on: int) -> None:
        if "AutoApproach" not in self._opened:
            raise RefusalError("the Auto Approach module is not open")
        if on:
            self._set_feedback(1)
        else:
            self._stop("approach")

    @_answers("AutoApproach.OnOffGet")
    def _get_approach(self) -> list[Any]:
        return [int(self._approach is not None and self._approach.is_alive())]

    @_answers("SafeTip.OnOffSet")
    def _set_safe_tip(self, on: int) -> None:
        self.settings["SafeTip.OnOff"] = [_switched(self.settings["SafeTip.OnOff"][0], on)]

    def _setpoint(self) -> float:
        """Return the twin's force at the setpoint, nN, as it was before the setpoint went through 32 bits."""
        per_unit = NN_PER_V if self._regulates == "Deflection" else NN_PER_NA / A_PER_NA
        return round(float(self.settings["ZCtrl.Setpnt"][0]) * per_unit, 4)

    def _land(self) -> None:
        try:
            with self._action("approach"):
                self.twin.engage(self._setpoint())
                self._z = 0.0
        except (BackendError, RefusalError):
            self._status = OFF

    # ---- bias spectroscopy ----

    @_answers("BiasSpectr.Open")
    def _open_spectroscopy(self) -> None:
        self._opened.add("BiasSpectr")

    @_answers("BiasSpectr.StatusGet")
    def _spectrum_status(self) -> list[Any]:
        return [int(self._doing == "spectrum")]

    @_answers("BiasSpectr.Stop")
    def _stop_spectrum(self) -> None:
        self._stop("spectrum")

    @_answers("BiasSpectr.ChsSet")
    def _set_channels(self, indexes: list[int]) -> None:
        for index in indexes:
            self._check_index(index)
        self.settings["BiasSpectr.Chs"] = [list(indexes)]

    @_answers("BiasSpectr.ChsGet")
    def _get_channels(self) -> list[Any]:
        (indexes,) = self.settings["BiasSpectr.Chs"]
        return [indexes, [signals.NAMES[index] for index in indexes]]

    @_answers("BiasSpectr.PropsSet")
    def _set_spectrum_props(
        self, save_all: int, sweeps: int, backward: int, points: int, z_offset: float, autosave: int, dialog: int
    ) -> None:
        before = self.settings["BiasSpectr.Props"]
        self.settings["BiasSpectr.Props"] = [
            _switched(before[0], save_all),
            sweeps or before[1],
            _switched(before[2], backward),
            points or before[3],
            _switched(before[4], autosave),
            _switched(before[5], dialog),
        ]
        timing = self.settings["BiasSpectr.Timing"]
        timing[1:2] = _changed(timing[1:2], [z_offset])

    @_answers("BiasSpectr.PropsGet")
    def _get_spectrum_props(self) -> list[Any]:
        save_all, sweeps, backward, points, autosave, dialog = self.settings["BiasSpectr.Props"]
        return [save_all, sweeps, backward, points, [], ["X (m)", "Y (m)", "Z (m)"], autosave, dialog]

    @_answers("BiasSpectr.AdvPropsSet")
    def _set_advanced(self, *wanted: int) -> None:
        before = self.settings["BiasSpectr.AdvProps"]
        self.settings["BiasSpectr.AdvProps"] = [_switched(old, new) for old, new in zip(before, wanted, strict=True)]

    @_answers("BiasSpectr.TimingSet")
    def _set_timing(self, *wanted: float) -> None:
        self.settings["BiasSpectr.Timing"] = _changed(self.settings["BiasSpectr.Timing"], list(wanted))

    @_answers("BiasSpectr.MLSValsSet")
    def _set_segments(self, count: int, *arrays: list[Any]) -> None:
        kept = min(count, SEGMENTS_MAX)  # the rest is dropped without an error, as the document says
        self.settings["BiasSpectr.MLSVals"] = [kept, *(list(array[:kept]) for array in arrays)]

    @_answers("BiasSpectr.Start")
    def _start_spectrum(self, get_data: int, base_name: str) -> list[Any]:  # noqa: ARG002  nothing is saved here
        if "BiasSpectr" not in self._opened:
            raise RefusalError("the Bias Spectroscopy module is not open")
        if self.twin.info.spectroscopy.waveform != "bias":
            raise RefusalError("this simulator has force curves and no bias spectra")
        if self.settings["BiasSpectr.Props"][5]:
            raise RefusalError("a dialog waits for a person; switch it off with BiasSpectr.PropsSet")
        if self.settings["BiasSpectr.MLSMode"] != ["MLS"]:
            raise RefusalError("only the mode MLS is simulated")
        _, start, end, _, settling, integration, steps, _ = self.settings["BiasSpectr.MLSVals"]
        bias = np.concatenate(
            [np.linspace(low, high, int(number)) for low, high, number in zip(start, end, steps, strict=True)]
        )
        (indexes,) = self.settings["BiasSpectr.Chs"]
        names = ["Bias calc (V)", *(signals.NAMES[index] for index in indexes)]
        x, y = self._from_twin(*self.twin.position())
        try:
            with self._action("spectrum"):
                loop = self.twin.spectrum(bias, float(settling[0] + integration[0]))
        except Interrupted:
            return [names, np.empty((len(names), 0)), [x, y, self._z]]
        self.spectra += 1
        columns = {signals.BIAS: bias, signals.LOCK_IN_X: loop.channels[-1] * V_PER_AU}  # on the field, or dI/dV
        if self.twin.info.spectroscopy.unit == "nA":
            columns[signals.CURRENT] = loop.spectrum * A_PER_NA
        elif self.twin.info.spectroscopy.unit == "Hz":
            columns[signals.SHIFT] = loop.spectrum
        rows = [columns.get(index, np.zeros(len(bias))) for index in indexes]
        if not get_data:
            return [[], np.empty((0, 0)), []]
        return [names, np.stack([bias, *rows]), [x, y, self._z]]

    # ---- Z spectroscopy ----

    @_answers("ZSpectr.Open")
    def _open_z(self) -> None:
        self._opened.add("ZSpectr")

    @_answers("ZSpectr.StatusGet")
    def _z_spectrum_status(self) -> list[Any]:
        return [int(self._doing == "force curve")]

    @_answers("ZSpectr.Stop")
    def _stop_z(self) -> None:
        self._stop("force curve")

    @_answers("ZSpectr.ChsSet")
    def _set_z_channels(self, indexes: list[int]) -> None:
        for index in indexes:
            self._check_index(index)
        self.settings["ZSpectr.Chs"] = [list(indexes)]

    @_answers("ZSpectr.ChsGet")
    def _get_z_channels(self) -> list[Any]:
        (indexes,) = self.settings["ZSpectr.Chs"]
        return [indexes, [signals.NAMES[index] for index in indexes]]

    @_answers("ZSpectr.PropsSet")
    def _set_z_props(self, backward: int, points: int, sweeps: int, autosave: int, dialog: int, save_all: int) -> None:
        before = self.settings["ZSpectr.Props"]
        self.settings["ZSpectr.Props"] = [
            _switched(before[0], backward),
            points or before[1],
            sweeps or before[2],
            _switched(before[3], autosave),
            _switched(before[4], dialog),
            _switched(before[5], save_all),
        ]

    @_answers("ZSpectr.PropsGet")
    def _get_z_props(self) -> list[Any]:
        backward, points, *rest = self.settings["ZSpectr.Props"]
        return [backward, points, [], ["X (m)", "Y (m)", "Z (m)"], *rest]

    @_answers("ZSpectr.TimingSet")
    def _set_z_timing(self, *wanted: float) -> None:
        self.settings["ZSpectr.Timing"] = _changed(self.settings["ZSpectr.Timing"], list(wanted))

    @_answers("ZSpectr.RetractSet")
    def _set_retract(self, on: int, threshold: float, signal: int, comparison: int) -> None:
        before = self.settings["ZSpectr.Retract"]
        self.settings["ZSpectr.Retract"] = [_switched(before[0], on), threshold, signal, comparison]

    @_answers("ZSpectr.Start")
    def _start_z(self, get_data: int, base_name: str) -> list[Any]:  # noqa: ARG002  nothing is saved here
        if "ZSpectr" not in self._opened:
            raise RefusalError("the Z Spectroscopy module is not open")
        backward, points, _, _, dialog, _ = self.settings["ZSpectr.Props"]
        if dialog or not backward:
            raise RefusalError("only Z spectra there and back, without a dialog, are simulated")
        if self.twin.info.spectroscopy.waveform != "z":
            raise RefusalError("this simulator has no force curves; start it with -o spectroscopy=force")
        offset, distance = self.settings["ZSpectr.Range"]
        if offset or distance < 0:
            raise RefusalError("only Z spectra that begin at the surface and lift the tip are simulated")
        up = np.linspace(0.0, distance / M_PER_NM, points)
        (indexes,) = self.settings["ZSpectr.Chs"]
        labels = [signals.NAMES[index] for index in indexes]
        names = ["Z rel (m)", *labels, *(label.replace(" (", " [bwd] (") for label in labels)]
        settling, integration = self.settings["ZSpectr.Timing"][3:5]
        try:
            with self._action("force curve"):
                force = self.twin.spectrum(np.concatenate([up, up[::-1]]), float(settling + integration)).spectrum
        except Interrupted:
            return [names, np.empty((len(names), 0)), []]
        self.spectra += 1
        deflection = force / NN_PER_V
        on, threshold, index, comparison = self.settings["ZSpectr.Retract"]
        beyond = deflection > threshold if comparison == 0 else deflection < threshold
        if on and index == signals.DEFLECTION and beyond.any():
            points = min(int(beyond.argmax()) % points, points - 1)  # the ramp ended there
        ways = (deflection[: len(up)], deflection[: len(up) - 1 : -1])  # each from the lowest point on
        rows = [way if index == signals.DEFLECTION else 0 * way for way in ways for index in indexes]
        x, y = self._from_twin(*self.twin.position())
        if not get_data:
            return [[], np.empty((0, 0)), []]
        return [names, np.stack([up * M_PER_NM, *rows])[:, :points], [x, y, self._z]]

    # ---- inside ----

    def _signal(self, index: int) -> float:
        if index == signals.LOCK_IN_X:
            return self._lock_in()
        x, y = self._from_twin(*self.twin.position())
        known = {
            signals.DEFLECTION: self.twin.force() / NN_PER_V,
            signals.CURRENT: self.twin.force() / NN_PER_NA * A_PER_NA if self._regulates == "Current" else 0.0,
            signals.BIAS: self.settings["Bias"][0],
            signals.X: x,
            signals.Y: y,
            signals.Z: self._z,
        }
        return float(known.get(index, 0.0))

    def _lock_in(self) -> float:
        """Return the piezoresponse in V under the tip, after all pulses of the bias since it came here."""
        if not self.twin.in_contact() or not self._pulses or self.twin.info.spectroscopy.unit != "a.u.":
            return 0.0
        self._readings += 1
        noise = np.random.default_rng([self.twin.seed, self._readings])
        channels = self.twin.sample.spectra(np.array([self.twin.true_position()]), np.array(self._pulses), noise)
        return float(channels[-1 if self.settings["Bias"][0] else 0, 0, -1]) * V_PER_AU

    def _check_index(self, index: int) -> None:
        if not 0 <= index < len(signals.NAMES):
            raise RefusalError(f"signal index {index} out of range")

    def _to_twin(self, x: float, y: float) -> tuple[float, float]:
        return x / M_PER_NM + self._centre[0], y / M_PER_NM + self._centre[1]

    def _from_twin(self, x: float, y: float) -> tuple[float, float]:
        return (x - self._centre[0]) * M_PER_NM, (y - self._centre[1]) * M_PER_NM

    @contextmanager
    def _action(self, what: str) -> Iterator[None]:
        self._claim(what)
        try:
            yield
        except Interrupted:
            if what != "move":  # a move that was stopped answers as one that has arrived
                raise
        finally:
            self._release()

    def _claim(self, what: str) -> None:
        if not self._busy.acquire(blocking=False):
            raise RefusalError(f"busy: a {self._doing or 'command'} is running")
        self._doing = what

    def _release(self) -> None:
        self._doing = ""
        self._busy.release()

    def _stop(self, what: str) -> None:
        while self._doing == what:  # a stop that comes while the twin's action starts is lost
            self.twin.stop()
            time.sleep(0.005)

    def _quiet(self) -> None:
        """Stop until nothing runs."""
        while self._doing:
            self.twin.stop()
            time.sleep(0.005)


def _stored(setting: str, setter: str, getter: str) -> None:
    """Add a command that only stores its values, and one that answers them."""

    def put(self: SimulatedController, *values: Any) -> None:
        self.settings[setting] = list(values)

    def get(self: SimulatedController) -> list[Any]:
        return self.settings[setting]

    for name, handler in ((setter, put), (getter, get)):
        if name not in _HANDLERS:
            handler.__name__ = f"_stored_{name.replace('.', '_')}"
            setattr(SimulatedController, handler.__name__, handler)
            _HANDLERS[name] = handler.__name__


for _setting in (
    "FolMe.Speed", "FolMe.PSOnOff", "Scan.Frame", "Scan.Buffer", "Scan.Speed", "ZCtrl.Setpnt", "SafeTip.OnOff",
    "BiasSpectr.AdvProps", "BiasSpectr.Timing", "BiasSpectr.MLSMode", "BiasSpectr.MLSLockinPerSeg",
    "BiasSpectr.MLSVals", "ZSpectr.Range", "ZSpectr.Timing", "ZSpectr.Retract",
):  # fmt: skip
    _stored(_setting, f"{_setting}Set", f"{_setting}Get")
