"""Examine step by step whether a backend does what :class:`~ophyd_devices.backend.AfmBackend` demands.

Without contact the tip stays off the surface: it is not engaged, moves are a hundredth of the scan range, and the bias
is 0 V. With contact the tip touches the surface with the smallest setpoint, takes one small frame, and takes one
spectrum with a hundredth of the largest amplitude.
"""

import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from ophyd_devices.backend import AfmBackend, Area, BackendError, Info, Interrupted
from ophyd_devices.waveform import there_and_back

MOVE_S = 0.25
"""Duration of a small move, s."""
STOP_S = 2.0
"""A stop must end an action within this time, s."""
TOLERANCE = 0.1
"""A scanner may miss its target by this fraction of a small move."""


class Verdict(StrEnum):
    """How a step ended."""

    WORKS = "works"
    FAILS = "fails"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Finding:
    """The result of one step.

    Attributes
    ----------
    step : str
        What was examined.
    verdict : Verdict
        How it ended: ``"works"``, ``"fails"`` or ``"skipped"``.
    detail : str
        What was seen, or why the step was skipped.
    advice : str
        What to check if it fails; else empty.
    """

    step: str
    verdict: Verdict
    detail: str
    advice: str = ""


class _WrongError(Exception):
    """The backend does not do what it should."""


class _Skip(Exception):
    """The step can show nothing on this backend."""


@dataclass(frozen=True)
class _Step:
    name: str
    advice: str
    examine: Callable[[AfmBackend], str]


def examine(backend: AfmBackend, *, contact: bool = False) -> Iterator[Finding]:
    """Examine `backend` and yield the result of each step. The tip ends withdrawn.

    Parameters
    ----------
    backend : AfmBackend
        Nothing else may use it at the same time.
    contact : bool
        Also engage, image and measure.
    """
    try:
        for step in (*WITHOUT_CONTACT, *(WITH_CONTACT if contact else ())):
            finding = _examine(step, backend)
            yield finding
            if finding.verdict is Verdict.FAILS and step in _VITAL:
                return
    finally:
        backend.withdraw()


def _examine(step: _Step, backend: AfmBackend) -> Finding:
    try:
        return Finding(step.name, Verdict.WORKS, step.examine(backend))
    except _Skip as reason:
        return Finding(step.name, Verdict.SKIPPED, str(reason))
    except Exception as error:  # noqa: BLE001  the doctor reports whatever a backend raises
        told = str(error) if isinstance(error, _WrongError | BackendError) else f"{type(error).__name__}: {error}"
        return Finding(step.name, Verdict.FAILS, told, step.advice)


def _require(condition: bool, sentence: str) -> None:
    if not condition:
        raise _WrongError(sentence)


def _protocol(backend: AfmBackend) -> str:
    names = sorted(name for name in dir(AfmBackend) if not name.startswith("_"))
    missing = [name for name in names if not hasattr(backend, name)]
    _require(not missing, f"expected {len(names)} members, {', '.join(missing)} are missing")
    return f"all {len(names)} members are there"


def _info(backend: AfmBackend) -> str:
    info = backend.info
    kind = info.spectroscopy
    names = [channel.name for channel in info.channels]
    x_min, x_max, y_min, y_max = info.scan_range
    low, high = info.setpoint_range
    _require(len(names) > 0 and len(set(names)) == len(names), f"expected channels with different names, got {names}")
    _require(
        x_min < x_max and y_min < y_max, f"expected a scan range (x_min, x_max, y_min, y_max), got {info.scan_range}"
    )
    _require(min(info.pixels) >= 2, f"expected pixels (ny, nx) of at least 2, got {info.pixels}")
    _require(0 <= low < high, f"expected a setpoint range 0 ≤ low < high in nN, got {info.setpoint_range}")
    _require(math.isfinite(info.amplitude_max) and info.amplitude_max >= 0, f"amplitude_max is {info.amplitude_max} V")
    if kind.axis is not None:
        axis = np.asarray(kind.axis)
        _require(axis.ndim == 1 and axis.size > 0 and bool(np.isfinite(axis).all()), "the axis must be finite, (K,)")
    spectra = [channel.name for channel in kind.channels]
    _require(len(set(spectra)) == len(spectra), f"expected spectra with channels of different names, got {spectra}")
    if kind.full_scale is not None:
        _require(kind.full_scale[0] < kind.full_scale[1], f"expected full_scale (low, high), got {kind.full_scale}")
    return (
        f"channels {', '.join(names)}; {x_max - x_min:g} × {y_max - y_min:g} nm; {kind.quantity} in {kind.unit}; "
        f"{low:g} … {high:g} {info.setpoint_unit}; ±{info.amplitude_max:g} V"
        + ("; simulated" if info.simulated else "")
    )


def _describe(backend: AfmBackend) -> str:
    facts = dict(backend.describe())
    json.dumps(facts, allow_nan=False)
    return f"facts for the start document: {', '.join(facts)}"


def _time(backend: AfmBackend) -> str:
    times = [backend.time() for _ in range(5)]
    _require(all(math.isfinite(moment) for moment in times), f"expected finite times in s, got {times}")
    _require(times == sorted(times), f"expected times that never go back, got {times}")
    return f"{times[-1]:g} s"


def _withdraw(backend: AfmBackend) -> str:
    for _ in range(2):
        backend.withdraw()
        _require(not backend.in_contact(), "in_contact() is true after withdraw()")
    return f"twice without harm; off the surface, force {backend.force():g} nN"


def _position(backend: AfmBackend) -> str:
    x, y = backend.position()
    x_min, x_max, y_min, y_max = backend.info.scan_range
    _require(
        x_min <= x <= x_max and y_min <= y <= y_max,
        f"({x:g}, {y:g}) nm is outside the scan range {backend.info.scan_range}",
    )
    return f"({x:g}, {y:g}) nm"


def _moves(backend: AfmBackend) -> str:
    start = backend.position()
    step = _small(backend.info)
    before = backend.time()
    for axis in range(2):
        target = _aside(backend.info, start, axis)
        backend.move(*target, step / MOVE_S, 0.0)
        _arrived(backend, target, step)
        backend.move(*start, step / MOVE_S, 0.0)
        _arrived(backend, start, step)
    took = backend.time() - before
    _require(took > 0, f"four moves of {MOVE_S:g} s took {took:g} s of the instrument's time")
    return f"{step:g} nm in x and in y and back, in {took:.1f} s"


def _refusals(backend: AfmBackend) -> str:
    info, start = backend.info, backend.position()
    x_min, x_max, y_min, _ = info.scan_range
    outside = (x_max + (x_max - x_min), y_min)
    bias = np.zeros(4) if info.spectroscopy.axis is None else info.spectroscopy.axis
    attempts: dict[str, Callable[[], object]] = {
        "a move out of the scan range": lambda: backend.move(*outside, 1e3, 0.0),
        "a move to NaN": lambda: backend.move(math.nan, start[1], 1e3, 0.0),
        "a frame with the tip withdrawn": lambda: backend.frame(_area(info, start), _pixels(info), 10.0, _ignore),
        "a spectrum with the tip withdrawn": lambda: backend.spectrum(bias, 1e-3),
    }
    for what, attempt in attempts.items():
        _refused(what, attempt)
        _arrived(backend, start, _small(info))
    return f"refused, and nothing moved: {', '.join(attempts)}"


def _stop(backend: AfmBackend) -> str:
    backend.stop()  # nothing runs: this must not hit the next move
    start, step = backend.position(), _small(backend.info)
    target = _aside(backend.info, start, 0)
    backend.move(*start, step / MOVE_S, 0.0)
    began, stopped = time.monotonic(), [0.0]

    def stop() -> None:
        stopped[0] = time.monotonic()
        backend.stop()

    timer = threading.Timer(0.3, stop)
    timer.start()
    try:
        backend.move(*target, step / (40 * MOVE_S), 0.0)
    except Interrupted:
        ended = time.monotonic() - stopped[0]
        backend.move(*start, step / MOVE_S, 0.0)
        _require(ended < STOP_S, f"the stop took {ended:.1f} s; a tip needs less than {STOP_S:g} s")
        return f"a move of {40 * MOVE_S:g} s ended {ended * 1e3:.0f} ms after stop() from another thread"
    finally:
        timer.cancel()
        timer.join()
    backend.move(*start, step / MOVE_S, 0.0)
    if time.monotonic() - began < 0.3:
        raise _Skip("the move was over before it could be stopped: time is simulated")
    raise _WrongError("stop() from another thread did not end the move with Interrupted")


def _keep_alive(backend: AfmBackend) -> str:
    backend.keep_alive(60.0)
    backend.keep_alive(0.0)
    return "a promise was taken and given back"


def _reference(backend: AfmBackend) -> str:
    info = backend.info
    bias = np.zeros(8) if info.spectroscopy.axis is None else info.spectroscopy.axis
    truth = backend.reference(np.array([backend.position()]), bias)
    if truth is None:
        _require(not info.simulated, "a simulated instrument knows the true spectra, got None")
        return "the truth is not known, as on any real instrument"
    _require(truth.shape == (1, len(bias)), f"expected true spectra of shape (1, {len(bias)}), got {truth.shape}")
    return f"true spectra of {len(bias)} steps"


def _engage(backend: AfmBackend) -> str:
    setpoint = _gentle(backend.info)
    for _ in range(2):
        backend.engage(setpoint)
        _require(backend.in_contact(), "in_contact() is false after engage()")
    force = backend.force()
    _require(math.isfinite(force), f"expected a force in nN, got {force}")
    unit = backend.info.setpoint_unit
    return f"twice without harm; {force:g} {unit} measured at a setpoint of {setpoint:g} {unit}"


def _setpoint(backend: AfmBackend) -> str:
    low, _ = backend.info.setpoint_range
    if low <= 0:
        raise _Skip("the setpoint range begins at 0 nN, and a larger one than allowed is not tried on a tip")
    _refused("a setpoint below the range", lambda: backend.engage(low / 2))
    return f"{low / 2:g} nN was refused"


def _frame(backend: AfmBackend) -> str:
    backend.engage(_gentle(backend.info))
    info, lines = backend.info, []
    ny, nx = _pixels(info)
    frame = backend.frame(
        _area(info, backend.position()), (ny, nx), 10.0, lambda done, total: lines.append((done, total))
    )
    shape = (len(info.channels), ny, nx)
    _require(frame.shape == shape, f"expected a frame of shape {shape}, got {frame.shape}")
    _require(frame.dtype == np.float32, f"expected float32, got {frame.dtype}")
    _require(bool(np.isfinite(frame).all()), f"{int((~np.isfinite(frame)).sum())} values of the frame are not finite")
    _require(bool(lines) and lines[-1] == (ny, ny), f"expected progress up to {(ny, ny)}, got {lines[-1:]}")
    return f"{shape}, {len(lines)} reports of progress"


def _spectrum(backend: AfmBackend) -> str:
    backend.engage(_gentle(backend.info))
    info = backend.info
    kind = info.spectroscopy
    bias = info.amplitude_max / 100 * np.sin(np.arange(16) * np.pi / 8) if kind.axis is None else kind.axis
    if info.ramp is not None:
        bias = there_and_back(min(info.ramp.range_max, info.ramp.speed_max * 7e-3) / 100, 8)
    loop = backend.spectrum(bias, 1e-3)
    _require(loop.spectrum.shape == bias.shape, f"expected a spectrum {bias.shape}, got {loop.spectrum.shape}")
    shape = (len(kind.channels), len(bias))
    _require(loop.channels.shape == shape, f"expected channels of shape {shape}, got {loop.channels.shape}")
    _require(0 <= loop.resonance <= 1, f"expected a resonance of 0 … 1, got {loop.resonance}")
    _require(bool(np.isfinite(loop.channels).all()), "the spectrum is not finite")
    return f"{len(bias)} steps, {np.ptp(loop.spectrum):.3g} {kind.unit} high, resonance at {loop.resonance:.0%} of them"


def _lift(backend: AfmBackend) -> str:
    backend.withdraw()
    _require(not backend.in_contact(), "in_contact() is true after withdraw()")
    return "off the surface"


def _refused(what: str, attempt: Callable[[], object]) -> None:
    try:
        attempt()
    except BackendError:
        return
    raise _WrongError(f"expected BackendError for {what}, it was accepted")


def _arrived(backend: AfmBackend, target: tuple[float, float], step: float) -> None:
    x, y = backend.position()
    miss = math.hypot(x - target[0], y - target[1])
    _require(miss <= TOLERANCE * step, f"expected ({target[0]:g}, {target[1]:g}) nm, position() says ({x:g}, {y:g}) nm")


def _small(info: Info) -> float:
    x_min, x_max, y_min, y_max = info.scan_range
    return min(x_max - x_min, y_max - y_min) / 100


def _aside(info: Info, start: tuple[float, float], axis: int) -> tuple[float, float]:
    """Return the position a small move away along `axis`, towards the centre."""
    low, high = info.scan_range[2 * axis : 2 * axis + 2]
    target = list(start)
    target[axis] += math.copysign(_small(info), (low + high) / 2 - start[axis])
    return target[0], target[1]


def _area(info: Info, centre: tuple[float, float]) -> Area:
    if info.fixed_frame:
        return info.scan_range
    step = _small(info)
    x_min, x_max, y_min, y_max = info.scan_range
    x, y = min(max(centre[0], x_min + step), x_max - step), min(max(centre[1], y_min + step), y_max - step)
    return x - step, x + step, y - step, y + step


def _pixels(info: Info) -> tuple[int, int]:
    return info.pixels if info.fixed_frame else (8, 8 * info.pixels_multiple)


def _gentle(info: Info) -> float:
    """Return the smallest setpoint in nN."""
    low, high = info.setpoint_range
    return low or high / 100


def _ignore(_done: int, _total: int) -> None:
    pass


_PROTOCOL = _Step("protocol", "add the missing members; backend.py says what each does", _protocol)
_INFO = _Step("info", "correct what info returns; units are nm, nN, V", _info)
_WITHDRAW = _Step("withdraw", "look at the tip, and lift it by hand before you go on", _withdraw)
_VITAL = (_PROTOCOL, _INFO, _WITHDRAW)
"""If one of these fails, the examination ends: going on could harm the tip."""

WITHOUT_CONTACT = (
    _PROTOCOL,
    _INFO,
    _Step("describe", "return only text, numbers, lists and dicts: the start document is JSON", _describe),
    _Step("time", "use one clock of the instrument, in s", _time),
    _WITHDRAW,
    _Step("position", "return the scanner's read-back in nm, in the coordinates of info.scan_range", _position),
    _Step("small moves", "check units (nm, nm/s), signs, and that move() returns only on arrival", _moves),
    _Step("refusals", "raise BackendError before anything moves", _refusals),
    _Step("stop", "let stop() end the running call from any thread; that call raises Interrupted", _stop),
    _Step("keep_alive", "keep_alive(seconds) takes a promise, keep_alive(0) gives it back", _keep_alive),
    _Step("reference", "return None on a real instrument", _reference),
)
"""The steps that leave the tip off the surface, in order."""

WITH_CONTACT = (
    _Step("engage", "return from engage() only in contact; engaging twice only changes the setpoint", _engage),
    _Step("setpoint", "refuse what is outside info.setpoint_range, in nN", _setpoint),
    _Step("frame", "return float32 (C, ny, nx) and report progress up to the last line", _frame),
    _Step("spectrum", "return one value for each step of the bias", _spectrum),
    _Step("withdraw again", "look at the tip, and lift it by hand", _lift),
)
"""The steps that touch the surface, in order."""
