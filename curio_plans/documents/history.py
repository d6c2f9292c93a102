"""Fold the documents of a run into what an agent lives on.

A live run, a replay and a report all read documents here. That the live agent sees the world only through
:class:`History` is what makes a replay evidence.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.pool import make_pool
from agents.protocols import Answer, Context, Estimate, Exclusion, Observation, Past, Pool, Record
from curio_plans.documents.start import check_format
from curio_plans.documents.streams import (
    ANSWER,
    ATTEMPT,
    CANDIDATE,
    DECISION,
    DRIFT,
    ENDING,
    ESCALATION,
    EXCLUSION,
    IMAGE,
    MAP,
    POINT,
    REFERENCE,
    REJECTED,
    REJECTED_IMAGE,
    BeliefMap,
    Decision,
    DocumentError,
    DriftEstimate,
    Ending,
    Image,
    Rejected,
    read_decision,
    read_drift,
    read_ending,
    read_map,
    read_observation,
)


class History:
    """A fold over the documents of one run; itself a document callback ``history(name, doc)``.

    The documents of a run that resumes another come after those of the other, and the two count as one.

    Parameters
    ----------
    documents : iterable of (name, document)
        The first of them; others may follow by calls.
    past : sequence of Past
        The runs that the agent learned from before; see :mod:`curio_plans.documents.prior_runs`.

    Attributes
    ----------
    start, stop : dict or None
        The start and stop documents.
    images : list of Image
        In order. The first one makes the pool: candidates are places on the sample.
    pool : Pool or None
        The candidates, once an image was taken.
    records : list of Record
        What an agent ingests, in order; first the earlier runs that it learns from.
    time : float
        The latest instrument time in s that an event of this run told.
    spans : list of (first, last)
        The first and the last instrument time in s that events told, of the run and of each that it resumes; of two
        with a clock that went on, as that of a simulated instrument that was rebuilt, together.
    loops : int
        How many spectra were begun: rejected ones, escalations, and what a pause interrupted included.
    observations : list of Observation
        In the order in which they were measured.
    observation_uids : list of str
        The uid of the event each came from.
    decisions : list of Decision
        In order.
    outcomes : list of Observation or Exclusion
        How each decision ended, in the same order; shorter where some have not ended.
    maps : list of BeliefMap
        In order.
    estimate : Estimate or None
        What the agent last believed of its error, with a decision or a map; None where it never told.
    rejected : list of Rejected
        Spectra that no agent saw, in order.
    drifts : list of DriftEstimate
        In order.
    ending : Ending or None
        Why the run ended before its last point, where a rule has ended it.
    reference : (N, K) float64 or None
        The true spectra over the pool, where they are known.
    """

    def __init__(self, documents: Iterable[tuple[str, Mapping[str, Any]]] = (), past: Sequence[Past] = ()) -> None:
        self.start: Mapping[str, Any] | None = None
        self.stop: Mapping[str, Any] | None = None
        self.images: list[Image] = []
        self.pool: Pool | None = None
        self.past = tuple(past)
        self.records: list[Record] = [*past]
        self.observations: list[Observation] = []
        self.observation_uids: list[str] = []
        self.decisions: list[Decision] = []
        self.maps: list[BeliefMap] = []
        self.estimate: Estimate | None = None
        self.rejected: list[Rejected] = []
        self.drifts: list[DriftEstimate] = []
        self.time = 0.0
        self.spans: list[tuple[float, float]] = []
        self.loops = 0
        self.ending: Ending | None = None
        self.reference: NDArray[np.float64] | None = None
        self.outcomes: list[Observation | Exclusion] = []
        self._clock_went_on = False
        self._ended = [0] * len(self.past)  # for each record, how many decisions had ended with it
        self._descriptors: dict[str, Mapping[str, Any]] = {}
        self._seen: set[tuple[str, int]] = set()
        for name, doc in documents:
            self(name, doc)

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Take the next document; those of other streams and kinds are passed over.

        Raises
        ------
        FormatError
            If a later version wrote it.
        """
        if name == "start":
            check_format(doc)
            self.start, self.stop = doc, None
            self._clock_went_on = bool(self.spans) and bool(doc.get("rebuilt"))
        elif name == "stop":
            self.stop = doc
        elif name == "descriptor":
            self._descriptors[doc["uid"]] = doc
        elif name == "event":
            self._event(doc)

    @property
    def frame(self) -> NDArray[np.float32] | None:
        """The first image (C, ny, nx), which made the pool; None if there is none."""
        return self.images[0].frame if self.images else None

    @property
    def configuration(self) -> Mapping[str, Mapping[str, Any]]:
        """Configuration values by stream, from the last descriptor of each."""
        return {
            descriptor["name"]: {
                key: value for device in descriptor["configuration"].values() for key, value in device["data"].items()
            }
            for descriptor in self._descriptors.values()
        }

    @property
    def data_keys(self) -> Mapping[str, Mapping[str, Any]]:
        """Data keys by stream: units, shapes, dtypes."""
        return {descriptor["name"]: descriptor["data_keys"] for descriptor in self._descriptors.values()}

    def stream(self, event: Mapping[str, Any]) -> str:
        """Return the name of the stream that `event` belongs to."""
        descriptor = self._descriptors.get(event["descriptor"])
        if descriptor is None:
            raise DocumentError(
                f"event {event['uid']} comes before its descriptor, or that is missing: the documents are not in "
                "order; read the run from its journal, or put that in order with curio recover"
            )
        return str(descriptor["name"])

    def descriptor(self, stream: str) -> Mapping[str, Any]:
        """Return the last descriptor of `stream`; empty if it has none."""
        found: Mapping[str, Any] = {}
        for descriptor in self._descriptors.values():
            if descriptor["name"] == stream:
                found = descriptor
        return found

    @property
    def budget(self) -> int:
        """Points of the whole run, from the start document."""
        return int(self._start()["points"])

    @property
    def microscope(self) -> str:
        """Name of the microscope, the prefix of its data keys."""
        return str(self._start()["microscope"])

    @property
    def spectrum_unit(self) -> str:
        """Unit of the spectra; empty where it is not known yet."""
        keys = {**self.data_keys.get(REFERENCE, {}), **self.data_keys.get(POINT, {})}
        names = (f"{self.microscope}_{part}" for part in ("spectrometer_spectrum", "reference_spectra"))
        return next((str(keys[name].get("units", "")) for name in names if name in keys), "")

    def context(self, records: int, decisions: int) -> Context:
        """Return what the plan knew when `records` were in and `decisions` had been made."""
        ended = self._ended[records - 1] if records else 0
        pending = tuple(decision.candidate for decision in self.decisions[ended:decisions])
        return Context(budget=self.budget, pending=pending)

    def _start(self) -> Mapping[str, Any]:
        if self.start is None:
            raise DocumentError("expected the start document of a run first")
        return self.start

    def _event(self, doc: Mapping[str, Any]) -> None:
        # After a pause the RunEngine may repeat what followed the last checkpoint; what completed first counts.
        if (doc["descriptor"], doc["seq_num"]) in self._seen:
            return
        self._seen.add((doc["descriptor"], doc["seq_num"]))
        stream, data = self.stream(doc), doc["data"]
        if stream == IMAGE:
            self._image(data)
        elif stream == REJECTED_IMAGE:
            self._tell_time(data[f"{self.microscope}_imager_time"])
        elif stream in (POINT, REJECTED, ESCALATION):
            # A step of somebody else, or an earlier version, may tell less.
            self._tell_time(data.get(f"{self.microscope}_spectrometer_time", self.time))
            self.loops += int(data.get(f"{self.microscope}_spectrometer_starts", 1))
        if stream == POINT and CANDIDATE in data:
            observation = read_observation(data, self.microscope, self.configuration[stream])
            self.observations.append(observation)
            self.observation_uids.append(doc["uid"])
            self.outcomes.append(observation)
            self._append(observation)
        elif stream == REJECTED and CANDIDATE in data:
            observation = read_observation(data, self.microscope, self.configuration[stream])
            self.rejected.append(Rejected(observation, int(data[ATTEMPT]), str(data["rejected_reason"])))
        elif stream == EXCLUSION:
            for index in np.flatnonzero(data["exclusion_candidates"]):
                exclusion = Exclusion(int(index), str(data["exclusion_reason"]))
                if data["exclusion_decided"]:
                    self.outcomes.append(exclusion)
                self._append(exclusion)
        elif stream == ANSWER:
            self._append(Answer(str(data["answer_question"]), str(data["answer_text"])))
        elif stream == DRIFT:
            self.drifts.append(read_drift(data))
        elif stream == DECISION:
            self.decisions.append(read_decision(data, len(self.decisions)))
            self.estimate = self.decisions[-1].estimate or self.estimate
        elif stream == MAP:
            self.maps.append(read_map(data))
            self.estimate = self.maps[-1].estimate or self.estimate
        elif stream == ENDING:
            self.ending = read_ending(data)
        elif stream == REFERENCE:
            self.reference = np.asarray(data[f"{self.microscope}_reference_spectra"], dtype=np.float64)

    def _image(self, data: Mapping[str, Any]) -> None:
        imager = f"{self.microscope}_imager"
        configuration = self.configuration[IMAGE]
        x_min, x_max, y_min, y_max = (float(edge) for edge in configuration[f"{imager}_area"])
        image = Image(
            frame=np.asarray(data[f"{imager}_frame"], dtype=np.float32),
            channels=tuple(str(name) for name in configuration[f"{imager}_channels"]),
            area=(x_min, x_max, y_min, y_max),
            time=float(data[f"{imager}_time"]),
        )
        self.images.append(image)
        self._tell_time(image.time)
        recipe = self._start().get("pool")
        if recipe is None or self.pool is not None:
            return
        unknown = set(recipe["channels"]) - set(image.channels)
        if unknown:
            raise DocumentError(f"the pool wants channels {sorted(unknown)}, the image has {list(image.channels)}")
        self.pool = make_pool(
            image.frame[[image.channels.index(name) for name in recipe["channels"]]],
            image.area,
            window=recipe["window"],
            stride=recipe["stride"],
        )
        self._append(self.pool)

    def _tell_time(self, told: Any) -> None:
        time = float(told)
        self.time = max(self.time, time)
        first = self.spans.pop()[0] if self._clock_went_on else time
        self.spans.append((first, time))
        self._clock_went_on = True

    def _append(self, record: Record) -> None:
        self.records.append(record)
        self._ended.append(len(self.outcomes))
