"""A microscope without a microscope: a synthetic ferroelectric or a measured cube behind the AfmBackend protocol.

The physics knows neither ophyd nor bluesky, draws every random number from a seed, and takes its time from an injected
clock: simulated (instantly) or real.
"""

from pathlib import Path

from ophyd_devices.twin.backend import TwinBackend
from ophyd_devices.twin.clock import SimulatedClock
from ophyd_devices.twin.recorded import Extent, RecordedSample, SampleError, load_recorded
from ophyd_devices.twin.sample import Ferroelectric, Sample

__all__ = [
    "Ferroelectric",
    "RecordedSample",
    "Sample",
    "SampleError",
    "SimulatedClock",
    "TwinBackend",
    "load_recorded",
    "recorded",
    "twin",
]


def twin(
    seed: int = 0,
    real_time: bool = False,
    extent_nm: tuple[float, float] = (2000.0, 2000.0),
    pixels: tuple[int, int] = (128, 128),
) -> TwinBackend:
    """Return a simulated microscope over a synthetic ferroelectric.

    Parameters
    ----------
    seed : int
        Decides the sample and the noise.
    real_time : bool
        Let every action take its real duration.
    extent_nm : (width, height)
        Size of the sample in nm.
    pixels : (ny, nx)
        Frame size offered.
    """
    return TwinBackend(Ferroelectric(seed, extent_nm, pixels), SimulatedClock(real_time), seed)


def recorded(
    path: str | Path,
    extent_nm: Extent | None = None,
    real_time: bool = False,
    axis: str | None = None,
    axis_unit: str | None = None,
) -> TwinBackend:
    """Return a simulated microscope over a recorded sample; see :func:`load_recorded`.

    There is no seed: what was recorded has its noise already.

    Raises
    ------
    SampleError
        If the file is not a recorded sample.
    """
    sample = load_recorded(path, extent_nm, axis=axis, axis_unit=axis_unit)
    return TwinBackend(sample, SimulatedClock(real_time))
