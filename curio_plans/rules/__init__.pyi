from .drift import DriftCorrection
from .escalation import EscalationRule
from .quality import Quality, QualityError
from .stopping import StoppingRule

__all__ = [
    "DriftCorrection",
    "EscalationRule",
    "Quality",
    "QualityError",
    "StoppingRule",
]
