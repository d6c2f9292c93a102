"""Who may read the files of a data directory."""

import os
import stat
from contextlib import suppress
from pathlib import Path


def keep_private(directory: Path) -> None:
    """Take the catalog and the journal of a data directory away from those whose data they are not.

    Others may do nothing with the folders ``tiled`` and ``journal`` and with the databases; neither may the group,
    unless it may write to the data directory itself, which is how one is shared. Rights are only taken, never given.
    What belongs to somebody else, and file systems without rights, stay as they are.

    Parameters
    ----------
    directory : Path
        The data directory.
    """
    shared = directory.stat().st_mode & stat.S_IWGRP
    taken = stat.S_IRWXO if shared else stat.S_IRWXO | stat.S_IRWXG
    catalog = directory / "tiled"
    for path in (catalog, directory / "journal", *catalog.iterdir()):
        with suppress(OSError):
            _take(path, taken)


def _take(path: Path, rights: int) -> None:
    found = path.stat(follow_symlinks=False)
    if found.st_uid == os.geteuid() and found.st_mode & rights and not stat.S_ISLNK(found.st_mode):
        path.chmod(stat.S_IMODE(found.st_mode) & ~rights)
