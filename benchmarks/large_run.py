"""What a large run costs: memory and time per event while it grows; then listing, opening, drawing and verifying it.

Points come as fast as journal and simulation let them; Tiled writes meanwhile, in a thread of its own. CPU is that of
the whole process, its share included, so it hardly depends on what else the computer does. By default 10 000 spectra of
256 steps and 20 frames of 512 × 512 px in 4 channels, which takes a while; ``--quick`` is a twentieth of that. With
``--tiled`` the run goes to a server.
"""

import argparse
import gc
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from bluesky import RunEngine
from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp

from agents.registry import build, configure
from curio_plans import report
from curio_plans.documents.history import History
from curio_plans.plans import curiosity
from curio_plans.run import stubs
from curio_plans.run.metadata import run_metadata
from curio_plans.store.journal import Journal
from curio_plans.store.reader import read_journal
from curio_plans.store.storage import Storage
from curio_plans.store.tiled_reader import read_stream
from curio_plans.store.tiled_writer import BackgroundWriter
from curio_plans.study.replay import verify
from ophyd_devices import AFM
from ophyd_devices.twin import twin

BLOCKS = 20


class Timed:
    """A document callback that adds up the seconds another one takes."""

    def __init__(self, callback: Callable[[str, Any], None]) -> None:
        self.callback, self.seconds = callback, 0.0

    def __call__(self, name: str, doc: Any) -> None:
        """Pass the document on."""
        started = time.perf_counter()
        self.callback(name, doc)
        self.seconds += time.perf_counter() - started


def memory() -> float:
    """Return the resident memory of this process in MB."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def large(afm: AFM, points: int, frames: int, look: Callable[[int], None]) -> Iterator[Any]:
    """Take frames, and between them the spectra; `look` is called after each block of points."""
    side = int(np.ceil(np.sqrt(points)))
    low, high = afm.scanner.x.limits
    places = low + (np.arange(side) + 0.5) * (high - low) / side

    @bpp.stage_decorator([afm])
    @bpp.run_decorator(md=run_metadata(afm, "large", {}, None, num_points=points))
    @bpp.finalize_decorator(lambda: stubs.withdraw(afm))
    def run() -> Iterator[Any]:
        for number in range(points):
            yield from bps.checkpoint()
            if number % (points // frames) == 0 and number // (points // frames) < frames:
                yield from stubs.take_image(afm)
            yield from stubs.take_spectrum(afm, (float(places[number % side]), float(places[number // side])))
            if (number + 1) % (points // BLOCKS) == 0:
                look(number + 1)

    return (yield from run())


def write(afm: AFM, storage: Storage, directory: Path, points: int, frames: int) -> str:
    """Measure a large run and print what each block of it cost; return its uid."""
    engine = RunEngine({})
    tiled = BackgroundWriter(storage.catalog)
    callbacks = [Timed(Journal(directory)), Timed(tiled)]
    for callback in callbacks:
        engine.subscribe(callback)
    costs: list[float] = []
    print(f"{'point':>6} {'memory':>8} {'all':>8} {'CPU':>8} {'journal':>8} {'wait':>8}   {'behind':>6}")

    def clocks() -> list[float]:
        return [time.perf_counter(), time.process_time(), *(callback.seconds for callback in callbacks)]

    before = clocks()

    def look(number: int) -> None:
        now = clocks()
        each = [1000 * (new - old) * BLOCKS / points for new, old in zip(now, before, strict=True)]
        costs.append(each[1])
        columns = "".join(f" {milliseconds:>5.1f} ms" for milliseconds in each)
        print(f"{number:>6} {memory():>5.0f} MB{columns}   {tiled.waiting:>6}", flush=True)
        before[:] = clocks()

    (uid,) = engine(large(afm, points, frames, look))
    print(f"end of run: {1000 * (time.perf_counter() - before[0]):.0f} ms; failures: {dict(tiled.failures) or 'none'}")
    print(f"CPU of an event in the last block over the first: {costs[-1] / costs[0]:.2f}")
    tiled.close()
    return str(uid)


def timed(what: str, action: Callable[[], Any]) -> Any:
    """Print how long an action takes, and how much of that is CPU time; return its result."""
    started, cpu = time.perf_counter(), time.process_time()
    result = action()
    print(f"{what:<44} {time.perf_counter() - started:>6.2f} s {time.process_time() - cpu:>6.2f} s CPU", flush=True)
    return result


def read(storage: Storage, directory: Path, uid: str) -> None:
    """List, open and draw the run."""
    timed("list the runs (journal)", storage.runs)
    documents = timed("all documents (journal)", lambda: read_journal(directory, uid))
    history = timed("history of them", lambda: History(documents))
    timed("draw it", lambda: report.save_figure(history, directory / "figure.png"))
    run = storage.catalog[uid]
    points = timed("all points (Tiled, xarray)", lambda: read_stream(run))
    timed("mean spectrum of them", lambda: points["afm_spectrometer_spectrum"].mean("time"))
    timed("the frames (Tiled, xarray)", lambda: read_stream(run, "image"))
    timed("one column, by Tiled itself", run["primary/afm_spectrometer_spectrum"].read)


def replay(counts: list[int]) -> None:
    """Verify runs of the agent `random` of growing length over one pool."""
    afm = AFM(twin(seed=0), name="afm")
    afm.imager.pixels.put((136, 136))
    for points in counts:
        documents: list[tuple[str, Any]] = []
        engine = RunEngine({})
        engine.subscribe(lambda name, doc, kept=documents: kept.append((name, doc)))
        plan = curiosity(afm, configure("random", seed=1), points, build=build, stride=1, map_every=0)
        timed(f"measure {points} points", lambda plan=plan, engine=engine: engine(plan))
        verdict = timed(f"verify {points} decisions", lambda kept=documents: verify(kept, build))
        assert verdict.identical, verdict
    afm.close()


def main() -> None:
    """Measure, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--points", type=int, default=10_000, help="spectra")
    parser.add_argument("--frames", type=int, default=20, help="images")
    parser.add_argument("--steps", type=int, default=256, help="steps of a spectrum")
    parser.add_argument("--pixels", type=int, default=512, help="side of an image")
    parser.add_argument("--verify", type=int, nargs="*", default=[500, 1000, 2000, 4000], help="decisions to verify")
    parser.add_argument("--tiled", help="address of a Tiled server")
    parser.add_argument("--api-key", help="its key")
    parser.add_argument("--quick", action="store_true", help="a twentieth of the points, one frame")
    chosen = parser.parse_args()
    points, frames = (chosen.points // 20, 1) if chosen.quick else (chosen.points, chosen.frames)

    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        remote = (chosen.tiled, chosen.api_key, directory)
        storage = stack.enter_context(Storage.remote(*remote) if chosen.tiled else Storage.local(directory))
        afm = AFM(twin(seed=0), name="afm")
        stack.callback(afm.close)
        afm.imager.pixels.put((chosen.pixels, chosen.pixels))
        afm.spectrometer.steps_per_cycle.put(chosen.steps)
        afm.spectrometer.cycles.put(1)
        print(f"{points} spectra of {chosen.steps} steps, {frames} frames of 4×{chosen.pixels}×{chosen.pixels}\n")
        uid = write(afm, storage, directory, points, frames)
        print()
        read(storage, directory, uid)
    if chosen.verify:
        print()
        replay([count // 5 for count in chosen.verify] if chosen.quick else chosen.verify)


if __name__ == "__main__":
    main()
