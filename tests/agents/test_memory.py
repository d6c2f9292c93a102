"""What was freed goes back to the system, and nothing else changes."""

import ctypes
import sys

import numpy as np
import pytest

from agents import memory
from benchmarks.memory import resident

glibc = pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="this computer has no glibc"
)


@glibc
def test_freed_memory_that_the_c_library_keeps_is_given_back():
    blocks = [np.ones(100_000 // 8) for _ in range(4000)]  # 100 kB each: below what glibc maps by itself
    kept = blocks[-1]  # above all others, so that glibc cannot give them back by itself
    del blocks
    before = resident()
    memory.give_back()
    assert before - resident() > 300
    assert kept.sum() == len(kept)


def test_without_such_a_library_nothing_is_done(monkeypatch):
    monkeypatch.setattr(memory, "_trim", lambda: None)
    memory.give_back()
