"""The connection between the devices and a controller: one thread runs the commands in the order they were given."""

import functools
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from ophyd import Device, DeviceStatus
from ophyd.status import Status
from ophyd.utils import InvalidState

from ophyd_devices.backend import BackendError, Interrupted
from ophyd_devices.guard import Guard

PROMISE_S = 10.0
"""While the tip is engaged, the controller is promised a sign of life within this time, or else it withdraws."""
GRACE_S = 2.0
"""A command that does not end within this time after its stop is given up."""
INSIST_S = 0.05
"""A stop is repeated after this time: one that arrives while an action starts may be lost."""
CLOSE_S = 30.0
"""The time a controller has to withdraw when the link is closed."""

logger = logging.getLogger(__name__)


class WatchableStatus(DeviceStatus):
    """A status that reports its progress to a progress bar."""

    def __init__(self, device: Device, *, unit: str, **kwargs: Any) -> None:
        self._watchers: list[Callable[..., None]] = []
        self._unit = unit
        super().__init__(device, **kwargs)

    def watch(self, watcher: Callable[..., None]) -> None:
        """Call `watcher` with the progress from now on, like ophyd's MoveStatus."""
        self._watchers.append(watcher)

    def progress(self, done: int, total: int) -> None:
        """Report that `done` of `total` are done."""
        for watcher in self._watchers:
            watcher(name=self.device.name, current=done, initial=0, target=total, unit=self._unit, precision=0)


class Stop(IntEnum):
    """Why a command was stopped; of several reasons the largest counts."""

    NOT = 0
    """It was not stopped."""
    PAUSE = 1
    """Bluesky pauses and will give the command again: its status ends well."""
    ABORT = 2
    """Somebody stopped it for good: its status fails."""
    OVERDUE = 3
    """It took too long: its status fails."""


@dataclass
class _Command:
    action: Callable[[], None]
    status: DeviceStatus
    protected: bool = False
    timeout: float = math.inf
    due: float = math.inf  # in time.monotonic(), from its start on
    stop: Stop = Stop.NOT
    unstoppable: bool = False  # stopping it failed, and was logged

    def mark(self, stop: Stop) -> None:
        self.stop = max(self.stop, stop)

    def end(self, error: Exception | None) -> None:
        """Finish the status, or fail it with `error`."""
        if isinstance(error, Interrupted) and self.stop is Stop.OVERDUE:
            error = BackendError(
                f"{self.status.device.name} did not finish within {self.timeout:g} s and was given up ({error}); "
                "look at the instrument, or raise its timeout"
            )
        elif isinstance(error, Interrupted) and self.stop is Stop.PAUSE:
            error = None
        finish = functools.partial(self.status.set_exception, error) if error else self.status.set_finished
        with suppress(InvalidState):  # it was given up, and the controller came back after all
            finish()


class Link:
    """Runs backend calls one after the other on a daemon thread and reports each through a Status.

    From :meth:`promise` on, until the tip is off the surface, the thread also calls the controller while there is
    nothing to do. A controller that hears nothing for :data:`PROMISE_S` then knows that this process is dead. A call
    that takes long counts as a sign of life.

    A second daemon thread stops the commands that take too long or were interrupted, until they have ended.

    Parameters
    ----------
    backend : Guard
        The controller behind its envelope. Nothing else may call it while the link is in use.
    name : str
        For the names of the threads.
    """

    def __init__(self, backend: Guard, name: str) -> None:
        self.backend = backend
        self.on_settled: Callable[[bool], None] = lambda _: None
        """Called with whether the tip is engaged, after each command and every few seconds while it is."""
        self.closed = False
        """Whether the link was closed and the tip withdrawn."""
        self._promised = False
        self._waiting: deque[_Command] = deque()
        self._running: _Command | None = None
        self._ended = False
        self._changed = threading.Condition()  # guards what is waiting and running
        self._worker = threading.Thread(target=self._work, name=f"{name}-link", daemon=True)
        self._worker.start()
        threading.Thread(target=self._oversee, name=f"{name}-overseer", daemon=True).start()

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
        takes longer than `timeout` s is stopped and fails, even if the controller does not stop.

        Raises
        ------
        BackendError
            If the link was closed.
        """
        command = _Command(action, status, protected, math.inf if timeout is None else timeout)
        with self._changed:
            if self.closed:
                raise BackendError(f"{self._worker.name} is closed, the controller released; make a new AFM")
            self._waiting.append(command)
            self._changed.notify_all()
        return status

    def promise(self) -> None:
        """Start the keep-alive; an action that is about to engage calls this first."""
        self.backend.keep_alive(PROMISE_S)
        self._promised = True

    def interrupt(self, *, success: bool = False) -> None:
        """Stop the running command and drop the waiting ones, except protected actions.

        With `success` the statuses of what was stopped or dropped end well. That is Bluesky's convention: on a pause
        it stops what moves with ``success=True``, and gives the same commands again when the run is resumed.
        """
        stop = Stop.PAUSE if success else Stop.ABORT
        with self._changed:
            dropped = [command for command in self._waiting if not command.protected]
            self._waiting = deque(command for command in self._waiting if command.protected)
            if self._running is not None and not self._running.protected:
                self._running.mark(stop)
                self._stop(self._running)
                self._changed.notify_all()  # the overseer stops it again until it has ended
        for command in dropped:
            command.mark(stop)
            command.end(Interrupted(f"{command.status.device.name} was stopped before it began"))

    def close(self) -> None:
        """Interrupt what runs, withdraw, end the threads and release the controller; do nothing the second time."""
        last = _Command(self.backend.withdraw, Status(), protected=True)
        with self._changed:
            if self.closed:
                return
            self.closed = True
            self._waiting.append(last)
            self._changed.notify_all()
        self.interrupt()
        self._worker.join(CLOSE_S)
        if self._worker.is_alive():
            raise BackendError(f"{self._worker.name}: the controller does not answer; look where the tip is")
        self.backend.close()
        last.status.wait()

    def _work(self) -> None:
        while (command := self._next()) is not None:
            failed, unsettled = _attempt(command.action), _attempt(self._settle)
            with self._changed:
                self._running = None
            command.end(failed or unsettled)
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _next(self) -> _Command | None:
        """Return the next command, keeping the promise until there is one; None once the link is closed."""
        while True:
            with self._changed:
                patience = PROMISE_S / 4 if self._promised else None
                if self._changed.wait_for(lambda: self._waiting or self.closed, patience):
                    if not self._waiting:
                        return None
                    self._running = command = self._waiting.popleft()
                    command.due = time.monotonic() + command.timeout
                    self._changed.notify_all()  # the overseer waits for its end
                    return command
            self._keep_promise()

    def _oversee(self) -> None:
        """Stop the running command when it is overdue or interrupted, again and again until it has ended."""
        while True:
            with self._changed:
                if self._ended:
                    return
                command, now = self._running, time.monotonic()
                due = math.inf if command is None else command.due
                if command is None or (command.stop is Stop.NOT and now < due):
                    self._changed.wait(None if due == math.inf else due - now)
                    continue
                if now >= due:
                    command.mark(Stop.OVERDUE)
                self._stop(command)
            if now > due + GRACE_S and not command.status.done:
                command.end(Interrupted("the controller does not stop"))
            time.sleep(INSIST_S)

    def _stop(self, running: _Command) -> None:
        """Stop the backend. Called with the lock held, so that the next command cannot start and be hit."""
        failed = _attempt(self.backend.stop)
        if failed is not None and not running.unstoppable:
            running.unstoppable = True
            logger.warning("the controller cannot be stopped, trying again: %s", failed)

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


def _attempt(action: Callable[[], None]) -> Exception | None:
    try:
        action()
    except Exception as error:  # noqa: BLE001  whatever the controller raises belongs to the status
        return error
    return None
