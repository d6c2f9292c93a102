"""Beyond the paper: the extensions that it names, and careful training."""

from typing import Any, Literal

from pydantic import Field

from agents.options import recipe
from agents.protocols import Agent, Config
from agents.recipes.common import AutoencoderEpochs, Curious, Decay, Networked, Seeded
from agents.registry import build, configure
from agents.registry import options as options_of
from agents.selection import SELECTIONS


class Theory(Networked):
    """The options of ``theory``."""

    mismatch: Literal["fit", "prediction"] = Field(
        "fit", description="Seek what no loop explains, or also where the parameters do not follow from the patch."
    )
    cycles: float = Field(
        1.0,
        ge=0.25,
        le=1000,
        description="Where the axis of the spectra does not go up and down, assume a triangular bias "
        "0 → 1 → 0 → −1 → 0 of this many cycles.",
    )
    phase: float = Field(0.0, ge=0, le=1, description="Where in the cycle that bias begins.")
    decay: Decay = 2.0
    filters: int = Field(16, ge=1, description="Filters of the network's convolutions.")
    epochs: int = Field(150, ge=1, description="Steps of the network's first training; each later one has two.")
    autoencoder_epochs: AutoencoderEpochs = 30


@recipe
def theory(options: Theory) -> Agent:
    """Seeks where a theory fails: the second workflow with a hysteresis loop in place of the network.

    The loop is fitted to each spectrum; a network predicts its parameters from the patch.
    """
    from agents.recipes.networks import hysteresis, second_workflow

    surrogate = hysteresis(
        options.filters,
        options.epochs,
        mismatch=options.mismatch,
        cycles=options.cycles,
        phase=options.phase,
        device=options.device,
    )
    return second_workflow(options, surrogate, exploration_space="autoencoder")


class Careful(Curious):
    """The options of ``latent-careful``."""

    decay: Decay = 2.0
    filters: int = Field(32, ge=1, description="Filters of the surrogate's convolutions.")
    epochs: int = Field(
        600, ge=1, description="Most steps from new weights; training starts over after a tenth more observations."
    )
    later_epochs: int = Field(10, ge=0, description="Most steps of each training in between.")
    patience: int = Field(
        100, ge=1, description="Training ends after this many steps without progress on held-out observations."
    )
    weight_decay: float = Field(0.1, ge=0, le=100, description="Weight decay of AdamW.")
    autoencoder_epochs: AutoencoderEpochs = 30


@recipe
def latent_careful(options: Careful) -> Agent:
    """Trains more carefully: the second workflow with early stopping, weight decay and standardised targets."""
    from agents.recipes.networks import careful, second_workflow

    surrogate = careful(
        options.filters,
        epochs=options.epochs,
        later=options.later_epochs,
        patience=options.patience,
        weight_decay=options.weight_decay,
        device=options.device,
    )
    return second_workflow(options, surrogate, selection=SELECTIONS[options.choice])


class Escape(Seeded):
    """The options of ``plateau-escape``."""

    inner: Config | None = Field(
        None, description="Config of the agent that decides, which must have a loss; by default paper-latent."
    )
    remedy: Literal["avoid-similar", "noise", "ask"] = Field(
        "avoid-similar",
        description="On a plateau: avoid patches similar to the last ones, add noise to the choice, or ask the human.",
    )
    window: int = Field(10, ge=2, description="Number of observations over which the loss is averaged.")
    tolerance: float = Field(
        0.05,
        ge=-1,
        le=1,
        description="A plateau is where the mean loss has not fallen by this share against the window before.",
    )
    avoid: float = Field(
        0.5, ge=0, le=1, description="Share of the free candidates to avoid: those most similar to the last ones."
    )
    noise: float = Field(
        0.1, ge=0, le=10, description="Standard deviation of the noise, relative to the longer side of the image."
    )

    @property
    def config(self) -> dict[str, Any]:
        """The config, with the full config of the inner agent; that one has the same seed unless it names one."""
        chosen = {"agent": "paper-latent", **(self.inner or {})}
        if "seed" in options_of(chosen["agent"]):
            chosen = {"seed": self.seed, **chosen}
        return {**super().config, "inner": configure(chosen.pop("agent"), **chosen)}


@recipe
def plateau_escape(options: Escape) -> Agent:
    """Lets another agent decide, and steps in while its loss does not fall, so that noise does not hold it for ever."""
    from agents.plateau import PlateauEscape

    config = options.config
    return PlateauEscape(config, build(config["inner"]))
