"""Time for a simulated instrument: it passes by device actions only, never by the wall clock."""

import threading
import time


class SimulatedClock:
    """Time in s that advances exactly by what is slept.

    Parameters
    ----------
    real_time : bool
        Also let every sleep take its real duration. The simulated time is the same either way.
    """

    def __init__(self, real_time: bool = False) -> None:
        self.real_time = real_time
        self._now = 0.0

    def now(self) -> float:
        """Return the simulated time in s; 0 at the start."""
        return self._now

    def sleep(self, seconds: float, interrupt: threading.Event) -> bool:
        """Let `seconds` pass unless `interrupt` is or becomes set; return whether they passed undisturbed.

        When interrupted in real time, only the time that really passed is added.
        """
        started = time.monotonic()
        undisturbed = not (interrupt.wait(seconds) if self.real_time else interrupt.is_set())
        if undisturbed:
            self._now += seconds
        elif self.real_time:
            self._now += min(seconds, time.monotonic() - started)
        return undisturbed

    def rewind(self, time: float) -> None:
        """Take back the time since `time`: an action that did not complete takes none."""
        self._now = time
