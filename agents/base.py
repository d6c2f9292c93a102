"""What all agents share: they check records before they take them, know which candidates are left, and can be saved."""

import copy
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from agents.checks import check_alike, check_index, check_observation, check_past, check_pool, first_of
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
    Steering,
    Suggestion,
)


class BaseAgent:
    """A fold over records.

    A subclass overrides :meth:`choose`, and if it learns also :meth:`learn` and :meth:`believe`. Whatever it learns is
    in :attr:`memory`, a dataclass that the subclass extends::

        class Loudest(BaseAgent):
            @dataclass
            class Memory(BaseAgent.Memory):
                loudest: float = 0.0

            memory: Memory

    Whatever can be computed from the memory again may be kept as a :func:`functools.cached_property`. A new image and a
    loaded snapshot drop these; :meth:`forget` drops them where they change earlier. Nothing else may change after the
    first record, because a snapshot would not have it.

    Parameters
    ----------
    config : mapping
        ``{"agent": name, **options}``, defaults included.
    """

    @dataclass
    class Memory:
        """What an agent was told and has learned.

        Lists, sets and dicts may be changed in place; anything else, arrays too, is replaced.

        Attributes
        ----------
        pool : Pool or None
            The candidates, as last ingested.
        past : list of Past
            The prior runs to learn from.
        observations : list of Observation
            All ingested observations.
        excluded : set of int
            The excluded candidates.
        waiting : list of Record
            The last records, ingested but not learned from yet.
        learned : int
            Number of observations learned from; in :meth:`BaseAgent.learn` with the one that it is called for.
        image : Pool or None
            The last pool learned from.
        """

        pool: Pool | None = None
        past: list[Past] = field(default_factory=list)
        observations: list[Observation] = field(default_factory=list)
        excluded: set[int] = field(default_factory=set)
        waiting: list[Record] = field(default_factory=list)
        learned: int = 0
        image: Pool | None = None

        def __setattr__(self, name: str, value: Any) -> None:
            if name not in self.__dataclass_fields__:
                raise AttributeError(
                    f"{type(self).__qualname__} has no field {name}, so a snapshot would not keep it; declare it there "
                    f"with its type and a default"
                )
            super().__setattr__(name, value)

        def copy(self) -> Self:
            """Return a copy with its own lists, sets and dicts."""
            other = copy.copy(self)
            for name, value in vars(self).items():
                if isinstance(value, list | set | dict):
                    setattr(other, name, value.copy())
            return other

    memory: Memory
    parts: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()
    learns_from_past: ClassVar[bool] = False
    takes_steering: ClassVar[bool] = False

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        for base in (base for base in cls.__bases__ if issubclass(base, BaseAgent)):
            if not issubclass(cls.Memory, base.Memory):
                raise TypeError(
                    f"{cls.__name__}.Memory must extend that of {base.__name__}, or the agent forgets its records: "
                    f"write class Memory({base.__name__}.Memory)"
                )
        if "__dataclass_fields__" not in vars(cls.Memory):
            raise TypeError(f"{cls.__name__}.Memory must be a dataclass; put @dataclass above it")

    def __init__(self, config: Config) -> None:
        self.config: Config = dict(config)
        self.memory = self.Memory()

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "memory" and self._begun:
            raise AttributeError(
                f"{type(self).__name__}.{name} was set after the first record, and a snapshot would not keep it; make "
                f"it a field of {type(self).__name__}.Memory and set self.memory.{name}, or a cached_property if it "
                "can be computed from the memory"
            )
        super().__setattr__(name, value)

    def ingest(self, *records: Record) -> None:
        """Take records in the order in which they happened; all of them or, if one is malformed, none."""
        if not self._begun:
            self._check_constants()
        memory = self.memory.copy()
        for record in records:
            self._take(record, memory)
        memory.waiting += records
        self.memory = memory

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
        with self.thinking():
            return self.choose(n, context)

    def report(self, context: Context | None = None) -> Report:
        """Return losses, maps and predicted spectra for what was ingested so far."""
        with self.thinking():
            return self.believe(context)

    def choose(self, n: int, context: Context) -> list[Suggestion]:
        """Return `n` suggestions; everything ingested has been learned, and `n` candidates are left."""
        raise NotImplementedError

    def believe(self, context: Context | None) -> Report:  # noqa: ARG002  for agents that score
        """Return the report; everything ingested has been learned. It is empty for an agent without a model."""
        return Report({}, {}, None)

    def learn(self, record: Record) -> None:
        """Learn from the next record; called once for each, in order, when a decision or a report needs it."""

    @contextmanager
    def thinking(self) -> Iterator[None]:
        """Learn from everything ingested; what is asked in the block rests on all of it."""
        self.catch_up()
        yield

    def catch_up(self) -> None:
        """Learn from everything ingested, one record at a time however it came."""
        while self.memory.waiting:
            record = self.memory.waiting[0]
            if isinstance(record, Pool):
                self.memory.image = record
                self.forget()
            elif isinstance(record, Observation):
                self.memory.learned += 1
            self.learn(record)
            del self.memory.waiting[0]

    def forget(self, *names: str) -> None:
        """Drop cached properties: those of these `names`, or all."""
        for name in [name for name in vars(self) if self._is_cached(name) and (not names or name in names)]:
            del vars(self)[name]

    @property
    def pool(self) -> Pool:
        """The candidates."""
        if self.memory.pool is None:
            raise ValueError("expected a Pool before anything else; ingest one first")
        return self.memory.pool

    @property
    def image(self) -> Pool:
        """The candidates as last learned from; while learning, a later image may wait."""
        return self.memory.image or self.pool

    @property
    def past(self) -> Sequence[Past]:
        """The prior runs to learn from."""
        return tuple(self.memory.past)

    @property
    def observations(self) -> Sequence[Observation]:
        """The observations, in order."""
        return tuple(self.memory.observations)

    @property
    def learned(self) -> Sequence[Observation]:
        """The observations learned from so far: all of them, but while learning later ones may wait."""
        return self.memory.observations[: self.memory.learned]

    @property
    def measured(self) -> NDArray[np.int64]:
        """Which candidates were measured, in order, shape (n,)."""
        return np.array([observation.index for observation in self.memory.observations], dtype=np.int64)

    def available(self, context: Context) -> NDArray[np.int64]:
        """Return the candidates that are not measured, excluded, pending or to be avoided, in ascending order."""
        free = np.ones(len(self.pool), dtype=bool)
        free[self.measured] = False
        free[[*self.memory.excluded, *context.pending, *context.avoid]] = False
        return np.flatnonzero(free)

    def numbers(self, purpose: str, *counters: int) -> np.random.Generator:
        """Return random numbers that follow from the seed, the `purpose` and the `counters` alone."""
        return np.random.default_rng([int(self.config.get("seed", 0)), *counters, *purpose.encode()])

    def state(self) -> Mapping[str, Any]:
        """Return a snapshot (nested mappings of arrays, records and JSON values) for :meth:`load_state`.

        It has the memory, and the state of every attribute that has one itself, such as an agent within this one.
        """
        inner = {name: part.state() for name, part in self._with_state.items()}
        return {"config": dict(self.config), "memory": vars(self.memory.copy()), "inner": inner}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot of an agent with the same config.

        Raises
        ------
        ValueError
            If the snapshot is that of another config.
        """
        if state["config"] != self.config:
            raise ValueError(f"expected the state of {self.config}, got that of {state['config']}")
        names, found = {each.name for each in dataclasses.fields(self.Memory)}, set(state["memory"])
        if found != names:
            raise ValueError(f"expected a snapshot of this version, with {sorted(names)}, got one with {sorted(found)}")
        self.memory = self.Memory(**state["memory"]).copy()
        for name, part in self._with_state.items():
            part.load_state(state["inner"][name])
        self.forget()

    @property
    def _begun(self) -> bool:
        memory = vars(self).get("memory")
        return memory is not None and (memory.pool is not None or bool(memory.past))

    @property
    def _with_state(self) -> Mapping[str, Any]:
        return {
            name: part for name, part in vars(self).items() if hasattr(part, "load_state") and not self._is_cached(name)
        }

    def _is_cached(self, name: str) -> bool:
        return isinstance(getattr(type(self), name, None), cached_property)

    def _check_constants(self) -> None:
        """Refuse what an agent's own ``__init__`` made that can be changed in place."""
        for name, value in vars(self).items():
            if isinstance(value, list | set | dict | np.ndarray) and name != "config" and not self._is_cached(name):
                raise TypeError(
                    f"{type(self).__name__}.{name} can change, and a snapshot would not keep it; make it a field of "
                    f"{type(self).__name__}.Memory or, if it is constant, a tuple or a cached_property"
                )

    def _take(self, record: Record, memory: Memory) -> None:
        """Check a record and put it into a `memory`."""
        match record:
            case Past():
                if not self.learns_from_past:
                    raise RecordError(f"the agent {self.config.get('agent')!r} does not learn from prior runs")
                if memory.pool is not None:
                    raise RecordError("a prior run comes before the first pool")
                check_past(record, memory.past)
                memory.past.append(record)
            case Pool():
                check_pool(record, memory.pool)
                check_alike(record, memory.past)
                memory.pool = record
            case Observation():
                check_observation(record, memory.pool, [*first_of(memory.past), *memory.observations[:1]])
                memory.observations.append(record)
            case Exclusion():
                check_index(record.index, memory.pool)
                memory.excluded.add(record.index)
            case Answer():
                pass
            case Steering():
                for index in record.candidates:
                    check_index(index, memory.pool)
            case _:
                raise RecordError(
                    f"expected a Past, Pool, Observation, Exclusion, Answer or Steering, got {type(record).__name__}: "
                    f"{record!r}"
                )
