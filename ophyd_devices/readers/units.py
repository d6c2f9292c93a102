"""Units at the border: lengths become nm, and what a file says of its units is kept for people."""

from functools import cache
from typing import Any

from ophyd_devices.readers.measurement import SampleError

_SPELLINGS = {
    "": "", "<undefined>": "", "generic": "", "a.u.": "", "au": "", "arb. units": "", "arb.u.": "", "~m": "m",
    "1/cm": "cm⁻¹", "cm-1": "cm⁻¹", "cm^-1": "cm⁻¹", "1 / centimeter": "cm⁻¹",
    "um": "µm", "μm": "µm", "micron": "µm", "microns": "µm", "angstrom": "Å", "a": "Å",
    "degree": "°", "degrees": "°", "deg": "°",
}  # fmt: skip
"""Units as files spell them (in small letters), and as they are shown."""

SMALLEST_EXTENT_NM = 1e-2
"""A frame that is smaller than this cannot be meant in nm: an atom is 0.1 nm."""


def shown(unit: Any) -> str:
    """Return a unit as it is shown; an unknown spelling stays as it is."""
    text = unit.decode("utf-8", "replace") if isinstance(unit, bytes) else str(unit or "")
    text = text.strip()
    if text in ("A", "M"):  # ampere, not ångström
        return text
    return _SPELLINGS.get(text.lower(), text)


@cache
def _registry() -> Any:
    import pint

    return pint.UnitRegistry()


def length_factor(unit: Any, what: str) -> float:
    """Return by what a length in `unit` is multiplied to be in nm.

    Raises
    ------
    SampleError
        If it is no unit of length; the message begins with `what`.
    """
    text = shown(unit)
    try:
        return float(_registry().Quantity(1.0, "angstrom" if text == "Å" else text).to("nm").magnitude)
    except Exception as error:  # pint raises many kinds, some of the tokenizer
        raise SampleError(f"{what}: expected a unit of length such as nm, µm or m, got {text!r}") from error


def is_length(unit: Any) -> bool:
    """Tell whether a unit is one of length."""
    try:
        length_factor(unit, "")
    except SampleError:
        return False
    return bool(shown(unit))


def readable(values: Any, unit: str) -> tuple[Any, str]:
    """Return values and unit with the prefix with which the largest value is between 1 and 1000.

    Only where the unit is metre, volt, ampere, newton, second, hertz or farad without a prefix; the rest is unchanged.
    """
    import numpy as np

    largest = float(np.nanmax(np.abs(values))) if np.size(values) else 0.0
    if unit not in ("m", "V", "A", "N", "s", "Hz", "F") or not np.isfinite(largest) or largest == 0:
        return values, unit
    compact = _registry().Quantity(largest, unit).to_compact()
    text = f"{compact.units:~P}"
    if text == unit or 1e-2 <= largest < 1e4:
        return values, unit
    factor = float(_registry().Quantity(1.0, unit).to(compact.units).magnitude)
    return values * factor, text
