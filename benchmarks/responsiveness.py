"""How long the RunEngine's loop is blocked while an agent trains: the gaps between the ticks of a task on that loop.

A loop that does not tick takes no pause, no Ctrl-C and no callback from a device.
"""

import argparse
import asyncio
import time

import numpy as np
from bluesky import RunEngine

from agents.registry import build, configure
from curio_plans.plans import curiosity
from ophyd_devices import AFM
from ophyd_devices.twin import twin

TICK = 0.001


async def tick(gaps: list[float]) -> None:
    """Note how much later than asked for the loop comes back, in s, until cancelled."""
    last = time.perf_counter()
    while True:
        await asyncio.sleep(TICK)
        now = time.perf_counter()
        gaps.append(now - last)
        last = now


def main() -> None:
    """Run the plan, print the gaps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--agent", default="paper-latent", help="who trains")
    parser.add_argument("--points", type=int, default=40, help="spectra in total")
    parser.add_argument("--pixels", type=int, default=128, help="side of the image in px")
    parser.add_argument("--quick", action="store_true", help="a few points only")
    chosen = parser.parse_args()
    points = 12 if chosen.quick else chosen.points

    afm = AFM(twin(seed=0), name="afm")
    afm.imager.pixels.put((chosen.pixels, chosen.pixels))
    config = configure(chosen.agent, **({"initial": 8} if chosen.quick and chosen.agent == "paper-latent" else {}))
    build(config)  # what the first run of a process imports is not what is measured here
    engine, gaps, thinking = RunEngine({}), [], []
    engine.subscribe(lambda _, doc: thinking.append(doc["data"].get("agent_think_time", 0.0)), "event")
    ticking = asyncio.run_coroutine_threadsafe(tick(gaps), engine.loop)
    started = time.perf_counter()
    engine(curiosity(afm, config, points, build=build))
    seconds = time.perf_counter() - started
    ticking.cancel()
    afm.close()
    milliseconds = 1000 * np.array(gaps)
    print(f"{chosen.agent}: {points} points in {seconds:.1f} s, {sum(thinking):.1f} s of them thinking")
    print(f"{len(gaps)} gaps between ticks: median {np.median(milliseconds):.1f} ms, "
          f"99 % under {np.percentile(milliseconds, 99):.1f} ms, largest {milliseconds.max():.1f} ms")  # fmt: skip


if __name__ == "__main__":
    main()
