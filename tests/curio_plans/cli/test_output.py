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
