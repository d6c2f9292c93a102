from .errors import AmbiguousRun, RunNotFound, StorageError
from .journal import Journal, JournalError
from .serve import databroker_profile, serve
from .storage import RunInfo, Storage
from .tiled_reader import count_points, read_configuration, read_documents, read_stream

__all__ = [
    "AmbiguousRun",
    "Journal",
    "JournalError",
    "RunInfo",
    "RunNotFound",
    "Storage",
    "StorageError",
    "count_points",
    "databroker_profile",
    "read_configuration",
    "read_documents",
    "read_stream",
    "serve",
]
