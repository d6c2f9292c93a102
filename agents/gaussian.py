"""A Gaussian process that measures where it learns most about the whole pool: the strongest baseline."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from agents.process import Features, Kernel, Posterior, leave_one_out
from agents.protocols import Config, Context, Observation, Pool, Record, Report, Suggestion
from agents.threaded import ThreadedAgent

CHOSEN_FROM = 128
"""As many observations at most choose the kernel: that costs the third power of their number."""

INTEGRATED_OVER = 512
"""As many candidates at most stand for the whole pool."""


class GaussianProcessAgent(ThreadedAgent):
    """Measures where a spectrum lowers the integrated variance most; begins with random points.

    The kernel is chosen by leave-one-out when the number of observations has grown by the square root of two, for the
    last time at 256: from then on a decision costs a time that is linear in the observations and in the pool.

    Parameters
    ----------
    config : mapping
        With ``seed``, ``initial`` and ``threads``.
    """

    parts = ("variance",)
    losses = ("leave_one_out",)
    snapshot: ClassVar[tuple[str, ...]] = (
        *ThreadedAgent.snapshot,
        "_learned",
        "_seen",
        "_kernel",
        "_chosen_at",
        "_loss",
    )

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._learned = 0
        self._seen: Pool | None = None  # the last image learned; there may be a later one that was not yet
        self._kernel: Kernel | None = None
        self._chosen_at = 0  # how many observations chose the kernel
        self._loss = float("nan")
        self._posterior: Posterior | None = None
        self._features: Features | None = None

    def learn(self, record: Record) -> None:
        """Learn from the next record."""
        if isinstance(record, Pool):
            self._seen = record
            self._features = self._posterior = None
        elif isinstance(record, Observation):
            self._learned += 1
            if self._due:
                self._choose_kernel()
                self._posterior = None
            elif self._posterior is not None:
                self._posterior.observe(record.index, np.asarray(record.spectrum))

    def choose(self, n: int, context: Context) -> list[Suggestion]:
        """Return random candidates until enough were measured, then the most informative ones, one after the other."""
        free = self.available(context)
        if self._kernel is None:
            numbers = self.numbers("initial", self._learned, len(context.pending))
            nothing = dict.fromkeys(self.parts, float("nan"))
            return [
                Suggestion(int(index), "initial", parts=nothing) for index in numbers.choice(free, n, replace=False)
            ]
        posterior = self._fold(self._kernel)
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
        """Return the error of leaving one out, maps of ``variance`` and with a `context` of ``score``, the spectra."""
        losses = {"leave_one_out": self._loss}
        if self._kernel is None:
            return Report(losses, {}, None)
        posterior = self._fold(self._kernel)
        maps = {"variance": posterior.variance.astype(np.float32)}
        if context is not None:
            maps["score"] = posterior.reduction().astype(np.float32)
        return Report(losses, maps, posterior.mean.astype(np.float32))

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot of an agent with the same config."""
        super().load_state(state)
        self._posterior = self._features = None

    @property
    def _due(self) -> bool:
        """Whether there are enough observations to choose the kernel anew."""
        if self._kernel is None:
            return self._learned >= int(self.config["initial"])
        return self._learned >= 2**0.5 * self._chosen_at and self._learned <= 2 * CHOSEN_FROM

    def _choose_kernel(self) -> None:
        numbers = self.numbers("leave one out", self._learned)
        some = np.sort(numbers.permutation(self._learned)[:CHOSEN_FROM])
        self._kernel, self._loss = leave_one_out(self._look(), self.measured[some], self._spectra(self._learned)[some])
        self._chosen_at = self._learned

    def _fold(self, kernel: Kernel) -> Posterior:
        """Return the posterior; after a new kernel, a new image or a restart from the observations, in their order."""
        if self._posterior is None:
            size = len(self.pool)
            some = np.sort(self.numbers("integration").permutation(size)[:INTEGRATED_OVER])
            upto = self._chosen_at
            self._posterior = Posterior(self._look(), kernel, self.measured[:upto], self._spectra(upto), some)
            for observation in self._observations[upto : self._learned]:
                self._posterior.observe(observation.index, np.asarray(observation.spectrum))
        return self._posterior

    def _look(self) -> Features:
        if self._features is None:
            pool = self._seen or self.pool
            patches = pool.patches.reshape(len(pool), -1).astype(np.float64)  # (N, C, h, w) → (N, C·h·w)
            self._features = Features(patches, pool.positions)
        return self._features

    def _spectra(self, count: int) -> NDArray[np.float64]:
        return np.stack([np.asarray(observation.spectrum) for observation in self._observations[:count]])
