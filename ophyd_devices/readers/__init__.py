"""Files of measured data, whatever instrument wrote them, as one neutral value.

A reader turns a file into a :class:`Measurement`. Readers are found by the entry-point group ``curio.readers``, so a
laboratory can add its own. Nothing in a file is ever unpickled.
"""

from ophyd_devices.readers.measurement import Axis, Image, Measurement, SampleError, Spectra
from ophyd_devices.readers.registry import Reader, known_readers, read

__all__ = ["Axis", "Image", "Measurement", "Reader", "SampleError", "Spectra", "known_readers", "read"]
