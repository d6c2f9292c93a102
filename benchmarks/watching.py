"""How fast the page is: opening a run of 10 000 points, an event on its way to a watcher, what watchers cost a plan.

    python -m benchmarks.watching

prints three lines; it needs about two minutes, and a computer that does nothing else.
"""

import copy
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import numpy as np
from bluesky import RunEngine

from agents.registry import build, configure
from curio_plans.page.view import RunView
from curio_plans.page.wire import about, plain
from curio_plans.plans import curiosity
from curio_plans.session import Broadcast
from curio_plans.store.journal import Journal
from curio_plans.store.storage import Storage
from ophyd_devices import AFM
from ophyd_devices.twin import twin

POINTS, STEPS, WATCHERS = 10_000, 256, 20
SERVE = """
import sys
from curio_plans.page import add_page
from curio_plans.store import serve
serve(sys.argv[1], port=0, add=lambda tiled: add_page(tiled, sys.argv[1]))
"""


def measure(directory: Path, points: int, callback: Any = None) -> list[float]:
    """Run with random points; return the seconds between the events of two points."""
    afm, engine = AFM(twin(seed=3), name="afm"), RunEngine({})
    afm.imager.pixels.put((64, 64))
    afm.spectrometer.steps_per_cycle.put(STEPS // 2)
    afm.spectrometer.cycles.put(2)
    times: list[float] = []
    with Storage.local(directory) as storage:
        storage.attach(engine)
        broadcast = Broadcast(directory)
        engine.subscribe(broadcast)
        engine.msg_hook, engine.waiting_hook = broadcast.message, broadcast.waiting
        if callback is not None:
            engine.subscribe(callback, "start")
        engine.subscribe(
            lambda _, doc: times.append(time.perf_counter()) if "candidate" in doc["data"] else None, "event"
        )
        plan = curiosity(
            afm, configure("random"), points, build=build, window=5, stride=1, map_every=0, steer=storage.mailbox
        )
        engine(plan)
    afm.close()
    return np.diff(times).tolist()


def long_run(directory: Path) -> str:
    """Write the journal of a run of 10 000 points, made of a short one; return its uid."""
    short = directory / "short"
    measure(short, 20)
    with Storage.local(short, writable=False) as storage:
        documents = storage.documents("latest")
    streams = {doc["uid"]: doc["name"] for name, doc in documents if name == "descriptor"}
    pairs = {
        stream: [doc for name, doc in documents if name == "event" and streams[doc["descriptor"]] == stream]
        for stream in ("agent", "primary")
    }
    head = [(name, doc) for name, doc in documents if name != "stop" and not (
        name == "event" and streams[doc["descriptor"]] in pairs)]  # fmt: skip
    synchronise, os.fsync = os.fsync, lambda _: None
    try:
        journal = Journal(directory)
        for name, doc in head:
            journal(name, doc)
        for number in range(POINTS):
            for stream in ("agent", "primary"):
                event = copy.copy(pairs[stream][number % 20])
                event.update(uid=str(uuid.uuid4()), seq_num=number + 1)
                journal("event", event)
        journal(*documents[-1])
    finally:
        os.fsync = synchronise
    return str(documents[0][1]["uid"])


def watch(page: str, key: str, uid: str, delays: list[float]) -> None:
    """Follow a run; keep how long each point took to come."""
    request = urllib.request.Request(f"{page}api/runs/{uid}/events", headers={"Authorization": f"Apikey {key}"})
    with urllib.request.urlopen(request, timeout=60) as stream:
        for line in stream:
            if line.startswith(b"event: end"):
                return
            if line.startswith(b'data: {"rows'):
                points = json.loads(line[6:])["rows"]["points"]
                if len(points) < 5:  # the first message has what was measured before
                    delays += [time.time() - point[6] for point in points]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        uid = long_run(directory)
        began = time.perf_counter()
        view = RunView(directory, uid)
        view.update()
        text = json.dumps(plain(about(view)))
        seconds = time.perf_counter() - began
        points = len(view.rows["points"])
        print(f"a run of {points} points of {STEPS} steps is read in {seconds:.2f} s ({len(text)} bytes)")

        measure(directory / "live", 30)  # what is loaded once
        before = 1000 * statistics.median(measure(directory / "live", 150))
        command = [sys.executable, "-W", "ignore", "-c", SERVE, str(directory / "live")]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        page, key = server.stdout.readline().split()[-1].split("#key=")
        watchers: list[Any] = []

        def begin(_: str, doc: Any) -> None:
            others = [sys.executable, "-m", "benchmarks.watching", page, key, doc["uid"]]
            watchers.append(subprocess.Popen(others, stdout=subprocess.PIPE, text=True))

        watched = measure(directory / "live", 150, begin)
        delays = json.loads(watchers[0].communicate(timeout=60)[0])
        server.kill()
        server.communicate()
        after = 1000 * statistics.median(measure(directory / "live", 150))
        with_watchers = 1000 * statistics.median(watched)
        print(
            f"a point takes {before:.1f} and {after:.1f} ms unwatched, {with_watchers:.1f} ms between them with "
            f"{WATCHERS} watchers (median of 149)"
        )
        worst, middle = max(delays), statistics.median(delays)
        print(f"an event is with a watcher after {middle:.2f} s (median), {worst:.2f} s (worst of {len(delays)})")


def follow(page: str, key: str, uid: str) -> None:
    """Watch a run as often as asked for, in a process of its own; print the delays."""
    delays: list[float] = []
    threads = [threading.Thread(target=watch, args=(page, key, uid, delays)) for _ in range(WATCHERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps(delays))


if __name__ == "__main__":
    follow(*sys.argv[1:]) if len(sys.argv) > 1 else main()
