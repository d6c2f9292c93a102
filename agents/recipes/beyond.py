"""Beyond the paper: what it names as extensions, and what careful training brings."""

import functools
from collections.abc import Mapping
from typing import Any

import torch

from agents.curiosity import CuriosityAgent, Slots
from agents.hysteresis import PARAMETERS
from agents.models.im2spec import Im2spec
from agents.options import between, one_of, whole
from agents.plateau import PlateauEscape
from agents.recipes.shared import decaying, error_model, im2spec
from agents.registry import build as build_agent
from agents.registry import configure, options
from agents.selection import SELECTIONS, largest
from agents.surrogates import Shape
from agents.surrogates.careful import CarefulSurrogate
from agents.surrogates.theory import TheorySurrogate


def theory(
    *,
    seed: int = 0,
    initial: int = 30,
    threads: int = 1,
    mismatch: str = "fit",
    cycles: float = 1.0,
    phase: float = 0.0,
    decay: float = 2.0,
    filters: int = 16,
    epochs: int = 150,
    autoencoder_epochs: int = 30,
) -> CuriosityAgent:
    """Curiosity about where a theory fails: the second workflow with a hysteresis loop in place of the network.

    The theory is fitted to each spectrum; a network predicts its parameters from the patch.

    Parameters
    ----------
    seed, initial, threads, decay, filters, epochs, autoencoder_epochs
        See :func:`agents.recipes.paper.paper_latent`.
    mismatch : {"fit", "prediction"}
        Seek what no loop explains, or also where the parameters do not follow from the patch.
    cycles, phase : float
        Where the axis of the spectra is not known to go up and down, assume a triangular bias 0 → 1 → 0 → −1 → 0 of so
        many cycles that begins at this share of a cycle.

    Raises
    ------
    ValueError
        If an option is out of range.
    """
    config = {
        "agent": "theory",
        "seed": whole("seed", seed, 0),
        "initial": whole("initial", initial, 2),
        "threads": whole("threads", threads, 1),
        "mismatch": one_of("mismatch", mismatch, ("fit", "prediction")),
        "cycles": between("cycles", cycles, 0.25, 1000),
        "phase": between("phase", phase, 0, 1),
        "decay": between("decay", decay, 0, 1000),
        "filters": whole("filters", filters, 1),
        "epochs": whole("epochs", epochs, 1),
        "autoencoder_epochs": whole("autoencoder_epochs", autoencoder_epochs, 1),
    }
    make = im2spec(filters, epochs)

    def surrogate(patch: Shape, spectrum: int, generator: torch.Generator) -> TheorySurrogate:  # noqa: ARG001
        learner = make(patch, len(PARAMETERS), generator)
        return TheorySurrogate(learner, mismatch=mismatch, cycles=cycles, phase=phase)

    return CuriosityAgent(
        config, Slots(surrogate, error_model, decaying(decay), largest, exploration_space="autoencoder")
    )


def latent_careful(
    *,
    seed: int = 0,
    initial: int = 30,
    threads: int = 1,
    start: str = "k-means",
    choice: str = "largest",
    random_probability: float = 0.0,
    decay: float = 2.0,
    filters: int = 32,
    epochs: int = 600,
    later_epochs: int = 10,
    patience: int = 100,
    weight_decay: float = 0.1,
    autoencoder_epochs: int = 30,
) -> CuriosityAgent:
    """Curiosity as in paper-latent, with early stopping, weight decay and standardised targets.

    Parameters
    ----------
    seed, initial, threads, start, choice, random_probability, decay, filters, autoencoder_epochs
        See :func:`agents.recipes.paper.paper_latent`.
    epochs, later_epochs : int
        Steps at most from new weights, which it starts from when the observations are a tenth more, and in between.
    patience : int
        Steps without progress on held-out observations after which training ends.
    weight_decay : float
        Of AdamW.

    Raises
    ------
    ValueError
        If an option is out of range.
    """
    config = {
        "agent": "latent-careful",
        "seed": whole("seed", seed, 0),
        "initial": whole("initial", initial, 2),
        "threads": whole("threads", threads, 1),
        "start": one_of("start", start, ("k-means", "random")),
        "choice": one_of("choice", choice, SELECTIONS),
        "random_probability": between("random_probability", random_probability, 0, 1),
        "decay": between("decay", decay, 0, 1000),
        "filters": whole("filters", filters, 1),
        "epochs": whole("epochs", epochs, 1),
        "later_epochs": whole("later_epochs", later_epochs, 0),
        "patience": whole("patience", patience, 1),
        "weight_decay": between("weight_decay", weight_decay, 0, 100),
        "autoencoder_epochs": whole("autoencoder_epochs", autoencoder_epochs, 1),
    }

    def surrogate(patch: Shape, spectrum: int, generator: torch.Generator) -> CarefulSurrogate:  # noqa: ARG001
        make = functools.partial(Im2spec, patch, spectrum, filters=filters)
        return CarefulSurrogate(make, epochs=epochs, later=later_epochs, patience=patience, decay=weight_decay)

    return CuriosityAgent(config, Slots(surrogate, error_model, decaying(decay), SELECTIONS[choice]))


def plateau_escape(
    *,
    seed: int = 0,
    inner: Mapping[str, Any] | None = None,
    remedy: str = "avoid-similar",
    window: int = 10,
    tolerance: float = 0.05,
    avoid: float = 0.5,
    noise: float = 0.1,
) -> PlateauEscape:
    """Lets another agent decide and steps in while its loss does not fall, so that noise does not hold it for ever.

    A plateau is noticed when the loss, its mean over `window` observations, has not fallen by `tolerance` against the
    window before.

    Parameters
    ----------
    seed : int
        All randomness follows from it; also that of an inner agent whose config names no seed.
    inner : mapping
        Config of the other agent, which must have a loss; by default paper-latent.
    remedy : {"avoid-similar", "noise", "ask"}
        While the loss does not fall: avoid patches similar to the last ones, put noise into the choice, or ask the
        human once what to do.
    window : int
        Observations over which the loss is averaged.
    tolerance : float
        By how much it has to fall, as a share.
    avoid : float
        The share of the free candidates, those most similar to the last ones, that is avoided.
    noise : float
        Standard deviation of the noise in the choice, relative to the longer side of the image.

    Raises
    ------
    ValueError
        If an option is out of range, or the other agent has no loss.
    """
    chosen = {"agent": "paper-latent", **(inner or {})}
    if "seed" in options(chosen["agent"]):
        chosen = {"seed": seed, **chosen}
    config: dict[str, Any] = {
        "agent": "plateau-escape",
        "seed": whole("seed", seed, 0),
        "inner": configure(chosen.pop("agent"), **chosen),
        "remedy": one_of("remedy", remedy, ("avoid-similar", "noise", "ask")),
        "window": whole("window", window, 2),
        "tolerance": between("tolerance", tolerance, -1, 1),
        "avoid": between("avoid", avoid, 0, 1),
        "noise": between("noise", noise, 0, 10),
    }
    return PlateauEscape(config, build_agent(config["inner"]))
