"""Figures of merit: one number that says of a spectrum what somebody wants to know."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from agents.hysteresis import fit_loop, is_cyclic
from agents.protocols import Observation

Values = NDArray[np.float64]
Merit = Callable[[Values, Values], float]
"""Takes the spectral axis (K,) and a spectrum (K,)."""


def _coercive(axis: Values, spectrum: Values) -> float:
    return float(fit_loop(axis, spectrum)[4])


def _imprint(axis: Values, spectrum: Values) -> float:
    return float(fit_loop(axis, spectrum)[3])


def _enclosed(axis: Values, spectrum: Values) -> float:
    """Return the area that a closed curve encloses: half of ``|Σ x_i y_(i+1) − x_(i+1) y_i|``."""
    return float(abs((axis * np.roll(spectrum, -1) - np.roll(axis, -1) * spectrum).sum()) / 2)


MERITS: Mapping[str, Merit] = {
    "height": lambda _, spectrum: float(np.ptp(spectrum)),
    "mean": lambda _, spectrum: float(spectrum.mean()),
    "maximum": lambda _, spectrum: float(spectrum.max()),
    "minimum": lambda _, spectrum: float(spectrum.min()),
    "coercive": _coercive,
    "imprint": _imprint,
    "area": _enclosed,
}
"""By name: height (largest less smallest value), mean, maximum and minimum in the unit of the spectrum; of a hysteresis
loop the coercive bias and the imprint in the unit of the axis, from a fit (:func:`agents.hysteresis.fit_loop`), and the
enclosed area in the product of both units."""

OF_LOOPS = frozenset({"coercive", "imprint", "area"})
"""Those that only a spectrum over a cyclic axis has."""


def merit(name: str, observation: Observation) -> float:
    """Return a figure of merit of a measured spectrum.

    Raises
    ------
    ValueError
        If there is none of this name, or the spectrum cannot have it.
    """
    if name not in MERITS:
        raise ValueError(f"there is no figure of merit {name!r}; known are {', '.join(MERITS)}")
    axis = observation.axis
    if name in OF_LOOPS and (axis is None or not is_cyclic(axis)):
        raise ValueError(f"expected spectra over a bias that goes up and down for {name!r}; choose {_others()}")
    steps = np.arange(observation.spectrum.size, dtype=np.float64) if axis is None else axis
    return MERITS[name](steps, observation.spectrum)


def _others() -> str:
    *most, last = (name for name in MERITS if name not in OF_LOOPS)
    return f"{', '.join(most)} or {last}"
