"""One run of a campaign: measured, stored, and as rows of a table."""

import functools
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agents.protocols import Agent, Config
from curio_plans.campaign.campaign import Job
from curio_plans.documents.events import Documents
from curio_plans.documents.history import History
from curio_plans.plans import curiosity
from curio_plans.store.errors import StorageError
from curio_plans.store.reader import read_start
from curio_plans.store.storage import Storage
from curio_plans.study.floors import mean_spectrum_mse, relative, ridge_prediction

KEY = "campaign"
"""The key of the start document with the name of the campaign, of the job, and its labels."""

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Server:
    """A Tiled server that gets the runs: its address and what it asks for."""

    uri: str
    key: str | None = None


@dataclass(frozen=True, eq=False)
class Measured:
    """A run of a campaign that a worker has done: its documents, and what the table says of it."""

    documents: Documents
    rows: Rows


def measure(
    job: Job,
    campaign: str,
    server: Server | None = None,
    *,
    build: Callable[[Config], Agent],
    connect: Callable[[Job], Any],
) -> Measured:
    """Do a job: run the plan ``curiosity``. Its documents go to whoever asked for it, and to a server.

    Parameters
    ----------
    job : Job
        What is to be done.
    campaign : str
        The name of the campaign.
    server : Server, optional
        Gets the run as well.
    build : callable
        Makes an agent from its config.
    connect : callable
        Returns the microscope of a job, connected.

    Raises
    ------
    StorageError
        If the server does not take the run.
    """
    engine = _engine()
    documents: list[tuple[str, Any]] = []
    token = engine.subscribe(lambda name, doc: documents.append((name, doc)))
    afm = connect(job)
    try:
        md = {KEY: {"name": campaign, "job": job.name, **job.labels}}
        engine(curiosity(afm, dict(job.agent), build=build, md=md, **job.run))
    finally:
        afm.close()
        engine.unsubscribe(token)
    if server is not None:
        _send(documents, server)
    return Measured(documents, rows_of(documents))


def rows_of(documents: Documents) -> Rows:
    """Return a run of a campaign as rows: one for each decision, and one for what the agent believed at the end.

    Errors are relative to that of the mean spectrum (NMSE) and NaN where the truth is not known, or the agent has no
    model. ``ridge_nmse``, only in the last row, is that of the best kernel ridge regression on patch or position, or
    both, from the points that the agent chose.
    """
    history = History(documents)
    start = history.start or {}
    told: Mapping[str, Any] = start[KEY]
    same = {
        "campaign": told["name"], "job": told["job"], "uid": start["uid"], "agent": told["agent"],
        "sample": told["sample"], "settings": told["settings"], "seed": told["seed"],
    }  # fmt: skip
    floor = float("nan") if history.reference is None else mean_spectrum_mse(history.reference)
    rows = [
        {
            **same, "points": decision.observations, "candidate": decision.candidate, "phase": decision.phase,
            "score": decision.score, "nmse": float(relative(decision.map_mse, floor)),
            "estimate": np.nan if decision.estimate is None else decision.estimate.error,
            "ridge_nmse": np.nan, "seconds": decision.think_time,
        }
        for decision in history.decisions
    ]  # fmt: skip
    last = history.maps[-1] if history.maps else None
    rows.append(
        {
            **same, "points": len(history.observations), "candidate": -1, "phase": "end", "score": np.nan,
            "nmse": np.nan if last is None else float(relative(last.mse, floor)),
            "estimate": np.nan if last is None or last.estimate is None else last.estimate.error,
            "ridge_nmse": _ridge(history, floor), "seconds": np.nan,
        }
    )  # fmt: skip
    return rows


def stored_rows(directory: Path, jobs: Iterable[Job]) -> dict[str, Rows]:
    """Return the rows of those jobs that a data directory has as completed runs, by the name of the job."""
    wanted, found = {job.name for job in jobs}, {}
    with Storage.local(directory, writable=False) as storage:
        for run in storage.runs():
            if run.exit_status != "success" or run.damaged:
                continue
            told = read_start(directory, run.uid).get(KEY)
            if isinstance(told, Mapping) and told.get("job") in wanted:
                found[str(told["job"])] = rows_of(storage.documents(run.uid))
    return found


def _ridge(history: History, floor: float) -> float:
    truth, pool = history.reference, history.pool
    measured = [observation.index for observation in history.observations]
    if truth is None or pool is None or len(measured) < 2:
        return float("nan")
    spectra = np.stack([observation.spectrum for observation in history.observations])
    prediction = ridge_prediction(pool, spectra, measured, "patch and position")
    return float(relative(((prediction - truth) ** 2).mean(), floor))


def _send(documents: Documents, server: Server) -> None:
    """Put a run into the catalog of a server."""
    from curio_plans.store.tiled_writer import insert

    with tempfile.TemporaryDirectory() as folder, Storage.remote(server.uri, server.key, folder) as storage:
        try:
            insert(storage.catalog, documents)
        except Exception as error:
            raise StorageError(f"the server {server.uri} does not take a run: {error}") from error


@functools.cache
def _engine() -> Any:
    """Return the RunEngine of this process; one that handles no signals, as a worker has none of its own."""
    from bluesky import RunEngine

    from curio_plans.documents.start import normalise

    engine = RunEngine({}, context_managers=[])
    engine.md_normalizer = normalise
    return engine
