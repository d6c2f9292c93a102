"""Whether an agent can take a record: each check raises RecordError with what was expected and what came."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.protocols import Observation, Past, Pool, RecordError


def check_pool(pool: Pool, before: Pool | None = None) -> None:
    """Check shapes and numbers of a pool, and that it has the candidates of the one `before`."""
    positions, patches = np.asarray(pool.positions), np.asarray(pool.patches)
    if positions.ndim != 2 or positions.shape[1] != 2 or len(positions) == 0:
        raise RecordError(f"a pool has positions (N, 2) with N ≥ 1, got {positions.shape}")
    if patches.ndim != 4 or len(patches) != len(positions):
        raise RecordError(f"a pool of {len(positions)} candidates has patches (N, C, h, w), got {patches.shape}")
    if pool.grid is not None and pool.grid[0] * pool.grid[1] != len(positions):
        raise RecordError(f"a grid of {pool.grid[0]} × {pool.grid[1]} does not hold {len(positions)} candidates")
    for name, values in (("positions", positions), ("patches", patches)):
        if not np.isfinite(values).all():
            raise RecordError(f"the pool's {name} must be finite; those of {_first_bad(values)} are not")
    if before is not None and patches.shape != before.patches.shape:
        raise RecordError(f"a new pool keeps its indices: expected patches {before.patches.shape}, got {patches.shape}")


def check_alike(pool: Pool, past: Sequence[Past]) -> None:
    """Check that the patches of a pool are like those of prior runs."""
    for earlier in past:
        if earlier.pool.patches.shape[1:] != pool.patches.shape[1:]:
            raise RecordError(
                f"expected patches {pool.patches.shape[1:]} (channels, height, width) of the prior run "
                f"{earlier.uid}, got {earlier.pool.patches.shape[1:]}; use the same window and channels"
            )


def check_past(past: Past, before: Sequence[Past]) -> None:
    """Check the pool and the observations of a prior run, and that its spectra are like those of runs `before`."""
    check_pool(past.pool)
    first = first_of([*before, past])
    for observation in past.observations:
        check_observation(observation, past.pool, first)


def first_of(past: Sequence[Past]) -> Sequence[Observation]:
    """Return the first observation of prior runs, as a sequence of at most one."""
    return [observation for run in past for observation in run.observations[:1]][:1]


def check_observation(observation: Observation, pool: Pool | None, earlier: Sequence[Observation]) -> None:
    """Check index, spectrum and axis of an observation; the spectrum is as long as that of the first `earlier` one."""
    check_index(observation.index, pool)
    spectrum = np.asarray(observation.spectrum)
    if spectrum.ndim != 1 or spectrum.size == 0:
        raise RecordError(f"a spectrum has shape (K,) with K ≥ 1, got {spectrum.shape}")
    if earlier and spectrum.shape != earlier[0].spectrum.shape:
        raise RecordError(f"expected {earlier[0].spectrum.size} values as in the first spectrum, got {spectrum.size}")
    if not np.isfinite(spectrum).all():
        raise RecordError(
            f"the spectrum of candidate {observation.index} is not finite, first at step "
            f"{int(np.flatnonzero(~np.isfinite(spectrum))[0])}; exclude the candidate or measure it again"
        )
    axis = observation.axis
    if axis is not None and (np.shape(axis) != spectrum.shape or not np.isfinite(axis).all()):
        raise RecordError(
            f"the axis of a spectrum of {spectrum.size} values must have as many values, all finite; got {axis!r}"
        )


def check_index(index: int, pool: Pool | None) -> None:
    """Check that there is a pool, and that it has this candidate."""
    if pool is None:
        raise RecordError("expected a Pool before anything else; ingest one first")
    if not 0 <= index < len(pool):
        raise RecordError(f"expected a candidate 0 … {len(pool) - 1}, got {index}")


def _first_bad(values: NDArray[Any]) -> str:
    return f"candidate {int(np.argwhere(~np.isfinite(values))[0][0])}"
