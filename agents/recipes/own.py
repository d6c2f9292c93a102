"""The project's own agent."""

from typing import Literal

from pydantic import Field

from agents.options import recipe
from agents.protocols import Agent
from agents.recipes.common import Learning


class Curio(Learning):
    """The options of ``curio``."""

    initial: int = Field(
        10, ge=4, description="Points spread over the image, and over what it shows, before anything is learned."
    )
    checks: int = Field(
        10, ge=0, description="Every so many points, one is random and only checks the estimated error; 0 for none."
    )
    travel: float = Field(
        0.0,
        ge=0,
        le=1e9,
        description="Distance in nm that the scanner moves in the time of one spectrum: near places are preferred. "
        "0 if moving costs nothing.",
    )
    choice: Literal["reducible", "random"] = Field(
        "reducible", description="Measure where most error can be removed, or at random, for comparison."
    )
    surroundings: Literal["all", "rings", "scales", "patch"] = Field(
        "all",
        description="What is learned from: each ring of the patch (rings); means, gradients and contrast at several "
        "scales (scales); all pixels alike, the kernel chosen by leaving out each spectrum (patch); or all three, "
        "averaged as leaving one out says (all).",
    )
    position: bool = Field(True, description="Whether neighbouring places are alike, not only places that look alike.")
    robust: bool = Field(
        True,
        description="Trust spectra less if they contradict the others and these are predicted better without them.",
    )


@recipe
def curio(options: Curio) -> Agent:
    """Measures where that lowers the error of the whole map most, and estimates that error.

    A Gaussian process of the surroundings of a place and of its position; see :mod:`agents.curio`.
    """
    from agents.curio.agent import CurioAgent

    return CurioAgent(options.config)
