"""A Gaussian process that measures where it learns most about the whole pool: the strongest baseline."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from agents.process import Features, Kernel, Posterior, leave_one_out
from agents.protocols import Context, Observation, Record, Report, Suggestion
from agents.threaded import ThreadedAgent

CHOSEN_FROM = 128
"""Most observations that choose the kernel, which costs the third power of their number."""

INTEGRATED_OVER = 512
"""Most candidates that stand for the whole pool."""


class GaussianProcessAgent(ThreadedAgent):
    """Measures where a spectrum lowers the integrated variance most; begins with random points.

    The kernel is chosen by leave-one-out each time the number of observations has grown by the square root of two, for
    the last time at 256. From then on, a decision takes a time that is linear in the observations and in the pool.

    Parameters
    ----------
    config : mapping
        With ``seed``, ``initial`` and ``threads``.
    """

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
            due = 2**0.5 * memory.chosen_at <= count <= 2 * CHOSEN_FROM
        if due:
            some = np.sort(self.numbers("leave one out", count).permutation(count)[:CHOSEN_FROM])
            memory.kernel, memory.loss = leave_one_out(self._features, self.measured[some], self._spectra(count)[some])
            memory.chosen_at = count
            self.forget("_as_chosen")

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
            posterior.observe(observation.index, np.asarray(observation.spectrum))
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

    def _spectra(self, count: int) -> NDArray[np.float64]:
        """Return the first `count` spectra, (count, K)."""
        return np.stack([np.asarray(observation.spectrum) for observation in self.learned[:count]])
