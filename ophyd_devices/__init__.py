"""What the microscope is: Ophyd devices for an atomic force microscope, and the backends that drive it.

The names below are imported when they are first used, so that ``import ophyd_devices`` does not load ophyd.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ophyd_devices.afm import AFM
    from ophyd_devices.backend import AfmBackend
    from ophyd_devices.dose import DoseLog
    from ophyd_devices.envelope import Envelope
    from ophyd_devices.guard import EnvelopeError

__all__ = ["AFM", "AfmBackend", "DoseLog", "Envelope", "EnvelopeError"]

_MODULES = {"AFM": "afm", "AfmBackend": "backend", "DoseLog": "dose", "Envelope": "envelope", "EnvelopeError": "guard"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
