"""Deep-kernel learning of one number for each spectrum: the method that curiosity is an answer to.

Wilson et al., *Deep kernel learning*, AISTATS 2016. A network embeds the patch in a few dimensions, where a Gaussian
process predicts the number; both are trained together. The method never looks for what the number leaves out.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import gpytorch
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agents.acquisition import expected_improvement
from agents.models.layers import create, dense
from agents.protocols import Context, Observation, Pool, Record, Report, Suggestion
from agents.scaling import Scaling
from agents.threaded import ThreadedAgent
from agents.training import to_arrays, to_tensors

Values = NDArray[np.float64]

TRAINED_WITH = 256
"""Most measured points to train with, a random sample: training costs the third power of their number."""

TARGETS: Mapping[str, Callable[[Values], Values]] = {
    "mean": lambda spectra: spectra.mean(axis=1),
    "range": lambda spectra: np.ptp(spectra, axis=1),
}
"""What can be learned of spectra (n, K): one number for each, (n,)."""


class DeepKernel(gpytorch.models.ExactGP):
    """A Gaussian process over the embedding of flattened patches (n, C·h·w)."""

    def __init__(self, patches: Tensor, targets: Tensor, embedding: nn.Module) -> None:
        super().__init__(patches, targets, gpytorch.likelihoods.GaussianLikelihood())
        self.embedding = embedding
        self.mean = gpytorch.means.ConstantMean()
        self.kernel = gpytorch.kernels.ScaleKernel(gpytorch.kernels.RBFKernel())

    def forward(self, patches: Tensor) -> gpytorch.distributions.MultivariateNormal:
        """(n, C·h·w) → a normal distribution of n numbers."""
        latent = self.embedding(patches)  # (n, L)
        return gpytorch.distributions.MultivariateNormal(self.mean(latent), self.kernel(latent))


class DeepKernelAgent(ThreadedAgent):
    """Learns one number of each spectrum from the patch, and measures where it may be largest or is least known.

    Parameters
    ----------
    config : mapping
        With ``seed``, ``initial``, ``threads``, ``target`` (see :data:`TARGETS`), ``acquisition``
        (``"expected-improvement"`` or ``"uncertainty"``), ``embedding``, ``epochs`` and ``later_epochs``.
    """

    @dataclass
    class Memory(ThreadedAgent.Memory):
        """Scaling of the first image's patches, and weights and loss of the last training."""

        patch_scaling: Scaling | None = None
        weights: Mapping[str, Any] | None = None
        loss: float = float("nan")

    memory: Memory
    parts = ("mean", "spread")
    losses = ("surrogate",)

    def learn(self, record: Record) -> None:
        """Train with everything learned so far, after the initial points."""
        if isinstance(record, Pool) and self.memory.patch_scaling is None:
            self.memory.patch_scaling = Scaling.of(record.patches, axis=(0, 2, 3))
        elif isinstance(record, Observation) and self.memory.learned >= self.config["initial"]:
            self._train()
            self.forget("_belief")

    def choose(self, n: int, context: Context) -> list[Suggestion]:
        """Return random candidates until enough were measured, then those with the largest score."""
        free = self.available(context)
        if self.memory.weights is None:
            numbers = self.numbers("initial", self.memory.learned, len(context.pending))
            unknown = dict.fromkeys(self.parts, float("nan"))
            chosen = numbers.choice(free, n, replace=False)
            return [Suggestion(int(index), "initial", parts=unknown) for index in chosen]
        mean, spread = self._belief
        score = self._score(mean, spread)
        chosen = free[np.argsort(-score[free], kind="stable")[:n]]
        phase = str(self.config["acquisition"])
        return [
            Suggestion(int(i), phase, float(score[i]), {"mean": float(mean[i]), "spread": float(spread[i])})
            for i in chosen
        ]

    def believe(self, context: Context | None) -> Report:
        """Return the loss and maps of the number's ``mean`` and ``spread``, with a `context` also of the ``score``."""
        losses = {"surrogate": self.memory.loss}
        if self.memory.weights is None:
            return Report(losses, {}, None)
        mean, spread = self._belief
        maps = {"mean": mean, "spread": spread}
        if context is not None:
            maps["score"] = self._score(mean, spread)
        return Report(losses, {name: values.astype(np.float32) for name, values in maps.items()}, None)

    def _train(self) -> None:
        """Train network and process together with everything learned so far, from where they were."""
        model, _ = self._model()
        epochs = self.config["epochs"] if self.memory.weights is None else self.config["later_epochs"]
        model.train()
        objective = gpytorch.mlls.ExactMarginalLogLikelihood(model.likelihood, model)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        with _exactly():
            for _ in range(epochs):
                optimizer.zero_grad()
                loss = -objective(model(*model.train_inputs), model.train_targets)
                loss.backward()
                optimizer.step()
                self.memory.loss = loss.item()
        self.memory.weights = to_arrays(model.state_dict())

    @cached_property
    def _belief(self) -> tuple[Values, Values]:
        """Mean and standard deviation of the number at each candidate, both (N,)."""
        model, scaling = self._model()
        model.eval()
        with torch.no_grad(), _exactly():
            normal = model(torch.from_numpy(self._candidates).flatten(start_dim=1))
            mean, spread = normal.mean, normal.variance.clamp_min(1e-12).sqrt()
        half = (scaling.high - scaling.low) / 2  # (1,)
        return scaling.restore(mean.numpy()).astype(np.float64), spread.double().numpy() * half

    @cached_property
    def _candidates(self) -> NDArray[np.float32]:
        """All patches (N, C, h, w), scaled."""
        if self.memory.patch_scaling is None:
            raise ValueError("expected the first image; its patches set the scale")
        return self.memory.patch_scaling.scale(self.image.patches)

    def _score(self, mean: Values, spread: Values) -> Values:
        if self.config["acquisition"] == "uncertainty":
            return spread
        return expected_improvement(mean, spread, float(self._numbers().max()))

    def _model(self) -> tuple[DeepKernel, Scaling]:
        """Return the model with its last weights and what was measured so far, and the scaling of its numbers."""
        count = self.memory.learned
        some = np.sort(self.numbers("training set", count).permutation(count)[:TRAINED_WITH])
        patches = torch.from_numpy(self._candidates[self.measured[some]]).flatten(start_dim=1)  # (n, C·h·w)
        scaling = Scaling.of(self._numbers(), axis=(0,))
        targets = torch.from_numpy(scaling.scale(self._numbers()[some]))
        widths = patches.shape[1], 64, 64, self.config["embedding"]
        embedding = create(lambda: dense(*widths), self.generator("embedding"))
        model = DeepKernel(patches, targets, embedding)
        if self.memory.weights is not None:
            model.load_state_dict(to_tensors(self.memory.weights))
        return model, scaling

    def _numbers(self) -> Values:
        """Return the number of each measured spectrum, (n,)."""
        spectra = np.stack([np.asarray(observation.spectrum) for observation in self.learned])
        return np.asarray(TARGETS[self.config["target"]](spectra))


@contextmanager
def _exactly() -> Iterator[None]:
    """Let gpytorch decompose matrices; its faster methods draw from the global random numbers."""
    settings = gpytorch.settings
    with (
        settings.fast_computations(covar_root_decomposition=False, log_prob=False, solves=False),
        settings.max_cholesky_size(1_000_000),
    ):
        yield
