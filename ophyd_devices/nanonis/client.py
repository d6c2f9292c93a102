"""One connection to a port of the controller: a command, its response, one at a time."""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ophyd_devices.backend import BackendError
from ophyd_devices.nanonis import wire
from ophyd_devices.nanonis.commands import COMMANDS

POLL_S = 0.1
"""How often a waiting connection calls `waiting`, s."""
CHUNK = 1 << 16


class LostError(BackendError):
    """The controller did not answer in time, closed the connection, or answered something else."""


class ControllerError(BackendError):
    """The controller refused a command; the message has its words."""


class Connection:
    """A connection that is made at the first command, and again after one that failed. A command is never repeated.

    Threads may share it: their commands run one after the other.

    Parameters
    ----------
    host, port
        Of the controller. One port serves one client, and another one gets no answer.
    timeout : float
        How long to wait for a response, in s, unless a command says otherwise.
    waiting : callable, optional
        Called every 0.1 s while a response is awaited.
    """

    def __init__(self, host: str, port: int, timeout: float, waiting: Callable[[], None] | None = None) -> None:
        self.host, self.port, self.timeout = host, port, timeout
        self._waiting = waiting
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None

    def call(self, name: str, *values: Any, timeout: float | None = None) -> Any:
        """Send a command and return its response: None, the only value, or a list of values.

        Parameters
        ----------
        name : str
            One of :data:`~ophyd_devices.nanonis.commands.COMMANDS`.
        *values
            The fields of the request.
        timeout : float, optional
            How long to wait for the response in s, for a command that blocks.

        Raises
        ------
        ControllerError
            If the controller refuses.
        LostError
            If there is no answer, or one that is no response to this command. The connection is then closed: a late
            response could be taken for that of the next command.
        WireError
            If a value does not fit its field; nothing was sent.
        """
        command, patience = COMMANDS[name], self.timeout if timeout is None else timeout
        message = wire.request(name, command.takes, values)
        with self._lock:
            try:
                body = self._exchange(name, message, time.monotonic() + patience)
                answer = wire.decode_response(command.returns, body)
            except wire.RefusedError as refusal:
                raise ControllerError(f"the controller refused {name}: {refusal}") from None
            except (OSError, wire.WireError) as error:
                self._hang_up()
                why = f"none within {patience:g} s" if isinstance(error, TimeoutError) else str(error)
                raise LostError(
                    f"no answer from the Nanonis controller at {self.host}:{self.port} to {name} ({why}); the tip's "
                    "state is not known. Check that the software runs, that its TCP interface has this port, and that "
                    "no other program uses the port (a second client gets no answer); look at the tip"
                ) from error
            except BaseException:
                self._hang_up()
                raise
        return None if not answer else answer[0] if len(answer) == 1 else answer

    def close(self) -> None:
        """Close the connection; the next command makes a new one."""
        with self._lock:
            self._hang_up()

    def _exchange(self, name: str, message: bytes, deadline: float) -> bytes:
        if self._socket is None:
            self._socket = socket.create_connection((self.host, self.port), max(POLL_S, deadline - time.monotonic()))
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(max(POLL_S, deadline - time.monotonic()))
        self._socket.sendall(message)
        answered, length, _ = wire.header(self._receive(wire.HEADER, deadline), wire.RESPONSE_MAX)
        if answered != name:
            raise wire.WireError(f"it answered {answered}")
        return self._receive(length, deadline)

    def _receive(self, length: int, deadline: float) -> bytes:
        """Return so many bytes; memory grows with what has arrived, not with what was announced."""
        assert self._socket is not None  # noqa: S101
        data = bytearray()
        while len(data) < length:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._socket.settimeout(min(POLL_S, left))
            try:
                part = self._socket.recv(min(CHUNK, length - len(data)))
            except TimeoutError:
                if self._waiting is not None:
                    self._waiting()
                continue
            if not part:
                raise ConnectionError("it closed the connection")
            data += part
        return bytes(data)

    def _hang_up(self) -> None:
        if self._socket is not None:
            with suppress(OSError):
                self._socket.close()
            self._socket = None
