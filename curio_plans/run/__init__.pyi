from .desk import Desk
from .microscope import Microscope
from .notes import Note
from .registration import Registration, register
from .rehearsal import Durations, Step, rehearse
from .resume import ResumeError
from .setup import apply_setup, set_up
from .thinker import Thinker, ThinkingError

__all__ = [
    "Desk",
    "Durations",
    "Microscope",
    "Note",
    "Registration",
    "ResumeError",
    "Step",
    "Thinker",
    "ThinkingError",
    "apply_setup",
    "register",
    "rehearse",
    "set_up",
]
