"""Printing, in processes whose standard output is unusual."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PRINT = """
import sys
from curio_plans.cli.output import console, streams, warn
streams.install()
streams.install()
console.print("– × → ≥ ² é 漢 \\udcff", highlight=False)
print("plain")
streams.tell_losses()
"""


def execute(code, encoding="utf-8", **options):
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    return subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, env=environment, check=False, **options)


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("utf-8", "– × → ≥ ² é 漢 ?"),
        ("latin-1", "- × -> >= ² é ? ?"),
        ("cp1252", "– × -> >= ² é ? ?"),
        ("ascii", "- x -> >= 2 e ? ?"),
    ],
)
def test_characters_that_the_terminal_lacks_are_replaced(encoding, expected):
    done = execute(PRINT, encoding, stdout=subprocess.PIPE)
    assert done.stdout.decode(encoding).splitlines() == [expected, "plain"]
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_full_disk_is_told_and_raises_nothing():
    with Path("/dev/full").open("w") as full:
        done = execute(PRINT, stdout=full)
    assert done.returncode == 0
    assert b"could not be written: No space left on device" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_file_opened_later_does_not_become_a_closed_standard_output(tmp_path):
    code = f"{PRINT}\nassert open({str(tmp_path / 'file')!r}, 'w').fileno() > 2"
    done = execute(code, preexec_fn=lambda: [os.close(descriptor) for descriptor in (0, 1)])
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "file").read_text() == ""


@pytest.mark.parametrize("noticed", ["by writing", "by waiting"])
def test_a_lost_reader_is_told_once_to_whoever_wants_to_know(noticed):
    code = f"""
import sys, threading
from curio_plans.cli.output import console, streams
streams.install()
told = threading.Semaphore(0)
streams.when_lost(told.release)
input()
if {noticed == "by writing"}:
    for _ in range(3):
        console.print("unheard")
assert told.acquire(timeout=60)
assert streams.lost == "its pipe was closed"
console.print("unheard")
assert not told.acquire(timeout=0.1)
streams.when_lost(told.release)
assert told.acquire(timeout=0), "it is told at once"
"""
    reading, writing = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=writing, stderr=subprocess.PIPE, text=True
    ) as process:
        os.close(writing)
        os.close(reading)
        _, errors = process.communicate("go on\n")
    assert (process.returncode, errors) == (0, "")


def test_a_library_that_prints_to_a_closed_pipe_does_not_fail():
    code = "from curio_plans.cli.output import streams; streams.install(); input(); print('x' * 100_000); print('end')"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.close()
        process.stdin.write("go on\n")
        process.stdin.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0


def test_a_reader_that_does_not_read_holds_nobody_up_and_misses_only_what_is_told():
    code = """
import os, sys
from curio_plans.cli.output import console, streams
from curio_plans.cli.unread import ROOM
streams.install()
streams.stop_blocking()
for number in range(20_000):
    console.print(f"{number:99}", highlight=False)
os.write(2, b"not held up")
sys.stdin.readline()
console.print("at last", highlight=False)
streams.wait_for_reader()
console.print("the end", highlight=False)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr.read(11) == "not held up"
        first = process.stdout.readline()
        lines = [first]
        while "9999" not in lines[-1]:  # there is room again
            lines.append(process.stdout.readline())
        process.stdin.write("\n")
        process.stdin.close()
        lines += process.stdout.readlines()
    *numbers, gap, latest, end = [line for line in lines if line.strip()]
    assert [int(line) for line in numbers] == list(range(len(numbers)))
    assert 10_000 < len(numbers) < 20_000
    assert gap == f"[{100 * (20_000 - len(numbers))} bytes were left out here: nobody read the output]\n"
    assert (latest, end) == ("at last\n", "the end\n")
    assert process.returncode == 0


def test_a_process_that_ends_waits_only_a_moment_for_a_reader_that_does_not_read():
    code = """
from curio_plans.cli.output import console, streams
streams.install()
streams.stop_blocking()
for _ in range(2000):
    console.print(99 * "x")
streams.tell_losses()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.wait(timeout=60) == 0  # without the limit it would wait until somebody reads
