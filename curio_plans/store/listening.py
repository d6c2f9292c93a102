"""A port of this computer at which an application is served over HTTP, until Ctrl-C."""

import ipaddress
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from curio_plans.store.errors import ServeError

SHORTEST_KEY = 16
"""Characters of a key; 36 letters and digits to the power of 16 cannot be tried out."""


def can_be_guessed(key: str) -> bool:
    """Tell whether a key is too short, or has characters that are garbled in an address."""
    return not (key.isascii() and key.isalnum() and len(key) >= SHORTEST_KEY)


class Listener:
    """A port that is taken, as a context that frees it.

    Parameters
    ----------
    host : str
        Address to listen at; ``0.0.0.0`` for all of this computer's.
    port : int
        0 for any that is free.
    certificate, certificate_key : Path or str, optional
        PEM files with which to speak HTTPS; a certificate may contain its key.

    Attributes
    ----------
    address : str
        ``http://HOST:PORT`` or ``https://…``.
    is_local : bool
        Whether only this computer can connect.

    Raises
    ------
    ValueError
        If the certificate of a key is missing, or there is no such port.
    ServeError
        If the port is taken.
    """

    def __init__(
        self,
        host: str,
        port: int,
        certificate: Path | str | None = None,
        certificate_key: Path | str | None = None,
    ) -> None:
        if certificate_key is not None and certificate is None:
            raise ValueError("expected a certificate for that key; give its file as well (--ssl-certfile)")
        if not 0 <= port <= 65535:
            raise ValueError(f"expected a port from 0 to 65535, got {port}")
        self._certificate, self._certificate_key = certificate, certificate_key
        literal = f"[{host}]" if ":" in host else host
        try:
            self._socket = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        except OSError as error:
            raise ServeError(
                f"cannot listen at {literal}:{port}: {error.strerror or error}; choose another --port or --host"
            ) from error
        own, taken = self._socket.getsockname()[:2]
        self.address = f"http{'s' if certificate else ''}://{literal}:{taken}"
        self.is_local = ipaddress.ip_address(own).is_loopback

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def serve(self, app: Any, greet: Callable[[], None], tell: Callable[[str], Any]) -> None:
        """Serve an ASGI application until Ctrl-C.

        Parameters
        ----------
        app : callable
            The application.
        greet : callable
            Is called when it can be served; tells what is where.
        tell : callable
            Gets what else whoever starts it must know.

        Raises
        ------
        ServeError
            If the certificate cannot be used.
        """
        import uvicorn

        server = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            ssl_certfile=self._certificate,
            ssl_keyfile=self._certificate_key,
        )
        try:
            server.load()
        except OSError as error:  # ssl.SSLError is one
            raise ServeError(
                f"cannot use the certificate {self._certificate}: {error}; expected PEM files of a certificate and its "
                "key"
            ) from error
        greet()
        if self._certificate is None and not self.is_local:
            tell("Key and data go over the network unencrypted; --ssl-certfile encrypts them.")
        tell("Ctrl-C ends it.")
        with suppress(KeyboardInterrupt):
            uvicorn.Server(server).run(sockets=[self._socket])
