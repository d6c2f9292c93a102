"""The networks of the recipes, with the optimizers and epochs of the authors' code."""

import functools
from collections.abc import Callable

import torch

from agents.error_models import HeadModel
from agents.learner import Learner
from agents.models.error_head import ErrorHead
from agents.models.im2spec import Im2spec
from agents.surrogates import Shape

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
