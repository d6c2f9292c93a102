"""What the candidates of a pool are used for: which are tracked, which stand for all, which are reserved for checks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

Indices = NDArray[np.int64]

TRACKED = 4096
"""Most candidates whose variance is tracked: all of a usual pool, an even lattice of a larger one."""

INTEGRATED_OVER = 256
"""Most candidates that stand for all where a variance is integrated."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """N candidates and their uses.

    Attributes
    ----------
    tracked : (W,)
        Candidates whose mean and variance are kept up to date.
    nearest : (N,)
        The tracked one that is nearest to each candidate, as an index into `tracked`.
    integration : (M,)
        Those that stand for all where a variance is integrated, as indices into `tracked`.
    checks : (V,)
        Candidates reserved for checks, in the order in which they are measured.
    """

    tracked: Indices
    nearest: Indices
    integration: Indices
    checks: Indices

    @classmethod
    def of(
        cls, grid: tuple[int, int], every: int, *, integration: np.random.Generator, checks: np.random.Generator
    ) -> "Candidates":
        """Return the uses of the candidates of a `grid`, with a check `every` so many points (0 for none).

        The two generators draw the candidates to integrate over, and those for checks.
        """
        size = grid[0] * grid[1]
        tracked = _lattice(grid)
        return cls(
            tracked=tracked,
            nearest=_nearest(tracked, grid),
            integration=np.sort(integration.permutation(len(tracked))[:INTEGRATED_OVER]),
            checks=checks.permutation(size)[: max(1, size // every) if every else 0],
        )


def _lattice(grid: tuple[int, int]) -> Indices:
    """Return candidates that lie evenly among all of a `grid`, at most :data:`TRACKED`."""
    rows, columns = grid
    step = 1
    while -(-rows // step) * -(-columns // step) > TRACKED:
        step += 1
    return np.arange(rows * columns).reshape(grid)[step // 2 :: step, step // 2 :: step].ravel()


def _nearest(lattice: Indices, grid: tuple[int, int]) -> Indices:
    """Return which of the `lattice` lies nearest to each candidate, (N,)."""
    if len(lattice) == grid[0] * grid[1]:
        return np.arange(len(lattice))
    y, x = np.indices(grid).reshape(2, -1)
    _, nearest = KDTree(np.stack([y[lattice], x[lattice]], axis=1)).query(np.stack([y, x], axis=1))
    return np.asarray(nearest, dtype=np.int64)
