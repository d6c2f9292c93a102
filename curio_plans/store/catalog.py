"""The catalog of a data directory as a Tiled application."""

import fcntl
import logging
import os
import secrets
import sqlite3
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from curio_plans.store.catalog_damage import CATALOG, TABLES, damage
from curio_plans.store.errors import StorageError
from curio_plans.store.guard import BODY_LIMIT, protect
from curio_plans.store.permissions import keep_private
from curio_plans.store.relocation import settle


def arrays_of(directory: Path | str, uid: str) -> Path:
    """Return where the catalog of a data directory puts the arrays of run `uid`."""
    return Path(directory).resolve() / "tiled" / "arrays" / uid


def open_app(directory: Path | str) -> Any:
    """Return a Tiled client of a data directory, served within this process.

    Raises
    ------
    StorageError
        If the catalog cannot be opened.
    """
    from tiled.client import from_context

    try:
        import tiled.server.app  # which sets its level

        logging.getLogger(tiled.server.app.__name__).setLevel(logging.WARNING)  # else it says its version each time
        app = make_app(Path(directory))
        with warnings.catch_warnings():
            # Tiled talks to itself through a test client that would rather have a successor of httpx.
            warnings.filterwarnings("ignore", message="Using `httpx` with `starlette.testclient` is deprecated")
            from tiled.client.context import Context

            return from_context(Context.from_app(app))
    except StorageError:
        raise
    except Exception as error:
        raise _unusable(directory, damage(directory) or error) from error


def make_app(directory: Path, api_key: str | None = None, add: Callable[[Any], Any] = lambda _: None) -> Any:
    """Return the Tiled application of a data directory.

    Without a key it takes the one that Tiled makes up for each process: all applications in a process must share it.
    `add` gets the application and may add routes of its own, which must ask for a key themselves.
    """
    from tiled.server.app import build_app_from_config

    settings = configuration(directory)
    settings["authentication"] = {"single_user_api_key": api_key, "allow_anonymous_access": False}
    tiled = build_app_from_config(settings)
    add(tiled)
    return protect(tiled, body_limit=None if api_key is None else BODY_LIMIT)


def own_key(directory: Path) -> str:
    """Return the API key of a data directory, made when first asked for."""
    path = key_of(directory)
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


def configuration(directory: Path) -> dict[str, Any]:
    """Return the Tiled configuration of a data directory; the catalog is made if it is not there."""
    place = directory.resolve() / "tiled"
    catalog = place / CATALOG
    with locked(directory):
        for folder in (place / "arrays", place / "external"):
            folder.mkdir(exist_ok=True)
        if reason := damage(directory, thorough=False):
            raise _unusable(directory, reason)
        try:
            place = settle(place)
        except sqlite3.Error as error:
            raise _unusable(directory, f"its entries cannot be made to point to {place}: {error}") from error
        if not catalog.exists():
            _create(catalog)
        keep_private(directory)
    return {
        "catalog": {
            "uri": f"sqlite:///{place / CATALOG}",
            "specs": [{"name": "CatalogOfBlueskyRuns", "version": "3.0"}],
            "writable_storage": [str(place / "arrays"), f"sqlite:///{place / TABLES}"],
            "readable_storage": [str(place / "external")],
        },
        "media_types": {"BlueskyRun": {"application/json-seq": "bluesky_tiled_plugins.exporters:json_seq_exporter"}},
        "routers": ["bluesky_tiled_plugins.routers.validator:router"],
    }


def key_of(directory: Path) -> Path:
    """Return the file with the API key of a data directory."""
    return directory / "tiled" / "key"


def set_aside(directory: Path | str) -> Path:
    """Move a catalog that cannot be used out of the way, so that the next use makes a new one; return where it is."""
    place = Path(directory).resolve() / "tiled"
    stamp = f"{datetime.now():%Y%m%d-%H%M%S-%f}"
    if not place.is_dir():
        return place.rename(place.with_name(f"tiled-damaged-{stamp}"))
    with locked(Path(directory)):
        aside = place / f"damaged-{stamp}"
        aside.mkdir()
        databases = [f"{name}{end}" for name in (CATALOG, TABLES) for end in ("", "-wal", "-shm")]
        for name in ("arrays", "place", *databases):
            if os.path.lexists(place / name):
                (place / name).rename(aside / name)
    return aside


def _unusable(directory: Path | str, reason: object) -> StorageError:
    return StorageError(
        f"the Tiled catalog in {directory} cannot be used: {reason}; the journal has all runs, and curio recover makes "
        "a new catalog from it"
    )


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
