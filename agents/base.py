"""What all agents share: they check records before they take them, and know which candidates are left."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from agents.protocols import (
    Answer,
    Config,
    Context,
    Exclusion,
    ExhaustedError,
    Observation,
    Past,
    Pool,
    Record,
    RecordError,
    Report,
    Suggestion,
)


class BaseAgent:
    """A fold over records.

    A subclass overrides :meth:`choose`, and where it learns also :meth:`learn` and :meth:`report`.

    Parameters
    ----------
    config : mapping
        ``{"agent": name, **options}``, defaults included.
    """

    parts: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()
    learns_from_past: ClassVar[bool] = False
    snapshot: ClassVar[tuple[str, ...]] = ("_pool", "_past", "_observations", "_excluded", "_unlearned")

    def __init__(self, config: Config) -> None:
        self.config: Config = dict(config)
        self._pool: Pool | None = None
        self._past: list[Past] = []
        self._observations: list[Observation] = []
        self._excluded: set[int] = set()
        self._unlearned: list[Record] = []

    def ingest(self, *records: Record) -> None:
        """Take records in the order in which they happened; all of them or, if one is malformed, none."""
        pool, observations, excluded = self._pool, list(self._observations), set(self._excluded)
        past = list(self._past)
        for record in records:
            if isinstance(record, Past):
                self._check_past(record, pool)
                past.append(record)
            elif isinstance(record, Pool):
                _check_pool(record, pool)
                _check_alike(record, past)
                pool = record
            elif isinstance(record, Observation):
                _check_observation(record, pool, [*past[0].observations[:1], *observations] if past else observations)
                observations.append(record)
            elif isinstance(record, Exclusion):
                _check_index(record.index, pool)
                excluded.add(record.index)
            elif not isinstance(record, Answer):
                raise RecordError(
                    f"expected a Past, Pool, Observation, Exclusion or Answer, got {type(record).__name__}: {record!r}"
                )
        self._pool, self._observations, self._excluded, self._past = pool, observations, excluded, past
        self._unlearned += records

    def suggest(self, n: int = 1, context: Context | None = None) -> Sequence[Suggestion]:
        """Return the next `n` distinct places, best first.

        Raises
        ------
        ValueError
            If `n` is not positive or no pool was ingested.
        ExhaustedError
            If fewer than `n` candidates are left.
        """
        pool = self.pool
        if n < 1:
            raise ValueError(f"expected to be asked for at least 1 place, got {n}")
        context = Context(budget=len(pool)) if context is None else context
        left = len(self.available(context))
        if n > left:
            raise ExhaustedError(f"asked for {n} places, but only {left} of {len(pool)} candidates are left")
        self.catch_up()
        return self.choose(n, context)

    def report(self, context: Context | None = None) -> Report:  # noqa: ARG002  for agents that score
        """Return what the agent believes; nothing, for an agent without a model."""
        return Report({}, {}, None)

    def choose(self, n: int, context: Context) -> list[Suggestion]:
        """Return `n` suggestions; everything ingested has been learned, and n candidates are left."""
        raise NotImplementedError

    def learn(self, record: Record) -> None:
        """Learn from the next record; called once for each, in order, when a decision or a report needs it."""

    def catch_up(self) -> None:
        """Learn from all that was ingested, one record at a time however it came."""
        while self._unlearned:
            self.learn(self._unlearned[0])
            del self._unlearned[0]

    @property
    def pool(self) -> Pool:
        """The candidates."""
        if self._pool is None:
            raise ValueError("expected a Pool before anything else; ingest one first")
        return self._pool

    @property
    def measured(self) -> NDArray[np.int64]:
        """Which candidates were measured, in order, shape (n,)."""
        return np.array([observation.index for observation in self._observations], dtype=np.int64)

    def available(self, context: Context) -> NDArray[np.int64]:
        """Return the candidates that are not measured, excluded, pending or to be avoided, in ascending order."""
        free = np.ones(len(self.pool), dtype=bool)
        free[self.measured] = False
        free[[*self._excluded, *context.pending, *context.avoid]] = False
        return np.flatnonzero(free)

    def numbers(self, purpose: str, *counters: int) -> np.random.Generator:
        """Return random numbers that follow from the seed, the `purpose` and the `counters` alone."""
        return np.random.default_rng([int(self.config.get("seed", 0)), *counters, *purpose.encode()])

    def _check_past(self, past: Past, pool: Pool | None) -> None:
        if not self.learns_from_past:
            raise RecordError(f"the agent {self.config.get('agent')!r} does not learn from earlier runs")
        if pool is not None:
            raise RecordError("an earlier run comes before the first pool")
        _check_pool(past.pool, None)
        for number, observation in enumerate(past.observations):
            _check_observation(observation, past.pool, past.observations[:number])

    def state(self) -> Mapping[str, Any]:
        """Return a snapshot (nested mappings of arrays, records and JSON values) for :meth:`load_state`."""
        kept = {name: getattr(self, name) for name in self.snapshot}
        copies = {name: value.copy() if isinstance(value, list | set) else value for name, value in kept.items()}
        return {"config": dict(self.config), **copies}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot of an agent with the same config.

        Raises
        ------
        ValueError
            If the snapshot is that of another config.
        """
        if state["config"] != self.config:
            raise ValueError(f"expected the state of {self.config}, got that of {state['config']}")
        for name in self.snapshot:
            value = state[name]
            setattr(self, name, value.copy() if isinstance(value, list | set) else value)


def _check_pool(pool: Pool, before: Pool | None) -> None:
    positions, patches = np.asarray(pool.positions), np.asarray(pool.patches)
    if positions.ndim != 2 or positions.shape[1] != 2 or len(positions) == 0:
        raise RecordError(f"a pool has positions (N, 2) with N ≥ 1, got {positions.shape}")
    if patches.ndim != 4 or len(patches) != len(positions):
        raise RecordError(f"a pool of {len(positions)} candidates has patches (N, C, h, w), got {patches.shape}")
    if pool.grid[0] * pool.grid[1] != len(positions):
        raise RecordError(f"a grid of {pool.grid[0]} × {pool.grid[1]} does not hold {len(positions)} candidates")
    for name, values in (("positions", positions), ("patches", patches)):
        if not np.isfinite(values).all():
            raise RecordError(f"the pool's {name} must be finite; those of {_first_bad(values)} are not")
    if before is not None and patches.shape != before.patches.shape:
        raise RecordError(f"a new pool keeps its indices: expected patches {before.patches.shape}, got {patches.shape}")


def _check_alike(pool: Pool, past: Sequence[Past]) -> None:
    for earlier in past:
        if earlier.pool.patches.shape[1:] != pool.patches.shape[1:]:
            raise RecordError(
                f"expected patches {pool.patches.shape[1:]} (channels, height, width) of the earlier run "
                f"{earlier.uid}, got {earlier.pool.patches.shape[1:]}; use the same window and channels"
            )


def _check_observation(observation: Observation, pool: Pool | None, earlier: Sequence[Observation]) -> None:
    _check_index(observation.index, pool)
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
        raise RecordError(f"the axis of a spectrum of {spectrum.size} values has as many, all finite; got {axis!r}")


def _check_index(index: int, pool: Pool | None) -> None:
    if pool is None:
        raise RecordError("expected a Pool before anything else; ingest one first")
    if not 0 <= index < len(pool):
        raise RecordError(f"expected a candidate 0 … {len(pool) - 1}, got {index}")


def _first_bad(values: NDArray[Any]) -> str:
    return f"candidate {int(np.argwhere(~np.isfinite(values))[0][0])}"
