"""Serve a data directory over HTTP, and describe it to databroker."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import typer
import yaml

from curio_plans.store.catalog import configuration, key_of, make_app, own_key
from curio_plans.store.errors import JournalError, StorageError, require_directory
from curio_plans.store.guard import PAGE, watching_key
from curio_plans.store.listening import SHORTEST_KEY, Listener, can_be_guessed
from curio_plans.store.storage import Storage


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
    add: Callable[[Any], Any] | None = None,
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
    add : callable, optional
        Adds a page of its own to the application, as :func:`curio_plans.page.add_page` does; its address is then told.

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
    if can_be_guessed(key):
        raise ValueError(
            f"expected an API key of at least {SHORTEST_KEY} letters and digits, as shorter ones can be guessed and "
            "others are garbled in an address; leave it out, and one is made"
        )

    with Listener(host, port, certificate, certificate_key) as listener, suppress(KeyboardInterrupt):
        address = listener.address

        def greet() -> None:
            if add is not None:
                tell(f"page:     {address}{PAGE}#key={key}" if show_key else f"page:     {address}{PAGE}")
                if show_key:
                    tell(f"to watch: {address}{PAGE}#key={watching_key(key)}   (cannot change anything)")
            if show_key:
                tell(f"web page: {address}/ui/?api_key={key}")
                tell(f"Tiled:    {address}   API key: {key}")
            else:
                tell(f"web page: {address}/ui/   open it with ?api_key=KEY once")
                tell(f"Tiled:    {address}   API key: {'as given' if api_key else f'in {key_of(folder)}'}")

        listener.serve(make_app(folder, key, add or (lambda _: None)), greet, tell)


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
