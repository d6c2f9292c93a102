"""Curiosity: learn to predict spectra from patches, learn where that goes wrong, measure there.

An agent of this kind has four slots: a *surrogate* that predicts the spectrum from the patch, an *error model* that
predicts how wrong the surrogate is, an *acquisition* that weighs this against novelty, and a *selection*.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from torch import Tensor

from agents.acquisition import latent_novelty
from agents.base import BaseAgent
from agents.learner import Learner
from agents.models.autoencoder import Autoencoder
from agents.models.error_head import ErrorHead
from agents.models.im2spec import Im2spec
from agents.models.layers import create
from agents.protocols import Config, Context, Observation, Pool, Record, Report, Suggestion
from agents.scaling import Scaling
from agents.selection import Selection
from agents.training import fit, threads, to_arrays, to_tensors

Values = NDArray[np.float64]

Acquisition = Callable[[Values, Values, float], Values]
"""Takes predicted error (N,), novelty (N,) and the used fraction of the budget; returns the score (N,)."""


@dataclass(frozen=True)
class Slots:
    """What makes one curious agent differ from another.

    Attributes
    ----------
    surrogate : callable
        (shape of a patch, values of a spectrum, generator) → the network that predicts spectra.
    error_model : callable
        (number of features, generator) → the network that predicts the surrogate's error.
    acquisition : callable
        See :data:`Acquisition`.
    selection : callable
        See :data:`agents.selection.Selection`.
    """

    surrogate: Callable[[tuple[int, int, int], int, torch.Generator], Learner[Im2spec]]
    error_model: Callable[[int, torch.Generator], Learner[ErrorHead]]
    acquisition: Acquisition
    selection: Selection


@dataclass(frozen=True, eq=False)
class Networks:
    """The two networks of a slotted agent, and the scaling of the spectra they work with."""

    surrogate: Learner[Im2spec]
    error_model: Learner[ErrorHead]
    scaling: Scaling


@dataclass(frozen=True, eq=False)
class Beliefs:
    """What the networks say about the pool: prediction (N, K), latent (N, L), predicted error (N,), novelty (N,)."""

    prediction: NDArray[np.float32]
    latent: NDArray[np.float32]
    predicted_error: Values
    novelty: Values


class CuriosityAgent(BaseAgent):
    """Measures where its own prediction will probably be wrong.

    The run begins with `initial` points. Then the surrogate is trained, and the error model on the surrogate's error
    at the measured points divided by its mean; after each further observation both are trained a little more.

    Parameters
    ----------
    config : mapping
        With ``seed``, ``initial``, ``start`` (``"k-means"`` or ``"random"``), ``random_probability``, ``error_target``
        (``"current"`` or ``"before+after"``) and ``threads``.
    slots : Slots
        Networks, acquisition and selection.
    """

    parts = ("predicted_error", "exploration")
    losses = ("surrogate", "error_model")
    snapshot: ClassVar[tuple[str, ...]] = (
        *BaseAgent.snapshot, "_learned", "_losses", "_candidates", "_features", "_centroids",
        "_patch_scaling", "_feature_scaling",
    )  # fmt: skip

    def __init__(self, config: Config, slots: Slots) -> None:
        super().__init__(config)
        self._slots = slots
        self._learned = 0
        self._losses: dict[str, float] = dict.fromkeys(self.losses, float("nan"))
        self._candidates = np.empty((0, 0, 0, 0), dtype=np.float32)  # all patches (N, C, h, w), scaled
        self._features = np.empty((0, 0), dtype=np.float32)  # the same in the autoencoder's latent space (N, F), scaled
        self._centroids = np.empty((0, 0), dtype=np.float32)
        self._patch_scaling: Scaling | None = None
        self._feature_scaling: Scaling | None = None
        self._autoencoder: Autoencoder | None = None
        self._networks: Networks | None = None
        self._beliefs: Beliefs | None = None

    def suggest(self, n: int = 1, context: Context | None = None) -> Sequence[Suggestion]:
        """Return the next `n` distinct places, best first; see :meth:`BaseAgent.suggest`."""
        with threads(self.config["threads"]):
            return super().suggest(n, context)

    def report(self, context: Context | None = None) -> Report:
        """Return losses, maps ``predicted_error``, ``exploration`` and ``score``, and the predicted spectra."""
        with threads(self.config["threads"]):
            self.catch_up()
            if self._networks is None:
                return Report(dict(self._losses), {}, None)
            beliefs = self._believe(self._networks)
        maps = {"predicted_error": beliefs.predicted_error, "exploration": beliefs.novelty}
        if context is not None:
            maps["score"] = self._score(beliefs, context)
        return Report(
            dict(self._losses), {name: values.astype(np.float32) for name, values in maps.items()}, beliefs.prediction
        )

    def latent(self) -> NDArray[np.float32] | None:
        """Return the surrogate's latent coordinates (N, L) of all candidates; None before the first training."""
        with threads(self.config["threads"]):
            self.catch_up()
            return None if self._networks is None else self._believe(self._networks).latent

    def choose(self, n: int, context: Context) -> list[Suggestion]:
        """Return initial points until enough were measured, then the most promising candidates."""
        available = self.available(context)
        if self._networks is None:
            return self._initial(n, available, self._learned + len(context.pending))
        beliefs = self._believe(self._networks)
        score = self._score(beliefs, context)
        numbers = self.numbers("choice", self._learned, len(context.pending))
        if numbers.random() < self.config["random_probability"]:
            phase, chosen = "random", numbers.choice(available, n, replace=False)
        else:
            phase, chosen = "curious", available[self._slots.selection(score[available], n, numbers)]
        return [
            Suggestion(
                int(index),
                phase,
                float(score[index]),
                {
                    "predicted_error": float(beliefs.predicted_error[index]),
                    "exploration": float(beliefs.novelty[index]),
                },
            )
            for index in chosen
        ]

    def learn(self, record: Record) -> None:
        """Learn from the next record."""
        if isinstance(record, Pool):
            self._see(record)
            self._beliefs = None
        elif isinstance(record, Observation):
            self._learned += 1
            self._beliefs = None
            if self._learned >= self.config["initial"]:
                self._train()

    def state(self) -> Mapping[str, Any]:
        """Return a snapshot for :meth:`load_state`."""
        networks = self._networks
        return {
            **super().state(),
            "autoencoder": to_arrays(self._autoencoder.state_dict()) if self._autoencoder else None,
            "surrogate": networks.surrogate.state() if networks else None,
            "error_model": networks.error_model.state() if networks else None,
            "spectrum_scaling": networks.scaling if networks else None,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot of an agent with the same config."""
        super().load_state(state)
        self._autoencoder = self._networks = self._beliefs = None
        if state["autoencoder"] is not None:
            self._autoencoder = create(lambda: Autoencoder(self._patch_shape), torch.Generator())
            self._autoencoder.load_state_dict(to_tensors(state["autoencoder"]))
        if state["spectrum_scaling"] is not None:
            self._networks = self._make_networks(state["spectrum_scaling"])
            self._networks.surrogate.load_state(state["surrogate"])
            self._networks.error_model.load_state(state["error_model"])

    def _see(self, pool: Pool) -> None:
        """Scale the patches; learn from the first image which of them are alike."""
        first = self._autoencoder is None
        if first and self.config["initial"] > len(pool):
            raise ValueError(
                f"the agent starts from {self.config['initial']} initial points, but the pool has {len(pool)} "
                "candidates; lower the option initial or choose a smaller stride"
            )
        if self._patch_scaling is None:
            self._patch_scaling = Scaling.of(pool.patches, axis=(0, 2, 3))
        self._candidates = self._patch_scaling.scale(pool.patches)
        patches = torch.from_numpy(self._candidates)
        if self._autoencoder is None:
            self._autoencoder = train_autoencoder(patches, self._generator("autoencoder"))
        latent = self._autoencoder.evaluate(patches).numpy()
        if self._feature_scaling is None:
            self._feature_scaling = Scaling.of(latent, axis=(0,))
        self._features = self._feature_scaling.scale(latent)
        if first and self.config["start"] == "k-means":
            clusters = KMeans(
                self.config["initial"], n_init=4, random_state=int(self.numbers("k-means").integers(2**31))
            )
            self._centroids = clusters.fit(self._features).cluster_centers_

    def _initial(self, n: int, available: NDArray[np.int64], already: int) -> list[Suggestion]:
        """Return candidates unlike each other: the next clusters' nearest to the centroid, or random ones."""
        chosen: list[int] = []
        for number in range(already, already + n):
            free = np.setdiff1d(available, chosen)
            if self.config["start"] == "k-means":
                centroid = self._centroids[number % len(self._centroids)]
                chosen.append(int(free[((self._features[free] - centroid) ** 2).sum(axis=1).argmin()]))
            else:
                chosen.append(int(self.numbers("initial", number).choice(free)))
        return [Suggestion(index, "initial", parts=dict.fromkeys(self.parts, float("nan"))) for index in chosen]

    def _train(self) -> None:
        """Train surrogate and error model with everything learned so far."""
        measured = self.measured[: self._learned]
        spectra = np.stack([observation.spectrum for observation in self._observations[: self._learned]])
        first = self._networks is None
        if self._networks is None:
            self._networks = self._make_networks(Scaling.keeping_zero(spectra))
        surrogate, error_model = self._networks.surrogate, self._networks.error_model
        patches = torch.from_numpy(self._candidates[measured])
        targets = torch.from_numpy(self._networks.scaling.scale(spectra))

        def errors() -> Tensor:
            return ((surrogate.model.evaluate(patches)[0] - targets) ** 2).mean(dim=1)

        both = self.config["error_target"] == "before+after" and not first
        before = errors() if both else torch.zeros(self._learned)
        surrogate_loss = surrogate.train(patches, targets, self._generator("surrogate", self._learned))
        error = before + errors()
        # Relative to its mean the target stays in place while the surrogate becomes better.
        relative = error / error.mean().clamp_min(torch.finfo(error.dtype).tiny)
        features = torch.from_numpy(self._features[measured])
        error_loss = error_model.train(features, relative, self._generator("error model", self._learned))
        self._losses = {"surrogate": surrogate_loss, "error_model": error_loss}

    def _believe(self, networks: Networks) -> Beliefs:
        """Evaluate both networks over the pool, once after each training."""
        if self._beliefs is None:
            scaled, latent = networks.surrogate.model.evaluate(torch.from_numpy(self._candidates))
            error = networks.error_model.model.evaluate(torch.from_numpy(self._features))
            self._beliefs = Beliefs(
                prediction=networks.scaling.restore(scaled.numpy()),
                latent=latent.numpy(),
                predicted_error=error.double().numpy(),
                novelty=latent_novelty(latent.double().numpy(), self.measured[: self._learned]),
            )
        return self._beliefs

    def _score(self, beliefs: Beliefs, context: Context) -> Values:
        initial = self.config["initial"]
        fraction = (self._learned - initial) / max(context.budget - initial, 1)
        return self._slots.acquisition(beliefs.predicted_error, beliefs.novelty, min(fraction, 1.0))

    def _make_networks(self, scaling: Scaling) -> Networks:
        steps = len(self._observations[0].spectrum)
        return Networks(
            surrogate=self._slots.surrogate(self._patch_shape, steps, self._generator("surrogate")),
            error_model=self._slots.error_model(self._features.shape[1], self._generator("error model")),
            scaling=scaling,
        )

    @property
    def _patch_shape(self) -> tuple[int, int, int]:
        channels, height, width = self._candidates.shape[1:]
        return channels, height, width

    def _generator(self, purpose: str, *counters: int) -> torch.Generator:
        generator = torch.Generator()
        generator.manual_seed(int(self.numbers(purpose, *counters).integers(2**63)))
        return generator


def train_autoencoder(patches: Tensor, generator: torch.Generator, epochs: int = 30, batch: int = 64) -> Autoencoder:
    """Return an autoencoder trained with `patches` (N, C, h, w), with Adam at a rate of 1e-3."""
    channels, height, width = patches.shape[1:]
    model = create(lambda: Autoencoder((channels, height, width)), generator)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    fit(model, optimizer, patches, patches, epochs=epochs, batch=batch, generator=generator)
    return model
