"""Tunnel currents through the film, and their slope: scanning tunnelling spectroscopy.

At intermediate voltages the current through a barrier is I = G (V + γ V³) (J. G. Simmons, J. Appl. Phys. 34, 238
(1963)). The conductance depends on the polarisation, as in tunnelling electroresistance (M. Y. Zhuravlev et al., Phys.
Rev. Lett. 94, 246802 (2005)).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophyd_devices.backend import Channel, Spectroscopy
from ophyd_devices.twin.sample import AS_NEW, Condition, Ferroelectric

CONDUCTANCE_NS = 0.05
"""G of an in-plane domain, nS: nA/V (engineering guess)."""
BY_DOMAIN = 0.8
"""The logarithm of G is so much larger on an up-domain, and smaller on a down-domain (engineering guess)."""
BY_HEIGHT_NM = 2.0
"""A grain that is so much higher has e times less G (engineering guess: a thicker film)."""
CURVATURE = 0.15
"""γ, 1/V² (engineering guess: a barrier of about 1 eV)."""
NOISE_NA, NOISE_NS = 0.02, 0.02
"""Noise of a step of the current, nA, and of its slope, nS (engineering guesses: usual preamplifiers and lock-ins)."""
FULL_SCALE_NA = (-100.0, 100.0)
"""Range of the preamplifier, nA (usual)."""


class CurrentCurves(Ferroelectric):
    """The film of :class:`~ophyd_devices.twin.sample.Ferroelectric`; its spectra are currents over the bias."""

    spectroscopy = Spectroscopy(
        "current", "nA", "bias", "V", others=(Channel("dI/dV", "nS"),), full_scale=FULL_SCALE_NA
    )

    def spectra(
        self,
        positions: NDArray[np.float64],
        bias: NDArray[np.float64],
        rng: np.random.Generator | None = None,
        condition: Condition = AS_NEW,  # noqa: ARG002  the current does not depend on it
    ) -> NDArray[np.float64]:
        """Return current in nA and dI/dV in nS over `bias` (K,), shape (2, N, K)."""
        domain, height = self.surface(positions)
        conductance = CONDUCTANCE_NS * np.exp(BY_DOMAIN * domain - height / BY_HEIGHT_NM)[:, None]
        spectra = np.stack([conductance * (bias + CURVATURE * bias**3), conductance * (1 + 3 * CURVATURE * bias**2)])
        if rng is not None:
            spectra += np.array([NOISE_NA, NOISE_NS])[:, None, None] * rng.standard_normal(spectra.shape)
        spectra[0] = np.clip(spectra[0], *FULL_SCALE_NA)
        return spectra

    def describe(self) -> Mapping[str, Any]:
        """Return the facts of the film, and the spectroscopy."""
        return {**super().describe(), "spectroscopy": "current"}
