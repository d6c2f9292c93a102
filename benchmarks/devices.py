"""What the devices cost: publishing frames, blocking the RunEngine's loop, giving a command, counting a dose.

A loop that is blocked takes no pause, no Ctrl-C and no callback from a device. The frames have 4 channels.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from bluesky import RunEngine
from bluesky import plan_stubs as bps
from bluesky.utils import MsgGenerator
from rich.console import Console
from rich.table import Table

from benchmarks.responsiveness import tick
from ophyd_devices import AFM, DoseLog
from ophyd_devices.twin import twin


def fastest(call: Callable[[], object], repeat: int) -> float:
    """Return the shortest of `repeat` calls, in s."""
    seconds = []
    for _ in range(repeat):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def longest_gap(afm: AFM) -> float:
    """Return the longest gap between ticks of the RunEngine's loop while it takes one frame, in s."""
    gaps: list[float] = []
    engine = RunEngine({})

    def imaging() -> MsgGenerator[None]:
        yield from bps.mv(afm.tip, "engaged")
        yield from bps.sleep(0.05)  # the gaps before are those of starting a plan
        gaps.clear()
        yield from bps.trigger(afm.imager, wait=True)

    ticking = asyncio.run_coroutine_threadsafe(tick(gaps), engine.loop)
    engine(imaging())
    ticking.cancel()
    return max(gaps)


def command(repeat: int) -> float:
    """Return the mean time in s of a move that takes no time itself, the best of `repeat`."""
    afm, moves = AFM(twin(seed=0), name="afm"), 200

    def move() -> None:
        for number in range(moves):
            afm.scanner.set((100.0 + number % 2, 100.0)).wait()

    seconds = fastest(move, repeat) / moves
    afm.close()
    return seconds


def count(directory: str, spectra: int, repeat: int) -> tuple[float, float]:
    """Return the times in s to read a dose log of `spectra` and to count one more, the best of `repeat`."""
    path = Path(directory) / "doses"
    path.write_text("".join(f'{{"loop": [{number}.0, 0.0]}}\n' for number in range(spectra)))
    read = fastest(lambda: DoseLog(path), repeat)
    log = DoseLog(path)
    log.claim()
    return read, fastest(lambda: log.add((0.0, 0.0)), repeat)


def main() -> None:
    """Measure, print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5, help="measurements of each; the best is shown")
    parser.add_argument("--quick", action="store_true", help="the small frame only, once")
    chosen = parser.parse_args()
    repeat = 1 if chosen.quick else chosen.repeat
    table = Table("frame", "publish, ms", "trigger() returns after, ms", "longest gap of the loop while imaging, ms")
    for pixels in (128,) if chosen.quick else (128, 512, 1024):
        afm = AFM(twin(seed=0), name="afm")
        afm.imager.pixels.put((pixels, pixels))
        afm.tip.set("engaged").wait()
        frame = np.random.default_rng(0).standard_normal((4, pixels, pixels)).astype(np.float32)
        publish = fastest(lambda afm=afm, frame=frame: afm.imager.frame.publish(frame), repeat)
        statuses = []
        trigger = fastest(lambda afm=afm, statuses=statuses: statuses.append(afm.imager.trigger()), 1)
        for status in statuses:
            status.wait()
        gap = min(longest_gap(afm) for _ in range(repeat))
        afm.close()
        table.add_row(f"4×{pixels}×{pixels}", *(f"{1e3 * seconds:.1f}" for seconds in (publish, trigger, gap)))
    Console().print(table)
    print(f"a command to the scanner and its status: {1e3 * command(repeat):.2f} ms")
    with tempfile.TemporaryDirectory() as directory:
        for spectra in (100,) if chosen.quick else (100, 10_000, 100_000):
            read, add = count(directory, spectra, repeat)
            print(
                f"a dose log of {spectra} spectra: read in {1e3 * read:.1f} ms, one more counted in {1e3 * add:.1f} ms"
            )


if __name__ == "__main__":
    main()
