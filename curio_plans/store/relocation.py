"""A catalog whose data directory was moved, copied or mounted elsewhere: its entries are made to point to where it is.

Tiled keeps the absolute path of each array and of the database of tables. The file ``place`` says where the catalog
was when these were written.
"""

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

from curio_plans.store.catalog_damage import CATALOG, entries_under, made_at

logger = logging.getLogger(__name__)


def settle(place: Path) -> Path:
    """Make the entries of a catalog point to where it is now; return the path that they have.

    The caller holds the lock of the catalog. What is registered from outside the directory stays as it is.

    Parameters
    ----------
    place : Path
        The folder ``tiled`` of a data directory, resolved.

    Returns
    -------
    Path
        `place`; or the path where it was made, if that still leads to the same folder, as under a second mount.

    Raises
    ------
    sqlite3.Error
        If the catalog cannot be changed.
    """
    told = made_at(place)
    if told == str(place):
        return place
    if told is not None:
        made = Path(told)
        if _same(made, place):
            return made
        if (place / CATALOG).exists():
            _rewrite(place / CATALOG, made, place)
            logger.info("the catalog of %s was made as %s; its entries point to its new place now", place, made)
    (place / "place").write_text(str(place), encoding="utf-8")  # last: what breaks off before is done again
    return place


def _same(made: Path, place: Path) -> bool:
    try:
        return made.is_absolute() and made.samefile(place)
    except (OSError, ValueError):
        return False


def _rewrite(catalog: Path, made: Path, place: Path) -> None:
    """Replace the beginning of each entry under `made`, all or none."""
    with closing(sqlite3.connect(catalog, timeout=60)) as connection, connection:
        for old, new in zip(entries_under(made), entries_under(place), strict=True):
            connection.execute(
                "UPDATE assets SET data_uri = ? || substr(data_uri, ?) WHERE substr(data_uri, 1, ?) = ?",
                (new, len(old) + 1, len(old), old),
            )
