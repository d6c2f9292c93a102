"""A simulated microscope: a synthetic ferroelectric or a recorded sample behind the AfmBackend protocol.

The physics imports neither ophyd nor bluesky. Every random number follows from a seed, and time comes from a clock that
is passed in: simulated (actions end at once) or real.
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
        Decides the sample, the noise, and the random part of effects and faults.
    real_time : bool
        Let every action take its real duration.
    extent_nm : (width, height)
        Size of the sample in nm.
    pixels : (ny, nx)
        Frame size that is suggested.
    effects : Effects, str or mapping
        What happens besides noise: ``"calm"``, ``"realistic"``, or sizes by name; see :class:`Effects`.
    imaging : str
        ``"single-frequency"``, ``"band-excitation"`` or ``"averaged band-excitation"``; decides how long a frame takes.
    faults : sequence of Fault or mapping
        What fails and when; see :class:`Fault`.

    Raises
    ------
    ValueError
        If an argument is wrong; the message says which.
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

    It takes no seed and no effects: the recorded data have their noise already and do not change.

    Raises
    ------
    SampleError
        If the file is not a recorded sample.
    """
    sample = load_recorded(path, extent_nm, axis=axis, axis_unit=axis_unit)
    backend = TwinBackend(sample, SimulatedClock(real_time))
    return FaultyBackend(backend, faults) if faults else backend
