"""A simulated microscope: a synthetic ferroelectric or a recorded sample behind the AfmBackend protocol.

The physics imports neither ophyd nor bluesky. Every random number follows from a seed, and time comes from a clock that
is passed in: simulated (actions end at once) or real.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from ophyd_devices.readers.extent import Extent
from ophyd_devices.readers.measurement import SampleError
from ophyd_devices.readers.selection import Part
from ophyd_devices.twin.backend import Imaging, TwinBackend
from ophyd_devices.twin.clock import SimulatedClock
from ophyd_devices.twin.effects import Effects
from ophyd_devices.twin.faults import Fault, FaultyBackend
from ophyd_devices.twin.forces import ForceCurves
from ophyd_devices.twin.kelvin import KelvinCurves
from ophyd_devices.twin.recorded import RecordedSample
from ophyd_devices.twin.sample import Ferroelectric, Sample
from ophyd_devices.twin.sample_file import sample_from
from ophyd_devices.twin.tunnelling import CurrentCurves

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
    "recorded",
    "sample_from",
    "twin",
]

SAMPLES = {"switching": Ferroelectric, "current": CurrentCurves, "force": ForceCurves, "kelvin": KelvinCurves}
"""The sample of each spectroscopy; all have the same film."""


def twin(
    seed: int = 0,
    real_time: bool = False,
    extent_nm: tuple[float, float] = (2000.0, 2000.0),
    pixels: tuple[int, int] = (128, 128),
    effects: Effects | str | Mapping[str, Any] = "calm",
    imaging: Imaging = "single-frequency",
    faults: Sequence[Fault | Mapping[str, Any]] = (),
    spectroscopy: Literal["switching", "current", "force", "kelvin"] = "switching",
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
    spectroscopy : str
        What a spectrum is: the ``"switching"`` of the film, the tunnel ``"current"`` over the bias, the ``"force"``
        over the height, or the frequency shift over the bias, ``"kelvin"``.

    Raises
    ------
    ValueError
        If an argument is wrong; the message says which.
    """
    backend = TwinBackend(
        SAMPLES[spectroscopy](seed, extent_nm, pixels), SimulatedClock(real_time), seed, Effects.of(effects), imaging
    )
    return FaultyBackend(backend, faults, seed) if faults else backend


def recorded(
    path: str | Path,
    extent_nm: Extent | None = None,
    real_time: bool = False,
    axis: str | None = None,
    axis_unit: str | None = None,
    image: str | Path | None = None,
    image_channel: str | Sequence[str] | None = None,
    spectrum_channel: str | None = None,
    part: Part | None = None,
    select: Mapping[str, float] | None = None,
    preprocess: Sequence[str] = (),
    reader: str | None = None,
    faults: Sequence[Fault | Mapping[str, Any]] = (),
) -> TwinBackend | FaultyBackend:
    """Return a simulated microscope over a recorded sample; see :func:`sample_from`.

    It takes no seed and no effects: the recorded data have their noise already and do not change.

    Raises
    ------
    SampleError
        If the file is not a recorded sample.
    """
    sample = sample_from(
        path, extent_nm, axis=axis, axis_unit=axis_unit, image=image, image_channel=image_channel,
        spectrum_channel=spectrum_channel, part=part, select=select, preprocess=preprocess, reader=reader,
    )  # fmt: skip
    backend = TwinBackend(sample, SimulatedClock(real_time))
    return FaultyBackend(backend, faults) if faults else backend
