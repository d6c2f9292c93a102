"""What curiosity has to beat."""

from typing import TYPE_CHECKING, get_args

from scipy.stats import qmc

from agents.baselines import GridAgent, RandomAgent
from agents.designs import FarthestPointAgent, KMeansAgent, QuasiRandomAgent, Space
from agents.gaussian import GaussianProcessAgent
from agents.options import MissingExtraError, one_of, whole

if TYPE_CHECKING:
    from agents.deep_kernel import DeepKernelAgent

SPACES = get_args(Space)


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


def latin_hypercube(*, seed: int = 0) -> QuasiRandomAgent:
    """Spreads its points so that each lies in a row and a column of its own.

    Parameters
    ----------
    seed : int
        All randomness follows from it.
    """
    return QuasiRandomAgent({"agent": "latin-hypercube", "seed": whole("seed", seed, 0)}, qmc.LatinHypercube)


def sobol(*, seed: int = 0) -> QuasiRandomAgent:
    """Follows a scrambled Sobol sequence over the image.

    Parameters
    ----------
    seed : int
        All randomness follows from it.
    """
    return QuasiRandomAgent({"agent": "sobol", "seed": whole("seed", seed, 0)}, qmc.Sobol)


def halton(*, seed: int = 0) -> QuasiRandomAgent:
    """Follows a scrambled Halton sequence over the image.

    Parameters
    ----------
    seed : int
        All randomness follows from it.
    """
    return QuasiRandomAgent({"agent": "halton", "seed": whole("seed", seed, 0)}, qmc.Halton)


def farthest_point(*, seed: int = 0, space: Space = "position") -> FarthestPointAgent:
    """Measures where the nearest measured point is farthest away, in the image or among its patches.

    Parameters
    ----------
    seed : int
        The first point follows from it.
    space : {"position", "patch"}
        Where distances are measured.
    """
    config = {"agent": "farthest-point", "seed": whole("seed", seed, 0), "space": one_of("space", space, SPACES)}
    return FarthestPointAgent(config)


def k_means(*, seed: int = 0, threads: int = 1, space: Space = "patch") -> KMeansAgent:
    """Measures the candidate nearest to the centre of each of as many clusters as it has points.

    Parameters
    ----------
    seed : int
        All randomness follows from it.
    threads : int
        Threads for clustering.
    space : {"position", "patch"}
        Where distances are measured.
    """
    config = {
        "agent": "k-means",
        "seed": whole("seed", seed, 0),
        "threads": whole("threads", threads, 1),
        "space": one_of("space", space, SPACES),
    }
    return KMeansAgent(config)


def gp_variance(*, seed: int = 0, initial: int = 20, threads: int = 1) -> GaussianProcessAgent:
    """Measures where it learns most about the whole image, with a Gaussian process over patches and positions.

    Parameters
    ----------
    seed : int
        All randomness follows from it.
    initial : int
        Random points to begin with.
    threads : int
        Threads for linear algebra.
    """
    config = {
        "agent": "gp-variance",
        "seed": whole("seed", seed, 0),
        "initial": whole("initial", initial, 3),
        "threads": whole("threads", threads, 1),
    }
    return GaussianProcessAgent(config)


def deep_kernel(
    *,
    seed: int = 0,
    initial: int = 30,
    threads: int = 1,
    target: str = "mean",
    acquisition: str = "expected-improvement",
    embedding: int = 2,
    epochs: int = 100,
    later_epochs: int = 5,
) -> "DeepKernelAgent":
    """Learns one number of each spectrum, with a network and a Gaussian process; needs ``curio-plans[gp]``.

    Parameters
    ----------
    seed : int
        All randomness follows from it.
    initial : int
        Random points to begin with.
    threads : int
        Threads for training.
    target : {"mean", "range"}
        The number: the mean of a spectrum, or its largest value less its smallest.
    acquisition : {"expected-improvement", "uncertainty"}
        Measure where the number is expected to exceed the largest one so far, or where it is least known.
    embedding : int
        Dimensions in which the network puts a patch.
    epochs, later_epochs : int
        Steps of the first and of each later training.

    Raises
    ------
    MissingExtraError
        If gpytorch is not installed.
    """
    try:
        from agents.deep_kernel import TARGETS, DeepKernelAgent
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"the agent 'deep-kernel' needs {error.name}, which is not installed: pip install 'curio-plans[gp]'"
        ) from error
    return DeepKernelAgent(
        {
            "agent": "deep-kernel",
            "seed": whole("seed", seed, 0),
            "initial": whole("initial", initial, 2),
            "threads": whole("threads", threads, 1),
            "target": one_of("target", target, TARGETS),
            "acquisition": one_of("acquisition", acquisition, ("expected-improvement", "uncertainty")),
            "embedding": whole("embedding", embedding, 1),
            "epochs": whole("epochs", epochs, 1),
            "later_epochs": whole("later_epochs", later_epochs, 1),
        }
    )
