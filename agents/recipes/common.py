"""Options that several agents have."""

from typing import Annotated, Literal

from pydantic import Field

from agents.options import LATER, Options
from agents.selection import Choice

Device = Annotated[Literal["cpu", "cuda", "mps"], LATER]
"""See :mod:`agents.devices`."""

Decay = Annotated[
    float, Field(ge=0, le=1000, description="λ of the acquisition: the larger, the sooner exploration ends.")
]
AutoencoderEpochs = Annotated[int, Field(ge=1, description="Passes over the patches to train the autoencoder.")]


class Seeded(Options):
    """An agent that draws random numbers."""

    seed: int = Field(0, ge=0, description="Determines all random choices.")


class Learning(Seeded):
    """An agent that learns from spectra, after some initial points."""

    initial: int = Field(30, ge=2, description="Number of initial points, measured before anything is learned.")
    threads: int = Field(1, ge=1, description="Computing threads; the last bits of a result depend on their number.")


class Networked(Learning):
    """An agent with networks, which may compute on a GPU."""

    device: Device = Field(
        "cpu",
        description="Where the networks compute: cpu, cuda or mps. A result is the same again on the same device and "
        "build of PyTorch.",
    )


class Curious(Networked):
    """An agent of the second workflow of the paper."""

    start: Literal["k-means", "random"] = Field(
        "k-means",
        description="Initial points: the patches nearest to k-means centroids (paper), or random ones (authors' code).",
    )
    choice: Choice = Field(
        "largest",
        description="Measure at the largest score (paper), or at one drawn from the ten largest (authors' code).",
    )
    random_probability: float = Field(
        0.0, ge=0, le=1, description="Probability of measuring at a random place instead; 0.1 in the authors' code."
    )
