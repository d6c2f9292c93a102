from .documents import History
from .plans import curiosity, grid_spectroscopy, image, resume, spectra_at
from .rules import DriftCorrection, EscalationRule, Quality, StoppingRule
from .run import Desk
from .session import StoredRuns
from .store import Storage
from .study import counterfactual, explain, verify

__all__ = [
    "Desk",
    "DriftCorrection",
    "EscalationRule",
    "History",
    "Quality",
    "StoppingRule",
    "Storage",
    "StoredRuns",
    "counterfactual",
    "curiosity",
    "explain",
    "grid_spectroscopy",
    "image",
    "resume",
    "spectra_at",
    "verify",
]
