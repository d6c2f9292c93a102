"""The time of a simulated instrument. Only device actions let it pass, never the wall clock."""

import threading
import time


class SimulatedClock:
    """Time in s that advances exactly by the durations that are slept.

    Parameters
    ----------
    real_time : bool
        Let every sleep also take its real duration. The simulated time is the same either way.
    """

    def __init__(self, real_time: bool = False) -> None:
        self.real_time = real_time
        self._now = 0.0

    def now(self) -> float:
        """Return the simulated time in s; 0 at the start."""
        return self._now

    def sleep(self, seconds: float, interrupt: threading.Event) -> bool:
        """Let `seconds` pass unless `interrupt` is set before or meanwhile; return whether all of them passed.

        When interrupted in real time, only the time that has passed is added.
        """
        started = time.monotonic()
        undisturbed = not (interrupt.wait(seconds) if self.real_time else interrupt.is_set())
        if undisturbed:
            self._now += seconds
        elif self.real_time:
            self._now += min(seconds, time.monotonic() - started)
        return undisturbed

    def rewind(self, time: float) -> None:
        """Set the clock back to `time`: an action that did not complete takes no time."""
        self._now = time
