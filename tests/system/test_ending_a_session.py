"""A run that is told to end from outside ends in order: tip withdrawn, an honest stop document, resumable."""

import os
import re
import signal
import subprocess
import sys

import pytest
from bluesky import RunEngine
from support import events, streams, until

from curio_plans import History, Storage
from curio_plans.plans import resume as resume_plan
from curio_plans.session import OrderlyEngine
from curio_plans.store.callbacks import CallbackExitError

RUN = ("run", "--agent", "random", "--points", "60", "--pixels", "16", "--real-time", "--no-figure")


def begin(data):
    """Start a run that takes its real time, and wait until it has measured."""
    process = subprocess.Popen(
        [sys.executable, "-m", "curio_plans.cli", *RUN, "--data", str(data)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    until(lambda: re.match(r" +2  random ", process.stdout.readline()), seconds=240)
    return process


@pytest.mark.parametrize(
    ("number", "times", "code"),
    [
        (signal.SIGINT, 10, 130),
        (signal.SIGTERM, 1, 143),
        (signal.SIGHUP, 1, 129),
    ],
    ids=["INT ten times", "TERM", "HUP"],
)
def test_a_signal_ends_a_run_in_order(data, number, times, code):
    process = begin(data)
    for _ in range(times):
        os.kill(process.pid, number)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == code, output
    assert "Traceback" not in output
    with Storage.local(data) as storage:
        (run,) = storage.runs()
        documents = storage.documents(run.uid)
    history = History(documents)
    assert run.exit_status == "abort"
    expected = "interrupted at the terminal" if number == signal.SIGINT else f"received {number.name}"
    assert expected in run.reason
    assert 0 < history.stop["num_events"]["primary"] == len(history.observations) < 60
    contact = [event["data"]["afm_tip_contact"] for event in events(documents, "baseline")]
    assert contact == [False, False], "before and after the run"


@pytest.mark.parametrize("kind", [OrderlyEngine, RunEngine])
def test_a_callback_that_ends_the_program_ends_the_run_in_order(kind, afm, wanderer, data):
    from curio_plans.plans import curiosity

    engine, seen = kind({}), []
    storage = Storage.local(data)
    if kind is RunEngine:  # to keep runs is enough
        storage.attach(engine)

    def leave(name, doc):
        seen.append((name, doc))
        if name == "event" and len(streams(seen)) == 4:
            raise SystemExit(1)

    with pytest.raises(
        CallbackExitError, match="a callback raised SystemExit at the event document; the run ends here"
    ):
        engine(curiosity(afm, {}, 6, build=wanderer), leave)
    assert engine.state == "idle"
    assert not afm.backend.in_contact()
    assert seen[-1][0] == "stop"
    assert seen[-1][1]["exit_status"] == "fail"
    assert "SystemExit" in seen[-1][1]["reason"]
    stopped = [(name, doc) for name, doc in seen if name != "stop"]
    (uid,) = engine(resume_plan(afm, "the run", build=wanderer, stored=lambda _: stopped))
    assert uid
    storage.close()


def test_an_abort_is_told_in_one_line(afm, wanderer, caplog):
    from bluesky import plan_stubs as bps
    from bluesky.utils import RunEngineInterrupted

    from curio_plans.cli.execute import make_engine
    from curio_plans.plans import curiosity

    make_engine()  # that of a command tells nothing, and leaves the log of others as it is
    engine = OrderlyEngine({})

    def pause(*_, **__):
        yield from bps.pause()

    with pytest.raises(RunEngineInterrupted):
        engine(curiosity(afm, {}, 6, build=wanderer, measure=pause))
    engine.abort("enough")
    told = [record for record in caplog.records if record.name == "bluesky.RE" or record.levelname != "INFO"]
    assert [record.getMessage() for record in told if record.levelname in ("WARNING", "ERROR")] == ["Run aborted"]
    assert all(record.exc_info is None for record in told)
