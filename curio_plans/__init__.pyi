from .documents import History
from .plans import curiosity, grid_spectroscopy, image, resume, spectra_at
from .report import Run
from .rules import DriftCorrection, EscalationRule, Quality, Setup, StoppingRule
from .run import Desk, set_up
from .session import StoredRuns
from .store import Steer, Storage
from .study import counterfactual, explain, verify

__all__ = [
    "Desk",
    "DriftCorrection",
    "EscalationRule",
    "History",
    "Quality",
    "Run",
    "Setup",
    "Steer",
    "StoppingRule",
    "Storage",
    "StoredRuns",
    "counterfactual",
    "curiosity",
    "explain",
    "grid_spectroscopy",
    "image",
    "resume",
    "set_up",
    "spectra_at",
    "verify",
]
