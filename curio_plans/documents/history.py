"""Fold the documents of a run into what an agent lives on.

A live run, a replay and a report all read documents here. That the live agent sees the world only through
:class:`History` is what makes a replay evidence.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from agents.protocols import Context, Estimate, Exclusion, Observation, Past, Pool, Record
from curio_plans.documents.events import DocumentError, Event, Events, settings_of
from curio_plans.documents.start import check_format
from curio_plans.documents.steering import Standing
from curio_plans.documents.streams import (
    POINT,
    REFERENCE,
    STREAMS,
    BeliefMap,
    Decision,
    DriftEstimate,
    Ending,
    Entry,
    Image,
    Reference,
    Rejected,
)

E = TypeVar("E", bound=Entry)


@dataclass(frozen=True, eq=False)
class Spectroscopy:
    """What the spectra of a run are.

    Attributes
    ----------
    quantity : str
        What is measured, e.g. ``polarisation``; empty where that is not known yet.
    unit : str
        Its unit; empty where it has none or that is not known yet.
    axis : (K,) float64
        What the spectra are a function of; without values before the first spectrum.
    axis_name, axis_unit : str
        Its name and unit.
    channels : tuple of (name, unit)
        Everything that was measured at each step; empty where that is `quantity` alone.
    """

    quantity: str
    unit: str
    axis: NDArray[np.float64]
    axis_name: str
    axis_unit: str
    channels: tuple[tuple[str, str], ...] = ()


class History:
    """A fold over the documents of one run; itself a document callback ``history(name, doc)``.

    The documents of a run that resumes another come after those of the other, and the two count as one. What each
    event means is said by its stream, see :mod:`curio_plans.documents.streams`.

    Parameters
    ----------
    documents : iterable of (name, document)
        The first of them; others may follow by calls.
    past : sequence of Past
        The runs that the agent learned from before; see :mod:`curio_plans.documents.prior_runs`.

    Attributes
    ----------
    stop : mapping or None
        The stop document.
    records : list of Record
        What an agent ingests, in order; first the prior runs that it learns from.
    observations : list of Observation
        In the order in which they were measured.
    observation_uids : list of str
        The uid of the event each came from.
    outcomes : list of Observation or Exclusion
        How each decision ended, in the same order; shorter where some have not ended.
    estimate : Estimate or None
        What the agent last believed of its error, with a decision or a map; None where it never told.
    time : float
        The latest instrument time in s that an event of this run told.
    spans : list of (first, last)
        The first and the last instrument time in s that events told, of the run and of each that it resumes; of two
        with a clock that went on, as that of a simulated instrument that was rebuilt, together.
    loops : int
        How many spectra were begun: rejected ones, escalations, and what a pause interrupted included.
    points_before_image : int
        How many decisions had ended when the last image was taken.
    observations_mapped : int
        How many observations there were when the last belief map was recorded.
    ending : Ending or None
        Why the run ended before its last point, where a rule or a human has ended it.
    standing : Standing
        What stands of what people asked for.
    picked : list of (int or None)
        For each decision the candidate that a human had picked for it; None where the agent was to decide.
    """

    def __init__(self, documents: Iterable[tuple[str, Mapping[str, Any]]] = (), past: Sequence[Past] = ()) -> None:
        self.past = tuple(past)
        self.stop: Mapping[str, Any] | None = None
        self.records: list[Record] = [*past]
        self.observations: list[Observation] = []
        self.observation_uids: list[str] = []
        self.outcomes: list[Observation | Exclusion] = []
        self.estimate: Estimate | None = None
        self.time = 0.0
        self.spans: list[tuple[float, float]] = []
        self.loops = 0
        self.points_before_image = 0
        self.observations_mapped = 0
        self.ending: Ending | None = None
        self.standing = Standing()
        self.picked: list[int | None] = []
        self._standings: list[tuple[int, Standing]] = []  # from so many records on
        self._start: Mapping[str, Any] | None = None
        self._first: Mapping[str, Any] | None = None
        self._pool: Pool | None = None
        self._entries: dict[type[Entry], list[Any]] = {}
        self._events = Events()
        self._clock_went_on = False
        self._ended = [0] * len(self.past)  # for each record, how many decisions had ended with it
        for name, doc in documents:
            self(name, doc)

    def __call__(self, name: str, doc: Mapping[str, Any]) -> list[Entry]:
        """Take the next document; return what it says. Other streams and kinds are passed over.

        Raises
        ------
        FormatError
            If a later version wrote it.
        DocumentError
            If the documents are not in order.
        """
        if name == "start":
            check_format(doc)
            self._start, self.stop = doc, None
            self._first = self._first or doc
            self.stand(replace(self.standing, paused=False))
            self._clock_went_on = bool(self.spans) and bool(doc.get("rebuilt"))
        elif name == "stop":
            self.stop = doc
        entries = []
        for event in self._events(name, doc):
            kind = STREAMS.get(event.stream)
            if kind is not None and kind.belongs(event):
                entries.append(self._take(kind, event))
        return entries

    def of(self, kind: type[E]) -> list[E]:
        """Return the events of one stream, in order, e.g. ``history.of(DriftEstimate)``."""
        return cast("list[E]", self._entries.setdefault(kind, []))

    @property
    def start(self) -> Mapping[str, Any] | None:
        """The start document; None before it came."""
        return self._start

    @property
    def pool(self) -> Pool | None:
        """The candidates; None before the first image of a run of an agent."""
        return self._pool

    @property
    def images(self) -> list[Image]:
        """The images. The first one makes the pool: candidates are places on the sample."""
        return self.of(Image)

    @property
    def frame(self) -> NDArray[np.float32] | None:
        """The first image (C, ny, nx), which made the pool; None if there is none."""
        return self.images[0].frame if self.images else None

    @property
    def decisions(self) -> list[Decision]:
        """The decisions."""
        return self.of(Decision)

    @property
    def maps(self) -> list[BeliefMap]:
        """What the agent believed over the pool, now and then."""
        return self.of(BeliefMap)

    @property
    def rejected(self) -> list[Rejected]:
        """Spectra of candidates that were not good enough."""
        return [bad for bad in self.of(Rejected) if bad.observation is not None]

    @property
    def drifts(self) -> list[DriftEstimate]:
        """The looks at the drift."""
        return self.of(DriftEstimate)

    @property
    def reference(self) -> NDArray[np.float64] | None:
        """The true spectra (N, K) over the pool, where they are known."""
        return self.of(Reference)[-1].spectra if self.of(Reference) else None

    @property
    def budget(self) -> int:
        """Points of the whole run: of the start document, or as a human changed them since."""
        return self._budget(self.standing)

    @property
    def microscope(self) -> str:
        """Name of the microscope, the prefix of its data keys; empty where the run has none."""
        return self._events.microscope

    @property
    def configuration(self) -> Mapping[str, Mapping[str, Any]]:
        """Configuration values by stream, from the last descriptor of each."""
        return {doc["name"]: settings_of(doc) for doc in self._events.descriptors.values()}

    def descriptor(self, uid: str) -> Mapping[str, Any] | None:
        """Return a descriptor by its uid; None if it did not come."""
        return self._events.descriptors.get(uid)

    @property
    def data_keys(self) -> Mapping[str, Mapping[str, Any]]:
        """Data keys by stream: units, shapes, dtypes."""
        return {doc["name"]: doc["data_keys"] for doc in self._events.descriptors.values()}

    @property
    def spectroscopy(self) -> Spectroscopy:
        """What the spectra are, as far as it is known yet."""
        spectrometer, settings = f"{self.microscope}_spectrometer", self.configuration.get(POINT, {})
        keys = {**self.data_keys.get(REFERENCE, {}), **self.data_keys.get(POINT, {})}
        spectra = (f"{spectrometer}_spectrum", f"{self.microscope}_reference_spectra")
        units = (str(keys[key].get("units") or "") for key in spectra if key in keys)
        axis: Mapping[str, Any] = {}
        for doc in self._events.descriptors.values():
            if doc["name"] == POINT:
                axis = doc["configuration"].get(spectrometer, {}).get("data_keys", {}).get(f"{spectrometer}_axis", {})
        return Spectroscopy(
            quantity=str(settings.get(f"{spectrometer}_quantity", "")),
            unit=next(units, ""),
            axis=np.asarray(settings.get(f"{spectrometer}_axis", ()), dtype=np.float64),
            axis_name=str(settings.get(f"{spectrometer}_axis_name", "step")),
            axis_unit=str(axis.get("units") or ""),
            channels=tuple(
                (str(name), str(unit))
                for name, unit in zip(
                    settings.get(f"{spectrometer}_channel_names", ()),
                    settings.get(f"{spectrometer}_channel_units", ()),
                    strict=True,
                )
            ),
        )

    def context(self, records: int, decisions: int) -> Context:
        """Return what the plan knew when `records` were in and `decisions` had been made."""
        ended = self._ended[records - 1] if records else 0
        pending = tuple(decision.candidate for decision in self.decisions[ended:decisions])
        standing = next((one for known, one in reversed(self._standings) if known <= records), Standing())
        return Context(self._budget(standing), pending, self._avoided(standing, records, pending))

    def _budget(self, standing: Standing) -> int:
        """Return how many points were asked for: at first, or by a human since."""
        if self._first is None:
            raise DocumentError("expected the start document of a run first")
        return int(self._first["points"]) if standing.points is None else standing.points

    def _avoided(self, standing: Standing, records: int, pending: tuple[int, ...]) -> tuple[int, ...]:
        """Return what a human did not want when `records` were in, in ascending order."""
        if self._pool is None or not standing.avoids:
            return ()
        taken = np.zeros(len(self._pool), dtype=bool)
        tried = [one.index for one in self.records[:records] if isinstance(one, Observation | Exclusion)]
        taken[[*tried, *pending]] = True
        return tuple(np.flatnonzero(standing.avoided(self._pool, taken)).tolist())

    def stand(self, standing: Standing) -> None:
        """Take what people asked for, from the next record on."""
        if standing != self.standing:
            self.standing = standing
            self._standings.append((len(self.records) + 1, standing))

    def serve_pick(self, *, by_human: bool) -> None:
        """Note whether a decision was to be a human's; if it was, the first pick is served."""
        first, *rest = self.standing.picks or (None,)
        self.picked.append(first)
        if by_human and first is not None:
            self.stand(replace(self.standing, picks=tuple(one for one in rest if one is not None)))

    def measured(self, records: int | None = None) -> list[int]:
        """Return the candidates that were measured, in order; with `records` those among the first so many records."""
        return [record.index for record in self.records[:records] if isinstance(record, Observation)]

    def append(self, record: Record) -> None:
        """Add what an agent ingests next."""
        self.records.append(record)
        self._ended.append(len(self.outcomes))

    def end_decision(self, outcome: Observation | Exclusion) -> None:
        """Note how the oldest decision that has not ended ended."""
        self.outcomes.append(outcome)

    def set_pool(self, pool: Pool) -> None:
        """Take the candidates; an agent ingests them."""
        self._pool = pool
        self.append(pool)

    def tell_time(self, time: float) -> None:
        """Take the instrument time in s of an event."""
        self.time = max(self.time, time)
        first = self.spans.pop()[0] if self._clock_went_on else time
        self.spans.append((first, time))
        self._clock_went_on = True

    def _take(self, kind: type[E], event: Event) -> E:
        try:
            entry = kind.read(event)
            self.of(kind).append(entry)
            entry.fold(self)
        except DocumentError:
            raise
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise DocumentError(
                f"event {event.doc['uid']} of the stream {event.stream!r} has the data keys of one of curio's, but not "
                f"its values ({error!r:.200}); a stream of your own needs another name"
            ) from error
        return entry
