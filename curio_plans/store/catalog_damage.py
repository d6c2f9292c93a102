"""Tell whether the databases of the Tiled catalog in a data directory can be used."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

CATALOG = "catalog.db"
"""Where Tiled keeps what there is."""

TABLES = "tables.db"
"""Where Tiled keeps the columns of numbers and text of all runs."""


def catalog_of(directory: Path | str) -> Path:
    """Return the database of the catalog in a data directory."""
    return Path(directory).resolve() / "tiled" / CATALOG


def damage(directory: Path | str, *, thorough: bool = True) -> str:
    """Say why the catalog of a data directory cannot be used; empty if it can, or there is none yet.

    It looks into the databases, not at each array: :class:`curio_plans.store.tiled_check.TiledCopy` does.

    Parameters
    ----------
    directory : Path or str
        The data directory.
    thorough : bool
        Read the databases to the end, which takes a second for some hundred MB.
    """
    place = Path(directory).resolve() / "tiled"
    if not os.path.lexists(place):
        return ""
    for folder in (place, place / "arrays"):
        if os.path.lexists(folder) and not folder.is_dir():
            return f"{folder} is no directory"
    catalog = place / CATALOG
    if not os.path.lexists(catalog):
        return ""
    try:
        found = _database_damage(catalog, thorough, "nodes") or _database_damage(place / TABLES, thorough)
        if not found and (number := _strays(catalog, place)):
            found = f"{number} of its entries point neither to {place} nor to where it was made"
        if not found and _count(catalog, "nodes WHERE structure_family = 'table'"):
            found = "" if _count(place / TABLES, "sqlite_master") else f"{place / TABLES} is empty"
    except sqlite3.OperationalError:
        return ""  # it is locked: no damage
    return found


def made_at(place: Path) -> str | None:
    """Return where a catalog was when its entries were written; None where it does not say."""
    try:
        return (place / "place").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def entries_under(place: Path | str) -> tuple[str, str]:
    """Return how the entries of Tiled begin of arrays and of tables under a path."""
    return f"file://localhost{place}/", f"sqlite://localhost/{place}/"


def _strays(catalog: Path, place: Path) -> int:
    beginnings = [text for path in (place, made_at(place)) if path is not None for text in entries_under(path)]
    elsewhere = " AND ".join("substr(data_uri, 1, ?) != ?" for _ in beginnings)
    values = [value for text in beginnings for value in (len(text), text)]
    with closing(_read_only(catalog)) as connection:
        (number,) = connection.execute(f"SELECT count(*) FROM assets WHERE {elsewhere}", values).fetchone()  # noqa: S608
    return int(number)


def _database_damage(path: Path, thorough: bool, table: str = "") -> str:
    """Say what is wrong with a database, which must have a table of this name."""
    if not path.is_file():
        return f"{path} is missing, or no file"
    try:
        with closing(_read_only(path)) as connection:
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone() if thorough else ("ok",)
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        return f"{path}: {error}"
    if verdict != "ok":
        return f"{path}: {verdict}"
    if table and not _count(path, f"sqlite_master WHERE name = '{table}'"):
        return f"{path} has no table {table!r}"
    return ""


def _count(path: Path, what: str) -> int:
    with closing(_read_only(path)) as connection:
        (number,) = connection.execute(f"SELECT count(*) FROM {what}").fetchone()  # noqa: S608 - our own words
    return int(number)


def _read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
