"""Kill -9 a real process while it images, moves, measures, thinks or writes; resume; compare with a run never killed.

CURIO_KILLS         how many times, e.g. 20; without it three times, while it measures, thinks and writes
CURIO_KILLS_TABLE   a file for the table of what happened
"""

import itertools
import multiprocessing
import os
import shutil
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.preprocessors import SupplementalData
from support import write_sample

from agents.registry import build, configure
from curio_plans.documents.history import History
from curio_plans.plans import curiosity
from curio_plans.plans import resume as resume_plan
from curio_plans.store.reader import is_open, read_journal
from curio_plans.store.storage import Storage
from curio_plans.study.replay import verify
from ophyd_devices import AFM
from ophyd_devices.twin import Ferroelectric, SimulatedClock, TwinBackend, sample_from

KILLS = range(int(os.environ["CURIO_KILLS"])) if "CURIO_KILLS" in os.environ else (2, 3, 4)
POINTS = 10
PHASES = {
    ("trigger", "afm_imager"): "imaging",
    ("set", "afm_scanner"): "moving",
    ("trigger", "afm_spectrometer"): "measuring",
    ("set", "agent"): "thinking",
    ("save", None): "writing",
}
SAMPLES = ("twin", "recorded")


class Hurried(SimulatedClock):
    """Takes a fiftieth of the real time, so that a process can be killed in the middle of an action."""

    def sleep(self, seconds, interrupt):
        time.sleep(seconds / 50)
        return super().sleep(seconds, interrupt)


def microscope(sample, clock):
    if sample is None:
        afm = AFM(TwinBackend(Ferroelectric(5, (600.0, 600.0), (32, 32)), clock, 5), name="afm")
        afm.imager.line_rate.put(10.0)
        return afm
    return AFM(TwinBackend(sample_from(sample), clock), name="afm")


def measure(directory, sample, connection):
    """What the process does that is going to be killed; it tells what it is about to do."""
    engine = RunEngine({})
    afm = microscope(sample, Hurried())
    engine.preprocessors.append(SupplementalData(baseline=afm.baseline))
    engine.msg_hook = lambda msg: connection.send((msg.command, getattr(msg.obj, "name", None)))
    with Storage.local(directory) as storage:
        storage.attach(engine)
        engine.subscribe(lambda _, doc: connection.send(("start", doc["uid"])), "start")
        agent = configure("paper-latent", initial=4, filters=4)
        engine(curiosity(afm, agent, POINTS, build=build, window=5, stride=3, map_every=3))
    afm.close()
    connection.close()


def next_phase(connection, seconds=None):
    """Return the phase that the process tells next, at first its run's uid; None at its end, or after `seconds`."""
    deadline = None if seconds is None else time.monotonic() + seconds
    while connection.poll(None if deadline is None else max(0, deadline - time.monotonic())):
        try:
            message = connection.recv()
        except (EOFError, OSError):
            return None
        if message[0] == "start":
            return message[1]
        if message in PHASES:
            return PHASES[message]
    return None


def start(directory, sample):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["curio_plans.plans", "curio_plans.store.tiled_writer", "agents.curiosity", "ophyd_devices"]
    )
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=measure, args=(directory, sample, theirs), daemon=True)
    process.start()
    theirs.close()
    return process, ours


@pytest.fixture(scope="module")
def data(empty, tmp_path_factory):
    return shutil.copytree(empty, tmp_path_factory.mktemp("killed") / "data")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    return write_sample(tmp_path_factory.mktemp("sample") / "sample.npz", (30, 32), noise=1.0)


@pytest.fixture(scope="module")
def storage(data):
    with Storage.local(data) as opened:
        yield opened


@pytest.fixture(scope="module")
def whole(storage, data, recorded):
    """For each sample, the documents of a run that was never killed, and how long each phase took each time."""
    runs = {}
    for sample in SAMPLES:
        process, connection = start(data, recorded if sample == "recorded" else None)
        uid, marks = next_phase(connection), []
        while (phase := next_phase(connection)) is not None:
            marks.append((phase, time.monotonic()))
        process.join()
        durations = defaultdict(list)
        for (phase, began), (_, ended) in itertools.pairwise(marks):
            durations[phase].append(ended - began)
        runs[sample] = storage.documents(uid), durations
    return runs


@pytest.fixture(scope="module")
def table():
    columns = (
        "killed while",
        "decisions made",
        "sample",
        "documents stored",
        "points stored",
        "points after",
        "decisions",
    )
    rows = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    yield rows
    if path := os.environ.get("CURIO_KILLS_TABLE"):
        Path(path).write_text("\n".join(rows) + "\n")


@pytest.mark.parametrize("number", KILLS)
def test_a_process_killed_at_any_moment_loses_nothing(number, whole, storage, data, recorded, facts, table):
    rng = np.random.default_rng(number)
    phase, sample = list(PHASES.values())[number % len(PHASES)], SAMPLES[number % len(SAMPLES)]
    expected, durations = whole[sample]
    occurrence = int(rng.integers(max(1, len(durations[phase]) - 1)))
    process, connection = start(data, recorded if sample == "recorded" else None)
    uid, seen = next_phase(connection), 0
    while seen <= occurrence:
        found = next_phase(connection)
        assert found is not None, "it ended before it was killed"
        seen += found == phase
    next_phase(
        connection, rng.uniform(0, durations[phase][occurrence])
    )  # or it is earlier in the next phase than before
    process.kill()
    process.join()

    stored = read_journal(data, uid)
    assert not is_open(data, uid)
    assert stored[-1][0] != "stop"
    before = History(stored)
    assert facts_begin(before, History(expected))

    afm = microscope(recorded if sample == "recorded" else None, SimulatedClock())
    afm.imager.line_rate.put(10.0 if sample == "twin" else 1.0)
    engine = RunEngine({})
    storage.attach(engine)
    engine.preprocessors.append(SupplementalData(baseline=afm.baseline))
    (new,) = engine(resume_plan(afm, uid, build=build, stored=storage.resumable))
    afm.close()

    documents = storage.lineage(new)
    assert facts(documents) == facts(expected)
    assert verify(documents, build).identical
    measured = History(documents).observations[len(before.observations) :]
    assert storage.documents(new)[0][1]["resumes"] == uid
    assert documents[-1][1]["exit_status"] == "success"
    assert len(measured) + len(before.observations) == POINTS
    stop = storage.documents(uid)[-1][1]
    assert stop["exit_status"] == "fail"
    assert stop["reason"].startswith("the process ended before the run")
    for each in (uid, new):
        assert storage.recover(each).was_in_order, "in Tiled, too, everything is there once"
    table.append(
        f"| {phase} | {len(before.decisions)} | {sample} | {len(stored)} | {len(before.observations)} | "
        f"{len(measured)} | all {POINTS} the same |"
    )


def facts_begin(before, whole):
    """What is stored is the beginning of the run that was never killed, bit for bit."""
    pairs = list(zip(before.observations, whole.observations, strict=False))
    same = all(np.array_equal(one.spectrum, other.spectrum) and one.time == other.time for one, other in pairs)
    return same and [d.candidate for d in before.decisions] == [
        d.candidate for d in whole.decisions[: len(before.decisions)]
    ]
