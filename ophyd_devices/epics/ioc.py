"""An IOC that serves any backend over Channel Access.

The server's loop never waits for the instrument: one worker thread calls the backend, one call at a time. Only
:meth:`~ophyd_devices.backend.AfmBackend.stop` comes from another thread. The IOC starts and ends with the tip
withdrawn.
"""

import asyncio
import contextlib
import json
import logging
import signal
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from caproto import AlarmSeverity, AlarmStatus, CAStatus, ChannelType
from caproto.asyncio.server import Context
from caproto.server import PVGroup, PvpropertyData, pvproperty
from numpy.typing import NDArray

from ophyd_devices.backend import AfmBackend, BackendError, Interrupted, Loop
from ophyd_devices.epics import wire
from ophyd_devices.epics.wire import Outcome, Watchdog

INSIST_S = 0.05
"""The watchdog repeats a stop after this time: one that arrives while an action starts may be lost."""


class _Answering:
    """A PV that replies to every put. To one that fails, caproto sends an error response that its clients ignore."""

    async def auth_write(self, *arguments: Any, **options: Any) -> Any:
        """Write what a client puts. Where that fails, the put completes as failed, and ``Message`` says why."""
        try:
            return await super().auth_write(*arguments, **options)  # type: ignore[misc]
        except Exception as error:  # noqa: BLE001  the client is told whatever is wrong with its put
            pv: Any = self
            why = str(error) or "the value cannot be converted"
            await pv.group.message.write(f"{pv.pvname} refused a put: {why}")
            if pv.alarm.status is AlarmStatus.WRITE:  # set by caproto, and kept for all PVs of the group
                await pv.alarm.write(status=AlarmStatus.NO_ALARM, severity=AlarmSeverity.NO_ALARM)
            return CAStatus.ECA_PUTFAIL


def _answering(types: Mapping[Any, type]) -> dict[Any, type]:
    return {dtype: type(kind.__name__, (_Answering, kind), {}) for dtype, kind in types.items()}


def _text(name: str, doc: str, **more: Any) -> Any:
    return pvproperty(
        value="", name=name, doc=doc, dtype=ChannelType.CHAR, max_length=wire.TEXT_MAX, string_encoding="utf-8",
        read_only=True, **more,
    )  # fmt: skip


def _reading(name: str, doc: str, value: Any, ask: Callable[[AfmBackend], Any], **more: Any) -> Any:
    """Return a PV that asks the instrument each time it is read, unless an action runs."""

    async def get(ioc: "AfmIoc", instance: PvpropertyData) -> Any:
        return await ioc._fresh(instance, lambda: ask(ioc.backend))

    # In the default group a reading would share its alarm with all PVs.
    return pvproperty(get=get, value=value, name=name, doc=doc, read_only=True, alarm_group=name, **more)


def _numbers(name: str, doc: str, length: int, dtype: Any = float) -> Any:
    return pvproperty(value=[0], name=name, doc=doc, dtype=dtype, max_length=length, read_only=True)


def _number(name: str, doc: str, value: float) -> Any:
    return pvproperty(value=value, name=name, doc=doc, read_only=True)


def _choice(name: str, doc: str, choices: type[Outcome] | type[Watchdog]) -> Any:
    strings = [choice.name.lower() for choice in choices]
    return pvproperty(
        value=strings[0], name=name, doc=doc, dtype=ChannelType.ENUM, enum_strings=strings, read_only=True
    )


def _action(name: str, doc: str, length: int, put: Callable[..., Any]) -> Any:
    return pvproperty(put=put, value=[0.0], name=name, doc=doc, dtype=float, max_length=length)


class AfmIoc(PVGroup):
    """The PVs of an AFM; ``docs/how-to/epics.md`` lists them.

    Parameters
    ----------
    backend : AfmBackend
        Nothing else may call it while the IOC runs.
    prefix : str
        In front of each PV's name.
    """

    type_map = _answering(PVGroup.type_map)
    type_map_read_only = _answering(PVGroup.type_map_read_only)

    _running: tuple[float, str] | None = None  # token and name
    _broken = ""  # why the watchdog is withdrawing
    _withdrawing: asyncio.Task[Any] | None = None

    async def _move(self, _: PvpropertyData, values: Sequence[float]) -> None:
        await self._act("Move", values, 4, lambda numbers: self.backend.move(*numbers.tolist()))

    async def _engage(self, _: PvpropertyData, values: Sequence[float]) -> None:
        await self._act("Engage", values, 1, lambda numbers: self.backend.engage(float(numbers[0])))

    async def _withdraw(self, _: PvpropertyData, values: Sequence[float]) -> None:
        await self._act("Withdraw", values, 0, lambda _: self.backend.withdraw())

    async def _image(self, _: PvpropertyData, values: Sequence[float]) -> None:
        loop = asyncio.get_running_loop()

        def progress(done: int, total: int) -> None:
            if self._running is not None:
                lines = [self._running[0], done, total]
                loop.call_soon_threadsafe(lambda: loop.create_task(self.frame_lines.write(lines)))

        def image(numbers: NDArray[np.float64]) -> NDArray[np.float32]:
            x_min, x_max, y_min, y_max, ny, nx, line_rate = numbers.tolist()
            if ny != int(ny) or nx != int(nx):
                raise BackendError(f"expected whole numbers of pixels, got {ny} × {nx}; nothing was done")
            return self.backend.frame((x_min, x_max, y_min, y_max), (int(ny), int(nx)), line_rate, progress)

        async def publish(frame: NDArray[np.float32]) -> None:
            await self.frame_shape.write(list(frame.shape))
            await self.frame_data.write(np.ascontiguousarray(frame, np.float32).ravel())

        await self._act("Frame", values, 7, image, publish)

    async def _measure(self, _: PvpropertyData, values: Sequence[float]) -> None:
        def measure(numbers: NDArray[np.float64]) -> Loop:
            return self.backend.spectrum(numbers[1:], float(numbers[0]))

        async def publish(loop: Loop) -> None:
            if loop.others is not None:
                await self.spectrum_others.write(np.ravel(np.asarray(loop.others, np.float64)))
            await self.spectrum_resonance.write(float(loop.resonance))
            await self.spectrum_data.write(np.asarray(loop.spectrum, np.float64))

        await self._act("Spectrum", values, None, measure, publish)

    async def _look_up(self, _: PvpropertyData, values: Sequence[float]) -> None:
        def look_up(numbers: NDArray[np.float64]) -> NDArray[np.float64] | None:
            channels = len(self.backend.info.spectroscopy.channels)
            return self.backend.reference(*wire.decode_reference(numbers, channels))

        async def publish(spectra: NDArray[np.float64] | None) -> None:
            await self.reference_shape.write([0, 0] if spectra is None else list(spectra.shape))
            await self.reference_data.write(np.zeros(1) if spectra is None else np.ravel(spectra))

        await self._act("Reference", values, None, look_up, publish)

    async def _interrupt(self, _: PvpropertyData, token: float) -> None:
        if not 0 <= token < np.inf:
            raise ValueError(f"expected the token of an action, or 0 for whatever runs, got {token:g}")
        if self._running is not None and token in (0, self._running[0]):
            await self._stop()

    async def _promise(self, _: PvpropertyData, values: Sequence[float]) -> None:
        client, seconds = wire.check_promise(_array(values))
        if seconds and self._broken:
            raise ValueError(self._broken)
        if self._running is None and not self._broken and (seconds or set(self._promises) <= {client}):
            # A watchdog of the controller's is for the death of this process, so this one comes first.
            await self._ask(lambda: self.backend.keep_alive(2 * seconds))
        if client in self._promises:
            self._promises.pop(client).cancel()
        if seconds:
            self._promises[client] = asyncio.create_task(self._watch(client, seconds))
        if not self._broken:
            await self.watchdog.write(Watchdog.WATCHING if self._promises else Watchdog.OFF)

    info = _text("Info", "The fixed properties of the instrument, JSON.")
    session = _text("Session", "A new text each time the IOC is started.")
    sample = _reading(
        "Sample", "Facts about sample and instrument, JSON.", "", lambda afm: json.dumps(dict(afm.describe())),
        dtype=ChannelType.CHAR, max_length=wire.TEXT_MAX, string_encoding="utf-8",
    )  # fmt: skip
    time = _reading("Time", "Instrument time, s.", 0.0, lambda afm: afm.time(), units="s", precision=3)
    position = _reading("Position", "x and y, nm.", [0.0, 0.0], lambda afm: afm.position(), dtype=float, max_length=2)
    contact = _reading("Contact", "1 when the tip touches the surface.", 0, lambda afm: int(afm.in_contact()))
    force = _reading("Force", "Measured force, nN.", 0.0, lambda afm: afm.force(), units="nN", precision=3)

    move = _action("Move", "token, x, y (nm), velocity (nm/s), settle (s)", 5, _move)
    engage = _action("Engage", "token, setpoint (nN)", 2, _engage)
    withdraw = _action("Withdraw", "token", 1, _withdraw)
    frame = _action("Frame", "token, x_min, x_max, y_min, y_max (nm), ny, nx, line rate (Hz)", 8, _image)
    spectrum = _action("Spectrum", "token, dwell (s), bias of each step (V)", 2 + wire.STEPS_MAX, _measure)
    reference = _action(
        "Reference", "token, channel, K, bias (K), x, y of each place (nm)", wire.REFERENCE_MAX, _look_up
    )
    stop = pvproperty(put=_interrupt, value=0.0, name="Stop", doc="Token of the action to stop; 0 stops whatever runs.")

    busy = _number("Busy", "1 while an action runs.", 0)
    done = _number("Done", "Token of the action that ended last.", 0.0)
    outcome = _choice("Outcome", "How it ended.", Outcome)
    message = _text("Message", "Why it was refused or stopped.")

    frame_lines = _numbers("Frame:Lines", "token, lines done, total lines", 3)
    frame_shape = _numbers("Frame:Shape", "channels, ny, nx", 3, int)
    frame_data = _numbers("Frame:Data", "The frame, flat; row 0 at y_min.", wire.FRAME_MAX, ChannelType.FLOAT)
    spectrum_data = _numbers("Spectrum:Data", "The spectrum.", wire.STEPS_MAX)
    spectrum_others = _numbers("Spectrum:Others", "Its other channels, one after the other.", wire.OTHERS_MAX)
    spectrum_resonance = _number("Spectrum:Resonance", "Fraction of steps where it was found.", 1.0)
    reference_shape = _numbers("Reference:Shape", "N, K; 0, 0 if the true spectra are not known.", 2, int)
    reference_data = _numbers("Reference:Data", "True spectra, flat.", wire.REFERENCE_MAX)

    keep_alive = _action(
        "KeepAlive",
        "number of a client, s: withdraw unless it puts this again in time; 0 s ends its promise",
        2,
        _promise,
    )
    watchdog = _choice("Watchdog", "What the watchdog is doing, or did last.", Watchdog)

    def __init__(self, backend: AfmBackend, prefix: str) -> None:
        super().__init__(prefix)
        self.backend = backend
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="instrument")
        self._promises: dict[float, asyncio.Task[None]] = {}  # by client

    async def begin(self) -> None:
        """Withdraw, and publish the instrument's fixed properties and its state."""
        await self._ask(self.backend.withdraw)
        await self.info.write(wire.encode_info(self.backend.info))
        await self.session.write(uuid.uuid4().hex)
        await self._publish_state()

    async def end(self) -> None:
        """Stop what runs, withdraw and release the instrument."""
        await self._quiet()
        await self._ask(self.backend.close)
        self._worker.shutdown()

    async def _watch(self, client: float, seconds: float) -> None:
        """Withdraw after `seconds`, unless cancelled before."""
        await asyncio.sleep(seconds)
        del self._promises[client]
        if self._broken:
            return
        self._withdrawing = asyncio.current_task()  # asyncio itself keeps no task alive
        self._broken = f"the watchdog withdraws the tip: the client gave no sign of life for {seconds:g} s"
        while self._broken:
            try:
                await self._quiet()
                await self._ask(self.backend.withdraw)
                await self._ask(lambda: self.backend.keep_alive(0))
                await self.message.write(self._broken)
                self._broken = ""
            except Exception as error:  # noqa: BLE001  the tip must come off, whatever the controller raises
                await self.message.write(f"{self._broken}, not yet: {error}")
                await asyncio.sleep(INSIST_S)
        await self.watchdog.write(Watchdog.WITHDREW)
        await self._publish_state()

    async def _act(
        self,
        name: str,
        values: Sequence[float],
        expected: int | None,
        action: Callable[[NDArray[np.float64]], Any],
        publish: Callable[[Any], Any] | None = None,
    ) -> None:
        """Run `action` with the numbers after the token; the put completes when it has ended.

        Raises
        ------
        ValueError
            If there is no sound token: nobody could tell which action the outcome belongs to.
        """
        numbers = _array(values)
        token = wire.check_token(name, numbers)
        if self._running is not None or self._broken:
            doing = self._broken or f"the instrument is busy with {self._running[1]}"  # type: ignore[index]
            await self._conclude(token, Outcome.REFUSED, f"{doing}; wait until Busy is 0")
            return
        try:
            wire.check_arguments(name, numbers[1:], expected)
        except ValueError as error:
            await self._conclude(token, Outcome.REFUSED, str(error))
            return
        self._running = token, name
        # In a task of its own: when a client vanishes its put is cancelled, but the action must go on.
        await asyncio.shield(asyncio.create_task(self._run(token, lambda: action(numbers[1:]), publish)))

    async def _run(self, token: float, action: Callable[[], Any], publish: Callable[[Any], Any] | None) -> None:
        outcome, message = Outcome.DONE, ""
        try:
            await self.busy.write(1)
            result = await self._ask(action)
            if publish is not None:
                await publish(result)
        except Interrupted as error:
            outcome, message = Outcome.STOPPED, self._broken or str(error)
        except Exception as error:  # noqa: BLE001  the client is told whatever the controller raises
            outcome, message = Outcome.REFUSED, str(error) or type(error).__name__
        finally:
            self._running = None
        await self._publish_state()
        await self._conclude(token, outcome, message)
        await self.busy.write(int(self._running is not None))

    async def _conclude(self, token: float, outcome: Outcome, message: str) -> None:
        await self.message.write(message)
        await self.outcome.write(outcome)
        await self.done.write(token)

    async def _publish_state(self) -> None:
        for pv in (self.time, self.position, self.contact, self.force):
            value = await pv.getter(pv)
            if value is not None:
                await pv.write(value)

    async def _fresh(self, instance: PvpropertyData, ask: Callable[[], Any]) -> Any:
        """Return what `ask` returns, or None while an action runs; the PV then keeps its value.

        If the instrument does not answer, the PV gets an invalid alarm, and Message says why.
        """
        if self._running is not None:
            return None
        try:
            value = await self._ask(ask)
        except Exception as error:  # noqa: BLE001  the client is told whatever the controller raises
            await instance.alarm.write(status=AlarmStatus.READ, severity=AlarmSeverity.INVALID_ALARM)
            await self.message.write(str(error) or type(error).__name__)
            return None
        if instance.alarm.severity is not AlarmSeverity.NO_ALARM:
            await instance.alarm.write(status=AlarmStatus.NO_ALARM, severity=AlarmSeverity.NO_ALARM)
        return value

    async def _ask(self, call: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._worker, call)

    async def _stop(self) -> None:
        """Stop what runs, except a withdrawal."""
        if self._running is not None and self._running[1] != "Withdraw":
            await asyncio.to_thread(self.backend.stop)

    async def _quiet(self) -> None:
        """Stop until nothing runs."""
        while self._running is not None:
            await self._stop()
            await asyncio.sleep(INSIST_S)


def _array(values: float | Sequence[float]) -> NDArray[np.float64]:
    """Return what was put, (N,); a single number comes without a sequence."""
    return np.atleast_1d(np.asarray(values, dtype=np.float64))


def serve(
    backend: AfmBackend,
    prefix: str,
    interfaces: Sequence[str] = ("127.0.0.1",),
    ready: Callable[[int], None] = print,
) -> None:
    """Serve `backend` until SIGINT or SIGTERM; then stop it, withdraw and release it.

    Parameters
    ----------
    backend : AfmBackend
        The instrument.
    prefix : str
        In front of each PV's name.
    interfaces : sequence of str
        Addresses to listen on. ``EPICS_CA_SERVER_PORT`` gives the port.
    ready : callable
        Called with the port when clients can connect.
    """
    logging.getLogger(__name__).setLevel(logging.ERROR)  # caproto reports the sizes of its queues here
    asyncio.run(_serve(AfmIoc(backend, prefix), list(interfaces), ready))


async def _serve(ioc: AfmIoc, interfaces: list[str], ready: Callable[[int], None]) -> None:
    await ioc.begin()
    context = Context(ioc.pvdb, interfaces)

    async def announce(_: Any) -> None:
        ready(context.port)

    server = asyncio.create_task(context.run(startup_hook=announce))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, server.cancel)
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await server
    finally:
        await ioc.end()
