"""How use changes sample, tip and scanner: drift, creep, wear, blunting, written domains, bad loops."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ophyd_devices.backend import Area, Loop
from ophyd_devices.twin.drift import Creep, Drift
from ophyd_devices.twin.effects import Effects
from ophyd_devices.twin.flaws import draw_flaw, lose_resonance, outliers
from ophyd_devices.twin.randomness import stream
from ophyd_devices.twin.sample import FULL_SCALE, Condition, Ferroelectric, Sample

BLUR = 0.5
"""Smoothing of the piezoresponse by a blunted tip over its radius (engineering guess: the size of the contact)."""
LOOPS = 1000
"""Wear and blunting are given for this many loops."""
TRACE_SHARE = 0.5
"""Share of a line's time in which the trace is taken; the retrace is not kept."""

_FLAW, _FORCE = 1, 2  # purposes of random streams besides the noise

Place = tuple[float, float]
Complete = Callable[[], None]
"""Called when a measurement has completed. One that has not leaves the world unchanged."""


class World:
    """A sample under a tip, and how measuring changes both.

    The state follows, bit for bit, from the seed, the completed actions and the times at which they began.

    Parameters
    ----------
    sample : Sample
        The sample as it was at first; the object is not changed.
    effects : Effects
        The sizes of the effects.
    seed : int
        Decides everything random.

    Raises
    ------
    ValueError
        If there are effects and the sample is no film that supports them.
    """

    def __init__(self, sample: Sample, effects: Effects, seed: int) -> None:
        self._film = sample if isinstance(sample, Ferroelectric) else None
        if self._film is None and effects != Effects():
            raise ValueError(f"a {sample.describe()['kind']} sample answers as it was recorded; leave the effects out")
        if (
            effects.memory or effects.bad_loops
        ) and sample.spectroscopy.quantity != Ferroelectric.spectroscopy.quantity:
            raise ValueError("memory and bad_loops are effects of switching spectroscopy; leave them out")
        self._sample = sample
        self._effects = effects
        self._seed = seed
        self._measured = self._loops = 0
        self._state = self._film.as_grown() if self._film is not None and effects.memory else None
        self._drift = Drift(effects.drift, seed)
        self._creep = Creep(effects.creep)

    def true_position(self, place: Place, time: float) -> Place:
        """Return where on the sample the tip is when the scanner is at `place` nm at `time` s."""
        x, y = np.array(place) + self._drift.at(time) + self._creep.at(time)
        return float(x), float(y)

    def moved(self, by: Place, time: float) -> None:
        """Let the scanner creep after a move `by` nm that ended at `time`."""
        self._creep = self._creep.after(by, time)

    def frame(
        self, area: Area, pixels: tuple[int, int], place: Place, began: float, seconds: float
    ) -> tuple[NDArray[np.float32], Complete]:
        """Return a frame, each line taken at its own time, and the function that completes it.

        The scanner moves from `place` to the centre of the area and creeps, so that the first lines are bent. Then it
        moves back.
        """
        ny, nx = pixels
        by = ((area[0] + area[1]) / 2 - place[0], (area[2] + area[3]) / 2 - place[1])
        creep = self._creep.after(by, began)
        condition = self._condition(
            shift=self._line_shifts(creep, began + (np.arange(ny) + 0.5) * seconds / ny),
            lag=self._effects.feedback_lag / TRACE_SHARE * nx * ny / seconds,
        )
        frame = self._sample.frame(area, pixels, stream(self._seed, self._measured), condition)

        def complete() -> None:
            self._measured += 1
            self._creep = creep.after((-by[0], -by[1]), began + seconds)

        return frame, complete

    def loop(self, bias: NDArray[np.float64], place: Place, time: float) -> tuple[Loop, Complete]:
        """Return the loop at `place`, begun at `time`, and the function that completes it.

        Completing it wears the tip and writes a domain.
        """
        here = self.true_position(place, time)
        noise, chance = stream(self._seed, self._measured), stream(self._seed, self._measured, _FLAW)
        height, trouble = self._film.height_and_trouble(here) if self._film and self._effects.bad_loops else (0.0, 0.0)
        flaw = draw_flaw(1 - (1 - self._effects.bad_loops) ** trouble, chance)
        applied = 0 * bias if flaw == "no switching" else bias
        channels = self._sample.spectra(np.array([here]), applied, noise, self._condition())[:, 0]
        lost = lose_resonance(flaw, channels[0], height, chance)
        if lost.any():
            for values in channels:
                values[lost] = np.clip(outliers(int(lost.sum()), height, chance), *FULL_SCALE)

        def complete() -> None:
            self._measured += 1
            self._loops += 1
            if self._film is not None and self._state is not None:
                where, becomes = self._film.written(here, applied, self._effects.memory, self._state)
                self._state[where] = becomes

        others = channels[1:] if len(channels) > 1 else None
        return Loop(channels[0], others, resonance=float(1 - lost.mean())), complete

    def force(self, setpoint: float) -> float:
        """Return the measured force in nN; its noise changes with each measurement."""
        if not self._effects.force_noise:
            return setpoint
        noise = stream(self._seed, self._measured, _FORCE).standard_normal()
        return float(setpoint * (1 + self._effects.force_noise * noise))

    def _condition(self, shift: NDArray[np.float64] | None = None, lag: float = 0.0) -> Condition:
        used = self._loops / LOOPS
        sharp = self._effects.tip_radius
        radius = sharp + self._effects.blunting * used
        return Condition(
            state=self._state,
            gain=(1 - self._effects.wear) ** used,
            tip_radius=radius,
            blur=BLUR * float(np.sqrt(radius**2 - sharp**2)),
            lag=lag,
            shift=shift,
        )

    def _line_shifts(self, creep: Creep, times: NDArray[np.float64]) -> NDArray[np.float64] | None:
        if not (self._effects.drift or self._effects.creep):
            return None
        return self._drift.at(times) + creep.at(times)
