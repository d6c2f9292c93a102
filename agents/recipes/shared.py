"""What recipes share: networks with the optimizers and epochs of the authors' code, and the acquisition."""

import functools
from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from agents.acquisition import decaying_exploration
from agents.error_models import HeadModel
from agents.learner import Learner
from agents.models.error_head import ErrorHead
from agents.models.im2spec import Im2spec
from agents.surrogates import Shape

Parts = Mapping[str, NDArray[np.float64]]
"""The ingredients of a score by name, each (N,)."""

ADAMW = functools.partial(torch.optim.AdamW, lr=1e-3)
ADAM = functools.partial(torch.optim.Adam, lr=1e-2)


def im2spec(filters: int, epochs: int) -> Callable[[Shape, int, torch.Generator], Learner[Im2spec]]:
    """Return how the Im2spec of the second workflow is made: `epochs` steps at first, two for each further point."""

    def make(patch: Shape, spectrum: int, generator: torch.Generator) -> Learner[Im2spec]:
        return Learner(
            lambda: Im2spec(patch, spectrum, filters=filters), ADAMW, first=epochs, later=2, generator=generator
        )

    return make


def error_head(features: int, generator: torch.Generator) -> Learner[ErrorHead]:
    """Return the error predictor of the second workflow: 60 steps at first, 20 for each further point."""
    return Learner(lambda: ErrorHead(features), ADAM, first=60, later=20, generator=generator)


def error_model(features: int, generator: torch.Generator) -> HeadModel:
    """Return the same as an error model."""
    return HeadModel(error_head(features, generator))


def decaying(decay: float) -> Callable[[Parts, float], NDArray[np.float64]]:
    """Return the acquisition of the second workflow, :func:`agents.acquisition.decaying_exploration`."""

    def acquisition(parts: Parts, used: float) -> NDArray[np.float64]:
        return decaying_exploration(parts["predicted_error"], parts["exploration"], used, decay)

    return acquisition
