"""What a plan costs per point beyond device and thinking time, beside Bluesky's list_scan of the same devices.

All in simulated time, so that devices take no time of their own but what their calls cost. What the twin computes is
measured and taken off, for the plans and for list_scan alike; what the agent thinks is taken off, too. The target is at
most 5 ms a point more than list_scan.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from bluesky import RunEngine
from bluesky.plans import list_scan
from rich.console import Console
from rich.table import Table

from agents.registry import build, configure
from curio_plans.plans import curiosity, spectra_at
from ophyd_devices import AFM
from ophyd_devices.twin import twin


class Stopwatch:
    """A backend that adds up the time that calls of another take."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self.seconds = 0.0

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._backend, name)
        if not callable(value):
            return value

        def timed(*arguments: Any) -> Any:
            started = time.perf_counter()
            try:
                return value(*arguments)
            finally:
                self.seconds += time.perf_counter() - started

        return timed


def measure(make: Callable[[AFM], Any], pixels: int) -> tuple[float, float]:
    """Return the overhead per point in s, as the median over points, and the time of the backend per point.

    The time between two points is taken between their events; time of the backend and of thinking is taken off.
    """
    backend = Stopwatch(twin(seed=0))
    afm = AFM(backend, name="afm")
    afm.imager.pixels.put((pixels, pixels))
    afm.tip.set("engaged").wait()
    engine, marks, thought, streams = RunEngine({}), [], [0.0], {}

    def note(name: str, doc: dict[str, Any]) -> None:
        if name == "descriptor":
            streams[doc["uid"]] = doc["name"]
        elif name == "event":
            thought[0] += doc["data"].get("agent_think_time", 0.0)
            if streams[doc["descriptor"]] == "primary":
                marks.append((time.perf_counter(), backend.seconds, thought[0]))

    engine.subscribe(note)
    engine(make(afm))
    afm.close()
    wall, inside, thinking = np.diff(np.array(marks), axis=0).T
    return float(np.median(wall - inside - thinking)), float(np.median(inside))


def main() -> None:
    """Measure, several times in turn, and print the best of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--points", type=int, default=200, help="points of each run")
    parser.add_argument("--repeat", type=int, default=5, help="runs of each plan, in turn")
    parser.add_argument("--quick", action="store_true", help="30 points, twice")
    chosen = parser.parse_args()
    points, repeat = (30, 2) if chosen.quick else (chosen.points, chosen.repeat)
    rng = np.random.default_rng(0)
    places = [(float(x), float(y)) for x, y in rng.uniform(100, 1900, (points, 2))]
    x, y = ([place[axis] for place in places] for axis in (0, 1))
    plans: dict[str, Callable[[AFM], Any]] = {
        "list_scan": lambda afm: list_scan([afm.spectrometer, afm.tip], afm.scanner.x, x, afm.scanner.y, y),
        "spectra_at": lambda afm: spectra_at(afm, places),
        "curiosity, random agent": lambda afm: curiosity(afm, configure("random"), points, build=build),
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in plans}
    for _ in range(repeat):
        for name, make in plans.items():
            found[name].append(measure(make, 64))
    floor = min(overhead for overhead, _ in found["list_scan"])
    table = Table("plan", "overhead, ms a point", "more than list_scan, ms", "backend, ms a point")
    for name, pairs in found.items():
        best = min(overhead for overhead, _ in pairs)
        cost = np.median([inside for _, inside in pairs])
        table.add_row(name, f"{1e3 * best:.2f}", f"{1e3 * (best - floor):+.2f}", f"{1e3 * cost:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
