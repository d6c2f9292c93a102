"""A process that withdraws the tip when the process that measures dies or falls silent.

The controller has no dead-man's switch in its TCP interface: when a client dies, its feedback stays on and a scan
goes on. This process has a port of the controller for itself and reads promises from its standard input, one line each:
the seconds within which the next line comes, or 0. When a promise is broken, or the input ends while one is open, it
stops what runs and withdraws, and tries again until that has worked or :data:`GIVE_UP_S` have passed.

It cannot help when the computer itself dies, or its network: run curio on the controller's own computer, or a second
computer's ``curio ioc`` there, and use the controller's SafeTip.
"""

import argparse
import subprocess
import sys
import threading
import time
from contextlib import suppress
from queue import Empty, SimpleQueue

from ophyd_devices.backend import BackendError
from ophyd_devices.nanonis.client import Connection, ControllerError

STOPS = (
    ("Scan.Action", 1, 0),
    ("BiasSpectr.Stop",),
    ("ZSpectr.Stop",),
    ("FolMe.Stop",),
    ("AutoApproach.OnOffSet", 0),
)
"""Commands that end whatever the controller does."""
WITHDRAW_S = 30.0
"""The time that a withdrawal may take, s."""
RETRY_S = 1.0
GIVE_UP_S = 600.0
START_S = 20.0
"""The time that the process has to start and to get its first answer, s."""
OFF = 1
"""Status of a Z controller that is off."""


class Watchdog:
    """The watchdog's process, seen from the one that measures. It starts with the first promise.

    Parameters
    ----------
    host, port
        The controller, and a port that nothing else uses.
    timeout : float
        How long the controller may take to answer, in s.
    unlock : bool
        Unlock the controller's windows after the tip was withdrawn.
    """

    def __init__(self, host: str, port: int, timeout: float, unlock: bool) -> None:
        self._arguments = [host, str(port), str(timeout), *(["--unlock"] if unlock else [])]
        self._process: subprocess.Popen[str] | None = None
        self._seconds = 0.0
        self._promised = 0.0  # in time.monotonic()

    def promise(self, seconds: float) -> None:
        """Promise another call within `seconds`; 0 ends the promise.

        Raises
        ------
        BackendError
            If the process has no answer from the controller, or has ended.
        """
        if self._process is None and seconds:
            self._process = self._start()
        self._seconds = seconds
        self._tell()

    def renew(self) -> None:
        """Repeat the last promise, if any, when a quarter of it has passed. Called while a command runs."""
        if self._seconds and time.monotonic() - self._promised > self._seconds / 4:
            self._tell()

    def close(self) -> None:
        """End the process, and the promise."""
        process, self._process, self._seconds = self._process, None, 0.0
        if process is not None and process.stdin is not None:
            with suppress(OSError):
                process.stdin.write("0\n")
                process.stdin.close()
            process.wait(START_S)
            if process.stdout is not None:
                process.stdout.close()

    def _tell(self) -> None:
        if self._process is None or self._process.stdin is None:
            return
        self._promised = time.monotonic()
        try:
            self._process.stdin.write(f"{self._seconds:g}\n")
            self._process.stdin.flush()
        except OSError as error:
            self.close()
            raise BackendError("the watchdog's process has ended; withdraw the tip and start a new run") from error

    def _start(self) -> "subprocess.Popen[str]":
        process = subprocess.Popen(  # noqa: S603  our own module, with checked arguments
            [sys.executable, "-m", "ophyd_devices.nanonis.watchdog", *self._arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            start_new_session=True,  # Ctrl-C and the end of the terminal are for the measuring process alone
        )  # fmt: skip
        timer = threading.Timer(START_S, process.kill)
        timer.start()
        said = process.stdout.readline().strip() if process.stdout is not None else ""
        timer.cancel()
        if said != "ready":
            process.kill()
            process.communicate()
            raise BackendError(f"the watchdog cannot watch, so the tip stays where it is: {said or 'it did not start'}")
        return process


def withdraw(connection: Connection, unlock: bool) -> None:
    """Stop what the controller does and withdraw.

    Raises
    ------
    BackendError
        If the tip is not known to be withdrawn.
    """
    for name, *values in STOPS:
        with suppress(ControllerError):  # a module that is not open has nothing to stop
            connection.call(str(name), *values)
    connection.call("ZCtrl.Withdraw", 1, int(WITHDRAW_S * 1e3), timeout=WITHDRAW_S + connection.timeout)
    if (status := connection.call("ZCtrl.StatusGet")) != OFF:
        raise BackendError(f"the Z controller has status {status} after a withdrawal, expected {OFF}")
    if unlock:
        connection.call("Util.UnLock")


def watch(connection: Connection, lines: "SimpleQueue[str | None]", unlock: bool) -> int:
    """Withdraw when a promise is broken. Return the exit status: 0 when nothing is left to watch."""
    seconds = 0.0  # of the open promise
    while True:
        try:
            line = lines.get(timeout=seconds or None)
        except Empty:
            break
        if line is None:
            if not seconds:
                return 0
            break
        seconds = float(line)
    deadline, told = time.monotonic() + GIVE_UP_S, ""
    while time.monotonic() < deadline:
        try:
            withdraw(connection, unlock)
        except BackendError as error:
            if str(error) != told:  # once, not at each of many tries
                told = str(error)
                sys.stderr.write(f"the watchdog could not withdraw the tip, trying again: {told}\n")
            time.sleep(RETRY_S)
        else:
            sys.stderr.write("the watchdog withdrew the tip: the process that measured gave no sign of life\n")
            return 0
    return 1


def main() -> int:
    """Watch until the standard input ends."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("timeout", type=float)
    parser.add_argument("--unlock", action="store_true")
    arguments = parser.parse_args()
    connection = Connection(arguments.host, arguments.port, arguments.timeout)
    try:
        connection.call("ZCtrl.StatusGet")
    except BackendError as error:
        sys.stdout.write(f"{error}\n")
        return 1
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    lines: SimpleQueue[str | None] = SimpleQueue()

    def read() -> None:
        for line in sys.stdin:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    return watch(connection, lines, arguments.unlock)


if __name__ == "__main__":
    sys.exit(main())
