"""What is known of a place before a spectrum is taken there: its surroundings, its position, its area."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

from agents.protocols import Past, Pool

Values = NDArray[np.float64]

RADII = (0.5, 1.5, 3.0, 6.0, 12.0, 24.0)
"""Outer radii in px of the rings around the centre of a patch; the last ring reaches its corners."""

SCALES = (1.0, 2.0, 4.0)
"""Standard deviations in px of the Gaussian windows of the view ``"scales"``."""

View = Literal["rings", "scales", "patch"]
"""How the surroundings are described, see :meth:`Sites.of`."""

LINEAR = 8.0
"""Contrast is compressed where a pixel is farther from the median than this many usual deviations."""

TYPICAL_OF = 300
"""Most candidates between which a typical distance is taken."""


@dataclass(frozen=True, eq=False)
class Sites:
    """M places: the N candidates of the present pool, then the measured places of prior runs.

    Attributes
    ----------
    groups : tuple of (M, D_g) float64
        The surroundings as groups of numbers. Distances within a group are relative to those typical of the pool: the
        median of their squares is 1.
    positions : (M, 2) float64
        x and y, scaled in the same way.
    area : (M,) int64
        0 for the present pool, 1, 2 … for prior runs; positions of different areas are not comparable.
    view : str
        How the surroundings are described, see :meth:`of`.
    """

    groups: tuple[Values, ...]
    positions: Values
    area: NDArray[np.int64]
    view: View = "rings"

    @classmethod
    def of(cls, pool: Pool, past: Sequence[Past] = (), *, view: View = "rings") -> "Sites":
        """Return the sites of a pool and of the `past`. Groups that are the same everywhere are left out.

        Parameters
        ----------
        pool : Pool
        past : sequence of Past
        view : str
            ``"rings"``: the pixels of the patch, a group for each ring around its centre. ``"scales"``: the central
            pixel, and in windows of several sizes the mean, the gradient and the standard deviation, a group each.
            ``"patch"``: all pixels, one group. Each for every channel.
        """
        measured = [[observation.index for observation in run.observations] for run in past]
        earlier = list(zip((run.pool for run in past), measured, strict=True))
        patches = np.concatenate([pool.patches, *(old.patches[index] for old, index in earlier)]).astype(np.float64)
        positions = np.concatenate([pool.positions, *(old.positions[index] for old, index in earlier)])
        area = np.repeat(np.arange(len(past) + 1), [len(pool), *map(len, measured)])
        groups = _DESCRIBED[view](compressed(patches, pool.patches))
        some = np.random.default_rng(0).permutation(len(pool))[:TYPICAL_OF]
        typical = [_typical(group[some]) for group in groups]
        scaled = tuple(
            np.ascontiguousarray(group / scale) for group, scale in zip(groups, typical, strict=True) if scale
        )
        return cls(scaled, positions / (_typical(positions[some]) or 1.0), area, view)

    def __len__(self) -> int:
        return len(self.positions)

    @cached_property
    def surroundings(self) -> Values:
        """All groups side by side, (M, ΣD_g), less their mean: differences of large numbers are less exact."""
        if not self.groups:
            return np.empty((len(self), 0))
        groups = np.concatenate(self.groups, axis=1)
        return np.asarray(groups - groups.mean(axis=0))


def compressed(patches: Values, usual: NDArray[Any]) -> Values:
    """Return `patches` (M, C, h, w) whose extreme values are brought nearer, channel by channel.

    ``8 asinh(z/8)`` of the deviation z from the median in usual deviations: nearly z up to 8, a logarithm beyond. In an
    image with a few very bright places any two of these would otherwise be as unlike as each is unlike all others, so
    that none of them could teach anything about the rest.

    Parameters
    ----------
    patches : (M, C, h, w)
    usual : (N, C, h, w)
        Say what is usual.
    """
    centre = np.median(usual, axis=(0, 2, 3), keepdims=True).astype(np.float64)
    # 1.4826 times the median deviation is the standard deviation if values are normally distributed.
    deviation = 1.4826 * np.median(np.abs(usual - centre), axis=(0, 2, 3), keepdims=True)
    deviation = np.where(deviation > 0, deviation, usual.std(axis=(0, 2, 3), keepdims=True))
    reach = LINEAR * np.where(deviation > 0, deviation, 1.0)
    return np.asarray(reach * np.arcsinh((patches - centre) / reach))


def _rings(patches: Values) -> list[Values]:
    """Return the pixels of each ring of each channel, (M, pixels of the ring)."""
    _, channels, height, width = patches.shape
    y, x = np.ogrid[:height, :width]
    radius = np.hypot(y - height // 2, x - width // 2)  # (h, w); an image's patch belongs to this pixel
    outer = [reach for reach in RADII if reach < radius.max()]
    number = np.searchsorted(outer, radius)  # which ring
    return [patches[:, channel][:, number == ring] for channel in range(channels) for ring in range(number.max() + 1)]


def _scales(patches: Values) -> list[Values]:
    """Return centre, and mean, gradient and standard deviation at each scale, of each channel: (M, 1) or (M, 2)."""
    _, channels, height, width = patches.shape
    y, x = np.ogrid[-(height // 2) : height - height // 2, -(width // 2) : width - width // 2]
    groups = []
    for channel in range(channels):
        values = patches[:, channel]  # (M, h, w)
        groups.append(values[:, height // 2, width // 2, None])
        for scale in SCALES:
            window = np.exp(-(x**2 + y**2) / (2 * scale**2))
            window /= window.sum()
            mean = np.einsum("mhw,hw->m", values, window)
            gradient = [np.einsum("mhw,hw->m", values, window * along) / scale for along in (x, y)]
            squared = np.einsum("mhw,mhw,hw->m", values, values, window) - mean**2
            groups += [mean[:, None], np.stack(gradient, axis=1), np.sqrt(np.maximum(squared, 0.0))[:, None]]
    return groups


def _typical(values: Values) -> float:
    """Return the root of the median squared distance; of the mean if most are equal, 0 if all are."""
    if len(values) < 2:
        return 0.0
    squared = pdist(values, "sqeuclidean")
    return float(np.sqrt(np.median(squared) or squared.mean()))


_DESCRIBED: Mapping[View, Callable[[Values], list[Values]]] = {
    "rings": _rings,
    "scales": _scales,
    "patch": lambda patches: [channel.reshape(len(patches), -1) for channel in patches.swapaxes(0, 1)],
}
