"""The project's own agent."""

from agents.curio.agent import CurioAgent
from agents.options import between, one_of, whole


def curio(
    *,
    seed: int = 0,
    initial: int = 10,
    threads: int = 1,
    checks: int = 10,
    travel: float = 0.0,
    choice: str = "reducible",
    surroundings: str = "rings",
    position: bool = True,
    robust: bool = True,
) -> CurioAgent:
    """Measures where that lowers the error of the whole map most, and knows how large that error is.

    A Gaussian process over what surrounds a place and where it lies; see :mod:`agents.curio`.

    Parameters
    ----------
    seed : int
        All randomness follows from it.
    initial : int
        Points spread evenly over the image and over what is seen in it, before anything is learned.
    threads : int
        Threads for linear algebra.
    checks : int
        Every so many points one is random and only checks the estimated error; 0 for none.
    travel : float
        What the scanner travels in nm in the time of one spectrum: prefers near places, for more learned in a minute
        where moving takes long. 0: moving costs nothing.
    choice : {"reducible", "random"}
        Measure where most error can be removed, or anywhere: what the model makes of random points.
    surroundings : {"rings", "patch"}
        Learn how much each ring of the patch matters, or take all pixels alike.
    position : bool
        Whether near places are alike, or only places that look alike.
    robust : bool
        Trust spectra less that contradict their neighbours and their like.
    """
    config = {
        "agent": "curio",
        "seed": whole("seed", seed, 0),
        "initial": whole("initial", initial, 4),
        "threads": whole("threads", threads, 1),
        "checks": whole("checks", checks, 0),
        "travel": between("travel", travel, 0.0, 1e9),
        "choice": one_of("choice", choice, ("reducible", "random")),
        "surroundings": one_of("surroundings", surroundings, ("rings", "patch")),
        "position": bool(position),
        "robust": bool(robust),
    }
    return CurioAgent(config)
