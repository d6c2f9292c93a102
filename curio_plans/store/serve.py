"""Serve a data directory over HTTP, and describe it to databroker."""

import socket
from collections.abc import Callable
from pathlib import Path

import typer
import yaml

from curio_plans.store.catalog import configuration, make_app, own_key
from curio_plans.store.errors import StorageError, require_directory


def serve(
    directory: Path | str,
    host: str = "127.0.0.1",
    port: int = 8000,
    api_key: str | None = None,
    *,
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
        What to ask clients for, letters and digits only. By default a key that is made once and kept in the
        directory, readable for its owner alone.
    tell : callable
        Gets the address and the key.

    Raises
    ------
    StorageError
        If the directory is not there or not writable, or the port is taken.
    """
    folder = Path(directory)
    if not folder.is_dir():
        raise StorageError(f"there are no runs in {folder}: no such directory")
    require_directory(folder)
    key = api_key if api_key is not None else own_key(folder)
    if not (key.isascii() and key.isalnum()):
        raise ValueError("expected an API key of letters and digits only: others would be garbled in an address")
    listener = _listen(host, port)

    import uvicorn

    address = f"http://{_literal(host)}:{listener.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(make_app(folder, key), log_level="warning"))
    try:
        tell(f"web page: {address}/ui/?api_key={key}")
        tell(f"Tiled:    {address}   API key: {key}")
        tell("Ctrl-C ends it.")
        server.run(sockets=[listener])
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


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise ValueError(f"expected a port from 0 to 65535, got {port}")
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise StorageError(
            f"cannot listen at {_literal(host)}:{port}: {error.strerror or error}; choose another --port or --host"
        ) from error


def _literal(host: str) -> str:
    return f"[{host}]" if ":" in host else host
