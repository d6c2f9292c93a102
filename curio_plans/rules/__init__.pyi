from .drift import DriftCorrection
from .elsewhere import Elsewhere
from .escalation import EscalationRule
from .quality import Quality, QualityError
from .request import RunRequest
from .setup import Setup
from .stopping import StoppingRule

__all__ = [
    "DriftCorrection",
    "Elsewhere",
    "EscalationRule",
    "Quality",
    "QualityError",
    "RunRequest",
    "Setup",
    "StoppingRule",
]
