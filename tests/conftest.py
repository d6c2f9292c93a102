"""Fixtures that every test may use: a microscope, a RunEngine, the documents it emits, the measured samples."""

import copy
import json
import os
import shlex
import shutil
from contextlib import closing
from pathlib import Path

import event_model
import numpy as np
import processes
import pytest
from bluesky import RunEngine
from bluesky.run_engine import _ensure_event_loop_running, get_bluesky_event_loop, set_bluesky_event_loop
from support import microscope

from agents.protocols import Exclusion, Pool, RecordError, Report, Suggestion
from curio_plans.documents.history import History

# What is printed, drawn and found does not depend on the terminal, the display and the settings of who runs the tests.
OPTIONS = {
    "CURIO_SAMPLES",
    "CURIO_DEATHS",
    "CURIO_DEATHS_S",
    "CURIO_FUZZ",
    "CURIO_KILLS",
    "CURIO_KILLS_TABLE",
    "CURIO_MACHINE_EXAMPLES",
    "CURIO_REGENERATE",
}
"""Variables that are for the tests."""
COLOURS = {"FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS"}
"""With one of these typer and rich print colours even into a file."""
for name in os.environ.keys() - OPTIONS:
    if name.startswith(("CURIO_", "TILED_")) or name in COLOURS:
        del os.environ[name]
os.environ |= {"COLUMNS": "200", "MPLBACKEND": "Agg"}


def pytest_configure(config):
    if processes.FIRST:
        config.process = processes.start()


def pytest_unconfigure(config):
    if processes.FIRST:
        processes.end(config.process)


class Wanderer:
    """A torch-free agent: random places, the mean spectrum as its model."""

    parts = ("novelty",)
    losses = ("spread",)

    def __init__(self, config):
        self.config = {"agent": "wanderer", "seed": 0, "initial": 0, **config}
        self.pool = None
        self.measured = []
        self.excluded = []
        self.spectra = []

    def ingest(self, *records):
        for record in records:
            if isinstance(record, Pool):
                self.pool = record
            elif isinstance(record, Exclusion):
                self.excluded.append(record.index)
            elif not np.isfinite(record.spectrum).all():
                raise RecordError("expected a finite spectrum")
            else:
                self.measured.append(record.index)
                self.spectra.append(record.spectrum)

    def suggest(self, n=1, context=None):
        free = np.setdiff1d(np.arange(len(self.pool)), [*self.measured, *self.excluded, *context.pending])
        choice = np.random.default_rng([self.config["seed"], len(self.measured)]).choice(free, n, replace=False)
        phase = "initial" if len(self.measured) < self.config["initial"] else "wandering"
        # The score depends on every spectrum seen, so that a replay notices one that was changed.
        score = float(np.sum(self.spectra))
        return [Suggestion(int(index), phase, score, {"novelty": 1 / (1 + len(self.measured))}) for index in choice]

    def report(self, context=None):
        if len(self.measured) < 3:
            return Report({}, {}, None)
        prediction = np.tile(np.mean(self.spectra, axis=0).astype(np.float32), (len(self.pool), 1))
        error = np.full(len(self.pool), np.std(self.spectra), np.float32)
        return Report({"spread": float(np.std(self.spectra))}, {"predicted_error": error}, prediction)


@pytest.fixture(scope="session")
def wanderer():
    """The class of a quick agent; ``build=wanderer`` in a plan."""
    return Wanderer


@pytest.fixture
def afm():
    """A microscope with images of 32 × 32 px and spectra of 32 steps: a twin in simulated time."""
    with closing(microscope()) as afm:
        yield afm


@pytest.fixture(autouse=True)
def engines_end():
    """Each RunEngine keeps a thread and three open files as long as the process lives: end those of this test."""
    loops = _ensure_event_loop_running.loop_to_thread
    before, latest = set(loops), get_bluesky_event_loop()
    yield
    if latest is None:
        latest = get_bluesky_event_loop()  # bluesky needs one for good
    set_bluesky_event_loop(latest)
    for loop, thread in list(loops.items()):
        if loop not in before and loop is not latest:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
            del loops[loop]


@pytest.fixture
def engine():
    return RunEngine({})


@pytest.fixture
def documents(engine):
    """What the RunEngine emits; each document is checked against its schema."""
    emitted = []

    def keep(name, doc):
        plain = json.loads(json.dumps(doc, cls=event_model.NumpyEncoder))
        event_model.schema_validators[event_model.DocumentNames[name]].validate(plain)
        emitted.append((name, copy.deepcopy(doc)))

    engine.subscribe(keep)
    return emitted


@pytest.fixture(scope="session")
def warm(tmp_path_factory):
    """A directory with the commands `curio` and `python-c`."""
    directory = tmp_path_factory.mktemp("warm")
    for name, started in (("curio", processes.CURIO), ("python-c", [*processes.PYTHON, "-c"])):
        (directory / name).write_text(f'#!/bin/sh\nexec {shlex.join(started)} "$@"\n')
        (directory / name).chmod(0o755)
    return directory


@pytest.fixture(scope="session")
def empty(tmp_path_factory):
    """A data directory with an empty catalog; making one takes seconds, copying it does not."""
    from curio_plans.store.serve import databroker_profile

    directory = tmp_path_factory.mktemp("empty")
    databroker_profile(directory)
    shutil.rmtree(directory / "profiles")
    (directory / "tiled" / "place").unlink()  # it has no runs yet: it may be copied
    return directory


@pytest.fixture
def data(empty, tmp_path):
    """A data directory of this test alone, with an empty catalog."""
    return shutil.copytree(empty, tmp_path / "data")


@pytest.fixture(scope="session")
def samples():
    """The directory of measured samples, named by the environment variable CURIO_SAMPLES."""
    directory = os.environ.get("CURIO_SAMPLES")
    if not directory or not Path(directory).is_dir():
        pytest.skip("set CURIO_SAMPLES to the directory of the measured samples (npz) to run this test")
    return Path(directory)


@pytest.fixture(scope="session")
def facts():
    """Tells what documents say was decided and measured, without uids and times of the computer."""

    def tell(documents):
        history = History(documents)
        return [
            *[(d.candidate, d.phase, d.score, dict(d.parts), d.records, d.observations) for d in history.decisions],
            *[(o.index, o.time, *o.position, *o.requested, *o.spectrum) for o in history.observations],
            *[(r.observation.index, r.attempt, r.reason, r.observation.time) for r in history.rejected],
            *[(drift.shift, drift.time) for drift in history.drifts],
            *[image.time for image in history.images],
            history.stop["exit_status"],
        ]

    return tell
