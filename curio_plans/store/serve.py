"""Serve a data directory over HTTP, and describe it to databroker."""

import ipaddress
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer
import yaml

from curio_plans.store.catalog import configuration, key_of, make_app, own_key
from curio_plans.store.errors import JournalError, StorageError, require_directory
from curio_plans.store.storage import Storage

_SHORTEST_KEY = 16
"""Characters; 36 letters and digits to the power of 16 cannot be tried out."""


def serve(
    directory: Path | str,
    host: str = "127.0.0.1",
    port: int = 8000,
    api_key: str | None = None,
    *,
    certificate: Path | str | None = None,
    certificate_key: Path | str | None = None,
    show_key: bool = True,
    tell: Callable[[str], None] = typer.echo,
) -> None:
    """Serve the runs of a data directory over HTTP until Ctrl-C.

    Runs that are measured meanwhile, by this computer, appear as they grow.

    Parameters
    ----------
    directory : Path or str
        The data directory.
    host : str
        Address to listen at; ``0.0.0.0`` for all of this computer's.
    port : int
        0 for any that is free.
    api_key : str, optional
        What to ask clients for, at least 16 letters and digits. By default a key that is made once and kept in the
        directory, readable for its owner alone.
    certificate, certificate_key : Path or str, optional
        PEM files with which to speak HTTPS; a certificate may contain its key.
    show_key : bool
        Whether to tell the key itself; if not, tell where it is.
    tell : callable
        Gets the address and the key.

    Raises
    ------
    StorageError
        If the directory is not there or not writable, the port is taken, or the certificate cannot be used.
    ValueError
        If the key is too short or has other characters, or a certificate is missing.
    """
    folder = Path(directory)
    if not folder.is_dir():
        raise StorageError(f"there are no runs in {folder}: no such directory")
    require_directory(folder)
    _restore_catalog(folder, tell)
    key = api_key if api_key is not None else own_key(folder)
    if not (key.isascii() and key.isalnum() and len(key) >= _SHORTEST_KEY):
        raise ValueError(
            f"expected an API key of at least {_SHORTEST_KEY} letters and digits, as shorter ones can be guessed and "
            "others are garbled in an address; leave it out, and one is made"
        )
    if certificate_key is not None and certificate is None:
        raise ValueError("expected a certificate for that key; give its file as well (--ssl-certfile)")
    listener = _listen(host, port)

    import uvicorn

    try:
        server = uvicorn.Config(
            make_app(folder, key),
            log_level="warning",
            access_log=False,
            ssl_certfile=certificate,
            ssl_keyfile=certificate_key,
        )
        _load(server, certificate)
        address = f"http{'s' if certificate else ''}://{_literal(host)}:{listener.getsockname()[1]}"
        if show_key:
            tell(f"web page: {address}/ui/?api_key={key}")
            tell(f"Tiled:    {address}   API key: {key}")
        else:
            tell(f"web page: {address}/ui/   open it with ?api_key=KEY once")
            tell(f"Tiled:    {address}   API key: {'as given' if api_key else f'in {key_of(folder)}'}")
        if certificate is None and not ipaddress.ip_address(listener.getsockname()[0]).is_loopback:
            tell("Key and data go over the network unencrypted; --ssl-certfile encrypts them.")
        tell("Ctrl-C ends it.")
        uvicorn.Server(server).run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    finally:
        listener.close()


def databroker_profile(directory: Path | str) -> Path:
    """Write a profile through which databroker opens a data directory, without a server.

    With the environment variable ``TILED_PROFILES`` set to the profile's directory before Python starts,
    ``databroker.catalog["curio"]`` and ``Broker.named("curio")`` are the runs. Databroker's v1 and v2 interfaces change
    every client in the process, so use them in a process of their own.

    Parameters
    ----------
    directory : Path or str
        The data directory.

    Returns
    -------
    Path
        The file ``profiles/curio.yml`` in it, from the root on.
    """
    folder = require_directory(directory).resolve()  # Tiled does not find relative ones
    profile = folder / "profiles" / "curio.yml"
    profile.parent.mkdir(exist_ok=True)
    profile.write_text(yaml.safe_dump({"curio": {"direct": configuration(folder)}}, sort_keys=False))
    return profile


def _restore_catalog(directory: Path, tell: Callable[[str], None]) -> None:
    """Replace a catalog that cannot be used by one with the runs of the journal."""
    with Storage.local(directory, tell=tell) as storage:
        replaced = storage.prepare_recovery()
        if not replaced:
            return
        tell(f"{replaced}; a new one is made from the journal …")
        for run in storage.runs():
            try:
                storage.repair(run.uid)
            except (StorageError, JournalError) as error:
                tell(f"run {run.uid[:8]} is not served: {error}")


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise ValueError(f"expected a port from 0 to 65535, got {port}")
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise StorageError(
            f"cannot listen at {_literal(host)}:{port}: {error.strerror or error}; choose another --port or --host"
        ) from error


def _load(server: Any, certificate: Path | str | None) -> None:
    try:
        server.load()
    except OSError as error:  # ssl.SSLError is one
        raise StorageError(
            f"cannot use the certificate {certificate}: {error}; expected PEM files of a certificate and its key"
        ) from error


def _literal(host: str) -> str:
    return f"[{host}]" if ":" in host else host
