"""Agents that do not learn: what curiosity has to beat."""

import numpy as np
from numpy.typing import NDArray

from agents.base import BaseAgent
from agents.protocols import Context, ExhaustedError, Suggestion


class RandomAgent(BaseAgent):
    """Measures anywhere with equal probability."""

    def choose(self, n: int, context: Context) -> list[Suggestion]:
        """Return `n` random candidates."""
        numbers = self.numbers("choice", len(self.measured), len(context.pending))
        return [Suggestion(int(index), "random") for index in numbers.choice(self.available(context), n, replace=False)]


class GridAgent(BaseAgent):
    """Spreads its budget evenly over the image, line by line, every second line backwards."""

    def choose(self, n: int, context: Context) -> list[Suggestion]:
        """Return the next `n` places of the grid that the budget allows.

        Raises
        ------
        ExhaustedError
            If that grid has fewer than `n` places left; no others are added.
        """
        count = min(context.budget, len(self.pool))
        shape, positions = self.pool.grid, self.pool.positions
        grid = even_places(positions, count) if shape is None else even_grid(shape, count)
        left = grid[np.isin(grid, self.available(context))]
        if n > len(left):
            raise ExhaustedError(
                f"asked for {n} places, but the grid for a budget of {context.budget} has {len(left)} left"
            )
        return [Suggestion(int(index), "grid") for index in left[:n]]


def even_grid(shape: tuple[int, int], count: int) -> NDArray[np.int64]:
    """Return `count` distinct indices that cover a grid of `shape` (rows, columns) evenly, in raster order.

    Lines and points per line follow the grid's proportions. Where `count` is no product, some lines have one point
    more.
    """
    rows, columns = shape
    lines = int(np.clip(round((count * rows / columns) ** 0.5), -(-count // columns), min(rows, count)))
    share = np.diff(np.arange(lines + 1) * count // lines)  # points of each line
    path = []
    for line, points in enumerate(share):
        row = _even(rows, lines)[line]
        places = row * columns + _even(columns, int(points))
        path.append(places if line % 2 == 0 else places[::-1])
    return np.concatenate(path)


def even_places(positions: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Return `count` distinct indices of places (N, 2) that form no grid, spread evenly.

    An even grid of that many points is laid over the rectangle around the places. Each of its points, in the order of
    :func:`even_grid`, takes the nearest place that is left.
    """
    low, size = positions.min(axis=0), np.ptp(positions, axis=0)
    fine = max(2, int(np.ceil(count**0.5)) * 4)  # nodes along a side, so that `count` of them can lie evenly
    row, column = np.divmod(even_grid((fine, fine), count), fine)
    left = np.ones(len(positions), dtype=bool)
    chosen = []
    for node in low + (np.stack([column, row], axis=1) + 0.5) / fine * size:
        distance = ((positions - node) ** 2).sum(axis=1)
        distance[~left] = np.inf
        chosen.append(int(distance.argmin()))
        left[chosen[-1]] = False
    return np.array(chosen, dtype=np.int64)


def _even(length: int, count: int) -> NDArray[np.int64]:
    """Return `count` ≤ `length` distinct integers in 0 … length − 1: the middles of equal parts."""
    return ((np.arange(count) + 0.5) * length / count).astype(np.int64)
