"""Curiosity: learn how patches and spectra belong together, learn where that goes wrong, measure there.

An agent of this kind has four slots: a *surrogate* that relates patches and spectra, an *error model* that predicts how
wrong the surrogate is, an *acquisition* that weighs this against novelty, and a *selection*.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from torch import Tensor

from agents.acquisition import inverse_distances, latent_novelty, novelty_of
from agents.error_models import ErrorModel
from agents.models.autoencoder import Autoencoder
from agents.models.layers import create
from agents.protocols import Config, Context, Observation, Pool, Record, Report, Suggestion
from agents.scaling import Scaling
from agents.selection import Selection
from agents.surrogates import Draw, Measured, Prediction, Shape, Surrogate
from agents.threaded import ThreadedAgent
from agents.training import fit, threads, to_arrays, to_tensors

Values = NDArray[np.float64]

Space = Literal["autoencoder", "surrogate"]
"""The latent space of the autoencoder stays as it is; that of the surrogate changes with each training."""


@dataclass(frozen=True)
class Slots:
    """What makes one curious agent differ from another.

    Attributes
    ----------
    surrogate : callable
        (shape of a patch, values of a spectrum, random numbers) → :class:`agents.surrogates.Surrogate`.
    error_model : callable
        (number of features, random numbers) → :class:`agents.error_models.ErrorModel`.
    acquisition : callable
        Takes the parts by name, (N,) each, and the used fraction of the budget; returns the score (N,).
    selection : callable
        See :data:`agents.selection.Selection`.
    parts : tuple of str
        Ingredients of the score: ``predicted_error``, ``exploration`` (see
        :func:`agents.acquisition.latent_novelty`) and whatever else the error model says.
    error_space, exploration_space : Space
        Where the error is predicted from, and where distances are measured.
    """

    surrogate: Callable[[Shape, int, torch.Generator], Surrogate]
    error_model: Callable[[int, torch.Generator], ErrorModel]
    acquisition: Callable[[Mapping[str, Values], float], Values]
    selection: Selection
    parts: tuple[str, ...] = ("predicted_error", "exploration")
    error_space: Space = "autoencoder"
    exploration_space: Space = "surrogate"


@dataclass(frozen=True, eq=False)
class Beliefs:
    """What surrogate and error model say about the whole pool: prediction (N, K), and the score's parts, (N,) each."""

    prediction: NDArray[np.float32] | None
    parts: Mapping[str, Values]


class CuriosityAgent(ThreadedAgent):
    """Measures where its own prediction will probably be wrong.

    The run begins with `initial` points. Then the surrogate is trained, and the error model on the surrogate's error
    at the measured points divided by its mean; after each further observation both are trained a little more.

    Parameters
    ----------
    config : mapping
        With ``seed``, ``initial`` and ``threads``; it may have ``start`` (``"k-means"`` or ``"random"``),
        ``random_probability``, ``error_target`` (``"current"`` or ``"before+after"``) and ``autoencoder_epochs``.
    slots : Slots
        Surrogate, error model, acquisition and selection.
    """

    losses = ("surrogate", "error_model")
    snapshot: ClassVar[tuple[str, ...]] = (
        *ThreadedAgent.snapshot, "_learned", "_losses", "_candidates", "_features", "_centroids",
        "_patch_scaling", "_feature_scaling", "_latent_scaling", "_inverse", "_counted", "_error_width",
    )  # fmt: skip

    def __init__(self, config: Config, slots: Slots) -> None:
        super().__init__(config)
        self.parts = slots.parts
        self._slots = slots
        self._learned = 0
        self._losses: dict[str, float] = dict.fromkeys(self.losses, float("nan"))
        self._candidates = np.empty((0, 0, 0, 0), dtype=np.float32)  # all patches (N, C, h, w), scaled
        self._features = np.empty((0, 0), dtype=np.float32)  # the same in the autoencoder's latent space (N, F), scaled
        self._centroids = np.empty((0, 0), dtype=np.float32)
        self._patch_scaling: Scaling | None = None
        self._feature_scaling: Scaling | None = None  # of the autoencoder's latent space
        self._latent_scaling: Scaling | None = None  # of the surrogate's, after its last training
        self._error_width = 0  # from how many features the error is predicted
        self._inverse = np.empty(0)  # Σ 1/d to measured candidates in the autoencoder's latent space (N,)
        self._counted = 0  # how many of them are in that sum
        self._autoencoder: Autoencoder | None = None
        self._surrogate: Surrogate | None = None
        self._error_model: ErrorModel | None = None
        self._prediction: Prediction | None = None
        self._beliefs: Beliefs | None = None

    def choose(self, n: int, context: Context) -> list[Suggestion]:
        """Return initial points until enough were measured, then the most promising candidates."""
        available = self.available(context)
        beliefs = self._believe()
        if beliefs is None:
            return self._initial(n, available, self._learned + len(context.pending))
        score = self._score(beliefs, context)
        numbers = self.numbers("choice", self._learned, len(context.pending))
        if numbers.random() < self.config.get("random_probability", 0.0):
            phase, chosen = "random", numbers.choice(available, n, replace=False)
        else:
            phase, chosen = "curious", available[self._slots.selection(score[available], n, numbers)]
        return [
            Suggestion(
                int(index),
                phase,
                float(score[index]),
                {name: float(beliefs.parts[name][index]) for name in self.parts},
            )
            for index in chosen
        ]

    def believe(self, context: Context | None) -> Report:
        """Return losses, a map of each part and with a `context` of the ``score``, and the predicted spectra."""
        beliefs = self._believe()
        if beliefs is None:
            return Report(dict(self._losses), {}, None)
        maps = dict(beliefs.parts)
        if context is not None:
            maps["score"] = self._score(beliefs, context)
        return Report(
            dict(self._losses), {name: values.astype(np.float32) for name, values in maps.items()}, beliefs.prediction
        )

    def latent(self) -> NDArray[np.float32] | None:
        """Return the surrogate's latent coordinates (N, L) of all candidates; None if it has none, or none yet."""
        with threads(self.config["threads"]):
            self.catch_up()
            latent = None if self._surrogate is None else self._predict(self._surrogate).latent
        return None if latent is None else latent.numpy()

    def learn(self, record: Record) -> None:
        """Learn from the next record."""
        if isinstance(record, Pool):
            self._see(record)
            self._prediction = self._beliefs = None
        elif isinstance(record, Observation):
            self._learned += 1
            self._beliefs = None
            if self._learned >= self.config["initial"]:
                self._train()

    def state(self) -> Mapping[str, Any]:
        """Return a snapshot for :meth:`load_state`."""
        return {
            **super().state(),
            "autoencoder": to_arrays(self._autoencoder.state_dict()) if self._autoencoder else None,
            "surrogate": self._surrogate.state() if self._surrogate else None,
            "error_model": self._error_model.state() if self._error_model else None,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot of an agent with the same config."""
        super().load_state(state)
        self._autoencoder = self._surrogate = self._error_model = self._prediction = self._beliefs = None
        if state["autoencoder"] is not None:
            self._autoencoder = create(lambda: Autoencoder(self._patch_shape), torch.Generator())
            self._autoencoder.load_state_dict(to_tensors(state["autoencoder"]))
        if state["surrogate"] is not None:
            self._surrogate = self._make_surrogate()
            self._surrogate.load_state(state["surrogate"])
        if state["error_model"] is not None:
            self._error_model = self._make_error_model(self._error_width)
            self._error_model.load_state(state["error_model"])

    def _see(self, pool: Pool) -> None:
        """Scale the patches; learn from the first image which of them are alike."""
        if self._patch_scaling is None:
            if self.config["initial"] > len(pool):
                raise ValueError(
                    f"the agent starts from {self.config['initial']} initial points, but the pool has {len(pool)} "
                    "candidates; lower the option initial or choose a smaller stride"
                )
            self._patch_scaling = Scaling.of(pool.patches, axis=(0, 2, 3))
        self._candidates = self._patch_scaling.scale(pool.patches)
        if self._needs_autoencoder:
            self._embed(torch.from_numpy(self._candidates))

    def _embed(self, patches: Tensor) -> None:
        """Give each patch its place in the latent space of an autoencoder that was trained with the first image."""
        first = self._autoencoder is None
        if self._autoencoder is None:
            epochs = self.config.get("autoencoder_epochs", 30)
            self._autoencoder = train_autoencoder(patches, self.generator("autoencoder"), epochs)
        latent = self._autoencoder.evaluate(patches).numpy()
        if self._feature_scaling is None:
            self._feature_scaling = Scaling.of(latent, axis=(0,))
        self._features = self._feature_scaling.scale(latent)
        self._inverse, self._counted = np.zeros(len(patches)), 0
        if first and self._start == "k-means":
            clusters = KMeans(
                self.config["initial"], n_init=4, random_state=int(self.numbers("k-means").integers(2**31))
            )
            self._centroids = clusters.fit(self._features).cluster_centers_

    def _initial(self, n: int, available: NDArray[np.int64], already: int) -> list[Suggestion]:
        """Return candidates unlike each other: the next clusters' nearest to the centroid, or random ones."""
        chosen: list[int] = []
        for number in range(already, already + n):
            free = np.setdiff1d(available, chosen)
            if self._start == "k-means":
                centroid = self._centroids[number % len(self._centroids)]
                chosen.append(int(free[((self._features[free] - centroid) ** 2).sum(axis=1).argmin()]))
            else:
                chosen.append(int(self.numbers("initial", number).choice(free)))
        return [Suggestion(index, "initial", parts=dict.fromkeys(self.parts, float("nan"))) for index in chosen]

    def _train(self) -> None:
        """Train surrogate and error model with everything learned so far."""
        observations = self._observations[: self._learned]
        indices = self.measured[: self._learned]
        measured = Measured(
            patches=torch.from_numpy(self._candidates[indices]),
            spectra=np.stack([observation.spectrum for observation in observations]),
            axis=observations[0].axis,
        )
        first = self._surrogate is None
        if self._surrogate is None:
            self._surrogate = self._make_surrogate()
        both = self.config.get("error_target") == "before+after" and not first
        before = self._surrogate.mismatch(measured) if both else torch.zeros(self._learned)
        surrogate_loss = self._surrogate.train(measured, self._draw)
        error = before + self._surrogate.mismatch(measured)
        # Relative to its mean the target stays in place while the surrogate becomes better.
        relative = error / error.mean().clamp_min(torch.finfo(error.dtype).tiny)
        self._prediction = None
        if self._slots.error_space == "surrogate":
            latent = self._predict(self._surrogate).latent
            if latent is None:
                raise ValueError(f"{type(self._surrogate).__name__} has no latent space to predict its error from")
            self._latent_scaling = Scaling.of(latent.numpy(), axis=(0,))
        features = self._error_features(self._surrogate)
        if self._error_model is None:
            self._error_width = features.shape[1]
            self._error_model = self._make_error_model(self._error_width)
        error_loss = self._error_model.train(features[indices], relative, self._draw)
        self._losses = {"surrogate": surrogate_loss, "error_model": error_loss}

    def _believe(self) -> Beliefs | None:
        """Ask surrogate and error model about the whole pool, once after each training; None before the first."""
        if self._surrogate is None or self._error_model is None:
            return None
        if self._beliefs is None:
            parts = dict(self._error_model.predict(self._error_features(self._surrogate), self._draw))
            if "exploration" in self.parts:
                parts["exploration"] = self._novelty(self._surrogate)
            self._beliefs = Beliefs(self._predict(self._surrogate).spectra, parts)
        return self._beliefs

    def _predict(self, surrogate: Surrogate) -> Prediction:
        """Ask the surrogate about the whole pool, once after each training: this costs the most."""
        if self._prediction is None:
            self._prediction = surrogate.predict(torch.from_numpy(self._candidates))
        return self._prediction

    def _error_features(self, surrogate: Surrogate) -> Tensor:
        """Return what the error of each candidate is predicted from, (N, F)."""
        if self._slots.error_space == "autoencoder":
            return torch.from_numpy(self._features)
        latent = self._predict(surrogate).latent
        if latent is None or self._latent_scaling is None:
            raise ValueError("expected a surrogate that was trained and has a latent space")
        return torch.from_numpy(self._latent_scaling.scale(latent.numpy()))

    def _novelty(self, surrogate: Surrogate) -> Values:
        """Return how far each candidate is from all measured ones, (N,), of mean 1."""
        measured = self.measured[: self._learned]
        if self._slots.exploration_space == "surrogate":
            latent = self._predict(surrogate).latent
            if latent is None:
                raise ValueError(f"{type(surrogate).__name__} has no latent space to explore")
            return latent_novelty(latent.double().numpy(), measured)
        features = self._features.astype(np.float64)
        for number in range(self._counted, self._learned):
            # One column at a time, so that the last bits do not depend on how often the agent was asked.
            self._inverse = self._inverse + inverse_distances(features, measured[number : number + 1])
        self._counted = self._learned
        return novelty_of(self._inverse, self._learned)

    def _score(self, beliefs: Beliefs, context: Context) -> Values:
        initial = self.config["initial"]
        fraction = (self._learned - initial) / max(context.budget - initial, 1)
        return self._slots.acquisition(beliefs.parts, min(fraction, 1.0))

    def _make_surrogate(self) -> Surrogate:
        steps = len(self._observations[0].spectrum)
        return self._slots.surrogate(self._patch_shape, steps, self.generator("surrogate"))

    def _make_error_model(self, features: int) -> ErrorModel:
        return self._slots.error_model(features, self.generator("error model"))

    @property
    def _start(self) -> str:
        return str(self.config.get("start", "k-means"))

    @property
    def _draw(self) -> Draw:
        """Random numbers for what is done after the last observation learned."""
        return lambda purpose: self.generator(purpose, self._learned)

    @property
    def _needs_autoencoder(self) -> bool:
        used = self._slots.error_space, self._slots.exploration_space if "exploration" in self.parts else ""
        return self._start == "k-means" or "autoencoder" in used

    @property
    def _patch_shape(self) -> Shape:
        channels, height, width = self._candidates.shape[1:]
        return channels, height, width


def train_autoencoder(patches: Tensor, generator: torch.Generator, epochs: int = 30, batch: int = 64) -> Autoencoder:
    """Return an autoencoder trained with `patches` (N, C, h, w), with Adam at a rate of 1e-3."""
    channels, height, width = patches.shape[1:]
    model = create(lambda: Autoencoder((channels, height, width)), generator)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    fit(model, optimizer, patches, patches, epochs=epochs, batch=batch, generator=generator)
    return model
