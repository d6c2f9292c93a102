"""What a run found, from its documents: summary, comparison with the floors, figures."""

from curio_plans.report.evaluation import Curve, Evaluation, evaluate, evaluation_rows, learning_curve
from curio_plans.report.overview import figure, save_figure
from curio_plans.report.summary import ReportError, summary

__all__ = [
    "Curve",
    "Evaluation",
    "ReportError",
    "evaluate",
    "evaluation_rows",
    "figure",
    "learning_curve",
    "save_figure",
    "summary",
]
