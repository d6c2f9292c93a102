from .errors import AmbiguousRun, JournalError, RunNotFound, StorageError
from .journal import Journal
from .recovery import Recovery
from .run_info import RunInfo
from .serve import databroker_profile, serve
from .steer import Steer, SteeringError
from .storage import Storage
from .tiled_reader import count_points, read_configuration, read_documents, read_stream
from .verification import Verification

__all__ = [
    "AmbiguousRun",
    "Journal",
    "JournalError",
    "Recovery",
    "RunInfo",
    "RunNotFound",
    "Steer",
    "SteeringError",
    "Storage",
    "StorageError",
    "Verification",
    "count_points",
    "databroker_profile",
    "read_configuration",
    "read_documents",
    "read_stream",
    "serve",
]
