"""One run as the page shows it: a history that grows with the journal, and its numbers as rows."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curio_plans.documents.history import History
from curio_plans.documents.streams import (
    EXCLUSION,
    IMAGE,
    BeliefMap,
    Decision,
    DriftEstimate,
    Entry,
    Exclusions,
    Point,
    Reference,
    Rejected,
)
from curio_plans.documents.words import say
from curio_plans.report.drawing import belief
from curio_plans.store.mailbox import Mailbox
from curio_plans.store.reader import Document, is_open, read_start
from curio_plans.store.tail import Stored, Tail

Row = tuple[float, ...]

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "decisions": (
        "candidate", "x", "y", "phase", "score", "observations", "think", "error", "low", "high", "noise", "checks",
        "nmse", "when",
    ),
    "points": ("decision", "candidate", "x", "y", "time", "attempt", "when", "contact", "loops", "force"),
    "rejected": ("decisions", "candidate", "x", "y", "attempt", "when"),
    "excluded": ("decisions", "candidate"),
    "drifts": ("decisions", "time", "x", "y", "confidence", "accepted"),
}  # fmt: skip
"""Columns of each table. ``decisions`` is how many had been made; ``when`` is in seconds since 1970, places in nm."""

_TIP = ("contact", "loops", "force")

TRUE_ERROR = "true_error"
"""The name of the map that is no belief: rms of the prediction against the truth."""


class RunView:
    """What the page shows of a run, read from the journal alone; :meth:`update` reads what was written since.

    Attributes
    ----------
    history : History
        What the documents say. The spectra, later images, maps and true spectra in it are empty.
    rows : dict of str to list
        The rows of each table in :data:`COLUMNS`.
    parts : list of str
        Names of the ingredients of the score; they are further columns of ``decisions``.
    phases : list of str
        The phases by number.
    maps : list of dict
        Of each belief map: how many observations and decisions it rests on, and the names and units of the maps.
    images : list of dict
        Of each image: its time, area and channels, and how many decisions had been made.
    log : list of (when, text)
        What happened, in words.
    version : int
        Grows with what is shown.
    """

    def __init__(self, directory: Path | str, uid: str) -> None:
        self.directory, self.uid = Path(directory), uid
        self.mailbox = Mailbox(directory, uid)
        self.history = History()
        self.rows: dict[str, list[Row]] = {name: [] for name in COLUMNS}
        self.parts: list[str] = []
        self.phases: list[str] = []
        self.maps: list[dict[str, Any]] = []
        self.images: list[dict[str, Any]] = []
        self.log: list[tuple[float, str]] = []
        self.version = 0
        self.damage = ""
        self.begun = 0.0
        self._floor = math.nan  # mean squared error of the mean spectrum
        self._arrays: dict[str, list[Mapping[str, Any]]] = {
            name: [] for name in ("points", "rejected", "maps", "images")
        }
        self._truth: Mapping[str, Any] | None = None
        self._tails = [Tail(directory, one) for one in _lineage(directory, uid)]

    def update(self) -> bool:
        """Read what was written since; return whether there was anything.

        Raises
        ------
        JournalError
            If the run is gone.
        """
        before = self.version
        for tail in self._tails:
            for document in tail.read():
                self._take(document)
            self.damage = self.damage or tail.damage
        return self.version != before

    @property
    def start(self) -> Mapping[str, Any]:
        """The start document; empty before it came."""
        return self.history.start or {}

    @property
    def is_own(self) -> bool:
        """Whether the documents that were read include those of the run itself, not only of those that it resumes."""
        return self.start.get("uid") == self.uid

    def state(self) -> tuple[str, str]:
        """Return whether the run is ``running``, ``ended``, ``aborted``, ``failed`` or ``dead``, and why."""
        stop = self.history.stop if self.is_own else None
        if stop is not None:
            reason = str(stop.get("reason", ""))
            return {"success": "ended", "abort": "aborted"}.get(str(stop["exit_status"]), "failed"), reason
        if is_open(self.directory, self.uid):
            return "running", ""
        return "dead", f"its process ended without a word; curio resume {self.uid[:8]} goes on"

    @property
    def budget(self) -> int | None:
        """How many points are asked for now; None where that is not told."""
        changed = self.history.standing.points
        return changed if changed is not None else self.start.get("num_points")

    @property
    def is_steered(self) -> bool:
        """Whether people can steer the run: an agent decides in it."""
        return self.start.get("plan_name") == "curiosity"

    @property
    def standing(self) -> dict[str, Any]:
        """What stands of what people asked for."""
        now = self.history.standing
        pool = self.history.pool
        return {
            "picks": [] if pool is None else [pool.positions[pick].tolist() for pick in now.picks],
            "excluded": {str(number): area for number, area in now.excluded.items()},
            "region": now.region, "prefer": now.prefer, "approve": now.approve, "until": now.until,
        }  # fmt: skip

    @property
    def knows_truth(self) -> bool:
        """Whether the true spectra are known."""
        return self._truth is not None

    def columns(self, table: str) -> list[str]:
        """Return the names of the columns of a table."""
        return [*COLUMNS[table], *(f"part {part}" for part in self.parts if table == "decisions")]

    def image(self, number: int, channel: int) -> NDArray[np.float32]:
        """Return a channel (ny, nx) of an image, row 0 at y_min."""
        frame = self._load(self._arrays["images"][number], "imager_frame")
        return np.asarray(frame[channel], np.float32)

    def spectrum(self, table: str, number: int) -> NDArray[np.float64]:
        """Return the spectrum (K,) of a row of ``points`` or ``rejected``."""
        return np.asarray(self._load(self._arrays[table][number], "spectrometer_spectrum"), np.float64)

    def map(self, number: int, name: str) -> NDArray[np.float32]:
        """Return a belief map (N,) as it is drawn: squared errors as rms, like the true error."""
        if name == TRUE_ERROR:
            prediction, truth = self.prediction(number), self.truth()
            return np.asarray(np.sqrt(((prediction - truth) ** 2).mean(axis=1)), np.float32)
        data = self._arrays["maps"][number]
        names = self.maps[number]["names"]
        maps = {
            known: np.asarray(_loaded(data[f"agent_map_of_{known}"])) for known in names if known in (name, "error_low")
        }
        return np.asarray(belief(self.history, maps, name)[0], np.float32)

    def prediction(self, number: int) -> NDArray[np.float32]:
        """Return the spectra (N, K) that the agent predicted with a belief map."""
        return np.asarray(_loaded(self._arrays["maps"][number]["agent_map_prediction"]), np.float32)

    def truth(self) -> NDArray[np.float64]:
        """Return the true spectra (N, K).

        Raises
        ------
        LookupError
            If they are not known.
        """
        if self._truth is None:
            raise LookupError("the true spectra of this sample are not known")
        return np.asarray(self._load(self._truth, "reference_spectra"), np.float64)

    def _load(self, data: Mapping[str, Any], part: str) -> NDArray[Any]:
        return np.asarray(_loaded(data[f"{self.history.microscope}_{part}"]))

    def _take(self, document: Document) -> None:
        name, doc = document
        self.version += 1
        if name == "start":
            self.begun = self.begun or float(doc["time"])
            self._say(doc["time"], "the run begins" if "resumes" not in doc else f"run {doc['resumes'][:8]} is resumed")
        if name == "event":
            doc = self._with_arrays(doc)
        try:
            entries = self.history(name, doc)
        except ValueError as error:
            self.damage = self.damage or str(error)
            return
        for entry in entries:
            self._add(entry, doc)
        if name == "stop":
            reason = f": {doc['reason']}" if doc.get("reason") else ""
            self._say(doc["time"], f"the run ended ({doc['exit_status']}){reason}")

    def _with_arrays(self, doc: Mapping[str, Any]) -> dict[str, Any]:
        """Load what the history needs of an event: masks of exclusions, and the image that makes the pool."""
        descriptor = self.history.descriptor(doc["descriptor"])
        stream = "" if descriptor is None else descriptor["name"]
        needed = stream == EXCLUSION or (stream == IMAGE and not self.history.images)
        return {**doc, "data": {key: _loaded(value) for key, value in doc["data"].items()}} if needed else dict(doc)

    def _add(self, entry: Entry, doc: Mapping[str, Any]) -> None:
        data, when = doc["data"], float(doc["time"])
        made = len(self.history.decisions)
        match entry:
            case Decision():
                self._add_decision(entry, when)
            case Point():
                x, y = entry.position or (math.nan, math.nan)
                candidate = -1 if entry.candidate is None else entry.candidate
                decided = len(self.history.outcomes) - 1 if entry.candidate is not None and made else -1
                time = math.nan if entry.time is None else entry.time
                tip = [float(data.get(f"{self.history.microscope}_tip_{name}", math.nan)) for name in _TIP]
                self.rows["points"].append((decided, candidate, x, y, time, entry.attempt, when, *tip))
                self._arrays["points"].append(data)
            case Rejected():
                x, y = entry.position or (math.nan, math.nan)
                candidate = -1 if entry.candidate is None else entry.candidate
                self.rows["rejected"].append((made, candidate, x, y, entry.attempt, when))
                self._arrays["rejected"].append(data)
            case Exclusions():
                self.rows["excluded"] += [(made, int(index)) for index in np.flatnonzero(entry.candidates)]
            case DriftEstimate():
                self.rows["drifts"].append((made, entry.time, *entry.shift, entry.confidence, entry.accepted))
            case BeliefMap():
                self._add_map(entry, made)
                self._arrays["maps"].append(data)
            case Reference():
                self._truth = data
                truth = self.truth()
                self._floor = float(((truth - truth.mean(axis=0)) ** 2).mean())
        if self.history.images and entry is self.history.images[-1]:
            image = self.history.images[-1]
            self.images.append(
                {
                    "time": image.time,
                    "area": image.area,
                    "channels": list(image.channels),
                    "units": list(image.channel_units),
                    "decisions": made,
                }
            )
            self._arrays["images"].append(data)
        if text := say(entry):
            self._say(when, text)

    def _add_decision(self, made: Decision, when: float) -> None:
        if not self.parts:
            self.parts = list(made.parts)
        if made.phase not in self.phases:
            self.phases.append(made.phase)
        estimate, (x, y) = made.estimate, made.position
        known = (math.nan,) * 5 if estimate is None else (
            estimate.error, estimate.low, estimate.high, estimate.noise, float(estimate.checks)
        )  # fmt: skip
        nmse = made.map_mse / self._floor if self._floor > 0 else math.nan
        self.rows["decisions"].append(
            (
                made.candidate, x, y, self.phases.index(made.phase), made.score, made.observations, made.think_time,
                *known, nmse, when, *(made.parts.get(part, math.nan) for part in self.parts),
            )
        )  # fmt: skip

    def _add_map(self, entry: BeliefMap, decisions: int) -> None:
        stand_in = {name: np.zeros(1) for name in entry.maps}
        names = {name: belief(self.history, stand_in, name)[1] for name in entry.maps}
        if entry.prediction is not None and self._truth is not None:
            names[TRUE_ERROR] = f"rms / {self.history.spectroscopy.unit or 'a.u.'}"
        self.maps.append(
            {
                "observations": entry.observations, "decisions": decisions, "names": names,
                "predicts": entry.prediction is not None,
            }
        )  # fmt: skip

    def _say(self, when: float, text: str) -> None:
        self.log.append((float(when), text))


def _lineage(directory: Path | str, uid: str) -> list[str]:
    """Return the uids of a run and of those that it resumes, as far as they are here, oldest first."""
    uids: list[str] = []
    resumed: Any = uid
    while resumed and resumed not in uids:
        try:
            start = read_start(directory, str(resumed))
        except ValueError:
            if not uids:
                uids.append(uid)
            break
        uids.insert(0, str(resumed))
        resumed = start.get("resumes")
    return uids


def _loaded(value: Any) -> Any:
    return value.load() if isinstance(value, Stored) else value


def as_table(rows: Iterable[Row], columns: int) -> NDArray[np.float64]:
    """Return rows as an array (rows, columns)."""
    return np.array(list(rows), dtype=np.float64).reshape(-1, columns)
