"""Loops that go wrong, as they do on a real instrument: spikes, a lost resonance, a tip that does not switch."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Flaw = Literal["spikes", "lost resonance", "no switching"]

SHARES: dict[Flaw, float] = {"spikes": 0.6, "lost resonance": 0.25, "no switching": 0.15}
"""Of the bad loops (engineering guess; of the measured bad loops about half have fewer than six outliers)."""
SPIKE_STEPS = 4.0
"""Mean number of spikes, geometric, in a loop of 64 steps (the measured loops)."""
SPIKE_SIZE = 3.0
"""Median size of an outlier in units of the loop's height; log-normal with deviation 1 (the measured loops)."""


def draw_flaw(probability: float, rng: np.random.Generator) -> Flaw | None:
    """Return what goes wrong with a loop, if anything does."""
    if rng.random() >= probability:
        return None
    return list(SHARES)[int(rng.choice(len(SHARES), p=list(SHARES.values())))]


def lose_resonance(flaw: Flaw | None, steps: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return at which steps the fit of the contact resonance fails, (steps,).

    Spikes are single steps; a lost resonance is lost from a random step on for a third of the loop or longer.
    """
    lost = np.zeros(steps, dtype=bool)
    if flaw == "spikes":
        number = max(1, round(rng.geometric(1 / SPIKE_STEPS) * steps / 64))
        lost[rng.choice(steps, size=min(number, steps), replace=False)] = True
    elif flaw == "lost resonance":
        length = int(rng.integers(-(-steps // 3), steps + 1))
        first = int(rng.integers(0, steps - length + 1))
        lost[first : first + length] = True
    return lost


def outliers(number: int, height: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return what a failed fit reports, (number,): any sign, some of it far beyond the loop."""
    size = SPIKE_SIZE * height * np.exp(rng.standard_normal(number))
    values: NDArray[np.float64] = rng.choice([-1.0, 1.0], size=number) * size
    return values
