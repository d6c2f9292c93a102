from .figures import write_figures
from .overview import figure, save_figure
from .run import Run
from .summary import ReportError, summary

__all__ = [
    "ReportError",
    "Run",
    "figure",
    "save_figure",
    "summary",
    "write_figures",
]
