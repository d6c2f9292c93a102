"""Loops that go wrong, as they do on a real instrument: spikes, a lost resonance, a tip that does not switch.

The numbers are those of the measured band-excitation loops of PbTiO3 with 64 steps, of which 31 % are marked bad.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Flaw = Literal["spikes", "lost resonance", "no switching"]

SHARES: dict[Flaw, float] = {"spikes": 0.6, "lost resonance": 0.25, "no switching": 0.15}
"""Of the bad loops (half of the measured ones have up to 6 outliers, a quarter more than 19; the rest is a guess)."""
BURSTS = 1.6
"""Mean number of bursts of spikes, geometric (engineering guess)."""
BURST_SHARE = 3 / 64
"""Mean length of a burst as a share of the loop, geometric (measured)."""
SMALL = 0.1
"""Bursts begin with a probability of 1 / (0.1 + |response| / height): the fit fails where the response is small, near
the coercive voltages (measured)."""
FLIP = 0.12
"""Probability that an outlier has the other sign than the one before it (measured)."""
SIZE = 10.0
"""Median size of an outlier in units of the loop's height; log-normal with deviation 1 (measured: 5 … 35)."""


def draw_flaw(probability: float, rng: np.random.Generator) -> Flaw | None:
    """Return what goes wrong with a loop, if anything does."""
    if rng.random() >= probability:
        return None
    return list(SHARES)[int(rng.choice(len(SHARES), p=list(SHARES.values())))]


def lose_resonance(
    flaw: Flaw | None, response: NDArray[np.float64], height: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Return at which steps the fit of the contact resonance fails.

    Parameters
    ----------
    flaw : Flaw or None
        Spikes come in bursts; a lost resonance is lost for a third of the loop or longer; otherwise none is.
    response : (K,) float64
        The loop.
    height : float
        Of the loop, in its unit.
    rng : numpy.random.Generator
        Decides where.

    Returns
    -------
    (K,) bool
    """
    steps = len(response)
    lost = np.zeros(steps, dtype=bool)
    if flaw == "spikes":
        likely = 1 / (SMALL + np.abs(response) / height)
        firsts = rng.choice(steps, size=rng.geometric(1 / BURSTS), p=likely / likely.sum())
        for first in firsts:
            lost[first : first + rng.geometric(min(1.0, 1 / (BURST_SHARE * steps)))] = True
    elif flaw == "lost resonance":
        length = int(rng.integers(-(-steps // 3), steps + 1))
        first = int(rng.integers(0, steps - length + 1))
        lost[first : first + length] = True
    return lost


def outliers(number: int, height: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return what a failed fit reports, (number,): far beyond the loop, often with the same sign again."""
    flips = rng.random(number) < np.append(0.5, np.full(number - 1, FLIP))
    values: NDArray[np.float64] = (
        np.where(np.cumsum(flips) % 2, -1.0, 1.0) * height * SIZE * np.exp(rng.standard_normal(number))
    )
    return values
