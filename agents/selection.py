"""From scores to a choice."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Selection = Callable[[NDArray[np.float64], int, np.random.Generator], NDArray[np.int64]]
"""Takes scores (m,), how many to choose, and random numbers; returns distinct indices (n,), first choice first."""

Choice = Literal["largest", "best-ten"]
"""The name of a selection, as an option."""


def largest(scores: NDArray[np.float64], n: int, numbers: np.random.Generator) -> NDArray[np.int64]:  # noqa: ARG001
    """Return the places of the `n` largest scores, in descending order; the first of equal ones."""
    return np.argsort(-scores, kind="stable")[:n]


def among_best_ten(scores: NDArray[np.float64], n: int, numbers: np.random.Generator) -> NDArray[np.int64]:
    """Draw `n` of the ten largest scores (of the `n` largest, if that is more), as the authors' code does."""
    best = np.argsort(-scores, kind="stable")[: max(n, 10)]
    return numbers.choice(best, size=n, replace=False)


SELECTIONS: Mapping[Choice, Selection] = MappingProxyType({"largest": largest, "best-ten": among_best_ten})
