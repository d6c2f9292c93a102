"""Faults on demand: a wrapper around any backend that lets chosen calls fail the way instruments do."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ophyd_devices.backend import AfmBackend, Area, BackendError, Info, Interrupted, Loop, Progress
from ophyd_devices.twin.randomness import stream

Kind = Literal[
    "stuck scanner", "timeout", "disconnect", "saturated spectrum", "nan spectrum", "lost contact", "tip crash",
    "missing lines",
]  # fmt: skip
Action = Literal["move", "engage", "frame", "spectrum"]

ACTIONS: dict[Kind, tuple[Action, ...]] = {
    "stuck scanner": ("move",),
    "timeout": ("spectrum", "frame", "move", "engage"),
    "disconnect": ("spectrum", "frame", "move", "engage"),
    "saturated spectrum": ("spectrum",),
    "nan spectrum": ("spectrum",),
    "lost contact": ("spectrum", "frame"),
    "tip crash": ("engage", "spectrum", "frame"),
    "missing lines": ("frame",),
}
"""The actions in which each fault can happen; the first is the default."""

CRASH = 20.0
"""Force of a crashed tip over the setpoint (engineering guess)."""
SATURATED_SHARE = 0.3
"""Share of a saturated spectrum that is at the upper end of the range: its largest values (engineering guess)."""
MISSING_SHARE = 0.1
"""Share of the lines of a frame that are missing; at least one is (engineering guess)."""
NO_CONTACT_NOISE = 1e-3
"""Standard deviation of what is measured without contact, in units of the quantity (engineering guess)."""


@dataclass(frozen=True)
class Fault:
    """One fault and when it happens.

    Attributes
    ----------
    kind : str
        - ``"stuck scanner"``: the move takes its time and reports success, but the position stays.
        - ``"timeout"``: the action does not end until it is stopped; nothing was done.
        - ``"disconnect"``: this call and all later ones raise BackendError; the controller withdraws the tip itself.
        - ``"saturated spectrum"``: the largest values of the spectrum are at the upper end of the full scale.
        - ``"nan spectrum"``: the spectrum is NaN, no resonance is found.
        - ``"lost contact"``: the tip comes off during the action and measures noise; the force is 0, and measuring is
          refused until the tip is withdrawn and engaged again.
        - ``"tip crash"``: after the action the force is 20 × the setpoint until the tip is withdrawn.
        - ``"missing lines"``: some lines of the frame are NaN.
    at : int or None
        The call of the action in which it happens, from 1; None leaves it to `probability`.
    probability : float
        Probability that it happens in a call; the seed decides.
    action : str or None
        The action in which it happens; None is the first of its kind in :data:`ACTIONS`.
    times : int
        With `at`: the number of calls in a row.

    Raises
    ------
    ValueError
        If a value is impossible, or not exactly one of `at` and `probability` is given.
    """

    kind: Kind
    at: int | None = None
    probability: float = 0.0
    action: Action | None = None
    times: int = 1

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"expected a fault of kind {', '.join(get_args(Kind))}; got {self.kind!r}")
        if self.action is not None and self.action not in ACTIONS[self.kind]:
            raise ValueError(f"expected {self.kind!r} in {', '.join(ACTIONS[self.kind])}; got action {self.action!r}")
        for name, number in (("at", self.at), ("times", self.times)):
            if number is not None and (isinstance(number, bool) or not isinstance(number, int) or number < 1):
                raise ValueError(f"expected {name!r} of a fault as a whole number from 1, got {number!r}")
        if isinstance(self.probability, bool) or not 0 <= self.probability <= 1:
            raise ValueError(f"expected the probability of a fault from 0 to 1, got {self.probability!r}")
        if (self.at is None) == (self.probability == 0):
            raise ValueError(f"expected either 'at' or a 'probability' to say when {self.kind!r} happens")

    @property
    def where(self) -> Action:
        """The action in which it happens."""
        return self.action or ACTIONS[self.kind][0]

    @classmethod
    def of(cls, chosen: "Fault | Mapping[str, Any]") -> "Fault":
        """Return the fault that a settings file describes, e.g. ``{"kind": "tip crash", "at": 1}``.

        Raises
        ------
        ValueError
            If a name is unknown, the kind missing, or a value impossible.
        """
        if isinstance(chosen, Fault):
            return chosen
        known = [field.name for field in fields(cls)]
        if not isinstance(chosen, Mapping) or "kind" not in chosen or set(chosen) - set(known):
            raise ValueError(
                f"expected a fault as a mapping with a 'kind' and any of {', '.join(known)}; got {chosen!r}"
            )
        return cls(**chosen)


class FaultyBackend:
    """A backend in which chosen calls go wrong; all others pass through.

    Which calls are hit follows from the faults, the seed and the number of calls of each action, including calls that
    fail. If more than one fault hits a call, the first in the list happens.

    Parameters
    ----------
    backend : AfmBackend
        Any backend.
    faults : sequence of Fault or mapping
        What goes wrong.
    seed : int
        Decides the random faults.
    """

    def __init__(self, backend: AfmBackend, faults: Sequence[Fault | Mapping[str, Any]], seed: int = 0) -> None:
        self.backend = backend
        self.faults = tuple(Fault.of(fault) for fault in faults)
        self.seed = seed
        self._calls = dict.fromkeys(get_args(Action), 0)
        self._contact_lost = self._crashed = self._disconnected = False
        self._stop = threading.Event()

    @property
    def info(self) -> Info:
        """What is fixed about the instrument."""
        return self.backend.info

    def describe(self) -> Mapping[str, Any]:
        """Return what the backend says, and the faults."""
        return {**self.backend.describe(), "faults": [asdict(fault) for fault in self.faults]}

    def time(self) -> float:
        """Return the instrument's time in s."""
        self._check_connection()
        return self.backend.time()

    def position(self) -> tuple[float, float]:
        """Return x and y in nm."""
        self._check_connection()
        return self.backend.position()

    def move(self, x: float, y: float, velocity: float, settle: float) -> None:
        """Move; a stuck scanner stays."""
        if self._next("move") == "stuck scanner":
            here = self.backend.position()
            travel = float(np.hypot(x - here[0], y - here[1])) / velocity
            self.backend.move(*here, velocity, travel + settle)
        else:
            self.backend.move(x, y, velocity, settle)

    def engage(self, setpoint: float) -> None:
        """Approach; the tip may crash."""
        fault = self._next("engage")
        self.backend.engage(setpoint)
        self._contact_lost = False
        self._crashed |= fault == "tip crash"

    def withdraw(self) -> None:
        """Lift the tip; that ends a crash."""
        self._check_connection()
        self.backend.withdraw()
        self._contact_lost = self._crashed = False

    def in_contact(self) -> bool:
        """Return whether the tip touches the surface."""
        self._check_connection()
        return self.backend.in_contact() and not self._contact_lost

    def force(self) -> float:
        """Return the measured force in nN."""
        self._check_connection()
        if self._contact_lost:
            return 0.0
        return self.backend.force() * (CRASH if self._crashed else 1.0)

    def keep_alive(self, seconds: float) -> None:
        """Promise another call within `seconds`."""
        self._check_connection()
        self.backend.keep_alive(seconds)

    def frame(self, area: Area, pixels: tuple[int, int], line_rate: float, progress: Progress) -> NDArray[np.float32]:
        """Take a frame; lines may be missing."""
        fault = self._next("frame")
        frame = self.backend.frame(area, pixels, line_rate, progress)
        if fault == "missing lines":
            frame = frame.copy()
            number = max(1, round(MISSING_SHARE * frame.shape[1]))
            first = int(self._chance("frame").integers(frame.shape[1] - number + 1))
            frame[:, first : first + number] = np.nan
        elif fault == "lost contact":
            self._contact_lost = True
            frame = self._chance("frame").normal(0, NO_CONTACT_NOISE, frame.shape).astype(np.float32)
        self._crashed |= fault == "tip crash"
        return frame

    def spectrum(self, bias: NDArray[np.float64], dwell: float) -> Loop:
        """Measure; the spectrum may be bad."""
        fault = self._next("spectrum")
        loop = self.backend.spectrum(bias, dwell)
        if fault == "nan spectrum":
            return _loop(np.full_like(loop.channels, np.nan))
        if fault == "saturated spectrum":
            return replace(loop, spectrum=_saturated(loop.spectrum, self.info.spectroscopy.full_scale))
        if fault == "lost contact":
            self._contact_lost = True
            chance = self._chance("spectrum")
            return _loop(chance.normal(0, NO_CONTACT_NOISE, loop.channels.shape))
        self._crashed |= fault == "tip crash"
        return loop

    def reference(
        self, positions: NDArray[np.float64], bias: NDArray[np.float64], channel: int = 0
    ) -> NDArray[np.float64] | None:
        """Return the true spectra (N, K), where they are known."""
        self._check_connection()
        return self.backend.reference(positions, bias, channel)

    def stop(self) -> None:
        """End the running action, which raises Interrupted; works without a connection too."""
        self._stop.set()
        self.backend.stop()

    def close(self) -> None:
        """Withdraw and release the controller."""
        self.backend.close()

    def _next(self, action: Action) -> Kind | None:
        """Count a call and return the fault that shall happen in it; faults that do nothing at all happen here."""
        self._check_connection()
        self._stop.clear()
        self._calls[action] += 1
        if action in ("frame", "spectrum") and self._contact_lost:
            raise BackendError(f"a {action} needs the tip on the surface, contact was lost; withdraw and engage again")
        kind = next((fault.kind for n, fault in enumerate(self.faults) if self._hits(n, fault, action)), None)
        if kind == "timeout":
            self._stop.wait()
            raise Interrupted(f"the {action} did not end and was stopped; check the controller before you try again")
        if kind == "disconnect":
            self._disconnected = True
            self.backend.withdraw()
            self._check_connection()
        return kind

    def _hits(self, number: int, fault: Fault, action: Action) -> bool:
        call = self._calls[action]
        if fault.where != action:
            return False
        if fault.at is not None:
            return fault.at <= call < fault.at + fault.times
        return bool(stream(self.seed, number, call).random() < fault.probability)

    def _chance(self, action: Action) -> np.random.Generator:
        return stream(self.seed, len(self.faults), self._calls[action])

    def _check_connection(self) -> None:
        if self._disconnected:
            raise BackendError("the connection to the controller is lost, it withdraws the tip; connect again")


def _loop(channels: NDArray[np.float64]) -> Loop:
    """Return a loop of these channels (C, K), without resonance."""
    return Loop(channels[0], channels[1:] if len(channels) > 1 else None, resonance=0.0)


def _saturated(spectrum: NDArray[np.float64], full_scale: tuple[float, float] | None) -> NDArray[np.float64]:
    """Return `spectrum` with its largest values at the upper end of the range, or cut off where no range is known."""
    cut = float(np.quantile(spectrum, 1 - SATURATED_SHARE))
    if full_scale is None:
        return np.minimum(spectrum, cut)
    return np.where(spectrum >= cut, full_scale[1], spectrum)
