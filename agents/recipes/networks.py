"""What fills the slots of curious agents: networks, trained as in the authors' code, and acquisitions."""

import functools
from typing import Any

import torch

from agents.acquisition import curious_or_conservative, decaying_exploration
from agents.curiosity import Acquisition, CuriosityAgent, MakeErrorModel, MakeSurrogate, Parts, Slots, Values
from agents.error_models import DropoutModel, FreshModel, HeadModel
from agents.hysteresis import PARAMETERS
from agents.learner import Learner
from agents.models.error_head import ErrorHead
from agents.models.im2spec import TABLE_1, Im2spec
from agents.models.spec2im import Spec2im
from agents.selection import largest
from agents.surrogates import Shape, Surrogate
from agents.surrogates.careful import CarefulSurrogate
from agents.surrogates.ensemble import EnsembleSurrogate, Member
from agents.surrogates.network import Im2specSurrogate, Spec2imSurrogate
from agents.surrogates.theory import TheorySurrogate

ADAMW = functools.partial(torch.optim.AdamW, lr=1e-3)
ADAM = functools.partial(torch.optim.Adam, lr=1e-2)


def second_workflow(options: Any, surrogate: MakeSurrogate, **changed: Any) -> CuriosityAgent:
    """Return a curious agent with the slots of the second workflow, except for those that are `changed`."""
    usual = {"error_model": head_model, "acquisition": decaying(options.decay), "selection": largest}
    return CuriosityAgent(options.config, Slots(surrogate, **{**usual, **changed}))


def im2spec_learner(
    patch: Shape, outputs: int, generator: torch.Generator, *, filters: int, epochs: int, device: str
) -> Learner[Im2spec]:
    """Return an Im2spec with `outputs` values: `epochs` steps at first, two for each further point."""
    network = functools.partial(Im2spec, patch, outputs, filters=filters)
    return Learner(network, ADAMW, first=epochs, later=2, generator=generator, device=device)


def im2spec(filters: int, epochs: int, device: str = "cpu") -> MakeSurrogate:
    """Return what makes the Im2spec of the second workflow, see :func:`im2spec_learner`."""

    def make(patch: Shape, spectrum: int, generator: torch.Generator) -> Surrogate:
        learner = im2spec_learner(patch, spectrum, generator, filters=filters, epochs=epochs, device=device)
        return Im2specSurrogate(learner)

    return make


def spec2im(filters: int, epochs: int, device: str = "cpu") -> MakeSurrogate:
    """Return what makes the Spec2im of the second workflow: `epochs` steps at first, two for each further point."""

    def make(patch: Shape, spectrum: int, generator: torch.Generator) -> Surrogate:
        network = functools.partial(Spec2im, patch, spectrum, filters=filters)
        learner = Learner(network, ADAMW, first=epochs, later=2, generator=generator, device=device)
        return Spec2imSurrogate(learner)

    return make


def careful(
    filters: int, *, epochs: int, later: int, patience: int, weight_decay: float, device: str = "cpu"
) -> MakeSurrogate:
    """Return what makes an Im2spec with early stopping, see :class:`agents.surrogates.careful.CarefulSurrogate`."""

    def make(patch: Shape, spectrum: int, generator: torch.Generator) -> Surrogate:  # noqa: ARG001  its own at each start
        network = functools.partial(Im2spec, patch, spectrum, filters=filters)
        return CarefulSurrogate(
            network, epochs=epochs, later=later, patience=patience, decay=weight_decay, device=device
        )

    return make


def hysteresis(
    filters: int, epochs: int, *, mismatch: str, cycles: float, phase: float, device: str = "cpu"
) -> MakeSurrogate:
    """Return what makes a hysteresis loop as the surrogate, see :class:`agents.surrogates.theory.TheorySurrogate`."""

    def make(patch: Shape, spectrum: int, generator: torch.Generator) -> Surrogate:  # noqa: ARG001  any number of steps
        learner = im2spec_learner(patch, len(PARAMETERS), generator, filters=filters, epochs=epochs, device=device)
        return TheorySurrogate(learner, mismatch=mismatch, cycles=cycles, phase=phase)

    return make


def ensemble(
    *, latent: int, filters: int, first: int, later: int, retrain: float, window: int, device: str = "cpu"
) -> MakeSurrogate:
    """Return what makes the five networks of the first workflow, see :mod:`agents.surrogates.ensemble`."""

    def make(patch: Shape, spectrum: int, generator: torch.Generator) -> Surrogate:
        networks = [
            functools.partial(Im2spec, patch, spectrum, latent, filters, encoder) for encoder in TABLE_1.values()
        ]
        members = [Member(network, generator, window, device) for network in networks]
        return EnsembleSurrogate(members, first=first, later=later, retrain=retrain)

    return make


def error_head(features: int, generator: torch.Generator) -> Learner[ErrorHead]:
    """Return the error predictor of the second workflow: 60 steps at first, 20 for each further point."""
    return Learner(lambda: ErrorHead(features), ADAM, first=60, later=20, generator=generator)


def head_model(features: int, generator: torch.Generator) -> HeadModel:
    """Return the error model of the second workflow, see :func:`error_head`."""
    return HeadModel(error_head(features, generator))


def dropout_model(passes: int) -> MakeErrorModel:
    """Return what makes the same with Monte-Carlo dropout over so many passes."""
    return lambda features, generator: DropoutModel(error_head(features, generator), passes)


def fresh_model(features: int, epochs: int) -> MakeErrorModel:
    """Return what makes the error model of the first workflow: a new network of `epochs` steps at each training."""

    def head(generator: torch.Generator) -> Learner[ErrorHead]:
        return Learner(lambda: ErrorHead(features), ADAM, first=epochs, later=0, generator=generator)

    return lambda features, generator: FreshModel(head)  # noqa: ARG005  made at each training


def decaying(decay: float) -> Acquisition:
    """Return the acquisition of the second workflow, :func:`agents.acquisition.decaying_exploration`."""
    return lambda parts, used: decaying_exploration(parts["predicted_error"], parts["exploration"], used, decay)


def decaying_with_spread(decay: float, weight: float, *, fading: bool) -> Acquisition:
    """Return the same with the spread of the predicted error: `fading` with the exploration, or in all of the run."""

    def acquisition(parts: Parts, used: float) -> Values:
        unsure = weight * parts["spread"]
        exploration = parts["exploration"] + (unsure if fading else 0.0)
        score = decaying_exploration(parts["predicted_error"], exploration, used, decay)
        return score + (0.0 if fading else unsure)

    return acquisition


def away_from(beta: float, sharpness: float) -> Acquisition:
    """Return the acquisition of the first workflow, :func:`agents.acquisition.curious_or_conservative`."""
    return lambda parts, _: curious_or_conservative(parts["predicted_error"], beta, sharpness)
