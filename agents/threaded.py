"""Agents whose results depend on the number of computing threads, which they therefore fix."""

import functools
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import ThreadpoolController

from agents.base import BaseAgent
from agents.devices import deterministic


class ThreadedAgent(BaseAgent):
    """Thinks with the number of threads that its config names: the last bits of a sum depend on it.

    Parameters
    ----------
    config : mapping
        With ``seed`` and ``threads``.
    """

    @contextmanager
    def thinking(self) -> Iterator[None]:
        """Learn from everything ingested, and let the block ask; both with the agent's number of threads."""
        with threads(self.config["threads"]), deterministic(str(self.config.get("device", "cpu"))), super().thinking():
            yield

    def generator(self, purpose: str, *counters: int) -> torch.Generator:
        """Return what :meth:`BaseAgent.numbers` is for numpy, for torch."""
        generator = torch.Generator()
        generator.manual_seed(int(self.numbers(purpose, *counters).integers(2**63)))
        return generator


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch and the other numerical libraries use `count` threads in this block."""
    before = torch.get_num_threads()
    with _pools(len(sys.modules)).limit(limits=count):
        torch.set_num_threads(count)
        try:
            yield
        finally:
            torch.set_num_threads(before)


@functools.lru_cache(maxsize=1)
def _pools(_: int) -> ThreadpoolController:
    """Return the numerical libraries of this process. To find them takes milliseconds; an import may bring more."""
    return ThreadpoolController()
