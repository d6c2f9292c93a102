"""Force curves on the film: mechanical contact, adhesion that depends on the surface around, and electrostatics.

A cantilever of stiffness k holds a sphere of radius R. With the base at the height z_c the gap d settles where the
spring balances the force of the surface, k (d - z_c) = F(d):

- beyond the contact, d > a0, van der Waals attraction -F_ad a0² / d², as between a sphere and a plane;
- in contact, d ≤ a0, the DMT model: -F_ad + 4/3 E* √R (a0 - d)^{3/2} (R. García and R. Pérez, Surf. Sci. Rep. 47, 197
  (2002), equations 15 and 18);
- in both, the electrostatic force between sphere and plane, -π ε0 V² R² / (d (d + R)) (S. Hudlet et al., Eur. Phys.
  J. B 2, 5 (1998)); in contact d is a0 there.

Between contact and free there is a range of z_c with two stable gaps. Going there the tip stays free until it snaps in;
going back it stays in contact until it pulls off. So each curve has a hysteresis whose depth is the adhesion.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophyd_devices.backend import Spectroscopy
from ophyd_devices.twin.sample import AS_NEW, Condition, Ferroelectric

STIFFNESS = 3.0
"""k, nN/nm (usual for PFM cantilevers)."""
RADIUS = 20.0
"""R, nm (usual for metal-coated tips)."""
A0 = 0.165
"""a0, nm: the intermolecular distance (García and Pérez)."""
MODULUS = 10.0
"""E*, nN/nm² = GPa (engineering guess: oxide film and metal coating)."""
EPSILON0 = 8.854e-3
"""ε0, nN/V²."""
HELD_NN = 20.0
"""The force at the height 0, nN. The twin takes this also for other setpoints."""

ADHESION_NN = 12.0
"""F_ad on a flat surface, nN (usual in air)."""
ADHESION_BY_DOMAIN = 0.4
"""How much larger it is on an up-domain, and smaller on a down-domain, relative (engineering guess: adsorbates)."""
ADHESION_BY_CURVATURE = 0.3
"""How much larger it is in a deep pit, and smaller on a sharp ridge, relative (engineering guess: area of contact)."""
CURVED_NM = 0.5
"""The surface around the tip is curved where it lies so much above or below the tip's place, nm (engineering guess)."""
AROUND_NM = 15.0
"""Radius of the surroundings that adhesion depends on, nm (engineering guess: the tip's radius)."""
POTENTIAL_V, POTENTIAL_BY_DOMAIN_V = 0.4, 0.3
"""Contact potential difference, V, and how much larger it is on an up-domain (engineering guesses)."""
NOISE_NN = 0.1
"""Noise of a step, nN (thermal noise of such a cantilever at 1 kHz bandwidth, rounded up)."""

GAPS = A0 - 3 + np.concatenate([np.linspace(0, 3, 600, endpoint=False), 3 + np.geomspace(1e-3, 1000, 1400) - 1e-3])
"""Gaps at which forces are tabulated, nm; one of them is a0."""
FREE = 600
"""Number of the gap a0."""


class ForceCurves(Ferroelectric):
    """The film of :class:`~ophyd_devices.twin.sample.Ferroelectric`; its spectra are forces over the height."""

    spectroscopy = Spectroscopy("force", "nN", "height", "nm", waveform="z")

    def spectra(
        self,
        positions: NDArray[np.float64],
        bias: NDArray[np.float64],
        rng: np.random.Generator | None = None,
        condition: Condition = AS_NEW,  # noqa: ARG002  the force does not depend on it
    ) -> NDArray[np.float64]:
        """Return the forces (1, N, K) in nN while the heights `bias` (K,) are passed through from contact."""
        adhesion, potential = self._local_forces(positions)
        curves = np.stack([_curve(*local, bias) for local in zip(adhesion, potential, strict=True)])
        if rng is not None:
            curves = curves + NOISE_NN * rng.standard_normal(curves.shape)
        return curves[None]

    def describe(self) -> Mapping[str, Any]:
        """Return the facts of the film, and the spectroscopy."""
        return {**super().describe(), "spectroscopy": "force"}

    def _local_forces(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return F_ad in nN and the contact potential difference in V at `positions` (N, 2), shape (2, N)."""
        angles = np.arange(8) * np.pi / 4
        ring = AROUND_NM * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        around = self.surface((positions[:, None] + ring).reshape(-1, 2)).reshape(2, len(positions), 8).mean(axis=2)
        here = self.surface(positions)
        domain, depth = (here[0] + around[0]) / 2, around[1] - here[1]
        relief = 1 + ADHESION_BY_CURVATURE * np.tanh(depth / CURVED_NM)
        adhesion = ADHESION_NN * (1 + ADHESION_BY_DOMAIN * domain) * relief
        return np.stack([adhesion, POTENTIAL_V + POTENTIAL_BY_DOMAIN_V * domain])


def _curve(adhesion: float, potential: float, heights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the force (K,) along `heights` (K,), beginning in contact."""
    outside = np.maximum(GAPS, A0)
    force = -adhesion * (A0 / outside) ** 2 + 4 / 3 * MODULUS * np.sqrt(RADIUS) * np.maximum(A0 - GAPS, 0) ** 1.5
    force = force - np.pi * EPSILON0 * potential**2 * RADIUS**2 / (outside * (outside + RADIUS))
    base = GAPS - force / STIFFNESS
    snap = FREE + int(base[FREE:].argmin())  # where the free tip jumps into contact
    top = int(base[: snap + 1].argmax())  # where the tip pulls off
    contact, free = slice(0, top + 1), slice(snap, None)
    held = np.interp(HELD_NN, force[contact][::-1], base[contact][::-1])
    values, touching = np.empty(len(heights)), True
    for step, height in enumerate(held + heights):
        touching = height <= base[top] if touching else height < base[snap]
        branch = contact if touching else free
        values[step] = np.interp(height, base[branch], force[branch])
    return values
