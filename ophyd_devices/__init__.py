"""What the microscope is: Ophyd devices for an atomic force microscope, and backends that answer for them."""

from ophyd_devices.afm import AFM
from ophyd_devices.backend import AfmBackend
from ophyd_devices.dose import DoseLog
from ophyd_devices.envelope import Envelope, EnvelopeError

__all__ = ["AFM", "AfmBackend", "DoseLog", "Envelope", "EnvelopeError"]
