"""Deep-kernel learning of one number for each spectrum: the method that curiosity is an answer to.

Wilson et al., *Deep kernel learning*, AISTATS 2016. A network embeds the patch in a few dimensions, a Gaussian process
over them predicts the number; both are trained together. What the number leaves out is never looked for.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import gpytorch
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agents.acquisition import expected_improvement
from agents.models.layers import create, dense
from agents.protocols import Config, Context, Observation, Pool, Record, Report, Suggestion
from agents.scaling import Scaling
from agents.threaded import ThreadedAgent
from agents.training import to_arrays, to_tensors

Values = NDArray[np.float64]

TRAINED_WITH = 256
"""As many measured points at most, random ones of them: training costs the third power of their number."""

TARGETS: Mapping[str, Callable[[Values], Values]] = {
    "mean": lambda spectra: spectra.mean(axis=1),
    "range": lambda spectra: np.ptp(spectra, axis=1),
}
"""What may be learned of spectra (n, K): one number for each, (n,)."""


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

    parts = ("mean", "spread")
    losses = ("surrogate",)
    snapshot: ClassVar[tuple[str, ...]] = (
        *ThreadedAgent.snapshot, "_learned", "_candidates", "_patch_scaling", "_loss",
    )  # fmt: skip

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._learned = 0
        self._candidates = np.empty((0, 0, 0, 0), dtype=np.float32)  # all patches (N, C, h, w), scaled
        self._patch_scaling: Scaling | None = None
        self._loss = float("nan")
        self._weights: Mapping[str, Any] | None = None  # of the model after its last training
        self._beliefs: tuple[Values, Values] | None = None

    def learn(self, record: Record) -> None:
        """Learn from the next record."""
        if isinstance(record, Pool):
            if self._patch_scaling is None:
                self._patch_scaling = Scaling.of(record.patches, axis=(0, 2, 3))
            self._candidates = self._patch_scaling.scale(record.patches)
            self._beliefs = None
        elif isinstance(record, Observation):
            self._learned += 1
            self._beliefs = None
            if self._learned >= self.config["initial"]:
                self._train()

    def choose(self, n: int, context: Context) -> list[Suggestion]:
        """Return random candidates until enough were measured, then those with the largest score."""
        free = self.available(context)
        if self._weights is None:
            numbers = self.numbers("initial", self._learned, len(context.pending))
            nothing = dict.fromkeys(self.parts, float("nan"))
            return [
                Suggestion(int(index), "initial", parts=nothing) for index in numbers.choice(free, n, replace=False)
            ]
        mean, spread = self._believe()
        score = self._score(mean, spread)
        chosen = free[np.argsort(-score[free], kind="stable")[:n]]
        phase = str(self.config["acquisition"])
        return [
            Suggestion(int(i), phase, float(score[i]), {"mean": float(mean[i]), "spread": float(spread[i])})
            for i in chosen
        ]

    def believe(self, context: Context | None) -> Report:
        """Return the loss and maps of the number's ``mean`` and ``spread``, with a `context` also of the ``score``."""
        losses = {"surrogate": self._loss}
        if self._weights is None:
            return Report(losses, {}, None)
        mean, spread = self._believe()
        maps = {"mean": mean, "spread": spread}
        if context is not None:
            maps["score"] = self._score(mean, spread)
        return Report(losses, {name: values.astype(np.float32) for name, values in maps.items()}, None)

    def state(self) -> Mapping[str, Any]:
        """Return a snapshot for :meth:`load_state`."""
        return {**super().state(), "weights": self._weights}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot of an agent with the same config."""
        super().load_state(state)
        self._weights, self._beliefs = state["weights"], None

    def _train(self) -> None:
        """Train network and process together with everything learned so far, from where they were."""
        model, _ = self._model()
        first = self._weights is None
        model.train()
        objective = gpytorch.mlls.ExactMarginalLogLikelihood(model.likelihood, model)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        with _exactly():
            for _ in range(self.config["epochs"] if first else self.config["later_epochs"]):
                optimizer.zero_grad()
                loss = -objective(model(*model.train_inputs), model.train_targets)
                loss.backward()
                optimizer.step()
                self._loss = loss.item()
        self._weights = to_arrays(model.state_dict())

    def _believe(self) -> tuple[Values, Values]:
        """Return mean and standard deviation of the number at each candidate, both (N,), once after each training."""
        if self._beliefs is None:
            model, scaling = self._model()
            model.eval()
            with torch.no_grad(), _exactly():
                normal = model(torch.from_numpy(self._candidates).flatten(start_dim=1))
                mean, spread = normal.mean, normal.variance.clamp_min(1e-12).sqrt()
            half = (scaling.high - scaling.low) / 2  # (1,)
            self._beliefs = scaling.restore(mean.numpy()).astype(np.float64), spread.double().numpy() * half
        return self._beliefs

    def _score(self, mean: Values, spread: Values) -> Values:
        if self.config["acquisition"] == "uncertainty":
            return spread
        return expected_improvement(mean, spread, float(self._numbers().max()))

    def _model(self) -> tuple[DeepKernel, Scaling]:
        """Return the model with its last weights and what was measured so far, and the scaling of its numbers."""
        some = np.sort(self.numbers("training set", self._learned).permutation(self._learned)[:TRAINED_WITH])
        patches = torch.from_numpy(self._candidates[self.measured[some]]).flatten(start_dim=1)  # (n, C·h·w)
        scaling = Scaling.of(self._numbers(), axis=(0,))
        targets = torch.from_numpy(scaling.scale(self._numbers()[some]))
        widths = patches.shape[1], 64, 64, self.config["embedding"]
        embedding = create(lambda: dense(*widths), self.generator("embedding"))
        model = DeepKernel(patches, targets, embedding)
        if self._weights is not None:
            model.load_state_dict(to_tensors(self._weights))
        return model, scaling

    def _numbers(self) -> Values:
        """Return the number that each measured spectrum stands for, (n,)."""
        spectra = np.stack([np.asarray(observation.spectrum) for observation in self._observations[: self._learned]])
        return np.asarray(TARGETS[self.config["target"]](spectra))


@contextmanager
def _exactly() -> Iterator[None]:
    """Let gpytorch decompose matrices; its faster ways draw from the global random numbers."""
    settings = gpytorch.settings
    with (
        settings.fast_computations(covar_root_decomposition=False, log_prob=False, solves=False),
        settings.max_cholesky_size(1_000_000),
    ):
        yield
