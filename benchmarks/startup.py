"""How long the command ``curio`` takes until it says something, and until it is done.

Each command runs in a process of its own, several times; the best counts. CPU time, user and system together, hardly
depends on what else the computer does; wall time does. The target: help, a mistyped command, and the first line of
every other command within 0.6 s.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

CURIO = (sys.executable, "-m", "curio_plans.cli")
RUN = ("run", "--agent", "random", "--points", "4", "--pixels", "32", "--no-figure")
COMMANDS = (
    ("--help",),
    ("run", "--help"),
    ("rnu",),
    ("runs",),
    ("show", "--no-figure"),
    ("replay",),
    ("agents",),
    RUN,
)
QUICK = (("--help",), ("rnu",), ("runs",))


@dataclass(frozen=True)
class Timing:
    """CPU time and wall time of a process, in s."""

    cpu: float
    wall: float


def measure(arguments: tuple[str, ...], directory: Path, *, first: bool) -> Timing:
    """Run ``curio`` with these arguments; return its time to its end, or to its `first` output, when it is killed."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [*CURIO, *arguments],
        bufsize=0,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "CURIO_DATA": str(directory)},
    )
    with process.stdout as output:
        output.read(1)
        if first:
            process.kill()
        else:
            output.readall()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)  # Popen shall not wait for it again
    return Timing(usage.ru_utime + usage.ru_stime, time.perf_counter() - started)


def best(timings: list[Timing]) -> Timing:
    """Return the least CPU time and the least wall time."""
    return Timing(min(timing.cpu for timing in timings), min(timing.wall for timing in timings))


def main() -> None:
    """Measure each command several times, and print the best."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5, help="processes of each command")
    parser.add_argument("--quick", action="store_true", help="a few light commands, once")
    chosen = parser.parse_args()
    commands, repeat = (QUICK, 1) if chosen.quick else (COMMANDS, chosen.repeat)

    table = Table("command", "first output: CPU s", "wall s", "end: CPU s", "wall s", box=None)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        measure(RUN, directory, first=False)  # a run to list and to show; and all modules are compiled
        for arguments in commands:
            said = best([measure(arguments, directory, first=True) for _ in range(repeat)])
            done = best([measure(arguments, directory, first=False) for _ in range(repeat)])
            numbers = (said.cpu, said.wall, done.cpu, done.wall)
            table.add_row(f"curio {' '.join(arguments)}", *(f"{seconds:.2f}" for seconds in numbers))
    Console().print(table)


if __name__ == "__main__":
    main()
