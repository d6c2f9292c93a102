"""What goes wrong at a simulated controller, by name: for tests, and to try it at a desk."""

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ophyd_devices.nanonis.simulator.controller import RefusalError, SimulatedController

if TYPE_CHECKING:
    from ophyd_devices.nanonis.simulator.server import Server

FAULTS: Mapping[str, str] = {
    "contact-lost": "the surface goes out of reach",
    "safe-tip": "the SafeTip lifts the tip",
    "feedback-off": "the Z controller stays off when it is switched on",
    "scan-stopped": "somebody stops the scan",
    "error": "the controller answers with an error block",
    "junk": "the answer is no answer to the question",
    "slow": "each answer comes a second late",
    "hang": "no answer comes any more",
    "reset": "the connections break, and can be made again",
}
"""What happens, by name."""

SPECTRUM = frozenset({"BiasSpectr.Start", "ZSpectr.Start", "Signals.ValsGet"})
_MOMENTS = {
    "scan-stopped": frozenset({"Scan.Action"}),
    "feedback-off": frozenset({"ZCtrl.OnOffSet", "AutoApproach.OnOffSet"}),
}
"""At which commands it happens; else where a spectrum is taken."""

LATE_S = 1.0


class Fault:
    """One fault of :data:`FAULTS`, from some moment on.

    Parameters
    ----------
    name : str
        What happens.
    after : int
        So many spectra, lines or approaches succeed before.

    Raises
    ------
    ValueError
        If there is no such fault, or `after` is negative.
    """

    def __init__(self, name: str, after: int = 0) -> None:
        if name not in FAULTS:
            raise ValueError(f"there is no fault {name!r}; known are {', '.join(FAULTS)}")
        if after < 0:
            raise ValueError(f"expected a number of successes of at least 0, got {after}")
        self.name, self._left = name, after
        self._begun = False
        self._ended = threading.Event()

    def __call__(self, command: str, server: "Server") -> bytes | None:
        """Do what goes wrong before a `command` is answered; return what is sent instead of an answer, if anything is.

        Raises
        ------
        RefusalError
            If the controller refuses the command.
        """
        if not self._begun and command in _MOMENTS.get(self.name, SPECTRUM):
            if self.name == "scan-stopped":  # the controller counts the lines: a simulated scan takes no time
                self._begun = True
                server.controller.stop_scan_after(self._left)
                return None
            self._left -= 1
            if self._left < 0:
                self._begun = True
                return self._happen(server)
        if self._begun and self.name == "slow":
            self._ended.wait(LATE_S)
        elif self._begun and self.name == "hang":
            self._ended.wait()
        return None

    def end(self) -> None:
        """Let the controller answer again: nothing waits any more."""
        self._ended.set()

    def _happen(self, server: "Server") -> bytes | None:
        once: Mapping[str, Callable[[SimulatedController], object]] = {
            "contact-lost": SimulatedController.lose_contact,
            "safe-tip": SimulatedController.trip_safe_tip,
            "feedback-off": SimulatedController.break_feedback,
        }
        if self.name in once:
            once[self.name](server.controller)
        elif self.name == "error":
            raise RefusalError("the module reported an error, as it was told to")
        elif self.name == "junk":
            return b"?" * 64
        elif self.name == "reset":
            server.disconnect()
        elif self.name == "slow":
            self._ended.wait(LATE_S)
        else:
            self._ended.wait()
        return None
