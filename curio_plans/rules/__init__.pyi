from .drift import DriftCorrection
from .escalation import EscalationRule
from .quality import Quality, QualityError
from .request import RunRequest
from .stopping import StoppingRule

__all__ = [
    "DriftCorrection",
    "EscalationRule",
    "Quality",
    "QualityError",
    "RunRequest",
    "StoppingRule",
]
