"""What can go wrong with a store, and the check that a data directory can be written."""

import tempfile
from pathlib import Path


class StorageError(OSError):
    """Runs cannot be kept or read here."""


class ServeError(StorageError):
    """A server cannot be opened here."""


class JournalError(ValueError):
    """A journal that cannot be read, or a document that cannot be kept."""


class RunNotFound(LookupError):
    """There is no such run."""


class AmbiguousRun(LookupError):
    """More than one run is meant."""


def require_directory(directory: Path | str) -> Path:
    """Return a directory that can be written, made if it is not there.

    Raises
    ------
    StorageError
        If that is not possible.
    """
    folder = Path(directory)
    if set("#?") & set(str(folder.resolve())):
        raise StorageError(f"Tiled cannot write below a name with # or ? in it; choose another directory than {folder}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (FileExistsError, NotADirectoryError):
        raise StorageError(f"expected a directory for the data, but {folder} is, or lies in, a file") from None
    except OSError as error:
        raise StorageError(
            f"cannot write to the data directory {folder}: {error.strerror}; choose another or change its permissions"
        ) from error
    return folder
