"""Agents that compute with many threads: they fix how many, because the last bits of a sum depend on it."""

from collections.abc import Sequence

import torch

from agents.base import BaseAgent
from agents.protocols import Context, Report, Suggestion
from agents.training import threads


class ThreadedAgent(BaseAgent):
    """Thinks with the number of threads that its config names.

    A subclass overrides :meth:`choose`, and where it learns also :meth:`learn` and :meth:`believe`.

    Parameters
    ----------
    config : mapping
        With ``seed`` and ``threads``.
    """

    def suggest(self, n: int = 1, context: Context | None = None) -> Sequence[Suggestion]:
        """Return the next `n` distinct places, best first; see :meth:`BaseAgent.suggest`."""
        with threads(self.config["threads"]):
            return super().suggest(n, context)

    def report(self, context: Context | None = None) -> Report:
        """Return losses, maps and predicted spectra for what was ingested so far."""
        with threads(self.config["threads"]):
            self.catch_up()
            return self.believe(context)

    def believe(self, context: Context | None) -> Report:  # noqa: ARG002  for agents that score
        """Return the report; everything ingested has been learned."""
        return Report({}, {}, None)

    def generator(self, purpose: str, *counters: int) -> torch.Generator:
        """Return torch's kind of :meth:`BaseAgent.numbers`."""
        generator = torch.Generator()
        generator.manual_seed(int(self.numbers(purpose, *counters).integers(2**63)))
        return generator
