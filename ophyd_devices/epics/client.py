"""A backend that drives an AFM over Channel Access."""

import contextlib
import inspect
import itertools
import json
import math
import secrets
import time
from collections.abc import Mapping, Sequence
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
from caproto import AlarmSeverity, CaprotoError
from caproto.threading.client import PV, Context
from numpy.typing import NDArray

from ophyd_devices.backend import Area, BackendError, Interrupted, Loop, Progress
from ophyd_devices.epics import wire
from ophyd_devices.epics.wire import Outcome

NAMES = (
    "Info", "Sample", "Session", "Time", "Position", "Contact", "Force",
    "Done", "Outcome", "Message",
    "Move", "Engage", "Withdraw", "Frame", "Spectrum", "Reference", "Stop",
    "Frame:Lines", "Frame:Shape", "Frame:Data",
    "Spectrum:Data", "Spectrum:Others", "Spectrum:Resonance",
    "Reference:Shape", "Reference:Data",
    "KeepAlive",
)  # fmt: skip
"""The names of the PVs, after the prefix."""

_write_once = inspect.unwrap(PV.write)  # caproto's own write repeats a put after a reconnection

POLL_S = 0.1
"""How often a waiting client checks that the server is still connected."""
PATIENCE_S = 0.5
"""How long to wait for a server that was lost a moment ago."""
VALUES_PER_S = 1e6
"""A waveform may take longer than the timeout, by its length over this rate: slower than any network in use."""


class EpicsBackend:
    """An :class:`~ophyd_devices.backend.AfmBackend` behind the PVs of ``curio ioc``, or of an IOC with the same PVs.

    An action is sent exactly once and never repeated automatically. It ends when the IOC says so, or at once when the
    server is lost. Values arrive bit by bit as the IOC has them. ``EPICS_CA_ADDR_LIST``, ``EPICS_CA_AUTO_ADDR_LIST``
    and ``EPICS_CA_SERVER_PORT`` tell where the server is.

    Parameters
    ----------
    prefix : str
        In front of each PV's name, e.g. ``"afm:"``.
    timeout : float
        How long to wait for a connection or a value, in s. Actions have no limit here.

    Raises
    ------
    BackendError
        If a PV is not found within `timeout`.
    """

    def __init__(self, prefix: str, timeout: float = 5.0) -> None:
        self.prefix = prefix
        self._timeout = timeout
        self._client = float(secrets.randbits(40) + 1)
        self._tokens = itertools.count(secrets.randbits(40) + 1)
        self._running = 0
        self._closed = False
        self._promise = 0.0
        self._patience = timeout
        self._session: str | None = None
        self._context = Context(timeout=timeout)
        pvs = self._context.get_pvs(*(prefix + name for name in NAMES))
        self._pvs: dict[str, PV] = dict(zip(NAMES, pvs, strict=True))
        try:
            self._connect()
            self._described = self._text("Info")
            self.info = wire.decode_info(self._described)
            self._session = self._text("Session")
        except BaseException:
            self._context.disconnect()
            raise

    def describe(self) -> Mapping[str, Any]:
        """Return the IOC's facts about sample and instrument, and the prefix."""
        return {**json.loads(self._text("Sample")), "epics_prefix": self.prefix}

    def time(self) -> float:
        """Return the instrument's time in s."""
        return float(self._read("Time")[0])

    def position(self) -> tuple[float, float]:
        """Return x and y in nm."""
        x, y = self._read("Position")
        return float(x), float(y)

    def in_contact(self) -> bool:
        """Return whether the tip touches the surface."""
        return bool(self._read("Contact")[0])

    def force(self) -> float:
        """Return the measured force in nN."""
        return float(self._read("Force")[0])

    def move(self, x: float, y: float, velocity: float, settle: float) -> None:
        """Move in a straight line; see :class:`~ophyd_devices.backend.AfmBackend`."""
        self._act("Move", [x, y, velocity, settle])

    def engage(self, setpoint: float) -> None:
        """Approach, or change the setpoint in contact."""
        self._act("Engage", [setpoint])

    def withdraw(self) -> None:
        """Lift the tip; works also right after the server was started again."""
        self._act("Withdraw", [], whatever_happened=True)

    def frame(self, area: Area, pixels: tuple[int, int], line_rate: float, progress: Progress) -> NDArray[np.float32]:
        """Image `area`; return (C, ny, nx), row 0 at y_min."""
        done = 0

        def advance(lines: int, total: int) -> None:
            nonlocal done
            if lines > done:
                done = lines
                progress(lines, total)

        def follow(_: Any, response: Any) -> None:
            if len(response.data) == 3 and response.data[0] == self._running:
                advance(int(response.data[1]), int(response.data[2]))

        self._connect()
        # For this frame only: caproto's thread that renews monitors does not survive the loss of a server.
        monitor = self._pvs["Frame:Lines"].subscribe(data_type="native")
        monitor.add_callback(follow)
        try:
            self._act("Frame", [*area, *pixels, line_rate])
        finally:
            with contextlib.suppress(CaprotoError, OSError):
                monitor.clear()
        advance(pixels[0], pixels[0])  # the monitor's last update may be late
        shape = tuple(int(number) for number in self._read("Frame:Shape"))
        return self._waveform("Frame:Data", np.float32, shape)

    def spectrum(self, bias: NDArray[np.float64], dwell: float) -> Loop:
        """Measure at the present position."""
        self._act("Spectrum", [dwell, *np.asarray(bias, dtype=np.float64)])
        others, number = None, len(self.info.spectroscopy.others)
        if number:
            others = self._waveform("Spectrum:Others", np.float64, (number, len(bias)))
        resonance = float(self._read("Spectrum:Resonance")[0])
        return Loop(self._waveform("Spectrum:Data", np.float64, (len(bias),)), others, resonance)

    def reference(
        self, positions: NDArray[np.float64], bias: NDArray[np.float64], channel: int = 0
    ) -> NDArray[np.float64] | None:
        """Return the true spectra (N, K) if the IOC knows them."""
        positions = np.asarray(positions, dtype=np.float64)
        self._act("Reference", wire.encode_reference(positions, np.asarray(bias, dtype=np.float64), channel))
        shape = tuple(int(number) for number in self._read("Reference:Shape"))
        return self._waveform("Reference:Data", np.float64, shape) if shape[0] else None

    def keep_alive(self, seconds: float) -> None:
        """Promise a sign of life within `seconds`, 0.05 … 3600; 0 ends the promise.

        While an action runs, the waiting client renews the promise. If it is broken, the IOC stops what runs and
        withdraws. Promises of other clients are not changed.

        Raises
        ------
        BackendError
            If the IOC refuses the promise, or is lost.
        """
        response = self._put("KeepAlive", [self._client, seconds], self._timeout)
        if not response.status.success:
            raise BackendError(f"the IOC refused the promise of a sign of life: {self._text('Message')}")
        self._promise = seconds

    def stop(self) -> None:
        """End the running action, from any thread. If the server is lost, the action itself reports it."""
        if self._running:
            with contextlib.suppress(BackendError):
                self._send("Stop", [self._running])

    def close(self) -> None:
        """Withdraw, end the promise and disconnect; do nothing the second time."""
        if self._closed:
            return
        self._closed = True
        try:
            self.withdraw()
            if self._promise:
                self.keep_alive(0)
        finally:
            self._context.disconnect()

    def _act(
        self, name: str, arguments: Sequence[float] | NDArray[np.float64], *, whatever_happened: bool = False
    ) -> None:
        """Send the action once and wait until it has ended.

        Raises
        ------
        Interrupted
            If it was stopped.
        BackendError
            If it was refused, or the server was lost or was started again since the last action.
        """
        self._connect()
        self._check_session(whatever_happened)
        token = next(self._tokens)
        values = np.concatenate([[token], arguments]).astype(np.float64)
        pv = self._pvs[name]
        if len(values) > pv.channel.native_data_count:
            raise BackendError(
                f"{pv.name} takes {pv.channel.native_data_count} numbers, got {len(values)}; "
                "choose fewer steps or places"
            )
        self._running = token
        try:
            response = self._put(name, values)
        finally:
            self._running = 0
        if not response.status.success:
            raise BackendError(f"the IOC refused {name}: {self._text('Message')}")
        outcome, message = Outcome(int(self._read("Outcome")[0])), self._text("Message")
        if self._read("Done")[0] != token:
            raise BackendError(
                f"another client uses {self.prefix} at the same time, so it is not known how {name} ended; "
                "let one client at a time give commands"
            )
        if outcome is Outcome.STOPPED:
            raise Interrupted(message)
        if outcome is Outcome.REFUSED:
            raise BackendError(message)

    def _put(self, name: str, values: Sequence[float] | NDArray[np.float64], timeout: float = math.inf) -> Any:
        """Put once, wait for the reply and return it; meanwhile renew the promise.

        Raises
        ------
        BackendError
            If the server is lost, or does not reply within `timeout`.
        """
        self._connect()
        circuit, replies = self._pvs[name].circuit_manager, SimpleQueue[Any]()
        began = promised = time.monotonic()
        self._send(name, values, callback=replies.put)
        while True:
            with contextlib.suppress(Empty):
                return replies.get(timeout=min(POLL_S, self._promise / 4 or POLL_S))
            now = time.monotonic()
            if circuit.dead.is_set() or now - began > timeout:
                raise self._lost(f"the server of {self.prefix} was lost during {name}")
            if self._promise and now - promised > self._promise / 4:
                promised = now
                self._send("KeepAlive", [self._client, self._promise])

    def _lost(self, what: str) -> BackendError:
        """Return the error for a server that does not answer; it says what is known of the tip and what to do."""
        self._session = None  # reported now, and not again when the server is back
        self._patience = PATIENCE_S
        watchdog = ""
        if self._promise:
            watchdog = f" (where the IOC still runs, it withdraws {self._promise:g} s after our last sign of life)"
        return BackendError(
            f"{what}; the tip's state is not known{watchdog}. Look at the instrument; check that the IOC runs (it "
            "begins by withdrawing), its prefix, and EPICS_CA_ADDR_LIST; then start a new run"
        )

    def _check_session(self, whatever_happened: bool) -> None:
        session = self._text("Session")
        if session == self._session or whatever_happened:
            return
        if self._text("Info") != self._described:
            raise BackendError(f"{self.prefix} now serves another instrument; make a new AFM for it, nothing was done")
        before, self._session = self._session, session
        if before is not None:
            tip = "engaged" if self.in_contact() else "withdrawn"
            x, y = self.position()
            raise BackendError(
                f"the server of {self.prefix} was started again in between: the tip is {tip} at ({x:g}, {y:g}) nm, "
                "nothing was done; start a new run"
            )

    def _connect(self) -> None:
        """Wait until all PVs are connected. After a failure wait only briefly, so that a plan ends soon."""
        if all(pv.connected for pv in self._pvs.values()):
            self._patience = self._timeout
            return
        deadline = time.monotonic() + self._patience
        self._context.broadcaster.search_now()
        while missing := [pv.name for pv in self._pvs.values() if not pv.connected]:
            if time.monotonic() > deadline:
                raise self._lost(f"no answer from {len(missing)} of {len(NAMES)} PVs ({missing[0]} …)")
            time.sleep(0.01)

    def _send(self, name: str, values: Sequence[float] | NDArray[np.float64], callback: Any = None) -> None:
        try:
            _write_once(self._pvs[name], values, wait=False, callback=callback, timeout=None)
        except (CaprotoError, OSError) as error:
            raise self._lost(f"{self.prefix}{name} could not be put: {error}") from error

    def _response(self, name: str, timeout: float) -> Any:
        self._connect()
        try:
            response = self._pvs[name].read(data_type="time", timeout=timeout)
        except (CaprotoError, OSError) as error:
            raise self._lost(f"{self.prefix}{name} could not be read within {timeout:g} s: {error}") from error
        if response.metadata.severity == AlarmSeverity.INVALID_ALARM:
            raise BackendError(f"the IOC has no valid {self.prefix}{name}: {self._text('Message')}")
        return response

    def _read(self, name: str) -> NDArray[Any]:
        data: NDArray[Any] = self._response(name, self._timeout).data
        return data

    def _text(self, name: str) -> str:
        return bytes(self._read(name)).rstrip(b"\0").decode()

    def _waveform(self, name: str, dtype: type, shape: tuple[int, ...]) -> NDArray[Any]:
        size = int(np.prod(shape))
        data: NDArray[Any] = self._response(name, self._timeout + size / VALUES_PER_S).data
        if data.size != size:
            raise BackendError(f"expected {shape} values from {self.prefix}{name}, got {data.size}; check the IOC")
        return data.astype(dtype).reshape(shape)
