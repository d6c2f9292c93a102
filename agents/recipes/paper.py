"""The systems of Vatsavai et al., Digital Discovery 2025, doi 10.1039/d5dd00119f.

Where the paper and the authors' code differ, the paper is the default and the code is an option.
"""

from typing import Literal

from pydantic import Field

from agents.options import recipe
from agents.protocols import Agent
from agents.recipes.common import AutoencoderEpochs, Curious, Decay, Networked
from agents.selection import SELECTIONS


class SecondWorkflow(Curious):
    """What the agents of the second workflow have in common."""

    error_target: Literal["current", "before+after"] = Field(
        "current",
        description="Predict the error after training (paper), or its sum with the error before it (authors' code).",
    )
    decay: Decay = 2.0
    filters: int = Field(64, ge=1, description="Filters of the surrogate's convolutions.")
    epochs: int = Field(150, ge=1, description="Steps of the surrogate's first training; each later one has two.")


class Latent(SecondWorkflow):
    """The options of ``paper-latent`` and ``paper-spec2im``."""

    autoencoder_epochs: AutoencoderEpochs = 30


@recipe
def paper_latent(options: Latent) -> Agent:
    """Predicts its error from an autoencoder's latent space: the second workflow."""
    from agents.recipes.networks import im2spec, second_workflow

    return second_workflow(
        options, im2spec(options.filters, options.epochs, options.device), selection=SELECTIONS[options.choice]
    )


@recipe
def paper_spec2im(options: Latent) -> Agent:
    """Asks which structures cause a spectrum: the second workflow for the inverse problem.

    The surrogate predicts the patch from the spectrum. Unmeasured places have no spectrum yet, so the error is
    predicted, and novelty measured, in the autoencoder's latent space of the patches.
    """
    from agents.recipes.networks import second_workflow, spec2im

    return second_workflow(
        options,
        spec2im(options.filters, options.epochs, options.device),
        selection=SELECTIONS[options.choice],
        exploration_space="autoencoder",
    )


class LatentDropout(SecondWorkflow):
    """The options of ``paper-latent-mcd``."""

    spread_weight: float = Field(
        2.0, ge=0, le=1000, description="Weight of the spread, relative to its mean over the pool; 2 as in the code."
    )
    spread_during: Literal["exploration", "run"] = Field(
        "exploration",
        description="Add the spread to the exploration, with which it fades (paper), or always to the score (code).",
    )
    passes: int = Field(500, ge=2, description="Number of thinned networks over which the spread is taken.")
    autoencoder_epochs: AutoencoderEpochs = 30


@recipe
def paper_latent_mcd(options: LatentDropout) -> Agent:
    """Goes also where its error model is unsure: the second workflow with Monte-Carlo dropout."""
    from agents.recipes import networks

    fading = options.spread_during == "exploration"
    return networks.second_workflow(
        options,
        networks.im2spec(options.filters, options.epochs, options.device),
        error_model=networks.dropout_model(options.passes),
        acquisition=networks.decaying_with_spread(options.decay, options.spread_weight, fading=fading),
        selection=SELECTIONS[options.choice],
        parts=("predicted_error", "exploration", "spread"),
    )


class Ensemble(Networked):
    """The options of ``paper-ensemble``."""

    start: Literal["k-means", "random"] = Field(
        "random",
        description="Initial points: random ones, in the paper a fifth of the pool, or those nearest to k-means "
        "centroids.",
    )
    random_probability: float = Field(
        0.0, ge=0, le=1, description="Probability of measuring at a random place instead."
    )
    beta: float = Field(
        1.0, ge=0, le=1, description="β: 1 seeks large predicted errors, 0 small ones, 0.5 both extremes."
    )
    sharpness: float = Field(
        1.0, ge=1e-3, le=1000, description="λ of the acquisition; it does not change the order of the candidates."
    )
    retrain: float = Field(
        0.1, ge=0, le=1, description="Probability that an observation trains all networks, not only the best one."
    )
    latent: int = Field(3, ge=1, description="Dimension of the latent space.")
    filters: int = Field(128, ge=1, description="Filters of the convolutions; the last network has half as many.")
    epochs: int = Field(100, ge=1, description="Passes of the first training, three mini-batches each.")
    later_epochs: int = Field(5, ge=1, description="Passes of each later training, three mini-batches each.")
    error_epochs: int = Field(200, ge=1, description="Steps to train the error model, anew after each observation.")
    validation_window: int = Field(
        50,
        ge=1,
        description="The network with the least validation loss, averaged over these last epochs, is the best.",
    )
    autoencoder_epochs: AutoencoderEpochs = 30


@recipe
def paper_ensemble(options: Ensemble) -> Agent:
    """Predicts its error from the encoder of the best of five Im2spec networks: the first workflow.

    After the first training the networks continue from their weights, so that a decision takes seconds. To work in
    batches, ask for as many places as are to be measured before the next training.
    """
    from agents.curiosity import CuriosityAgent, Slots
    from agents.recipes import networks

    surrogate = networks.ensemble(
        latent=options.latent,
        filters=options.filters,
        first=options.epochs,
        later=options.later_epochs,
        retrain=options.retrain,
        window=options.validation_window,
        device=options.device,
    )
    slots = Slots(
        surrogate=surrogate,
        error_model=networks.fresh_model(options.latent, options.error_epochs),
        acquisition=networks.away_from(options.beta, options.sharpness),
        selection=SELECTIONS["largest"],
        parts=("predicted_error",),
        error_space="surrogate",
    )
    return CuriosityAgent(options.config, slots)
