"""What the candidates of a pool are used for: which are tracked, which stand for all, which are reserved for checks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from agents.protocols import Pool

Indices = NDArray[np.int64]

TRACKED = 4096
"""Most candidates whose variance is tracked: all of a usual pool, an even lattice of a larger one."""

INTEGRATED_OVER = 512
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
        cls, pool: Pool, every: int, *, integration: np.random.Generator, checks: np.random.Generator
    ) -> "Candidates":
        """Return the uses of the candidates of a `pool`, with a check `every` so many points (0 for none).

        The two generators draw the candidates to integrate over, and those for checks.
        """
        size = len(pool)
        tracked = _lattice(pool.grid) if pool.grid is not None else np.arange(0, size, -(-size // TRACKED))
        return cls(
            tracked=tracked,
            nearest=_nearest(tracked, pool),
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


def _nearest(tracked: Indices, pool: Pool) -> Indices:
    """Return which of the `tracked` candidates lies nearest to each, (N,)."""
    if len(tracked) == len(pool):
        return np.arange(len(pool))
    places = pool.positions if pool.grid is None else np.indices(pool.grid).reshape(2, -1).T
    _, nearest = KDTree(places[tracked]).query(places)
    return np.asarray(nearest, dtype=np.int64)
