"""Which instrument a command measures with: one frozen value, chosen by options or by a stored run."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curio_plans.cli.common import connect

if TYPE_CHECKING:
    from curio_plans.rules.setup import Setup
    from curio_plans.session.settings import Settings
    from ophyd_devices.afm import AFM

TWIN_PIXELS = 128
_DESCRIBED = ("seed", "effects", "imaging", "faults")
"""What the description of a twin shares with its options."""

SAMPLE_CHOICES = ("image", "image_channel", "spectrum_channel", "part", "select", "preprocess", "reader")
"""What the description of a recorded sample shares with its options."""


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
    quantity : str or None
        The channel of the spectra that agents learn; None for the first one.
    setup : Setup or None
        How the microscope is set, as the settings say; `pixels` and `quantity` come before that.
    """

    backend: str
    options: Mapping[str, Any] = field(default_factory=dict)
    pixels: int | None = None
    envelope: Mapping[str, Any] = field(default_factory=dict)
    doses: Path | None = None
    quantity: str | None = None
    setup: "Setup | None" = None

    def connect(self, name: str = "afm") -> "AFM":
        """Connect, and return the microscope.

        Raises
        ------
        ValueError
            If an option or limit is wrong, or the instrument does not answer.
        """
        from curio_plans.run.setup import apply_setup
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
        try:
            apply_setup(afm, self.setup)
            if self.pixels is not None:
                afm.imager.pixels.put((self.pixels, self.pixels))
            if self.quantity is not None:
                afm.spectrometer.quantity.put(self.quantity)
        except ValueError:
            afm.close()
            raise
        return afm


def load(path: Path) -> "Settings":
    """Return the settings in a file, and open the log that they name; environment variables do not count.

    Raises
    ------
    SettingsError
        If the file cannot be read, or a key or value is wrong.
    """
    from curio_plans.session.log import open_log
    from curio_plans.session.settings import load_settings
    from ophyd_devices.envelope import Envelope
    from ophyd_devices.registry import check_backend

    settings = load_settings(check_backend, Envelope.model_validate, path, {})
    if settings.log is not None:
        open_log(settings.log.file, settings.log.level, json_lines=settings.log.json_lines)
    return settings


def select_instrument(
    *,
    sample: Path | None,
    of_sample: Mapping[str, Any],
    settings: "Settings | None",
    effects: str | None,
    real_time: bool,
    seed: int,
    pixels: int | None,
    spectrum_channel: str | None,
) -> Instrument:
    """Return the instrument that the options of ``curio run`` mean: that of the settings, a sample file, or the twin.

    Raises
    ------
    ValueError
        If the options contradict each other.
    """
    given = {name: value for name, value in of_sample.items() if value is not None}
    if settings is not None and (sample is not None or real_time):
        raise ValueError("--settings names the instrument; leave out --sample and --real-time")
    if sample is None and given:
        names = ", ".join(f"--{name.removesuffix('_nm').replace('_', '-')}" for name in given)
        raise ValueError(f"{names}: only a measured sample takes this; give --sample as well, or leave it out")
    if effects is not None and (sample is not None or settings is not None):
        raise ValueError("--effects belongs to the simulated sample; leave it out with --sample and --settings")
    if settings is not None:
        backend = settings.backend
        return Instrument(
            backend.name, backend.options, pixels, settings.envelope, settings.doses, spectrum_channel, settings.setup
        )
    if sample is not None:
        channel = {} if spectrum_channel is None else {"spectrum_channel": spectrum_channel}
        return Instrument("recorded", {"path": sample, "real_time": real_time, **given, **channel}, pixels)
    twin = {"seed": seed, "real_time": real_time, "effects": "calm" if effects is None else effects}
    return Instrument("twin", twin, TWIN_PIXELS if pixels is None else pixels, quantity=spectrum_channel)


def again(
    described: Mapping[str, Any],
    envelope: Mapping[str, Any],
    settings: "Settings | None",
    *,
    sample: Path | None,
    axis: str | None,
    axis_unit: str | None,
) -> Instrument:
    """Return the instrument to go on with: a real one from the settings, or the simulated one as it was new.

    Parameters
    ----------
    described : mapping
        What the start document says of the sample.
    envelope : mapping
        The limits that the instrument had.
    settings : Settings or None
        Those of a settings file instead, its dose log, and for a real instrument its backend.
    sample, axis, axis_unit
        The options of ``curio resume``.

    Raises
    ------
    ValueError
        If a command cannot make it, or an option is missing or out of place.
    """
    real = described.get("instrument") != "twin" and "faults" not in described
    if settings is not None and real and settings.backend.name not in ("twin", "recorded"):
        backend = settings.backend
        return Instrument(backend.name, backend.options, None, settings.envelope, settings.doses)
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
        asked = {key: known[key] for key in SAMPLE_CHOICES if key in known}
        if "image" in asked:
            asked["image"] = sample.with_name(asked["image"])
        recorded = {"path": sample, "extent_nm": extent, "axis": axis, "axis_unit": axis_unit, **asked, **faults}
        return Instrument("recorded", recorded)
    if (sample, axis, axis_unit) != (None, None, None):
        raise ValueError("this run was not measured on a recorded sample; leave out --sample and --axis")
    if described.get("instrument") != "twin":
        raise ValueError(
            f"this run was measured with {described.get('instrument', 'an instrument')!r}, which this command cannot "
            "make; name it with --settings, or resume in the profile: RE(resume(afm, 'UID'))"
        )
    options = {key: described[key] for key in _DESCRIBED if key in described}
    size = {"extent_nm": tuple(known["extent_nm"]), "pixels": tuple(known["pixels"])}
    options |= {key: known[key] for key in ("spectroscopy",) if key in known}
    return Instrument("twin", {**size, **options})
