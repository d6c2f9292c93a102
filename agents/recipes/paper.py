"""The systems of Vatsavai et al., Digital Discovery 2025, doi 10.1039/d5dd00119f.

Where the paper and the authors' code differ, the paper is the default and the code's way is an option.
"""

import functools
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from agents.acquisition import curious_or_conservative, decaying_exploration
from agents.curiosity import CuriosityAgent, Slots
from agents.error_models import DropoutModel, FreshModel
from agents.learner import Learner
from agents.models.error_head import ErrorHead
from agents.models.im2spec import TABLE_1, Im2spec
from agents.models.spec2im import Spec2im
from agents.options import between, one_of, whole
from agents.recipes.shared import ADAM, ADAMW, Parts, decaying, error_head, error_model, im2spec
from agents.selection import SELECTIONS
from agents.surrogates import Shape
from agents.surrogates.ensemble import EnsembleSurrogate, Member
from agents.surrogates.network import Im2specSurrogate, Spec2imSurrogate


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
    epochs: int = 150,
    autoencoder_epochs: int = 30,
) -> CuriosityAgent:
    """Curiosity with an error model in an autoencoder's latent space: the second workflow.

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
    epochs : int
        Steps of the surrogate's first training; each later one has two.
    autoencoder_epochs : int
        Passes of the autoencoder's training.

    Raises
    ------
    ValueError
        If an option is out of range.
    """
    options = _options(seed, initial, threads, start, choice, random_probability, error_target, decay, filters, epochs)
    config = {
        "agent": "paper-latent",
        **options,
        "autoencoder_epochs": whole("autoencoder_epochs", autoencoder_epochs, 1),
    }
    make = im2spec(filters, epochs)

    slots = Slots(lambda *sizes: Im2specSurrogate(make(*sizes)), error_model, decaying(decay), SELECTIONS[choice])
    return CuriosityAgent(config, slots)


def paper_latent_mcd(
    *,
    seed: int = 0,
    initial: int = 30,
    threads: int = 1,
    start: str = "k-means",
    choice: str = "largest",
    random_probability: float = 0.0,
    error_target: str = "current",
    decay: float = 2.0,
    spread_weight: float = 2.0,
    spread_during: str = "exploration",
    passes: int = 500,
    filters: int = 64,
    epochs: int = 150,
    autoencoder_epochs: int = 30,
) -> CuriosityAgent:
    """Curiosity that also goes where its error model is unsure: the second workflow with Monte-Carlo dropout.

    Parameters
    ----------
    seed, initial, threads, start, choice, random_probability, error_target, decay, filters, epochs, autoencoder_epochs
        See :func:`paper_latent`.
    spread_weight : float
        Weight of the spread, which is relative to its mean over the pool; 2 in the authors' code.
    spread_during : {"exploration", "run"}
        Add the spread to the exploration, so that it fades with it (paper), or to the score, always (code).
    passes : int
        Thinned networks that the spread is taken over.

    Raises
    ------
    ValueError
        If an option is out of range.
    """
    options = _options(seed, initial, threads, start, choice, random_probability, error_target, decay, filters, epochs)
    config = {
        "agent": "paper-latent-mcd",
        **options,
        "spread_weight": between("spread_weight", spread_weight, 0, 1000),
        "spread_during": one_of("spread_during", spread_during, ("exploration", "run")),
        "passes": whole("passes", passes, 2),
        "autoencoder_epochs": whole("autoencoder_epochs", autoencoder_epochs, 1),
    }
    make = im2spec(filters, epochs)

    def acquisition(parts: Parts, used: float) -> NDArray[np.float64]:
        unsure = spread_weight * parts["spread"]
        fading, lasting = (unsure, 0.0) if spread_during == "exploration" else (0.0, unsure)
        mixed = decaying_exploration(parts["predicted_error"], parts["exploration"] + fading, used, decay)
        return np.asarray(mixed + lasting)

    slots = Slots(
        surrogate=lambda *sizes: Im2specSurrogate(make(*sizes)),
        error_model=lambda *sizes: DropoutModel(error_head(*sizes), passes),
        acquisition=acquisition,
        selection=SELECTIONS[choice],
        parts=("predicted_error", "exploration", "spread"),
    )
    return CuriosityAgent(config, slots)


def paper_spec2im(
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
    epochs: int = 150,
    autoencoder_epochs: int = 30,
) -> CuriosityAgent:
    """Curiosity about the inverse problem, which structures give a spectrum, with the second workflow.

    The surrogate predicts the patch from the spectrum. An unmeasured place has no spectrum yet, so both the error and
    the distance to what was measured are predicted from the autoencoder's latent space of the patches.

    Parameters
    ----------
    seed, initial, threads, start, choice, random_probability, error_target, decay, filters, epochs, autoencoder_epochs
        See :func:`paper_latent`.

    Raises
    ------
    ValueError
        If an option is out of range.
    """
    options = _options(seed, initial, threads, start, choice, random_probability, error_target, decay, filters, epochs)
    config = {
        "agent": "paper-spec2im",
        **options,
        "autoencoder_epochs": whole("autoencoder_epochs", autoencoder_epochs, 1),
    }

    def surrogate(patch: Shape, spectrum: int, generator: torch.Generator) -> Spec2imSurrogate:
        return Spec2imSurrogate(
            Learner(
                lambda: Spec2im(patch, spectrum, filters=filters), ADAMW, first=epochs, later=2, generator=generator
            )
        )

    slots = Slots(surrogate, error_model, decaying(decay), SELECTIONS[choice], exploration_space="autoencoder")
    return CuriosityAgent(config, slots)


def paper_ensemble(
    *,
    seed: int = 0,
    initial: int = 30,
    threads: int = 1,
    start: str = "random",
    random_probability: float = 0.0,
    beta: float = 1.0,
    sharpness: float = 1.0,
    retrain: float = 0.1,
    latent: int = 3,
    filters: int = 128,
    epochs: int = 100,
    later_epochs: int = 5,
    error_epochs: int = 200,
    validation_window: int = 50,
    autoencoder_epochs: int = 30,
) -> CuriosityAgent:
    """Curiosity with five Im2spec networks and an error model on the best one's encoder: the first workflow.

    After the first training the networks go on from their weights, so that a decision takes seconds. To work in
    batches, ask for as many places as are to be measured before the next training.

    Parameters
    ----------
    seed, initial, threads, start, random_probability
        See :func:`paper_latent`; here the paper begins with random points, a fifth of the pool.
    beta : float
        β, 0…1: 1 seeks large predicted errors, 0 small ones, 0.5 both.
    sharpness : float
        λ of the acquisition; it does not change the order of the candidates.
    retrain : float
        Probability that all networks are trained after an observation, not only the best one.
    latent : int
        Dimension of the latent space.
    filters : int
        Width of the convolutions; the last network of the ensemble has half of it.
    epochs, later_epochs : int
        Passes of the first and of each later training, three mini-batches each.
    error_epochs : int
        Steps of the error model's training, which begins anew after each observation.
    validation_window : int
        The validation loss that tells which network is best is the mean over so many of its last epochs.
    autoencoder_epochs : int
        Passes of the autoencoder's training, for a start with k-means.

    Raises
    ------
    ValueError
        If an option is out of range.
    """
    config = {
        "agent": "paper-ensemble",
        "seed": whole("seed", seed, 0),
        "initial": whole("initial", initial, 2),
        "threads": whole("threads", threads, 1),
        "start": one_of("start", start, ("k-means", "random")),
        "random_probability": between("random_probability", random_probability, 0, 1),
        "beta": between("beta", beta, 0, 1),
        "sharpness": between("sharpness", sharpness, 1e-3, 1000),
        "retrain": between("retrain", retrain, 0, 1),
        "latent": whole("latent", latent, 1),
        "filters": whole("filters", filters, 1),
        "epochs": whole("epochs", epochs, 1),
        "later_epochs": whole("later_epochs", later_epochs, 1),
        "error_epochs": whole("error_epochs", error_epochs, 1),
        "validation_window": whole("validation_window", validation_window, 1),
        "autoencoder_epochs": whole("autoencoder_epochs", autoencoder_epochs, 1),
    }

    def surrogate(patch: Shape, spectrum: int, generator: torch.Generator) -> EnsembleSurrogate:
        makers = [functools.partial(Im2spec, patch, spectrum, latent, filters, encoder) for encoder in TABLE_1.values()]
        members = [Member(make, generator, validation_window) for make in makers]
        return EnsembleSurrogate(members, first=epochs, later=later_epochs, retrain=retrain)

    def head(generator: torch.Generator) -> Learner[ErrorHead]:
        return Learner(lambda: ErrorHead(latent), ADAM, first=error_epochs, later=0, generator=generator)

    slots = Slots(
        surrogate=surrogate,
        error_model=lambda features, generator: FreshModel(head),  # noqa: ARG005  made anew at each training
        acquisition=lambda parts, used: curious_or_conservative(parts["predicted_error"], beta, sharpness),  # noqa: ARG005
        selection=SELECTIONS["largest"],
        parts=("predicted_error",),
        error_space="surrogate",
    )
    return CuriosityAgent(config, slots)


def _options(
    seed: int,
    initial: int,
    threads: int,
    start: str,
    choice: str,
    random_probability: float,
    error_target: str,
    decay: float,
    filters: int,
    epochs: int,
) -> dict[str, Any]:
    """Check what the agents of the second workflow have in common."""
    return {
        "seed": whole("seed", seed, 0),
        "initial": whole("initial", initial, 2),
        "threads": whole("threads", threads, 1),
        "start": one_of("start", start, ("k-means", "random")),
        "choice": one_of("choice", choice, SELECTIONS),
        "random_probability": between("random_probability", random_probability, 0, 1),
        "error_target": one_of("error_target", error_target, ("current", "before+after")),
        "decay": between("decay", decay, 0, 1000),
        "filters": whole("filters", filters, 1),
        "epochs": whole("epochs", epochs, 1),
    }
