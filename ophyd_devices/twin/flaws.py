"""Bad loops, as a real instrument measures them: spikes, a lost resonance, no switching.

The numbers are those of measured band-excitation loops of PbTiO3 with 64 steps, of which 31 % are marked bad.
"""

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Flaw = Literal["spikes", "lost resonance", "no switching"]

SHARES: dict[Flaw, float] = {"spikes": 0.6, "lost resonance": 0.25, "no switching": 0.15}
"""Share of each flaw among the bad loops (half of the measured ones have up to 6 outliers, a quarter more than 19; the
rest is a guess)."""
BURSTS = 1.6
"""Mean number of bursts of spikes in a loop, geometrically distributed (engineering guess)."""
BURST_SHARE = 3 / 64
"""Mean length of a burst over that of the loop, geometrically distributed (measured)."""
SMALL = 0.1
"""The probability that a burst begins goes with 1 / (0.1 + |response| / height): the fit fails where the response is
small, near the coercive voltages (measured)."""
FLIP = 0.12
"""Probability that an outlier has the other sign than the one before it (measured)."""
SIZE = 10.0
"""Median size of an outlier over the loop's height, log-normally distributed with deviation 1 (measured: 5 … 35)."""
LOST_SHARE = 1 / 3
"""A lost resonance is lost for at least this share of the loop (engineering guess)."""


def draw_flaw(probability: float, rng: np.random.Generator) -> Flaw | None:
    """Return the flaw of a loop, or None; a loop has one with `probability`."""
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
        Spikes come in bursts; a lost resonance lasts for a third of the loop or longer; else no step is lost.
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
        length = int(rng.integers(math.ceil(LOST_SHARE * steps), steps + 1))
        first = int(rng.integers(0, steps - length + 1))
        lost[first : first + length] = True
    return lost


def outliers(number: int, height: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return what failed fits report, (number,): far beyond the loop, mostly with the same sign as the one before."""
    flips = rng.random(number) < np.append(0.5, np.full(number - 1, FLIP))
    values: NDArray[np.float64] = (
        np.where(np.cumsum(flips) % 2, -1.0, 1.0) * height * SIZE * np.exp(rng.standard_normal(number))
    )
    return values
