"""Which instrument a command measures with: one frozen value, chosen by options or by a stored run."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curio_plans.cli.common import connect

if TYPE_CHECKING:
    from curio_plans.session.settings import Settings
    from ophyd_devices.afm import AFM

TWIN_PIXELS = 128
_DESCRIBED = ("seed", "effects", "imaging", "faults")
"""What the description of a twin shares with its options."""


@dataclass(frozen=True)
class Instrument:
    """An instrument, not yet connected.

    Attributes
    ----------
    backend : str
        The name of its backend.
    options : mapping
        What that backend takes.
    pixels : int or None
        Side of the image in px; None for the instrument's own.
    envelope : mapping
        Limits that are tighter than the instrument's own; see :class:`ophyd_devices.envelope.Envelope`.
    doses : Path or None
        The file that counts spectra; None counts them in this process only.
    """

    backend: str
    options: Mapping[str, Any] = field(default_factory=dict)
    pixels: int | None = None
    envelope: Mapping[str, Any] = field(default_factory=dict)
    doses: Path | None = None

    def connect(self, name: str = "afm") -> "AFM":
        """Connect, and return the microscope.

        Raises
        ------
        ValueError
            If an option or limit is wrong, or the instrument does not answer.
        """
        from ophyd_devices.afm import AFM
        from ophyd_devices.dose import DoseLog
        from ophyd_devices.envelope import Envelope

        envelope, doses = Envelope.model_validate(dict(self.envelope)), DoseLog(self.doses)
        backend = connect(self.backend, self.options)
        try:
            afm = AFM(backend, name=name, envelope=envelope, doses=doses)
        except ValueError:
            backend.close()
            raise
        if self.pixels is not None:
            try:
                afm.imager.pixels.put((self.pixels, self.pixels))
            except ValueError:
                afm.close()
                raise
        return afm


def load(path: Path) -> "Settings":
    """Return the settings in a file; environment variables do not count.

    Raises
    ------
    SettingsError
        If the file cannot be read, or a key or value is wrong.
    """
    from curio_plans.session.settings import load_settings
    from ophyd_devices.envelope import Envelope
    from ophyd_devices.registry import check_backend

    return load_settings(check_backend, Envelope.model_validate, path, {})


def select(
    *,
    sample: Path | None,
    settings: "Settings | None",
    extent: float | None,
    axis: str | None,
    axis_unit: str | None,
    effects: str | None,
    real_time: bool,
    seed: int,
    pixels: int | None,
) -> Instrument:
    """Return the instrument that the options of ``curio run`` mean: that of the settings, a sample file, or the twin.

    Raises
    ------
    ValueError
        If the options contradict each other.
    """
    if settings is not None and (sample is not None or real_time):
        raise ValueError("--settings names the instrument; leave out --sample and --real-time")
    if sample is None and (extent, axis, axis_unit) != (None, None, None):
        raise ValueError(
            "--extent, --axis and --axis-unit belong to a measured sample; give --sample as well, or leave them out"
        )
    if effects is not None and (sample is not None or settings is not None):
        raise ValueError("--effects belongs to the simulated sample; leave it out with --sample and --settings")
    if settings is not None:
        backend = settings.backend
        return Instrument(backend.name, backend.options, pixels, settings.envelope, settings.doses)
    if sample is not None:
        recorded = {"path": sample, "extent_nm": extent, "axis": axis, "axis_unit": axis_unit, "real_time": real_time}
        return Instrument("recorded", recorded, pixels)
    twin = {"seed": seed, "real_time": real_time, "effects": "calm" if effects is None else effects}
    return Instrument("twin", twin, TWIN_PIXELS if pixels is None else pixels)


def again(
    described: Mapping[str, Any],
    envelope: Mapping[str, Any],
    settings: "Settings | None",
    *,
    sample: Path | None,
    axis: str | None,
    axis_unit: str | None,
) -> Instrument:
    """Return the simulated instrument that a stored run describes, as it was when it was new, within its limits.

    Parameters
    ----------
    described : mapping
        What the start document says of the sample.
    envelope : mapping
        The limits that the instrument had.
    settings : Settings or None
        Those of a settings file instead, and its dose log.
    sample, axis, axis_unit
        The options of ``curio resume``.

    Raises
    ------
    ValueError
        If a command cannot make it, or an option is missing or out of place.
    """
    instrument = _simulated(described, sample, axis, axis_unit)
    if settings is not None:
        return replace(instrument, envelope=settings.envelope, doses=settings.doses)
    return replace(instrument, envelope=envelope)


def _simulated(
    described: Mapping[str, Any], sample: Path | None, axis: str | None, axis_unit: str | None
) -> Instrument:
    known = described.get("sample", {})
    if known.get("kind") == "recorded":
        if sample is None:
            raise ValueError(
                f"this run was measured on a recorded sample: give its file, --sample …/{known.get('file')}"
            )
        extent = known["extent_nm"] if known.get("extent_source") == "given" else None
        faults = {key: described[key] for key in ("faults",) if key in described}
        recorded = {"path": sample, "extent_nm": extent, "axis": axis, "axis_unit": axis_unit, **faults}
        return Instrument("recorded", recorded)
    if (sample, axis, axis_unit) != (None, None, None):
        raise ValueError("this run was not measured on a recorded sample; leave out --sample and --axis")
    if described.get("instrument") != "twin":
        raise ValueError(
            f"this run was measured with {described.get('instrument', 'an instrument')!r}, which this command cannot "
            "make; resume it in the profile: RE(resume(afm, 'UID'))"
        )
    options = {key: described[key] for key in _DESCRIBED if key in described}
    size = {"extent_nm": tuple(known["extent_nm"]), "pixels": tuple(known["pixels"])}
    return Instrument("twin", {**size, **options})
