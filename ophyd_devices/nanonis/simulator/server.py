"""The TCP side of the simulated controller: ports that serve one client each."""

import signal
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Literal

from ophyd_devices.nanonis import wire
from ophyd_devices.nanonis.commands import COMMANDS
from ophyd_devices.nanonis.simulator.controller import RefusalError, SimulatedController
from ophyd_devices.nanonis.simulator.faults import Fault

MESSAGE_S = 5.0
"""A request that has begun must be complete within this time, s; else the connection is closed."""

Errors = Literal["block", "fields"]
"""What a refused command answers: the error block alone, or fields of zeros before it. No source says which."""


class Server:
    """Serves a simulated controller until it is closed.

    A port serves one client; the next one is connected and gets no answer until the first has left.

    Parameters
    ----------
    controller : SimulatedController
        What is served.
    host : str
        The address to listen on.
    ports : sequence of int
        The ports; 0 takes a free one.
    errors : str
        How refusals are answered.
    fault : Fault, optional
        What goes wrong.

    Raises
    ------
    OSError
        If a port is in use.

    Attributes
    ----------
    ports : tuple of int
        The ports.
    """

    def __init__(
        self,
        controller: SimulatedController,
        host: str = "127.0.0.1",
        ports: Sequence[int] = (0, 0, 0, 0),
        errors: Errors = "block",
        fault: Fault | None = None,
    ) -> None:
        self.controller, self._errors, self._fault = controller, errors, fault
        self._listeners: list[socket.socket] = []
        self._clients: set[socket.socket] = set()
        self._closed = False
        try:
            for port in ports:
                self._listeners.append(socket.create_server((host, port)))
        except OSError:
            self.close()
            raise
        self.ports = tuple(int(listener.getsockname()[1]) for listener in self._listeners)
        for listener in self._listeners:
            threading.Thread(target=self._listen, args=(listener,), daemon=True).start()

    def disconnect(self) -> None:
        """Break all connections, as a pulled cable does; clients may connect again."""
        for client in tuple(self._clients):
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Break all connections and listen no more."""
        self._closed = True
        if self._fault is not None:
            self._fault.end()
        for listener in self._listeners:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.disconnect()

    def _listen(self, listener: socket.socket) -> None:
        while not self._closed:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._clients.add(client)
            with client, suppress(OSError, wire.WireError):  # a client that is gone, or sends no messages, is left
                while not self._closed:
                    self._serve(client)
            self._clients.discard(client)

    def _serve(self, client: socket.socket) -> None:
        client.settimeout(None)
        first = _receive(client, 1)
        client.settimeout(MESSAGE_S)
        name, length, wanted = wire.header(first + _receive(client, wire.HEADER - 1), wire.REQUEST_MAX)
        answer = self._answer(name, _receive(client, length))
        if wanted:
            client.sendall(answer)

    def _answer(self, name: str, body: bytes) -> bytes:
        if name not in COMMANDS:
            return wire.response(name, "", (), f"unknown command {name}")
        command = COMMANDS[name]
        try:
            instead = None if self._fault is None else self._fault(name, self)
            if instead is not None:
                return instead
            values = self.controller.answer(name, wire.decode(command.takes, body))
        except (RefusalError, wire.WireError) as error:
            fields = _zeros(command.returns) if self._errors == "fields" else []
            return wire.response(name, command.returns, fields, str(error))
        return wire.response(name, command.returns, values)


def _receive(client: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        part = client.recv(min(1 << 16, length - len(data)))
        if not part:
            raise ConnectionError("the client has left")
        data += part
    return bytes(data)


def _zeros(layout: str) -> list[Any]:
    return [
        0 if "[" not in kind and kind[:3] != "str" else [] if kind != "str" else "" for kind, _ in wire.fields(layout)
    ]


def serve(server: Server, ready: Callable[[tuple[int, ...]], None]) -> None:
    """Serve until SIGINT or SIGTERM; then stop what runs and withdraw.

    Parameters
    ----------
    server : Server
        Listening.
    ready : callable
        Called with the ports.
    """
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    ready(server.ports)
    ended.wait()
    server.close()
    server.controller.close()
