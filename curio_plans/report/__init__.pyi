from .figures import write_figures
from .overview import figure, save_figure
from .summary import ReportError, summary

__all__ = [
    "ReportError",
    "figure",
    "save_figure",
    "summary",
    "write_figures",
]
