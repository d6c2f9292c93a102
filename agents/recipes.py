"""Named agents. Each function takes options with defaults and returns an agent whose config tells all of them."""

import functools

import torch

from agents.acquisition import decaying_exploration
from agents.baselines import GridAgent, RandomAgent
from agents.curiosity import CuriosityAgent, Slots
from agents.learner import Learner
from agents.models.error_head import ErrorHead
from agents.models.im2spec import Im2spec
from agents.selection import among_best_ten, largest

SELECTIONS = {"largest": largest, "best-ten": among_best_ten}


def paper_latent(
    *,
    seed: int = 0,
    initial: int = 30,
    threads: int = 1,
    start: str = "k-means",
    choice: str = "largest",
    random_probability: float = 0.0,
    error_target: str = "current",
    decay: float = 2.0,
    filters: int = 64,
) -> CuriosityAgent:
    """Curiosity with an error model in an autoencoder's latent space.

    The second workflow of Vatsavai et al., Digital Discovery 2025, doi 10.1039/d5dd00119f. Where the paper and the
    authors' code differ, the paper is the default and the code's way is an option.

    Parameters
    ----------
    seed : int
        All randomness follows from it.
    initial : int
        Points to begin with.
    threads : int
        Threads for training; part of the config because results depend on it in the last bits.
    start : {"k-means", "random"}
        Begin with the patches nearest to the centroids of k-means clusters (paper), or with random ones (code).
    choice : {"largest", "best-ten"}
        Measure at the largest score (paper), or at one drawn from the ten largest (code).
    random_probability : float
        How often to measure at a random place instead; 0.1 in the authors' code.
    error_target : {"current", "before+after"}
        Predict the error as it is after training (paper), or its sum with the error before it (code).
    decay : float
        λ of the acquisition; the larger, the sooner exploration ends.
    filters : int
        Width of the surrogate's convolutions.

    Raises
    ------
    ValueError
        If an option is out of range.
    """
    config = {
        "agent": "paper-latent",
        "seed": _whole("seed", seed, 0),
        "initial": _whole("initial", initial, 2),
        "threads": _whole("threads", threads, 1),
        "start": _one_of("start", start, ("k-means", "random")),
        "choice": _one_of("choice", choice, tuple(SELECTIONS)),
        "random_probability": _between("random_probability", random_probability, 0, 1),
        "error_target": _one_of("error_target", error_target, ("current", "before+after")),
        "decay": _between("decay", decay, 0, 1000),
        "filters": _whole("filters", filters, 1),
    }

    def surrogate(patch: tuple[int, int, int], spectrum: int, generator: torch.Generator) -> Learner[Im2spec]:
        adamw = functools.partial(torch.optim.AdamW, lr=1e-3)
        return Learner(
            lambda: Im2spec(patch, spectrum, filters=filters), adamw, first=150, later=2, generator=generator
        )

    def error_model(features: int, generator: torch.Generator) -> Learner[ErrorHead]:
        adam = functools.partial(torch.optim.Adam, lr=1e-2)
        return Learner(lambda: ErrorHead(features), adam, first=60, later=20, generator=generator)

    acquisition = functools.partial(decaying_exploration, decay=decay)
    return CuriosityAgent(config, Slots(surrogate, error_model, acquisition, SELECTIONS[choice]))


def random(*, seed: int = 0) -> RandomAgent:
    """Measures anywhere with equal probability; the floor that any strategy has to beat.

    Parameters
    ----------
    seed : int
        All randomness follows from it.
    """
    return RandomAgent({"agent": "random", "seed": _whole("seed", seed, 0)})


def grid() -> GridAgent:
    """Spreads its points evenly over the image; what most people do today."""
    return GridAgent({"agent": "grid"})


def _whole(name: str, value: int, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return value


def _between(name: str, value: float, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{name} must be a number between {low} and {high}, got {value!r}")
    return float(value)


def _one_of(name: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")
    return value
