"""What storing costs a plan: the time per point with and without a journal and Tiled behind it.

Each point is one event of the twin's spectrometer, with a pause in which a real instrument would measure. The wait
for the last data at the end of a run is given on its own.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from bluesky import RunEngine
from bluesky import plan_stubs as bps

from curio_plans.plans import spectra_at
from curio_plans.run import stubs
from curio_plans.store.journal import Journal
from curio_plans.store.storage import Storage
from ophyd_devices import AFM
from ophyd_devices.twin import twin


def measure(afm: AFM, engine: RunEngine, points: int, pause: float) -> tuple[np.ndarray, float]:
    """Return the times from point to point and the time from the last point to the end of the run, in ms."""
    moments: list[float] = []

    def step(*arguments: Any, **options: Any) -> Iterator[Any]:
        reason = yield from stubs.take_spectrum(*arguments, **options)
        if pause:
            yield from bps.sleep(pause)
        moments.append(time.perf_counter())
        return reason

    places = [(19.0 * (number % 100), 19.0 * (number // 100 % 100)) for number in range(points)]
    engine(spectra_at(afm, places, measure=step))
    return 1000 * np.diff(moments), 1000 * (time.perf_counter() - moments[-1])


def keep_nothing(engine: RunEngine, directory: Path, stack: ExitStack) -> None:
    """Leave the engine as it is."""


def keep_journal(engine: RunEngine, directory: Path, stack: ExitStack) -> None:
    journal = Journal(directory)
    stack.callback(journal.close)
    engine.subscribe(journal)


def keep_everything(engine: RunEngine, directory: Path, stack: ExitStack) -> None:
    stack.enter_context(Storage.local(directory)).attach(engine)


WAYS = {"nothing": keep_nothing, "journal": keep_journal, "journal and Tiled": keep_everything}


def main() -> None:
    """Measure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--points", type=int, default=200, help="spectra in each run")
    parser.add_argument("--pause", type=float, nargs="+", default=[0.0, 0.1], help="seconds between points")
    parser.add_argument("--repeats", type=int, default=4, help="runs of each kind, in turn")
    parser.add_argument("--quick", action="store_true", help="few short runs")
    chosen = parser.parse_args()
    points, repeats = (60, 2) if chosen.quick else (chosen.points, chosen.repeats)

    afm = AFM(twin(seed=0), name="afm")
    afm.spectrometer.steps_per_cycle.put(256)
    afm.spectrometer.cycles.put(1)
    print(f"{points} spectra of 256 steps, {repeats} runs of each kind; ms a point\n")
    print(f"{'pause / s':>9}  {'kept in':<18} {'mean':>7} {'median':>7} {'99 %':>7} {'cost':>7}  {'end of run':>10}")
    with ExitStack() as stack:
        engines = {name: RunEngine({}) for name in WAYS}
        for name, keep in WAYS.items():
            keep(engines[name], Path(stack.enter_context(tempfile.TemporaryDirectory())), stack)
            measure(afm, engines[name], 3, 0.0)  # the first run of a process opens files and imports modules
        for pause in chosen.pause:
            times: dict[str, list[np.ndarray]] = {name: [] for name in WAYS}
            ends: dict[str, list[float]] = {name: [] for name in WAYS}
            for _ in range(repeats):
                for name, engine in engines.items():
                    between, end = measure(afm, engine, points, pause)
                    times[name].append(between)
                    ends[name].append(end)
            bare = np.mean(times["nothing"])
            for name in WAYS:
                column = np.concatenate(times[name])
                print(
                    f"{pause:>9g}  {name:<18} {column.mean():>7.1f} {np.median(column):>7.1f} "
                    f"{np.percentile(column, 99):>7.1f} {column.mean() - bare:>7.1f}  {np.mean(ends[name]):>7.0f} ms"
                )
    afm.close()


if __name__ == "__main__":
    main()
