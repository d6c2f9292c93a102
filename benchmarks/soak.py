"""A day and a night without anybody: run after run on the realistic twin, with drift correction and faults at random.

    MALLOC_ARENA_MAX=2 python -m benchmarks.soak

measures 10 000 points in runs of at most 500. The rules of quality meet the faults that leave an instrument in working
order. Others end the run; then somebody reconnects, and the next run begins. Meanwhile another process reads the data
directory again and again, a third one serves the page, and somebody follows each run on it and leaves notes. At the
end the spectra that the instrument took are compared with those that are stored, run by run, and each run is verified,
in the journal and in Tiled. The figures go into docs/reference/soak.md. With ``--minutes`` it ends earlier, and the
page says so.

Without the variable glibc keeps free memory in sixteen places, one for each of the first threads, and each keeps the
most that was ever needed in it: memory then grows for some hours.
"""

import argparse
import ctypes
import gc
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from bluesky import RunEngine
from numpy.typing import NDArray

from agents.registry import build, configure
from curio_plans.documents.history import History
from curio_plans.plans import curiosity
from curio_plans.session import Broadcast
from curio_plans.store.storage import Storage
from ophyd_devices import AFM
from ophyd_devices.backend import BackendError, Loop
from ophyd_devices.twin import FaultyBackend, TwinBackend, twin

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "soak.md"
RUN_POINTS = 500
FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "nan spectrum", "probability": 0.01},
    {"kind": "saturated spectrum", "probability": 0.01},
    {"kind": "lost contact", "probability": 0.005},
    {"kind": "missing lines", "probability": 0.05},
    {"kind": "stuck scanner", "probability": 0.0005},
    {"kind": "timeout", "probability": 0.0005},
    {"kind": "tip crash", "action": "spectrum", "probability": 0.0005},
    {"kind": "disconnect", "probability": 0.0005},
)
OBSERVER = """
import sys, time
from pathlib import Path
from curio_plans.store.storage import Storage
directory, looks, faults = Path(sys.argv[1]), 0, 0
while not (directory / "over").exists():
    with Storage.local(directory) as storage:
        try:
            runs = storage.runs()
            if any(run.damaged for run in runs):
                raise ValueError("a run is damaged")
            if runs:
                storage.documents(storage.resolve("latest"))
        except Exception as error:
            faults += 1
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
    looks += 1
    time.sleep(3)
print(looks, faults)
"""
SERVE = """
import sys
from curio_plans.page import add_page
from curio_plans.store import serve
serve(sys.argv[1], port=0, add=lambda tiled: add_page(tiled, sys.argv[1]))
"""


class Watcher:
    """Somebody who follows each run on the page, and leaves a note after each hundredth point.

    Attributes
    ----------
    points, notes : Counter
        By run: points that came to the page, and notes that it took.
    """

    def __init__(self, directory: Path) -> None:
        command = [sys.executable, "-W", "ignore", "-c", SERVE, str(directory)]
        self._server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._server.stdout is not None
        self._page, self._key = self._server.stdout.readline().split()[-1].split("#key=")
        self._following: list[threading.Thread] = []
        self.points: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()

    def memory(self) -> float:
        """Return the resident memory of the server, in MB."""
        pages = int(Path(f"/proc/{self._server.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def begin(self, _: str, doc: dict[str, Any]) -> None:
        """Follow a run, in a thread."""
        self._following.append(threading.Thread(target=self._follow, args=(doc["uid"],)))
        self._following[-1].start()

    def wait(self) -> None:
        """Wait until the page has told the end of each run."""
        while self._following:
            self._following.pop().join()

    def _ask(self, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Apikey {self._key}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self._page}api/{path}", data, headers)
        return urllib.request.urlopen(request, timeout=120)

    def _follow(self, uid: str) -> None:
        with self._ask(f"runs/{uid}/events") as stream:
            for line in stream:
                if line.startswith(b"event: end"):
                    break
                if line.startswith(b'data: {"rows'):
                    before = self.points[uid] // 100
                    self.points[uid] += len(json.loads(line[6:])["rows"]["points"])
                    if self.points[uid] // 100 > before:
                        values = {"text": f"{self.points[uid]} points"}
                        note = {"act": "note", "values": values, "by": "night watch"}
                        try:
                            self._ask(f"runs/{uid}/acts", note).close()
                            self.notes[uid] += 1
                        except urllib.error.HTTPError as error:
                            if error.code != 409:  # the run has ended meanwhile
                                raise

    def end(self) -> None:
        """Stop the server."""
        self._server.kill()
        self._server.communicate()


class Counting:
    """A backend that counts the spectra it took; all else passes through."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self.spectra = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def spectrum(self, bias: NDArray[np.float64], dwell: float) -> Loop:
        """Measure, and count."""
        loop: Loop = self._backend.spectrum(bias, dwell)
        self.spectra += 1
        return loop


@dataclass(frozen=True)
class Line:
    """What a run left; a row of the table.

    Attributes
    ----------
    hours : float
        The instrument's time since the beginning, in h.
    ended : str
        How it ended.
    taken, points, rejected, lost : int
        Spectra that the instrument took; of these: points, rejected ones, and those lost with the end of the run.
    frames : int
        Images.
    memory : float
        Resident memory of the process afterwards, in MB; what the allocator keeps in reserve has been given back.
    objects : int
        Python objects with references to others, after garbage was collected.
    threads, files, sockets : int
        Of the process, afterwards.
    """

    hours: float
    ended: str
    taken: int
    points: int
    rejected: int
    lost: int
    frames: int
    memory: float
    objects: int
    threads: int
    files: int
    sockets: int


def resources() -> tuple[float, int, int, int, int]:
    """Return memory in MB, objects, threads, open files and sockets of this process."""
    gc.collect()
    with suppress(OSError, AttributeError):  # another system than glibc
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    targets = []
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # that of the listing itself
            targets.append(str(entry.readlink()))
    sockets = sum(target.startswith("socket:") for target in targets)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    memory = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    return memory, len(gc.get_objects()), threading.active_count(), len(targets) - sockets, sockets


@contextmanager
def connected(backend: Any, seed: int) -> Iterator[AFM]:
    """Connect to the instrument, whose faults of this session the seed decides."""
    afm = AFM(FaultyBackend(backend, FAULTS, seed), name="afm")
    afm.imager.pixels.put((64, 64))
    afm.spectrometer.dwell.put(27e-3)  # a spectrum of 8 s: 10 000 of them, moves and frames are a day and a night
    for device in (afm.scanner, afm.tip, afm.imager, afm.spectrometer):
        device.timeout.put(1.0)  # of real time: the twin needs none
    try:
        yield afm
    finally:
        with suppress(BackendError):  # the connection may be lost
            afm.close()


def measure(storage: Storage, engine: RunEngine, backend: Counting, number: int, points: int) -> tuple[str, Line]:
    """Do one run; return its uid, and what it left.

    Raises
    ------
    AssertionError
        If a spectrum is not accounted for, or the tip is not withdrawn.
    """
    before, reason, uids = backend.spectra, "", []
    token = engine.subscribe(lambda _, doc: uids.append(doc["uid"]), "start")
    with connected(backend, number) as afm:
        chosen: dict[str, Any] = {"stride": 1, "map_every": 0, "steer": storage.mailbox}
        rules: dict[str, Any] = {"quality": {"policy": "retry"}, "drift": {"every_points": 100}}
        plan = curiosity(afm, configure("random", seed=number), points, build=build, **chosen, **rules)
        try:
            engine(plan)
        except Exception as error:  # noqa: BLE001 - the stop document tells it, see below
            reason = str(error)
    engine.unsubscribe(token)
    assert not backend.in_contact(), f"run {number} left the tip in contact"
    history = History(storage.documents(uids[0]))
    assert history.stop is not None, f"run {number} has no stop document"
    assert bool(reason) == (history.stop["exit_status"] != "success"), f"run {number} hides how it ended: {reason}"
    taken = backend.spectra - before
    kept, rejected = len(history.observations), len(history.rejected)
    lost = taken - kept - rejected
    assert lost in ((0, 1) if reason else (0,)), f"run {number} took {taken} spectra, and has {kept} + {rejected}"
    ended = history.stop.get("reason", "").split(";")[0].replace("|", "/") or history.stop["exit_status"]
    hours = backend.time() / 3600
    return uids[0], Line(hours, ended, taken, kept, rejected, lost, len(history.images), *resources())


def soak(directory: Path, points: int, minutes: float, watcher: Watcher) -> tuple[list[Line], Counter[str]]:
    """Measure run after run; return a line for each, and how many of them are whole.

    Raises
    ------
    AssertionError
        If something is not accounted for.
    """
    instrument = twin(seed=1, effects="realistic")
    assert isinstance(instrument, TwinBackend)
    backend, engine = Counting(instrument), RunEngine({})
    lines: list[Line] = []
    uids: list[str] = []
    deadline = time.monotonic() + 60 * minutes
    with Storage.local(directory) as storage:
        storage.attach(engine)
        broadcast = Broadcast(directory)
        engine.subscribe(broadcast)
        vars(engine).update(msg_hook=broadcast.message, waiting_hook=broadcast.waiting)
        engine.subscribe(watcher.begin, "start")
        while (missing := points - sum(line.points for line in lines)) > 0 and time.monotonic() < deadline:
            uid, line = measure(storage, engine, backend, len(lines), min(RUN_POINTS, missing))
            watcher.wait()
            assert watcher.points[uid] == line.points, f"run {uid}: the page had {watcher.points[uid]} points"
            uids.append(uid)
            lines.append(line)
            print(*astuple(line), sep="\t", flush=True)
        assert dict(storage.failures) == {}
    with Storage.local(directory) as storage:
        assert {run.uid for run in storage.runs()} == set(uids)
        whole = Counter("whole" if storage.verify(uid).is_whole else "not whole" for uid in uids)
    return lines, whole


def page(
    lines: list[Line], whole: Counter[str], watched: str, observed: tuple[int, int], asked: int, seconds: float
) -> str:
    """Return the report."""
    total = {field.name: sum(getattr(line, field.name) for line in lines) for field in fields(Line)[2:7]}
    early = f"Only {total['points']:,} of {asked:,} points: this report is of a shorter time, `--minutes`.\n\n"
    table = [f"| {' | '.join(field.name for field in fields(Line))} |", "|---" * len(fields(Line)) + "|"]
    for line in lines:
        cells = [f"{value:.1f}" if isinstance(value, float) else str(value) for value in astuple(line)]
        table.append(f"| {' | '.join(cells)} |")
    head = (__doc__ or "").partition("\n\n")[0].removesuffix(".")
    return f"""# A day and a night

{early if total["points"] < asked else ""}{head}.
A command makes this page:

```text
MALLOC_ARENA_MAX=2 python -m benchmarks.soak
```

The variable lets threads share two places for free memory, as in the units of [deploy](../how-to/deploy.md). Without it
glibc keeps sixteen, each with the most that was ever needed in it, and memory grows by some 30 MB in the first hours.

The faults, by the share of calls: {", ".join(f"{fault['kind']} {fault['probability']:.2%}" for fault in FAULTS)}.

Bad spectra are measured again, a drift correction comes every 100 points. A fault of the instrument itself ends the
run, and the next one begins.

- {lines[-1].hours:.1f} h of the instrument's time in {seconds / 60:.0f} minutes; {len(lines)} runs, of which
  {sum(line.ended == "success" for line in lines)} were complete and the others ended by a fault, all with the tip
  withdrawn and a stop document.
- {total["taken"]:,} spectra were taken: {total["points"]:,} points, {total["rejected"]} rejected, {total["lost"]} lost
  with the fault that ended their run. None is unaccounted for. {total["frames"]} frames.
- {whole["whole"]} of {len(lines)} runs are whole, in the journal and in Tiled.
- Another process read all of the directory {observed[0]} times meanwhile; {observed[1]} times something was wrong.
- Memory was {lines[0].memory:.0f} MB after the first run and {lines[-1].memory:.0f} MB after the last, at most
  {max(line.memory for line in lines):.0f} MB; Python objects {lines[0].objects:,} and {lines[-1].objects:,};
  threads {lines[0].threads} and {lines[-1].threads}, files {lines[0].files} and {lines[-1].files}, sockets
  {lines[0].sockets} and {lines[-1].sockets}.
{watched}

After each run (hours of the instrument's time, memory in MB):

{chr(10).join(table)}
"""


def main() -> None:
    """Measure, check, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=10_000, help="points in all (default: 10000)")
    parser.add_argument("--minutes", type=float, default=120.0, help="begin no run after so many (default: 120)")
    parser.add_argument("--page", type=Path, default=PAGE, help="the report")
    chosen = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        command = [sys.executable, "-c", OBSERVER, temporary]
        watcher = Watcher(directory)
        before = watcher.memory()
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as observer:
            try:
                lines, whole = soak(directory, chosen.points, chosen.minutes, watcher)
                came, left = watcher.points.total(), watcher.notes.total()
                watched = (
                    f"- {came:,} points came to the page, all of them, and {left} notes were left there.\n"
                    f"  Its server's memory was {before:.0f} MB at first and {watcher.memory():.0f} MB at last."
                )
            finally:
                watcher.end()
                (directory / "over").touch()
                looks, faults = (observer.communicate()[0] or "0 1").split()
    seconds = time.monotonic() - started
    chosen.page.write_text(page(lines, whole, watched, (int(looks), int(faults)), chosen.points, seconds))


if __name__ == "__main__":
    main()
