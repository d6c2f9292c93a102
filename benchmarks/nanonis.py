"""What a point costs over the Nanonis protocol, beside the twin in this process.

Both are in simulated time, without settling, so that actions take no time of their own. The controller is
``curio nanonis-sim`` in a process of its own, on this computer. The target is at most 20 ms a point more.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from bluesky import RunEngine
from rich.console import Console
from rich.table import Table

from curio_plans.plans import spectra_at
from ophyd_devices import AFM
from ophyd_devices.nanonis.backend import NanonisBackend
from ophyd_devices.twin import twin


@contextmanager
def simulator() -> Iterator[tuple[int, int, int]]:
    """Start a simulated controller in simulated time; give its ports."""
    command = [sys.executable, "-m", "curio_plans.cli", "nanonis-sim", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        first, second, third = (int(port) for port in process.stdout.readline().split()[-4:-1])
        try:
            yield first, second, third
        finally:
            process.terminate()


def seconds_a_point(backend: Any, places: np.ndarray) -> np.ndarray:
    """Return the time between one point and the next, for each."""
    afm = AFM(backend, name="afm")
    afm.scanner.settle.put(0.0)
    centre = np.mean(np.reshape(afm.backend.info.scan_range, (2, 2)), axis=1)
    engine, marks = RunEngine({}), []
    engine.subscribe(lambda name, _: marks.append(time.perf_counter()) if name == "event" else None)
    engine(spectra_at(afm, [tuple(place) for place in places + centre]))
    afm.close()
    return np.diff(marks)


def main() -> None:
    """Measure in turn, and print medians and tails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--points", type=int, default=200, help="points of each run")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each, in turn")
    parser.add_argument("--quick", action="store_true", help="10 points, once")
    chosen = parser.parse_args()
    points, repeat = (10, 1) if chosen.quick else (chosen.points, chosen.repeat)
    places = np.random.default_rng(0).uniform(-900, 900, (points, 2))
    names = ("twin in process", "Nanonis, sweep", "Nanonis, pulses (96 steps, each 2 × 4.1 ms)")
    found: dict[str, list[np.ndarray]] = {name: [] for name in names}
    with simulator() as ports:
        for _ in range(repeat):
            found[names[0]].append(seconds_a_point(twin(), places))
            found[names[1]].append(seconds_a_point(NanonisBackend(ports=ports, force_per_unit=50.0), places))
        pulses = NanonisBackend(ports=ports, force_per_unit=50.0, mode="pulses")
        found[names[2]].append(seconds_a_point(pulses, places[: points // 5]))
    best = {name: min((float(np.median(each)), float(np.quantile(each, 0.95))) for each in runs)
            for name, runs in found.items()}  # fmt: skip
    table = Table("backend", "median, ms a point", "95 % below, ms", "more than the twin, ms")
    for name, (median, tail) in best.items():
        table.add_row(name, f"{1e3 * median:.1f}", f"{1e3 * tail:.1f}", f"{1e3 * (median - best[names[0]][0]):+.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
