"""Simple methods that curiosity has to beat."""

from math import inf
from typing import Literal

from pydantic import Field

from agents.baselines import GridAgent, RandomAgent
from agents.options import MissingExtraError, Options, recipe
from agents.protocols import Agent
from agents.recipes.common import Learning, Seeded

SPACE = "Measure distances between positions, or between patches."


@recipe
def random(options: Seeded) -> Agent:
    """Measures anywhere with equal probability; every strategy has to beat it."""
    return RandomAgent(options.config)


@recipe
def grid(options: Options) -> Agent:
    """Spreads its points evenly over the image; the usual practice."""
    return GridAgent(options.config)


@recipe
def latin_hypercube(options: Seeded) -> Agent:
    """Spreads its points so that each has a row and a column of its own."""
    return _quasi_random(options, "LatinHypercube")


@recipe
def sobol(options: Seeded) -> Agent:
    """Follows a scrambled Sobol sequence over the image."""
    return _quasi_random(options, "Sobol")


@recipe
def halton(options: Seeded) -> Agent:
    """Follows a scrambled Halton sequence over the image."""
    return _quasi_random(options, "Halton")


class FarthestPoint(Seeded):
    """The options of ``farthest-point``."""

    space: Literal["position", "patch"] = Field("position", description=SPACE)


@recipe
def farthest_point(options: FarthestPoint) -> Agent:
    """Measures where the nearest measured point is farthest away, in the image or among its patches."""
    from agents.designs import FarthestPointAgent

    return FarthestPointAgent(options.config)


class KMeans(Seeded):
    """The options of ``k-means``."""

    threads: int = Field(1, ge=1, description="Threads for clustering.")
    space: Literal["position", "patch"] = Field("patch", description=SPACE)


@recipe
def k_means(options: KMeans) -> Agent:
    """Divides the candidates into as many clusters as it has points, and measures nearest to each centroid."""
    from agents.clusters import KMeansAgent

    return KMeansAgent(options.config)


class GaussianProcess(Learning):
    """The options of ``gp-variance``."""

    initial: int = Field(20, ge=3, description="Number of random initial points.")


@recipe
def gp_variance(options: GaussianProcess) -> Agent:
    """Measures where it learns most about the whole image, with a Gaussian process over patches and positions."""
    from agents.gaussian import GaussianProcessAgent
    from agents.process import Choices

    return GaussianProcessAgent(options.config, Choices())


class Ridge(GaussianProcess):
    """The options of ``ridge-ivr``."""

    initial: int = Field(20, ge=3, description="Number of random initial points.")
    scores: int = Field(8, ge=1, description="Principal components of the spectra that are predicted.")


@recipe
def ridge_ivr(options: Ridge) -> Agent:
    """Kernel ridge regression and variance reduction: the strongest simple method, beside which others are judged.

    Leave-one-out chooses the ridge, the widths of a kernel of the patch and of one of the position, and whether the two
    are multiplied or added.
    """
    from agents.gaussian import GaussianProcessAgent
    from agents.process import Choices

    choices = Choices(
        forms=("product", "sum"),
        patch=(0.25, 0.5, 1.0, 2.0, inf),
        position=(0.1, 0.2, 0.4, 0.8, 1.6, inf),
        noise=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0),
        growth=1.1,
        most=256,
    )
    return GaussianProcessAgent(options.config, choices)


class DeepKernel(Learning):
    """The options of ``deep-kernel``."""

    initial: int = Field(30, ge=2, description="Number of random initial points.")
    target: Literal["mean", "range"] = Field(
        "mean", description="The number to learn: the mean of a spectrum, or its largest value minus its smallest."
    )
    acquisition: Literal["expected-improvement", "uncertainty"] = Field(
        "expected-improvement",
        description="Measure where the number should exceed the largest one so far, or where it is least known.",
    )
    embedding: int = Field(2, ge=1, description="Dimensions of the space in which the network embeds a patch.")
    epochs: int = Field(100, ge=1, description="Steps of the first training.")
    later_epochs: int = Field(5, ge=1, description="Steps of each later training.")


@recipe
def deep_kernel(options: DeepKernel) -> Agent:
    """Learns one number of each spectrum, with a network and a Gaussian process; needs ``curio-plans[gp]``."""
    try:
        from agents.deep_kernel import DeepKernelAgent
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"the agent 'deep-kernel' needs {error.name}, which is not installed: pip install 'curio-plans[gp]'"
        ) from error
    return DeepKernelAgent(options.config)


def _quasi_random(options: Seeded, sampler: str) -> Agent:
    """Return the agent that follows a sampler of :mod:`scipy.stats.qmc`."""
    from scipy.stats import qmc

    from agents.designs import QuasiRandomAgent

    return QuasiRandomAgent(options.config, getattr(qmc, sampler))
