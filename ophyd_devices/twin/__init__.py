"""A microscope without a microscope: a synthetic ferroelectric or a measured cube behind the AfmBackend protocol.

The physics knows neither ophyd nor bluesky, draws every random number from a seed, and takes its time from an injected
clock: simulated (instantly) or real.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ophyd_devices.twin.backend import Imaging, TwinBackend
from ophyd_devices.twin.clock import SimulatedClock
from ophyd_devices.twin.effects import Effects
from ophyd_devices.twin.faults import Fault, FaultyBackend
from ophyd_devices.twin.recorded import Extent, RecordedSample, SampleError, load_recorded
from ophyd_devices.twin.sample import Ferroelectric, Sample

__all__ = [
    "Effects",
    "Fault",
    "FaultyBackend",
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
    effects: Effects | str | Mapping[str, Any] = "calm",
    imaging: Imaging = "single-frequency",
    faults: Sequence[Fault | Mapping[str, Any]] = (),
) -> TwinBackend | FaultyBackend:
    """Return a simulated microscope over a synthetic ferroelectric.

    Parameters
    ----------
    seed : int
        Decides the sample, the noise, and what is random in effects and faults.
    real_time : bool
        Let every action take its real duration.
    extent_nm : (width, height)
        Size of the sample in nm.
    pixels : (ny, nx)
        Frame size offered.
    effects : Effects, str or mapping
        What happens beside noise: ``"calm"``, ``"realistic"``, or sizes by name; see :class:`Effects`.
    imaging : str
        ``"single-frequency"``, ``"band-excitation"`` or ``"averaged band-excitation"``: how long a frame takes.
    faults : sequence of Fault or mapping
        What fails, and when; see :class:`Fault`.

    Raises
    ------
    ValueError
        If one of them is not what is expected; the message says which.
    """
    backend = TwinBackend(
        Ferroelectric(seed, extent_nm, pixels), SimulatedClock(real_time), seed, Effects.of(effects), imaging
    )
    return FaultyBackend(backend, faults, seed) if faults else backend


def recorded(
    path: str | Path,
    extent_nm: Extent | None = None,
    real_time: bool = False,
    axis: str | None = None,
    axis_unit: str | None = None,
    faults: Sequence[Fault | Mapping[str, Any]] = (),
) -> TwinBackend | FaultyBackend:
    """Return a simulated microscope over a recorded sample; see :func:`load_recorded`.

    There is no seed and there are no effects: what was recorded has its noise already, and stays as it is.

    Raises
    ------
    SampleError
        If the file is not a recorded sample.
    """
    sample = load_recorded(path, extent_nm, axis=axis, axis_unit=axis_unit)
    backend = TwinBackend(sample, SimulatedClock(real_time))
    return FaultyBackend(backend, faults) if faults else backend
