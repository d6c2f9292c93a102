"""Random numbers that follow from a seed and a purpose, whatever was drawn before."""

import numpy as np


def stream(seed: int, *key: int) -> np.random.Generator:
    """Return the generator for one purpose; its numbers follow from `seed` and `key` alone."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
