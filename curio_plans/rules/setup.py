"""How the microscope is set for one run: frame, waveform, speeds. What is left out stays as it is set."""

from typing import Annotated, Any

from pydantic import BeforeValidator, field_validator

from curio_plans.validation import Frozen, Number, Positive, PositiveWhole, Text


def _separated(value: Any) -> Any:
    """Return the numbers of a text such as ``"0, 500, 0, 500"``; any other value as it is."""
    if not isinstance(value, str):
        return value
    try:
        return [float(part) for part in value.split(",")]
    except ValueError:
        return value


class Setup(Frozen):
    """Settings of the microscope for one run; afterwards it is set as before.

    Instrument and envelope check each value before anything moves.

    Attributes
    ----------
    area : (x_min, x_max, y_min, y_max) or None
        Of the image, in nm.
    pixels : (ny, nx) or None
        Of the image; one number is a square.
    line_rate : float or None
        Lines of the image per second, in Hz.
    velocity : float or None
        Of the tip between places, in nm/s.
    setpoint : float or None
        With which the tip engages; nN, or the unit of the instrument.
    quantity : str or None
        The channel of the spectra that agents learn.
    dwell : float or None
        Time of each step of a spectrum, in s.
    amplitude : float or None
        Of the bias, in V.
    steps_per_cycle : int or None
        Of the bias, a multiple of 4.
    cycles : int or None
        Of the bias.
    distance : float or None
        Of a spectrum over the height, in nm.
    ramp_points : int or None
        Of each way of a spectrum over the height.
    """

    area: Annotated[tuple[Number, Number, Number, Number], BeforeValidator(_separated)] | None = None
    pixels: tuple[PositiveWhole, PositiveWhole] | None = None
    line_rate: Positive | None = None
    velocity: Positive | None = None
    setpoint: Positive | None = None
    quantity: Text | None = None
    dwell: Positive | None = None
    amplitude: Positive | None = None
    steps_per_cycle: PositiveWhole | None = None
    cycles: PositiveWhole | None = None
    distance: Positive | None = None
    ramp_points: PositiveWhole | None = None

    @field_validator("pixels", mode="before")
    @classmethod
    def _square(cls, value: Any) -> Any:
        value = _separated(value)
        return (value, value) if isinstance(value, int) and not isinstance(value, bool) else value

    def given(self) -> dict[str, Any]:
        """Return what is given, as JSON values: what a start document keeps."""
        return self.model_dump(mode="json", exclude_none=True)
