"""The catalog of a data directory as a Tiled application: in process, over HTTP, and for databroker."""

import fcntl
import ipaddress
import logging
import os
import secrets
import socket
import sqlite3
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import typer
import yaml

from curio_plans.storage import StorageError, require_directory
from curio_plans.store.guard import BODY_LIMIT, protect
from curio_plans.store.permissions import keep_private

TABLES = "tables.db"
"""Where Tiled keeps the columns of numbers and text of all runs."""

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
        configuration = uvicorn.Config(
            make_app(folder, key),
            log_level="warning",
            access_log=False,
            ssl_certfile=certificate,
            ssl_keyfile=certificate_key,
        )
        _load(configuration, certificate)
        address = f"http{'s' if certificate else ''}://{_literal(host)}:{listener.getsockname()[1]}"
        if show_key:
            tell(f"web page: {address}/ui/?api_key={key}")
            tell(f"Tiled:    {address}   API key: {key}")
        else:
            tell(f"web page: {address}/ui/   open it with ?api_key=KEY once")
            tell(f"Tiled:    {address}   API key: {'as given' if api_key else f'in {_key_of(folder)}'}")
        if certificate is None and not ipaddress.ip_address(listener.getsockname()[0]).is_loopback:
            tell("Key and data go over the network unencrypted; --ssl-certfile encrypts them.")
        tell("Ctrl-C ends it.")
        uvicorn.Server(configuration).run(sockets=[listener])
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
    profile.write_text(yaml.safe_dump({"curio": {"direct": _configuration(folder)}}, sort_keys=False))
    return profile


def arrays_of(directory: Path | str, uid: str) -> Path:
    """Return where the catalog of a data directory puts the arrays of run `uid`."""
    return Path(directory).resolve() / "tiled" / "arrays" / uid


def open_app(directory: Path | str) -> Any:
    """Return a Tiled client of a data directory, served within this process."""
    from tiled.client import from_context

    app = make_app(Path(directory))
    logging.getLogger("tiled.server.app").setLevel(logging.WARNING)  # else it says its version each time
    with warnings.catch_warnings():
        # Tiled talks to itself through a test client that would rather have a successor of httpx.
        warnings.filterwarnings("ignore", message="Using `httpx` with `starlette.testclient` is deprecated")
        from tiled.client.context import Context

        return from_context(Context.from_app(app))


def make_app(directory: Path, api_key: str | None = None) -> Any:
    """Return the Tiled application of a data directory.

    Without a key it takes the one that Tiled makes up for each process: all applications in a process must share it.
    """
    from tiled.server.app import build_app_from_config

    configuration = _configuration(directory)
    configuration["authentication"] = {"single_user_api_key": api_key, "allow_anonymous_access": False}
    return protect(build_app_from_config(configuration), body_limit=None if api_key is None else BODY_LIMIT)


def own_key(directory: Path) -> str:
    """Return the API key of a data directory, made when first asked for."""
    path = _key_of(directory)
    with locked(directory):
        if not path.exists():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(32))
    return path.read_text().strip()


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keep other processes from creating things in the same directory at the same time."""
    (directory / "tiled").mkdir(exist_ok=True)
    with (directory / "tiled" / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _configuration(directory: Path) -> dict[str, Any]:
    """Return the Tiled configuration of a data directory; the catalog is made if it is not there."""
    place = directory.resolve() / "tiled"
    catalog = place / "catalog.db"
    with locked(directory):
        for folder in (place / "arrays", place / "external"):
            folder.mkdir(exist_ok=True)
        _require_unmoved(place)
        if not catalog.exists():
            _create(catalog)
        keep_private(directory)
    return {
        "catalog": {
            "uri": f"sqlite:///{catalog}",
            "specs": [{"name": "CatalogOfBlueskyRuns", "version": "3.0"}],
            "writable_storage": [str(place / "arrays"), f"sqlite:///{place / TABLES}"],
            "readable_storage": [str(place / "external")],
        },
        "media_types": {"BlueskyRun": {"application/json-seq": "bluesky_tiled_plugins.exporters:json_seq_exporter"}},
        "routers": ["bluesky_tiled_plugins.routers.validator:router"],
    }


def _key_of(directory: Path) -> Path:
    return directory / "tiled" / "key"


def _require_unmoved(place: Path) -> None:
    """Refuse a catalog that was moved or copied: its entries say where arrays were, and deleting would reach there."""
    note = place / "place"
    if note.exists() and note.read_text() != str(place):
        raise StorageError(
            f"the catalog {place} was made as {note.read_text()} and cannot be moved or copied; "
            "the journal can: delete the directory, and put the runs into a new catalog with storage.repair(uid)"
        )
    note.write_text(str(place))


def _create(catalog: Path) -> None:
    """Make an empty catalog; it gets its name when it is complete, as a crash may come any time."""
    draft = catalog.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    command = [sys.executable, "-m", "tiled", "catalog", "init", f"sqlite:///{draft}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments
    if done.returncode:
        raise StorageError(f"Tiled could not make a catalog in {catalog.parent}: {done.stderr.strip()[-500:]}")
    # With a write-ahead log, which a file keeps for ever, whoever reads does not find it locked by whoever writes.
    for database in (draft, catalog.with_name(TABLES)):
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
    draft.rename(catalog)


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise ValueError(f"expected a port from 0 to 65535, got {port}")
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise StorageError(
            f"cannot listen at {_literal(host)}:{port}: {error.strerror or error}; choose another --port or --host"
        ) from error


def _load(configuration: Any, certificate: Path | str | None) -> None:
    try:
        configuration.load()
    except OSError as error:  # ssl.SSLError is one
        raise StorageError(
            f"cannot use the certificate {certificate}: {error}; expected PEM files of a certificate and its key"
        ) from error


def _literal(host: str) -> str:
    return f"[{host}]" if ":" in host else host
