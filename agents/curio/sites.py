"""What is known of a place before a spectrum is taken there: its surroundings in rings, its position, its area."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

from agents.protocols import Past, Pool

Values = NDArray[np.float64]

RADII = (0.5, 1.5, 3.0, 6.0, 12.0, 24.0)
"""Outer radii in px of the rings around the centre of a patch; the last ring reaches its corners."""

TYPICAL_OF = 300
"""Most candidates between which a typical distance is taken."""


@dataclass(frozen=True, eq=False)
class Sites:
    """M places: the N candidates of the present pool, then the measured places of prior runs.

    Attributes
    ----------
    rings : tuple of (M, D_g) float64
        The patch in rings around its centre, one group for each ring of each channel. Distances within a group are
        relative to those typical of the pool: the median of their squares is 1.
    positions : (M, 2) float64
        x and y, scaled in the same way.
    area : (M,) int64
        0 for the present pool, 1, 2 … for prior runs; positions of different areas are not comparable.
    """

    rings: tuple[Values, ...]
    positions: Values
    area: NDArray[np.int64]

    @classmethod
    def of(cls, pool: Pool, past: Sequence[Past] = (), *, rings: bool = True) -> "Sites":
        """Return the sites of a pool and of the `past`; without `rings`, each patch is one group.

        Groups that are the same everywhere are left out.
        """
        measured = [[observation.index for observation in run.observations] for run in past]
        earlier = list(zip((run.pool for run in past), measured, strict=True))
        patches = np.concatenate([pool.patches, *(old.patches[index] for old, index in earlier)]).astype(np.float64)
        positions = np.concatenate([pool.positions, *(old.positions[index] for old, index in earlier)])
        area = np.repeat(np.arange(len(past) + 1), [len(pool), *map(len, measured)])
        groups = _rings(patches) if rings else [patches.reshape(len(patches), -1)]
        some = np.random.default_rng(0).permutation(len(pool))[:TYPICAL_OF]
        typical = [_typical(group[some]) for group in groups]
        scaled = tuple(
            np.ascontiguousarray(group / scale) for group, scale in zip(groups, typical, strict=True) if scale
        )
        return cls(scaled, positions / (_typical(positions[some]) or 1.0), area)

    def __len__(self) -> int:
        return len(self.positions)


def _rings(patches: Values) -> list[Values]:
    """Return the pixels of each ring of each channel, (M, pixels of the ring)."""
    _, channels, height, width = patches.shape
    y, x = np.ogrid[:height, :width]
    radius = np.hypot(y - height // 2, x - width // 2)  # (h, w); an image's patch belongs to this pixel
    outer = [reach for reach in RADII if reach < radius.max()]
    number = np.searchsorted(outer, radius)  # which ring
    return [patches[:, channel][:, number == ring] for channel in range(channels) for ring in range(number.max() + 1)]


def _typical(values: Values) -> float:
    """Return the root of the median squared distance; of the mean if most are equal, 0 if all are."""
    if len(values) < 2:
        return 0.0
    squared = pdist(values, "sqeuclidean")
    return float(np.sqrt(np.median(squared) or squared.mean()))
