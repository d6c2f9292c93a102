"""Curiosity: learn the relation of patches and spectra, learn where it fails, measure there.

An agent of this kind has four slots: a *surrogate* that relates patches and spectra, an *error model* that predicts how
wrong the surrogate is, an *acquisition* that weighs this against novelty, and a *selection*.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from torch import Tensor

from agents.acquisition import RunningNovelty, latent_novelty
from agents.devices import check_device
from agents.error_models import ErrorModel
from agents.memory import sparing
from agents.models.autoencoder import Autoencoder, train_autoencoder
from agents.models.layers import create
from agents.protocols import Config, Context, Observation, Pool, Record, Report, Suggestion
from agents.scaling import Scaling
from agents.selection import Selection
from agents.surrogates import Draw, Measured, Prediction, Shape, Surrogate
from agents.threaded import ThreadedAgent
from agents.training import to_arrays, to_tensors

Values = NDArray[np.float64]

Parts = Mapping[str, Values]
"""The ingredients of a score by name, each (N,)."""

MakeSurrogate = Callable[[Shape, int, torch.Generator], Surrogate]
"""(shape of a patch, values of a spectrum, random numbers) → surrogate."""

MakeErrorModel = Callable[[int, torch.Generator], ErrorModel]
"""(number of features, random numbers) → error model."""

Acquisition = Callable[[Parts, float], Values]
"""(parts, used fraction of the budget) → score (N,)."""

Space = Literal["autoencoder", "surrogate"]
"""The autoencoder's latent space stays as it is; the surrogate's changes with each training."""

State = Mapping[str, Any]


@dataclass(frozen=True)
class Slots:
    """What makes one curious agent differ from another.

    Attributes
    ----------
    surrogate, error_model, acquisition, selection : callable
        See :data:`MakeSurrogate`, :data:`MakeErrorModel`, :data:`Acquisition`, :data:`agents.selection.Selection`.
    parts : tuple of str
        Ingredients of the score: ``predicted_error``, ``exploration`` (see
        :func:`agents.acquisition.latent_novelty`) and any other that the error model returns.
    error_space, exploration_space : Space
        Where the error is predicted from, and where distances are measured.
    """

    surrogate: MakeSurrogate
    error_model: MakeErrorModel
    acquisition: Acquisition
    selection: Selection
    parts: tuple[str, ...] = ("predicted_error", "exploration")
    error_space: Space = "autoencoder"
    exploration_space: Space = "surrogate"


class CuriosityAgent(ThreadedAgent):
    """Measures where its own prediction will probably be wrong.

    The run begins with `initial` points. Then the surrogate is trained, and the error model on the surrogate's error
    at the measured points divided by its mean; after each further observation both are trained a little more.

    Parameters
    ----------
    config : mapping
        With ``seed``, ``initial`` and ``threads``; it may have ``start`` (``"k-means"`` or ``"random"``),
        ``random_probability``, ``error_target`` (``"current"`` or ``"before+after"``), ``autoencoder_epochs`` and
        ``device``, see :mod:`agents.devices`.
    slots : Slots
        Surrogate, error model, acquisition and selection.
    """

    @dataclass
    class Memory(ThreadedAgent.Memory):
        """What was learned of the first image, and the networks after their last training.

        Attributes
        ----------
        patch_scaling, feature_scaling : Scaling
            Of the first image's patches, and of their coordinates in the autoencoder's latent space.
        latent_scaling : Scaling
            Of the surrogate's latent space, after its last training.
        centroids : (initial, F)
            Of the clusters that begin the run.
        autoencoder, surrogate, error_model : mapping
            States.
        losses : mapping
            Of the last training.
        """

        patch_scaling: Scaling | None = None
        feature_scaling: Scaling | None = None
        latent_scaling: Scaling | None = None
        centroids: NDArray[np.floating] | None = None
        autoencoder: State | None = None
        surrogate: State | None = None
        error_model: State | None = None
        losses: dict[str, float] = field(default_factory=dict)

    memory: Memory
    losses = ("surrogate", "error_model")

    def __init__(self, config: Config, slots: Slots) -> None:
        check_device(str(config.get("device", "cpu")))
        super().__init__(config)
        self.parts = slots.parts
        self._slots = slots

    def choose(self, n: int, context: Context) -> list[Suggestion]:
        """Return initial points until enough were measured, then the most promising candidates."""
        available = self.available(context)
        if not self._trained:
            return self._initial(n, available, self.memory.learned + len(context.pending))
        score = self._score(context)
        numbers = self.numbers("choice", self.memory.learned, len(context.pending))
        if numbers.random() < self.config.get("random_probability", 0.0):
            phase, chosen = "random", numbers.choice(available, n, replace=False)
        else:
            phase, chosen = "curious", available[self._slots.selection(score[available], n, numbers)]
        return [
            Suggestion(
                int(index),
                phase,
                float(score[index]),
                {name: float(self._part_maps[name][index]) for name in self.parts},
            )
            for index in chosen
        ]

    def believe(self, context: Context | None) -> Report:
        """Return losses, a map of each part and with a `context` of the ``score``, and the predicted spectra."""
        losses = {name: self.memory.losses.get(name, float("nan")) for name in self.losses}
        if not self._trained:
            return Report(losses, {}, None)
        maps = dict(self._part_maps)
        if context is not None:
            maps["score"] = self._score(context)
        small = {name: values.astype(np.float32) for name, values in maps.items()}
        return Report(losses, small, self._prediction.spectra)

    def latent(self) -> NDArray[np.float32] | None:
        """Return the surrogate's latent coordinates (N, L) of all candidates; None if it has none, or none yet."""
        with self.thinking():
            latent = self._prediction.latent if self._trained else None
        return None if latent is None else latent.numpy()

    def learn(self, record: Record) -> None:
        """Learn from the first image what patches are alike; train after each observation, once there are enough."""
        if isinstance(record, Pool) and self.memory.patch_scaling is None:
            self._see(record)
        elif isinstance(record, Observation):
            self.forget("_part_maps")
            if self.memory.learned >= self.config["initial"]:
                with sparing():
                    self._train()

    def _see(self, pool: Pool) -> None:
        initial = self.config["initial"]
        if initial > len(pool):
            raise ValueError(
                f"the agent starts from {initial} initial points, but the pool has {len(pool)} candidates; lower the "
                "option initial or choose a smaller stride"
            )
        memory = self.memory
        memory.patch_scaling = Scaling.of(pool.patches, axis=(0, 2, 3))
        by_clusters = self._start == "k-means"
        novelty_space = self._slots.exploration_space if "exploration" in self.parts else None
        if by_clusters or "autoencoder" in (self._slots.error_space, novelty_space):
            epochs = self.config.get("autoencoder_epochs", 30)
            autoencoder = train_autoencoder(
                self._candidates, self.generator("autoencoder"), epochs, device=self._device
            )
            memory.autoencoder = to_arrays(autoencoder.state_dict())
            memory.feature_scaling = Scaling.of(self._embedding, axis=(0,))
        if by_clusters:
            clusters = KMeans(initial, n_init=4, random_state=int(self.numbers("k-means").integers(2**31)))
            memory.centroids = clusters.fit(self._features).cluster_centers_

    def _initial(self, n: int, available: NDArray[np.int64], already: int) -> list[Suggestion]:
        """Return dissimilar candidates: those nearest to the centroids of the next clusters, or random ones."""
        centroids = self.memory.centroids
        chosen: list[int] = []
        for number in range(already, already + n):
            free = np.setdiff1d(available, chosen)
            if centroids is not None:
                centroid = centroids[number % len(centroids)]
                chosen.append(int(free[((self._features[free] - centroid) ** 2).sum(axis=1).argmin()]))
            else:
                chosen.append(int(self.numbers("initial", number).choice(free)))
        return [Suggestion(index, "initial", parts=dict.fromkeys(self.parts, float("nan"))) for index in chosen]

    def _train(self) -> None:
        """Train surrogate and error model with everything learned so far."""
        memory, observations = self.memory, self.learned
        indices = self.measured[: len(observations)]
        measured = Measured(
            patches=self._candidates[indices],
            spectra=np.stack([observation.spectrum for observation in observations]),
            axis=observations[0].axis,
        )
        both = self.config.get("error_target") == "before+after" and self._trained
        before = self._surrogate.mismatch(measured) if both else torch.zeros(len(observations))
        surrogate_loss = self._surrogate.train(measured, self._draw)
        memory.surrogate = self._surrogate.state()
        self.forget("_prediction")
        error = before + self._surrogate.mismatch(measured)
        # Relative to its mean the target stays in place while the surrogate improves.
        relative = error / error.mean().clamp_min(torch.finfo(error.dtype).tiny)
        if self._slots.error_space == "surrogate":
            memory.latent_scaling = Scaling.of(self._latent.numpy(), axis=(0,))
        error_loss = self._error_model.train(self._error_features[indices], relative, self._draw)
        memory.error_model = self._error_model.state()
        memory.losses = {"surrogate": surrogate_loss, "error_model": error_loss}

    def _score(self, context: Context) -> Values:
        initial = self.config["initial"]
        fraction = (self.memory.learned - initial) / max(context.budget - initial, 1)
        return self._slots.acquisition(self._part_maps, min(fraction, 1.0))

    @property
    def _trained(self) -> bool:
        return self.memory.error_model is not None

    @property
    def _start(self) -> str:
        return str(self.config.get("start", "k-means"))

    @property
    def _device(self) -> str:
        return str(self.config.get("device", "cpu"))

    @property
    def _draw(self) -> Draw:
        """Random numbers for what is done after the last observation learned."""
        return lambda purpose: self.generator(purpose, self.memory.learned)

    @property
    def _patch_shape(self) -> Shape:
        channels, height, width = self._candidates.shape[1:]
        return channels, height, width

    @cached_property
    def _candidates(self) -> Tensor:
        """All patches (N, C, h, w), scaled."""
        return torch.from_numpy(_known(self.memory.patch_scaling).scale(self.image.patches))

    @cached_property
    def _embedding(self) -> NDArray[np.float32]:
        """The patches in the latent space of the autoencoder, (N, F)."""
        autoencoder = create(lambda: Autoencoder(self._patch_shape), torch.Generator(), self._device)
        autoencoder.load_state_dict(to_tensors(self.memory.autoencoder))
        return autoencoder.evaluate(self._candidates).numpy()

    @cached_property
    def _features(self) -> NDArray[np.float32]:
        """The same, scaled."""
        return _known(self.memory.feature_scaling).scale(self._embedding)

    @cached_property
    def _surrogate(self) -> Surrogate:
        """The surrogate as it was last trained."""
        steps = len(self.learned[0].spectrum)
        surrogate = self._slots.surrogate(self._patch_shape, steps, self.generator("surrogate"))
        if self.memory.surrogate is not None:
            surrogate.load_state(self.memory.surrogate)
        return surrogate

    @cached_property
    def _error_model(self) -> ErrorModel:
        """The error model as it was last trained."""
        model = self._slots.error_model(self._error_features.shape[1], self.generator("error model"))
        if self.memory.error_model is not None:
            model.load_state(self.memory.error_model)
        return model

    @cached_property
    def _prediction(self) -> Prediction:
        """What the surrogate says about the whole pool; this takes most of the time of a decision."""
        return self._surrogate.predict(self._candidates)

    @cached_property
    def _part_maps(self) -> Parts:
        """What error model and novelty say about the whole pool."""
        parts = dict(self._error_model.predict(self._error_features, self._draw))
        if "exploration" in self.parts:
            parts["exploration"] = self._novelty()
        return parts

    @property
    def _latent(self) -> Tensor:
        latent = self._prediction.latent
        if latent is None:
            raise ValueError(
                f"expected a surrogate with a latent space, got {type(self._surrogate).__name__}; choose the space of "
                "the autoencoder"
            )
        return latent

    @property
    def _error_features(self) -> Tensor:
        """What the error of each candidate is predicted from, (N, F)."""
        if self._slots.error_space == "autoencoder":
            return torch.from_numpy(self._features)
        return torch.from_numpy(_known(self.memory.latent_scaling).scale(self._latent.numpy()))

    def _novelty(self) -> Values:
        """Return the distance of each candidate from all measured ones, (N,), of mean 1."""
        measured = self.measured[: self.memory.learned]
        if self._slots.exploration_space == "surrogate":
            return latent_novelty(self._latent.double().numpy(), measured)
        return self._running_novelty(measured)

    @cached_property
    def _running_novelty(self) -> RunningNovelty:
        return RunningNovelty(self._features.astype(np.float64))


def _known(scaling: Scaling | None) -> Scaling:
    if scaling is None:
        raise ValueError("expected the first image; it sets the scale")
    return scaling
