"""The dose log: counts that outlive the session, one owner at a time, and damage that is noticed."""

import json
import os
import resource
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bluesky import plan_stubs as bps
from hypothesis import given, settings
from hypothesis import strategies as st
from safety import Recorder

from curio_plans.plans import spectra_at
from ophyd_devices import DoseLog, EnvelopeError
from ophyd_devices.backend import BackendError
from ophyd_devices.dose import DoseLogError
from ophyd_devices.twin import twin


@pytest.fixture
def path(tmp_path):
    return tmp_path / "doses.jsonl"


def measure(afm):
    afm.tip.set("engaged").wait(5)
    afm.spectrometer.trigger().wait(5)


def counts(log):
    return log.tip_loops, log.places.tolist()


def test_the_dose_outlives_the_session(make, path):
    for session in range(2):
        afm = make(doses=DoseLog(path), dose_per_spot={"loops": 2, "radius": 10})
        measure(afm)
        assert afm.tip.loops.get() == session + 1
        afm.close()
    afm = make(doses=DoseLog(path), dose_per_spot={"loops": 2, "radius": 10})
    with pytest.raises(EnvelopeError, match="2 spectra were taken within 10 nm"):
        measure(afm)
    afm.tip.set("engaged").wait(5)
    with pytest.raises(EnvelopeError, match="withdraw first"):
        afm.tip.replace()
    afm.tip.set("withdrawn").wait(5)
    afm.tip.replace()
    afm.replace_sample()
    assert afm.tip.loops.get() == 0
    assert counts(DoseLog(path)) == (0, [])


entries = st.lists(
    st.sampled_from(["tip", "sample"]) | st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), max_size=6
)


@settings(max_examples=20)
@given(sessions=st.lists(entries, max_size=3))
def test_what_is_read_again_is_what_was_counted(sessions, tmp_path_factory):
    path, plain = tmp_path_factory.mktemp("doses") / "doses.jsonl", DoseLog()
    for session in sessions:
        log = DoseLog(path)
        for entry in session:
            for one in (log, plain):
                {"tip": one.replace_tip, "sample": one.replace_sample}.get(entry, lambda: one.add(entry))()  # noqa: B023
        log.close()
        assert counts(log) == counts(DoseLog(path)) == counts(plain)
        assert counts(log.copy()) == counts(plain)


# One owner


def test_a_second_microscope_may_look_but_not_measure(make, path):
    first, second = (make(doses=DoseLog(path), loops_per_tip=3) for _ in range(2))
    measure(first)
    second.tip.set("engaged").wait(5)
    second.scanner.set((10, 10)).wait(5)
    second.imager.trigger().wait(5)
    with pytest.raises(DoseLogError, match=r"doses\.jsonl belongs to another microscope of this process, since 20"):
        second.spectrometer.trigger().wait(5)
    second.tip.set("withdrawn").wait(5)
    with pytest.raises(DoseLogError, match="Close the microscope there"):
        second.tip.replace()
    measure(first)
    first.close()
    measure(second)
    assert second.tip.loops.get() == 3
    with pytest.raises(EnvelopeError, match="taken 3 spectra, the limit is 3"):
        measure(second)


def test_a_plan_is_refused_before_anything_moves_while_another_session_measures(make, path, engine, documents):
    first, backend = make(doses=DoseLog(path)), Recorder()
    measure(first)
    second = make(backend, doses=DoseLog(path))
    with pytest.raises(DoseLogError, match="belongs to"):
        engine(spectra_at(second, [(100, 100)]))
    assert not [command for command in backend.commands if command[0] != "withdraw"]
    assert documents == []


def test_a_plan_counts_what_others_have_measured_since_the_session_began(make, path):
    waiting = make(doses=DoseLog(path), loops_per_tip=3)
    other = make(doses=DoseLog(path))
    measure(other)
    measure(other)
    other.close()
    waiting.spectrometer.check([(500, 400)])
    with pytest.raises(EnvelopeError, match=r"point 2: .* 3 spectra"):
        waiting.spectrometer.check([(500, 400), (600, 400)])


SESSION = """
import sys
from safety import Recorder
from ophyd_devices import AFM, DoseLog, Envelope
afm = AFM(Recorder(), name="afm", envelope=Envelope(loops_per_tip=7), doses=DoseLog(sys.argv[1]))
print("ready", flush=True)
for line in sys.stdin:
    try:
        afm.tip.set("engaged").wait(5)
        afm.spectrometer.trigger().wait(5)
        print("taken", flush=True)
    except Exception as error:
        print(type(error).__name__, error, flush=True)
"""


@pytest.fixture
def session(path):
    """Start a process with a microscope on the same log; it measures a spectrum for each line that it is sent."""
    started = []

    def start():
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", SESSION, str(path)], env=environment, text=True, stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        )  # fmt: skip
        assert started[-1].stdout.readline() == "ready\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def ask(process):
    process.stdin.write("\n")
    process.stdin.flush()
    return process.stdout.readline()


def test_another_process_is_told_who_owns_the_log_and_inherits_it_when_that_one_is_killed(session, path):
    one, other = session(), session()
    assert ask(one) == "taken\n"
    assert f"belongs to process {one.pid} on " in ask(other)
    assert ask(one) == "taken\n"
    one.send_signal(signal.SIGKILL)
    one.wait()
    assert ask(other) == "taken\n"
    assert DoseLog(path).tip_loops == 3


def test_many_sessions_together_take_no_more_than_the_tip_may(session, path):
    sessions = [session() for _ in range(3)]
    answers = []

    def work(process):
        for _ in range(4):
            answers.append(ask(process))
        process.kill()

    threads = [threading.Thread(target=work, args=(process,)) for process in sessions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers.count("taken\n") == DoseLog(path).tip_loops <= 7
    assert all("belongs to" in answer or "the limit is 7" in answer for answer in answers if answer != "taken\n")


# Damage


@pytest.mark.parametrize(
    "line",
    ['{"loop": [1]}', '{"loop": [1, "a"]}', '{"loop": [1, NaN]}', '{"loop": [true, 1]}', '{"replaced": "cat"}', "[]",
     "7", "null", "hello", "[" * 100_000, '{"loop": [1, 2', '{"session": {"pid": 1}}', "\x00", "\udcff"],
)  # fmt: skip
def test_a_damaged_line_is_refused(path, line):
    text = '{"loop": [1.0, 2.0]}\n' + line + '\n{"loop": [3.0, 4.0]}\n'
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(DoseLogError, match=r"doses.jsonl, line 2: expected an entry .* restore the file from a backup"):
        DoseLog(path)
    assert path.read_bytes() == text.encode(errors="surrogateescape")


@pytest.mark.parametrize("tail", ["hello", "[]", '{"loop": [1]}', '{"loops": [1, 2'])
def test_a_damaged_last_line_is_refused(path, tail):
    path.write_text('{"loop": [1.0, 2.0]}\n' + tail)
    with pytest.raises(DoseLogError, match="line 2: expected an entry"):
        DoseLog(path)


@given(length=st.integers(1, 23), zeros=st.integers(0, 9), then=st.booleans())
def test_a_line_torn_by_a_crash_is_dropped(length, zeros, then, tmp_path_factory):
    path, line = tmp_path_factory.mktemp("doses") / "doses.jsonl", b'{"loop": [3.25, 4.125]}'
    whole = b'{"loop": [1.0, 2.0]}\n'
    path.write_bytes(whole + line[:length] + b"\0" * zeros)
    log = DoseLog(path)
    expected = [[1.0, 2.0], *([[3.25, 4.125]] if length == len(line) else [])]  # complete but for its end
    assert log.places.tolist() == expected
    if then:
        log.add((5.0, 6.0))
    log.close()
    assert DoseLog(path).places.tolist() == log.places.tolist() == expected + [[5.0, 6.0]] * then
    if then:
        assert all(json.loads(line) for line in path.read_text().splitlines())


def delete(path):
    path.unlink()


def shorten(path):
    path.write_bytes(path.read_bytes()[:-10])


def flip(path):
    content = bytearray(path.read_bytes())
    content[content.index(b"500")] ^= 1
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b"")


DAMAGE = [
    (delete, "was deleted while this session used it; nothing was measured"),
    (shorten, "was changed by another program while this session used it"),
    (flip, "was changed by another program while this session used it"),
    (empty, "was changed by another program while this session used it"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGE)
@pytest.mark.parametrize("owned", [True, False])
def test_damage_in_the_middle_of_a_session_is_noticed_and_can_be_restored(make, path, damage, message, owned):
    backend = Recorder()
    before = make(doses=DoseLog(path))
    measure(before)
    before.close()
    afm = make(backend, doses=DoseLog(path), loops_per_tip=3)
    if owned:
        measure(afm)
    good, taken = path.read_bytes(), afm.backend.doses.tip_loops
    sent = [command for command in backend.commands if command[0] == "spectrum"]
    damage(path)
    for refused in (lambda: measure(afm), lambda: afm.spectrometer.check([(500, 400)]), afm.replace_sample):
        with pytest.raises(DoseLogError, match=message):
            refused()
    assert [command for command in backend.commands if command[0] == "spectrum"] == sent
    assert afm.backend.doses.tip_loops == taken
    afm.backend.doses.restore()
    assert path.read_bytes() == good
    measure(afm)
    assert DoseLog(path).tip_loops == taken + 1


def test_lines_from_somebody_without_the_lock_are_noticed(make, path):
    afm = make(doses=DoseLog(path))
    measure(afm)
    with path.open("a") as file:
        file.write('{"loop": [1.0, 2.0]}\n')
    with pytest.raises(DoseLogError, match=r"another program wrote to .*start again: that counts what was added"):
        measure(afm)
    assert DoseLog(path).tip_loops == 2


def test_a_deleted_lock_does_not_make_two_owners(make, path):
    first, second = (make(doses=DoseLog(path), loops_per_tip=3) for _ in range(2))
    measure(first)
    path.with_name(f"{path.name}.lock").unlink()
    measure(second)
    with pytest.raises(DoseLogError, match="another program wrote to"):
        measure(first)
    assert DoseLog(path).tip_loops == 2


def test_a_log_that_cannot_be_there_is_refused_at_once(tmp_path):
    with pytest.raises(DoseLogError, match="its directory does not exist; make it, or correct the path"):
        DoseLog(tmp_path / "missing" / "doses.jsonl")
    for path in (tmp_path, "/dev/zero"):
        with pytest.raises(DoseLogError, match="is not a file; correct the path"):
            DoseLog(path)


def test_a_full_disk_is_told_before_the_spectrum_and_tears_no_line(make, path):
    backend = Recorder()
    afm = make(backend, doses=DoseLog(path))
    measure(afm)
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 5, limits[1]))
    try:
        with pytest.raises(DoseLogError, match=r"cannot be written .* make room on the disk"):
            measure(afm)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert [command[0] for command in backend.commands].count("spectrum") == 1
    measure(afm)
    assert DoseLog(path).tip_loops == 2


def test_what_was_read_while_the_disk_was_full_is_counted_later(make, path):
    afm = make(doses=DoseLog(path), loops_per_tip=3)
    other = DoseLog(path)
    other.add((1.0, 2.0))
    other.add((1.0, 2.0))
    other.close()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 5, limits[1]))
    try:
        with pytest.raises(DoseLogError, match="cannot be written"):
            measure(afm)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    measure(afm)
    assert afm.tip.loops.get() == 3


# Measuring stored spectra again


def replay(afm, loops):
    """Measure again as resuming does; return what the tip says of itself."""
    seen = []
    for number in loops:
        with afm.replaying(number - 1):
            measure(afm)
            seen.append(afm.tip.loops.get())
    return seen


def test_spectra_measured_again_are_not_counted_twice_in_a_file(make, path):
    first = make(twin(seed=0), doses=DoseLog(path), loops_per_tip=4)
    for _ in range(3):
        measure(first)
    first.close()
    content = path.read_bytes()
    again = make(twin(seed=0), doses=DoseLog(path), loops_per_tip=4)
    assert replay(again, [1, 2, 3]) == [1, 2, 3]
    assert [line for line in path.read_bytes()[len(content) :].splitlines() if b"loop" in line] == []
    measure(again)
    assert again.tip.loops.get() == 4
    with pytest.raises(EnvelopeError, match="taken 4 spectra"):
        measure(again)


def test_without_a_file_spectra_measured_again_count_and_the_tip_goes_on_from_there(make):
    afm = make(twin(seed=0), loops_per_tip=8)
    assert replay(afm, [5, 6, 7]) == [5, 6, 7], "four had been taken before the stored run"
    assert len(afm.backend.doses.places) == 3
    measure(afm)
    with pytest.raises(EnvelopeError, match="taken 8 spectra"):
        measure(afm)


def test_a_limit_reached_since_does_not_hinder_measuring_again(make, path):
    first = make(twin(seed=0), doses=DoseLog(path), loops_per_tip=2)
    measure(first)
    measure(first)
    first.close()
    again = make(twin(seed=0), doses=DoseLog(path), loops_per_tip=2)
    assert replay(again, [1, 2]) == [1, 2]
    with pytest.raises(EnvelopeError, match="taken 2 spectra"):
        measure(again)


def test_on_a_real_instrument_each_spectrum_is_a_dose(make, monkeypatch):
    monkeypatch.setattr(Recorder, "info", replace(Recorder.info, simulated=False))
    afm = make()
    with pytest.raises(BackendError, match=r"only a simulated instrument .* rebuild=False"), afm.replaying():
        measure(afm)
    assert afm.backend.doses.tip_loops == 0


def test_a_plan_that_fails_while_measuring_again_counts_from_then_on(make, path, engine):
    afm = make(twin(seed=0), doses=DoseLog(path))

    def plan():
        with afm.replaying(0):
            yield from bps.mv(afm.tip, "engaged")
            yield from bps.trigger(afm.spectrometer, wait=True)
            raise RuntimeError("it differs")

    with pytest.raises(RuntimeError, match="it differs"):
        engine(plan())
    assert DoseLog(path).tip_loops == 0
    measure(afm)
    assert DoseLog(path).tip_loops == 1


def test_within_counts_the_rim():
    log = DoseLog()
    for x in (0.0, 10.0, np.nextafter(10.0, 11.0)):
        log.add((x, 0.0))
    assert log.within(10.0, (0.0, 0.0)) == 2
