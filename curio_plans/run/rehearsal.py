"""A plan without an instrument: every step and how long it takes, before anything moves."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from curio_plans.run.microscope import Microscope


@dataclass(frozen=True)
class Durations:
    """How long an instrument takes for what no signal of it tells, in s.

    Attributes
    ----------
    engage, withdraw : float
        Approach and retract.
    spectrum : float
        Of each spectrum, beside its waveform: starting it, transferring the data.
    pulses : float
        How many dwell times a step takes; 2, as each step is a pulse and a rest.
    """

    engage: float = 2.0
    withdraw: float = 0.5
    spectrum: float = 0.8
    pulses: float = 2.0


@dataclass(frozen=True)
class Step:
    """One step: what is done, from `start` s after the beginning, for `duration` s."""

    start: float
    duration: float
    text: str


def rehearse(
    plan: Iterable[Any],
    afm: Microscope,
    durations: Durations | None = None,
    *,
    loops: float = math.inf,
    seconds: float = math.inf,
) -> list[Step]:
    """Go through a plan as a simulator does, and return its steps.

    Nothing is read, so an agent decides nothing: the plan goes through the corners of the pool, which makes the ways as
    long as they can be. Thinking counts nothing: it hides behind the measurement or is told by the run itself. What
    only happens at need – bad spectra, drift by the clock – does not happen here.

    Parameters
    ----------
    plan : iterable of Msg
        It is consumed.
    afm : Microscope
        Its signals tell velocity, settling time, line rate, waveform and dwell time.
    durations : Durations, optional
        What they do not tell.
    loops, seconds : float
        The plan ends, as it does by itself where it measures, before a point with which there would be more spectra or
        that would end later.
    """
    return _Rehearsal(afm, durations or Durations()).perform(plan, loops, seconds)


def duration(plan: Iterable[Any], afm: Microscope) -> float:
    """Return how many seconds a plan takes, beginning where the microscope stands now; see :func:`rehearse`."""
    return sum(step.duration for step in rehearse(plan, afm))


class _Rehearsal:
    def __init__(self, afm: Microscope, durations: Durations) -> None:
        self._afm, self._durations = afm, durations
        self._place = np.asarray(afm.scanner.position, dtype=float)
        self._engaged = afm.tip.position == "engaged"
        self._steps: list[Step] = []
        self._now = 0.0

    def perform(self, plan: Iterable[Any], loops: float, seconds: float) -> list[Step]:
        spectra = done = 0
        for message in plan:
            if message.command == "set" and message.obj is self._afm.scanner:
                self._move(np.asarray(message.args[0], dtype=float))
            elif message.command == "set" and message.obj is self._afm.tip:
                self._touch(engage=message.args[0] == "engaged")
            elif message.command == "trigger" and message.obj is self._afm.imager:
                ny, nx = (int(number) for number in self._afm.imager.pixels.get())
                self._step(ny / float(self._afm.imager.line_rate.get()), f"image of {ny}×{nx} px")
                done = done if spectra else len(self._steps)  # a later image comes before a point, and goes with it
            elif message.command == "trigger" and message.obj is self._afm.spectrometer:
                steps, dwell = len(self._afm.spectrometer.axis.get()), float(self._afm.spectrometer.dwell.get())
                waveform = self._durations.pulses * steps * dwell
                self._step(waveform + self._durations.spectrum, f"spectrum of {steps} steps")
                spectra += 1
                if spectra > loops or self._now > seconds:
                    self._now = self._steps[done].start
                    del self._steps[done:]
                    self._touch(engage=False)
                    break
                done = len(self._steps)
        return self._steps

    def _move(self, target: np.ndarray[Any, Any]) -> None:
        way = float(np.hypot(*(target - self._place)))
        self._place = target
        duration = way / float(self._afm.scanner.velocity.get()) + float(self._afm.scanner.settle.get())
        self._step(duration, f"move by {way:.0f} nm to ({target[0]:.1f}, {target[1]:.1f}) nm")

    def _touch(self, *, engage: bool) -> None:
        if engage != self._engaged:
            self._engaged = engage
            self._step(
                self._durations.engage if engage else self._durations.withdraw, "engage" if engage else "withdraw"
            )

    def _step(self, duration: float, text: str) -> None:
        self._steps.append(Step(self._now, duration, text))
        self._now += duration
