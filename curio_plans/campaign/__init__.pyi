from .campaign import Campaign, Job
from .cluster import Finished, finished
from .job import Measured, Server, measure, rows_of
from .results import Results

__all__ = ["Campaign", "Finished", "Job", "Measured", "Results", "Server", "finished", "measure", "rows_of"]
