"""What the microscope is: Ophyd devices for an atomic force microscope, and backends that answer for them."""

from ophyd_devices.afm import AFM
from ophyd_devices.backend import AfmBackend

__all__ = ["AFM", "AfmBackend"]
