"""How long after the second Ctrl-C a run is paused, at each phase. The target is 0.2 s.

The signals are real, and so is the time of the twin; while it thinks, the agent trains.
"""

import argparse
import contextlib
import io
import logging
import os
import signal
import threading
import time
from typing import Any

import numpy as np
from bluesky import Msg, RunEngine
from bluesky.utils import RunEngineInterrupted
from rich.console import Console
from rich.table import Table

from agents.registry import build, configure
from curio_plans.plans import curiosity
from ophyd_devices import AFM
from ophyd_devices.twin import twin

PHASES = {"imaging": ("trigger", "afm_imager"), "thinking": ("set", "agent"), "moving": ("set", "afm_scanner"),
          "engaging": ("set", "afm_tip"), "measuring": ("trigger", "afm_spectrometer")}  # fmt: skip
"""The message with which each begins."""
BETWEEN_S = 0.15
"""Between two presses; Bluesky takes presses closer than 0.1 s for one."""


def pause(phase: str) -> float:
    """Return the seconds from the second press during `phase` to the paused RunEngine."""
    thinking = phase == "thinking"
    afm = AFM(twin(seed=0, real_time=not thinking, pixels=(64, 64)), name="afm")
    afm.imager.line_rate.put(0.5 if phase == "imaging" else 100.0)
    afm.scanner.velocity.put(100.0 if phase == "moving" else 1e5)
    engine, began, pressed = RunEngine({}), threading.Event(), []

    def watch(message: Msg) -> None:
        if (message.command, getattr(message.obj, "name", "")) == PHASES[phase]:
            began.set()

    def press() -> None:
        began.wait()
        for _ in range(2):
            time.sleep(BETWEEN_S)
            pressed.append(time.perf_counter())
            os.kill(os.getpid(), signal.SIGINT)

    engine.msg_hook = watch
    threading.Thread(target=press, daemon=True).start()
    agent: dict[str, Any] = configure("paper-latent", initial=8) if thinking else configure("random")
    try:
        engine(curiosity(afm, agent, 10, build=build))
        raise AssertionError("the run ended before it was paused")
    except RunEngineInterrupted:
        seconds = time.perf_counter() - pressed[1]
    engine.abort()
    afm.close()
    return seconds


def main() -> None:
    """Pause at each phase, print how long it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5, help="runs for each phase")
    parser.add_argument("--quick", action="store_true", help="once")
    chosen = parser.parse_args()
    logging.getLogger("bluesky").setLevel(logging.CRITICAL)
    table = Table("phase", "median, ms", "largest, ms")
    for phase in PHASES:
        with contextlib.redirect_stdout(io.StringIO()):
            milliseconds = [1e3 * pause(phase) for _ in range(1 if chosen.quick else chosen.repeat)]
        table.add_row(phase, f"{np.median(milliseconds):.0f}", f"{max(milliseconds):.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
