"""One conversation with the controller: commands run one after the other, in the order in which they were given."""

import functools
import logging
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ophyd import Device, DeviceStatus
from ophyd.status import Status
from ophyd.utils import InvalidState

from ophyd_devices.backend import BackendError, Interrupted
from ophyd_devices.guard import Guard

PROMISE_S = 10.0
"""While the tip is engaged the controller is promised to hear from us within this time, or to withdraw by itself."""
GRACE_S = 2.0
"""A controller that was told to stop has so long before it is given up."""
CLOSE_S = 30.0
"""So long a controller that is closed may take to withdraw."""

logger = logging.getLogger(__name__)


class WatchableStatus(DeviceStatus):
    """A status that tells a progress bar how far it is."""

    def __init__(self, device: Device, *, unit: str, **kwargs: Any) -> None:
        self._watchers: list[Callable[..., None]] = []
        self._unit = unit
        super().__init__(device, **kwargs)

    def watch(self, watcher: Callable[..., None]) -> None:
        """Call `watcher` with the progress from now on (the convention of ophyd's MoveStatus)."""
        self._watchers.append(watcher)

    def progress(self, done: int, total: int) -> None:
        """Report that `done` of `total` are done."""
        for watcher in self._watchers:
            watcher(name=self.device.name, current=done, initial=0, target=total, unit=self._unit, precision=0)


@dataclass
class _Command:
    action: Callable[[], None]
    status: DeviceStatus
    protected: bool = False
    timeout: float | None = None
    pardoned: bool | None = None
    expired: bool = False

    def pardon(self, success: bool) -> None:
        """Let it end well if everyone who stops it says so: withdrawing after a stop takes nothing back."""
        self.pardoned = success and self.pardoned is not False


class Link:
    """Runs backend calls on one daemon thread and reports each through a Status.

    From :meth:`promise` on, until the tip is off the surface, the thread also calls the controller when there is
    nothing to do, so that a controller that hears nothing for :data:`PROMISE_S` knows that this process is dead. A call
    that takes long is a sign of life for as long as it takes.

    Parameters
    ----------
    backend : Guard
        The controller behind its envelope. Nothing else may call it while the link is in use.
    name : str
        For the name of the thread.
    """

    def __init__(self, backend: Guard, name: str) -> None:
        self.backend = backend
        self.on_settled: Callable[[bool], None] = lambda _: None
        """Called with whether the tip is engaged, after each command and every few seconds while it is."""
        self.closed = False
        """Whether it was closed, the tip withdrawn."""
        self._promised = False
        self._commands: queue.SimpleQueue[_Command | None] = queue.SimpleQueue()
        self._waiting: list[_Command] = []
        self._running: _Command | None = None
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._work, name=f"{name}-link", daemon=True)
        self._thread.start()

    def submit(
        self,
        status: DeviceStatus,
        action: Callable[[], None],
        *,
        protected: bool = False,
        timeout: float | None = None,
    ) -> DeviceStatus:
        """Queue `action`; `status` finishes with it, or fails with what it raised.

        A `protected` action (withdrawing the tip) is neither interrupted nor dropped by :meth:`interrupt`. One that
        takes longer than `timeout` s is stopped and fails, even where the controller does not stop.

        Raises
        ------
        BackendError
            If the link was closed.
        """
        command = _Command(action, status, protected, timeout)
        with self._lock:
            if self.closed:
                raise BackendError(f"{self._thread.name} is closed, the controller released; make a new AFM")
            self._waiting.append(command)
            self._commands.put(command)
        return status

    def promise(self) -> None:
        """Promise the controller to be heard of; call it in an action that is about to engage."""
        self.backend.keep_alive(PROMISE_S)
        self._promised = True

    def interrupt(self, *, success: bool = False) -> None:
        """End what is running and drop what is waiting, except protected actions.

        With `success` the statuses of what was ended or dropped finish well. That is Bluesky's convention: on a pause
        it stops what moves with ``success=True``, and gives the same commands again when the run is resumed.
        """
        with self._lock:
            dropped = [command for command in self._waiting if not command.protected]
            self._waiting = [command for command in self._waiting if command.protected]
            running = self._running
        if running is not None and not running.protected:
            running.pardon(success)
            self._stop(running)
            if self._running is running:
                threading.Thread(target=self._insist, args=(running,), name="stopping", daemon=True).start()
        for command in dropped:
            command.pardon(success)
            _end(command, Interrupted(f"{command.status.device.name} was stopped before it began"))

    def close(self) -> None:
        """Interrupt what runs, withdraw, end the thread and release the controller."""
        last = _Command(self.backend.withdraw, Status(), protected=True)
        with self._lock:
            self.closed = True
            self._waiting.append(last)
            self._commands.put(last)
            self._commands.put(None)
        self.interrupt()
        self._thread.join(CLOSE_S)
        if self._thread.is_alive():
            raise BackendError(f"{self._thread.name}: the controller does not answer; look where the tip is")
        self.backend.close()
        last.status.wait()

    def _stop(self, command: _Command) -> bool:
        """Stop the backend if `command` is still running; the lock keeps the next command from being hit."""
        with self._lock:
            if self._running is not command:
                return False
            self.backend.stop()
            return True

    def _insist(self, command: _Command) -> None:
        """Stop again until `command` has ended: a stop that comes while an action starts may be lost."""
        while self._stop(command):
            time.sleep(0.05)

    def _work(self) -> None:
        while True:
            try:
                command = self._commands.get(timeout=PROMISE_S / 4 if self._promised else None)
            except queue.Empty:
                self._keep_promise()
                continue
            if command is None:
                return
            with self._lock:
                if command not in self._waiting:
                    continue
                self._waiting.remove(command)
                self._running = command
            timer = threading.Timer(command.timeout or 0, self._expire, (command,))
            if command.timeout is not None:
                timer.start()
            failed, unsettled = _attempt(command.action), _attempt(self._settle)
            with self._lock:
                self._running = None
            timer.cancel()
            _end(command, failed or unsettled)

    def _expire(self, command: _Command) -> None:
        """Stop a command that takes too long; give the controller a moment to stop before its status fails."""
        command.expired = True
        grace = time.monotonic() + GRACE_S
        while self._stop(command) and time.monotonic() < grace:
            time.sleep(0.05)
        if self._running is command:
            _end(command, Interrupted("the controller does not stop"))

    def _settle(self) -> None:
        engaged = self.backend.in_contact()
        self.on_settled(engaged)
        if self._promised and not engaged:
            self.backend.keep_alive(0)
            self._promised = False

    def _keep_promise(self) -> None:
        unheard = _attempt(lambda: self.backend.keep_alive(PROMISE_S))
        if unheard is not None:
            logger.warning("the controller did not answer, it will withdraw by itself: %r", unheard)
        elif (unsettled := _attempt(self._settle)) is not None:
            logger.warning("while the instrument was idle: %r", unsettled)


def _end(command: _Command, error: Exception | None) -> None:
    if command.expired and isinstance(error, Interrupted):
        error = BackendError(
            f"{command.status.device.name} did not finish within {command.timeout:g} s and was given up ({error}); "
            "look at the instrument, or raise its timeout"
        )
    if error is None or (command.pardoned and isinstance(error, Interrupted)):
        ended = command.status.set_finished
    else:
        ended = functools.partial(command.status.set_exception, error)
    with suppress(InvalidState):  # it had expired, and the controller came back after all
        ended()


def _attempt(action: Callable[[], None]) -> Exception | None:
    try:
        action()
    except Exception as error:  # noqa: BLE001  whatever the controller raises belongs to the status
        return error
    return None
