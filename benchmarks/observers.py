"""What ten observers cost a running experiment: commands and notebooks that read the data directory meanwhile.

    python -m benchmarks.observers

prints how long a point takes alone, with ten observers, and alone again; it needs some three minutes. Spectra take
their real time. Each observer looks, waits ten seconds, and looks again.
"""

import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from bluesky import RunEngine

from agents.registry import build, configure
from curio_plans.plans import curiosity
from curio_plans.store.storage import Storage
from ophyd_devices import AFM
from ophyd_devices.twin import twin

POINTS = 60
COMMAND = "while sleep {pause}; do {python} -m curio_plans.cli {what} --data {directory} > /dev/null || exit; done"
NOTEBOOK = """
import sys, time
from curio_plans import History, Storage
while True:
    with Storage.local(sys.argv[1], writable=False) as storage:
        History(storage.documents("latest")).observations
    time.sleep(float(sys.argv[2]))
"""


def seconds_of_points(directory: Path) -> list[float]:
    """Run with random points; return the instrument's time between the events of two points."""
    afm, engine = AFM(twin(seed=3, real_time=True), name="afm"), RunEngine({})
    afm.imager.pixels.put((32, 32))
    times: list[float] = []
    with Storage.local(directory) as storage:
        storage.attach(engine)
        engine.subscribe(lambda _, doc: times.append(doc["time"]) if "candidate" in doc["data"] else None, "event")
        engine(curiosity(afm, configure("random", seed=1), POINTS, build=build, window=5, stride=1, map_every=0))
    afm.close()
    return np.diff(times).tolist()


@contextmanager
def observers(directory: Path, pause: float) -> Iterator[None]:
    """Let four read the list of runs, three draw the run, and three read it as a notebook does."""
    shell = [
        ["bash", "-c", COMMAND.format(pause=pause, python=sys.executable, what=what, directory=directory)]
        for what in (*["runs"] * 4, *["show latest"] * 3)
    ]
    notebooks = [[sys.executable, "-c", NOTEBOOK, str(directory), str(pause)]] * 3
    with ExitStack() as stack:
        for command in [*shell, *notebooks]:
            process = stack.enter_context(subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True))
            stack.callback(process.wait)
            stack.callback(os.killpg, process.pid, signal.SIGKILL)
        yield


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        alone = seconds_of_points(directory)
        with observers(directory, 10.0):
            observed = seconds_of_points(directory)
        again = seconds_of_points(directory)
    for name, times in (("alone", alone), ("ten observers", observed), ("alone again", again)):
        middle, most = statistics.median(times), float(np.quantile(times, 0.95))
        print(f"{name}: a point takes {1000 * middle:.0f} ms (median), {1000 * most:.0f} ms (95 %)")


if __name__ == "__main__":
    main()
