"""Every way a run can end, at every phase: the tip ends withdrawn, nothing is lost, nothing is measured twice."""

import os
import signal
import subprocess
import threading
import time
from collections import Counter
from contextlib import closing

import numpy as np
import pytest
from bluesky import plan_stubs as bps
from bluesky.utils import RunEngineInterrupted
from processes import PYTHON
from support import events, microscope, until

from agents.protocols import Report
from curio_plans.documents.history import History
from curio_plans.plans import curiosity, image, spectra_at
from curio_plans.run import stubs
from ophyd_devices.backend import BackendError, Interrupted
from ophyd_devices.twin import twin

POINTS = 4
PHASES = {"imaging": ("frame", 1), "moving": ("move", 2), "engaging": ("engage", 3), "measuring": ("spectrum", 2)}
"""The phase, and which call of the backend belongs to it."""
THINKING = "thinking"


class Gate:
    """A twin where a chosen call waits until it is stopped, or fails; and that counts what it has completed."""

    def __init__(self, backend):
        self._backend = backend
        self.at = self.fail_at = None
        self.reached, self._stopped = threading.Event(), threading.Event()
        self.began, self.completed = Counter(), Counter()

    def __getattr__(self, name):
        return getattr(self._backend, name)

    def move(self, *arguments):
        return self._call("move", arguments)

    def engage(self, *arguments):
        return self._call("engage", arguments)

    def frame(self, *arguments):
        return self._call("frame", arguments)

    def spectrum(self, *arguments):
        return self._call("spectrum", arguments)

    def stop(self):
        self._stopped.set()
        self._backend.stop()

    def _call(self, name, arguments):
        self.began[name] += 1
        this = (name, self.began[name])
        if this == self.fail_at:
            raise BackendError(f"{name} failed")
        if this == self.at:
            self._stopped.clear()
            self.reached.set()
            assert self._stopped.wait(60)
            raise Interrupted(f"{name} was stopped")
        answer = getattr(self._backend, name)(*arguments)
        self.completed[name] += 1
        return answer


@pytest.fixture
def gate():
    return Gate(twin(seed=3))


@pytest.fixture
def afm(gate):
    with closing(microscope(gate)) as afm:
        yield afm


@pytest.fixture
def thinker(wanderer):
    """An agent that can be told to wait or to fail at its second decision."""

    class Thinker(wanderer):
        reached, released = threading.Event(), threading.Event()
        waits = fails = False

        def report(self, context=None):
            if len(self.measured) == 1 and self.fails:
                raise ValueError("no idea where to look")
            if len(self.measured) == 1 and self.waits:
                self.reached.set()
                assert self.released.wait(60)
            return Report({"spread": 0.0}, {}, None)

    yield Thinker
    Thinker.released.set()


def wait_for_withdrawal(backend):
    """Wait until the tip is off the surface; a halted engine does not."""
    until(lambda: not backend.in_contact())


def arrive(phase, gate, thinker, then):
    """Do `then` in a thread as soon as the run is in `phase`."""
    if phase == THINKING:
        thinker.waits, reached = True, thinker.reached
    else:
        gate.at, reached = PHASES[phase], gate.reached

    def act():
        assert reached.wait(60)
        then()

    thread = threading.Thread(target=act)
    thread.start()
    return thread


def pause_at(phase, afm, engine, gate, thinker):
    thread = arrive(phase, gate, thinker, lambda: engine.request_pause(defer=False))
    with pytest.raises(RunEngineInterrupted):
        engine(curiosity(afm, {}, POINTS, build=thinker))
    thread.join()
    assert engine.state == "paused"
    wait_for_withdrawal(gate)
    thinker.released.set()


@pytest.mark.parametrize("phase", [*PHASES, THINKING])
def test_a_run_resumed_loses_nothing_and_measures_only_the_interrupted_point_again(
    phase, afm, engine, documents, gate, thinker
):
    pause_at(phase, afm, engine, gate, thinker)
    engine.resume()
    observed = History(documents).observations
    assert len({observation.index for observation in observed}) == len(observed) == POINTS
    assert gate.completed["spectrum"] == POINTS
    assert gate.completed["frame"] == 1
    assert gate.began["spectrum"] == POINTS + (phase == "measuring")
    spectra = {event["seq_num"]: event["data"] for event in events(documents, "primary")}
    starts = [data["afm_spectrometer_starts"] for data in spectra.values()]
    assert Counter(starts)[2] == (phase == "measuring"), "what was interrupted is recorded as such"
    assert documents[-1][1]["exit_status"] == "success"
    assert not gate.in_contact()


@pytest.mark.parametrize("ending", ["abort", "stop", "halt"])
@pytest.mark.parametrize("phase", [*PHASES, THINKING])
def test_a_paused_run_that_is_ended_keeps_what_was_measured(phase, ending, afm, engine, documents, gate, thinker):
    pause_at(phase, afm, engine, gate, thinker)
    getattr(engine, ending)()
    wait_for_withdrawal(gate)
    assert gate.completed["spectrum"] == len(History(documents).observations)
    if ending != "halt":
        assert documents[-1][0] == "stop"
        assert documents[-1][1]["exit_status"] == {"abort": "abort", "stop": "success"}[ending]


@pytest.mark.parametrize("ending", ["abort", "stop", "halt"])
@pytest.mark.parametrize("phase", [*PHASES, THINKING])
def test_a_run_can_be_ended_without_a_pause(phase, ending, afm, engine, documents, gate, thinker):
    thread = arrive(phase, gate, thinker, getattr(engine, ending))
    with pytest.raises(RunEngineInterrupted):
        engine(curiosity(afm, {}, POINTS, build=thinker))
    thread.join()
    wait_for_withdrawal(gate)
    assert gate.completed["spectrum"] == len(History(documents).observations)
    if ending != "halt":
        assert documents[-1][0] == "stop"


@pytest.mark.parametrize("phase", PHASES)
def test_an_instrument_that_fails_ends_the_run_with_the_tip_withdrawn(phase, afm, engine, documents, gate, thinker):
    gate.fail_at = PHASES[phase]
    with pytest.raises(BackendError, match=f"{PHASES[phase][0]} failed"):
        engine(curiosity(afm, {}, POINTS, build=thinker))
    assert not gate.in_contact()
    assert documents[-1][0] == "stop"
    assert documents[-1][1]["exit_status"] == "fail"
    assert f"{PHASES[phase][0]} failed" in documents[-1][1]["reason"]
    assert gate.completed["spectrum"] == len(History(documents).observations)


def test_a_thinker_that_raises_ends_the_run_with_the_tip_withdrawn(afm, engine, documents, gate, thinker):
    thinker.fails = True
    with pytest.raises(ValueError, match="no idea where to look"):
        engine(curiosity(afm, {}, POINTS, build=thinker))
    assert not gate.in_contact()
    assert documents[-1][1]["exit_status"] == "fail"
    assert len(History(documents).observations) == 1


def after_moving(afm, position, also=(), **options):
    yield from bps.mv(afm.scanner, position)
    raise RuntimeError("the step failed")


def after_engaging(afm, position, also=(), **options):
    yield from bps.mv(afm.scanner, position)
    yield from bps.mv(afm.tip, "engaged")
    raise RuntimeError("the step failed")


def after_measuring(afm, position, also=(), **options):
    yield from stubs.take_spectrum(afm, position, also, **options)
    raise RuntimeError("the step failed")


@pytest.mark.parametrize("step", [after_moving, after_engaging, after_measuring])
def test_a_step_that_fails_ends_the_run_with_the_tip_withdrawn(step, afm, engine, documents, gate):
    with pytest.raises(RuntimeError, match="the step failed"):
        engine(spectra_at(afm, [(100, 100), (200, 200)], measure=step))
    assert not gate.in_contact()
    assert documents[-1][1]["exit_status"] == "fail"


def test_a_reader_of_documents_that_raises_ends_the_run_with_the_tip_withdrawn(afm, engine, documents, gate):
    def refuse(name, doc):
        raise RuntimeError("the disk is full")

    engine.subscribe(refuse, "event")
    with pytest.raises(RuntimeError, match="the disk is full"):
        engine(image(afm))
    assert not gate.in_contact()
    assert documents[-1][1]["exit_status"] == "fail"


def test_a_point_that_was_completed_but_not_yet_behind_a_checkpoint_is_not_measured_twice(afm, engine, documents, gate):
    paused = []

    def step(afm, position, also=(), **options):
        reason = yield from stubs.take_spectrum(afm, position, also, **options)
        if not paused:
            paused.append(True)
            yield from bps.pause()
        return reason

    with pytest.raises(RunEngineInterrupted):
        engine(spectra_at(afm, [(100, 100), (200, 200)], measure=step))
    wait_for_withdrawal(gate)
    engine.resume()
    assert gate.completed["spectrum"] == 2
    last = {event["seq_num"]: event["data"] for event in events(documents)}
    assert [(data["afm_scanner_x"], data["afm_scanner_y"]) for data in last.values()] == [(100, 100), (200, 200)]
    assert not np.array_equal(*[data["afm_spectrometer_spectrum"] for data in last.values()])


SCRIPT = """
import atexit, sys
from bluesky import RunEngine
from bluesky.utils import RunEngineInterrupted
from curio_plans.plans import image
from ophyd_devices import AFM
from ophyd_devices.twin import twin

backend = twin(seed=0, real_time=True, pixels=(64, 64))
atexit.register(lambda: print("at exit: in contact", backend.in_contact(), flush=True))
afm = AFM(backend, name="afm")
afm.imager.line_rate.put(0.5)
RE = RunEngine({})
RE.subscribe(lambda name, doc: print(name, flush=True))
RE.waiting_hook = lambda statuses: any(hasattr(status, "watch") for status in statuses or ()) and print(
    "imaging", flush=True
)
try:
    RE(image(afm))
except RunEngineInterrupted:
    print("paused: in contact", afm.tip.set("withdrawn").wait(10) or backend.in_contact(), flush=True)
    if sys.argv[1] == "abort":
        RE.abort()
        afm.close()
"""


@pytest.mark.parametrize("ending", ["abort", "leave"])
def test_two_presses_of_ctrl_c_withdraw_the_tip_whatever_comes_then(ending):
    command = [*PYTHON, "-c", SCRIPT, ending]
    told, cues = [], ["imaging", "deferred pause"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout:
            told.append(line.strip())
            if cues and cues[0] in line:
                del cues[0]
                time.sleep(0.3)  # presses closer than 0.1 s count as one
                os.kill(process.pid, signal.SIGINT)
    assert process.returncode == 0, told
    assert "paused: in contact False" in told
    assert "at exit: in contact False" in told
    if ending == "abort":
        assert "stop" in told
