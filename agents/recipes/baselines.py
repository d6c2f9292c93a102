"""What curiosity has to beat."""

from agents.baselines import GridAgent, RandomAgent
from agents.options import whole


def random(*, seed: int = 0) -> RandomAgent:
    """Measures anywhere with equal probability; the floor that any strategy has to beat.

    Parameters
    ----------
    seed : int
        All randomness follows from it.
    """
    return RandomAgent({"agent": "random", "seed": whole("seed", seed, 0)})


def grid() -> GridAgent:
    """Spreads its points evenly over the image; what most people do today."""
    return GridAgent({"agent": "grid"})
