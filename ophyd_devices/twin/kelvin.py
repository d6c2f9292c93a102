"""Kelvin probe spectra: the frequency shift of an oscillating cantilever over the bias, a parabola.

The electrostatic force between tip and sample, (∂C/∂z) (V - V_cpd)²/2, shifts the resonance in proportion to its
gradient, so that Δf(V) = Δf_0 - a (V - V_cpd)²: its vertex is the contact potential difference (W. Melitz et al., Surf.
Sci. Rep. 66, 1 (2011), sections 2.2 and 3).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophyd_devices.backend import Spectroscopy
from ophyd_devices.twin.forces import POTENTIAL_BY_DOMAIN_V, POTENTIAL_V
from ophyd_devices.twin.sample import AS_NEW, Condition, Ferroelectric

CURVATURE_HZ = 1.5
"""a on a flat surface, Hz/V² (engineering guess: a metal tip some nm above a film)."""
CURVATURE_BY_HEIGHT_NM = 15.0
"""On a grain that is so much higher, a is e times larger (engineering guess: the tip is nearer to the electrode)."""
SHIFT_HZ = -8.0
"""Δf_0, Hz (usual in non-contact)."""
NOISE_HZ = 0.3
"""Noise of a step, Hz (usual at 100 Hz bandwidth)."""


class KelvinCurves(Ferroelectric):
    """The film of :class:`~ophyd_devices.twin.sample.Ferroelectric`; its spectra are frequency shifts over the bias."""

    spectroscopy = Spectroscopy("frequency shift", "Hz", "bias", "V")

    def spectra(
        self,
        positions: NDArray[np.float64],
        bias: NDArray[np.float64],
        rng: np.random.Generator | None = None,
        condition: Condition = AS_NEW,  # noqa: ARG002  the shift does not depend on it
    ) -> NDArray[np.float64]:
        """Return the frequency shift in Hz over `bias` (K,), shape (1, N, K)."""
        domain, height = self.surface(positions)
        potential = (POTENTIAL_V + POTENTIAL_BY_DOMAIN_V * domain)[:, None]
        curvature = CURVATURE_HZ * np.exp(height / CURVATURE_BY_HEIGHT_NM)[:, None]
        shifts: NDArray[np.float64] = SHIFT_HZ - curvature * (bias - potential) ** 2
        if rng is not None:
            shifts = shifts + NOISE_HZ * rng.standard_normal(shifts.shape)
        return shifts[None]

    def describe(self) -> Mapping[str, Any]:
        """Return the facts of the film, and the spectroscopy."""
        return {**super().describe(), "spectroscopy": "kelvin"}
