"""A Gaussian process that measures where it learns most about the whole pool: the strongest simple methods."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from agents.process import Choices, Features, Kernel, Posterior, leave_one_out
from agents.protocols import Config, Context, Observation, Record, Report, Suggestion
from agents.threaded import ThreadedAgent

INTEGRATED_OVER = 512
"""Most candidates that stand for the whole pool."""


class GaussianProcessAgent(ThreadedAgent):
    """Measures where a spectrum lowers the integrated variance most; begins with random points.

    The kernel is chosen by leave-one-out each time the number of observations has grown by a factor, up to a number.
    From then on, a decision takes a time that is linear in the observations and in the pool.

    Parameters
    ----------
    config : mapping
        With ``seed``, ``initial``, ``threads`` and, if spectra are reduced to principal components, ``scores``: the
        number of these.
    choices : Choices
        The kernels to choose from.
    """

    def __init__(self, config: Config, choices: Choices) -> None:
        super().__init__(config)
        self.choices = choices

    @dataclass
    class Memory(ThreadedAgent.Memory):
        """Kernel, the number of observations when it was chosen, and its leave-one-out error."""

        kernel: Kernel | None = None
        chosen_at: int = 0
        loss: float = float("nan")

    memory: Memory
    parts = ("variance",)
    losses = ("leave_one_out",)

    def learn(self, record: Record) -> None:
        """Choose the kernel again if it is time."""
        if not isinstance(record, Observation):
            return
        memory, count = self.memory, self.memory.learned
        if memory.kernel is None:
            due = count >= int(self.config["initial"])
        else:
            due = self.choices.growth * memory.chosen_at <= count <= 2 * self.choices.most
        if due:
            some = np.sort(self.numbers("leave one out", count).permutation(count)[: self.choices.most])
            memory.chosen_at = count
            self.forget("_as_chosen", "_basis")
            spectra = self._spectra(count)[some]
            memory.kernel, memory.loss = leave_one_out(self._features, self.measured[some], spectra, self.choices)

    def choose(self, n: int, context: Context) -> list[Suggestion]:
        """Return random candidates until enough were measured, then the most informative ones, one after the other."""
        free = self.available(context)
        if self.memory.kernel is None:
            numbers = self.numbers("initial", self.memory.learned, len(context.pending))
            unknown = dict.fromkeys(self.parts, float("nan"))
            chosen = numbers.choice(free, n, replace=False)
            return [Suggestion(int(index), "initial", parts=unknown) for index in chosen]
        posterior = self._posterior
        if context.pending or n > 1:
            posterior = posterior.branch()
        for index in context.pending:
            posterior.imagine(index)
        suggestions: list[Suggestion] = []
        while True:
            score = posterior.reduction()
            index = int(free[score[free].argmax()])
            parts = {"variance": float(posterior.variance[index])}
            suggestions.append(Suggestion(index, "informative", float(score[index]), parts))
            if len(suggestions) == n:
                return suggestions
            posterior.imagine(index)
            free = free[free != index]

    def believe(self, context: Context | None) -> Report:
        """Return the leave-one-out error, maps of ``variance`` and with a `context` of ``score``, and the spectra."""
        losses = {"leave_one_out": self.memory.loss}
        if self.memory.kernel is None:
            return Report(losses, {}, None)
        posterior = self._posterior
        maps = {"variance": posterior.variance.astype(np.float32)}
        if context is not None:
            maps["score"] = posterior.reduction().astype(np.float32)
        return Report(losses, maps, posterior.mean.astype(np.float32))

    @property
    def _posterior(self) -> Posterior:
        """What all observations learned from say; each one since the kernel was chosen is added by itself."""
        posterior = self._as_chosen
        for observation in self.learned[posterior.count :]:
            posterior.observe(observation.index, self._reduced(np.asarray(observation.spectrum)))
        return posterior

    @cached_property
    def _as_chosen(self) -> Posterior:
        """The posterior of the observations that there were when the kernel was chosen."""
        memory = self.memory
        if memory.kernel is None:
            raise ValueError("expected a kernel; it is chosen after the initial points")
        count, size = memory.chosen_at, len(self.image)
        some = np.sort(self.numbers("integration").permutation(size)[:INTEGRATED_OVER])
        return Posterior(self._features, memory.kernel, self.measured[:count], self._spectra(count), integration=some)

    @cached_property
    def _features(self) -> Features:
        patches = self.image.patches
        return Features(patches.reshape(len(patches), -1).astype(np.float64), self.image.positions)

    @cached_property
    def _basis(self) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """The mean (K,) and the principal components (r, K) of the spectra that there were at the last choice."""
        if "scores" not in self.config:
            return None
        spectra = np.stack([np.asarray(observation.spectrum) for observation in self.learned[: self.memory.chosen_at]])
        mean = spectra.mean(axis=0)
        return mean, np.linalg.svd(spectra - mean, full_matrices=False)[2][: self.config["scores"]]

    def _reduced(self, spectra: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return `spectra` (…, K), less what the principal components do not represent."""
        if self._basis is None:
            return spectra
        mean, directions = self._basis
        return np.asarray(mean + (spectra - mean) @ directions.T @ directions)

    def _spectra(self, count: int) -> NDArray[np.float64]:
        """Return the first `count` spectra, (count, K)."""
        return self._reduced(np.stack([np.asarray(observation.spectrum) for observation in self.learned[:count]]))
