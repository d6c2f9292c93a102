"""What all parts of the backend share: two connections, the action that runs and what stops it, signals by name."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ophyd_devices.backend import BackendError, Interrupted
from ophyd_devices.nanonis.client import Connection, LostError
from ophyd_devices.nanonis.watchdog import Watchdog

POLL_S = 0.02
"""How often a status is asked for, s."""
SCALES = {"m": ("nm", 1e9), "A": ("nA", 1e9), "N": ("nN", 1e9)}
"""Units of the controller that get another one here, and how many of those are one of it. Others stay."""

Stop = tuple[Any, ...]
"""A command that ends an action, with its values."""


@dataclass(frozen=True)
class Signal:
    """A signal of the controller.

    Attributes
    ----------
    index : int
        Its number in the controller.
    label : str
        Its whole name there, such as ``"Z (m)"``.
    name, unit : str
        Its name without unit, and the unit in which curio gives it.
    scale : float
        How many of that unit are one of the controller's.
    """

    index: int
    label: str
    name: str
    unit: str
    scale: float


class Session:
    """Two connections to the controller: one for what blocks, and one that stops it.

    Parameters
    ----------
    host : str
        The controller.
    ports : (int, int, int)
        For commands, for stopping, and for the watchdog.
    timeout : float
        How long the controller may take to answer, s.
    unlock : bool
        Whether the watchdog unlocks the controller's windows.
    """

    def __init__(self, host: str, ports: tuple[int, int, int], timeout: float, unlock: bool) -> None:
        self.timeout = timeout
        self.watchdog = Watchdog(host, ports[2], timeout, unlock)
        self.main = Connection(host, ports[0], timeout, self.watchdog.renew)
        self.control = Connection(host, ports[1], timeout)
        self.lost = False
        """Whether a connection was lost since the last withdrawal, so that something may still run."""
        self._stop: Stop | None = None
        self._stopped = threading.Event()
        try:
            self.control.call("ZCtrl.StatusGet")
            self.signals = tuple(signal_of(index, label) for index, label in enumerate(self.call("Signals.NamesGet")))
        except BaseException:
            self.close()
            raise

    def call(self, name: str, *values: Any, timeout: float | None = None) -> Any:
        """Send a command on the first connection; see :meth:`.client.Connection.call`."""
        try:
            return self.main.call(name, *values, timeout=timeout)
        except LostError:
            self.lost = True
            raise

    def signal(self, name: str) -> Signal:
        """Return a signal by its whole name or by its name without unit.

        Raises
        ------
        BackendError
            If there is none of this name, or several; the message names those that exist.
        """
        found = [signal for signal in self.signals if name == signal.label]
        found = found or [signal for signal in self.signals if name == signal.name]
        if len(found) == 1:
            return found[0]
        known = ", ".join(repr(signal.label) for signal in self.signals if signal.label)
        what = f"{len(found)} signals are called" if found else "the controller has no signal"
        raise BackendError(f"{what} {name!r}; it has {known}")

    @contextmanager
    def acting(self, what: str, *stop: Any) -> Iterator[None]:
        """Run an action that :meth:`stop` ends by sending `stop` on the second connection.

        Raises
        ------
        Interrupted
            If it was stopped.
        """
        self._stopped.clear()
        self._stop = stop
        try:
            yield
        except LostError:
            raise
        except BackendError as error:
            if self._stopped.is_set() and not isinstance(error, Interrupted):
                raise Interrupted(f"{what} was stopped ({error})") from error
            raise
        finally:
            self._stop = None
        if self._stopped.is_set():
            raise Interrupted(f"{what} was stopped")

    def check_stopped(self) -> None:
        """Raise Interrupted if the running action was stopped."""
        if self._stopped.is_set():
            raise Interrupted("it was stopped")

    def sleep(self, seconds: float) -> None:
        """Wait, keeping the promise to the watchdog; raise Interrupted when the running action is stopped."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if self._stopped.wait(min(left, 1.0)):
                break
            self.watchdog.renew()
        self.check_stopped()

    def poll(self, name: str, wanted: Sequence[Any], seconds: float) -> Any:
        """Ask for a status until it is one of `wanted`; return it, or the last one after `seconds`."""
        deadline = time.monotonic() + seconds
        while True:
            status = self.call(name)
            if status in wanted or time.monotonic() > deadline:
                return status
            self.sleep(POLL_S)

    def stop(self) -> None:
        """Stop the running action, from any thread; do nothing if there is none."""
        stop = self._stop
        if stop is not None:
            self._stopped.set()
            self.control.call(*stop)

    def close(self) -> None:
        """End the watchdog and close the connections."""
        self.watchdog.close()
        self.main.close()
        self.control.close()


def signal_of(index: int, label: str) -> Signal:
    """Return the signal of a label such as ``"Z (m)"``; the unit is what the last parentheses hold."""
    name, found, rest = label.rpartition(" (")
    if not found or not rest.endswith(")"):
        return Signal(index, label, label, "", 1.0)
    unit = rest[:-1]
    return Signal(index, label, name, *SCALES.get(unit, (unit, 1.0)))
