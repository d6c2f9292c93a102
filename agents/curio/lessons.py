"""What is learned from prior runs: some of their spectra, each run less a mean of its own."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from agents.protocols import Observation, Past

Values = NDArray[np.float64]

AT_MOST = 512
"""Most spectra of prior runs, drawn evenly from all of these runs."""

MEAN_COUNTS_AS = 3.0
"""The mean spectrum of the runs before counts as this many spectra of the next run."""


def sample(past: Sequence[Past], numbers: Iterable[np.random.Generator]) -> tuple[Past, ...]:
    """Return the prior runs with those of their spectra that are learned from; `numbers` has a generator for each."""
    share = AT_MOST // max(len(past), 1)
    chosen = []
    for run, generator in zip(past, numbers, strict=False):
        some = np.sort(generator.permutation(len(run.observations))[:share])
        chosen.append(replace(run, observations=tuple(run.observations[index] for index in some)))
    return tuple(chosen)


def centre(runs: Iterable[tuple[Sequence[Observation], Values]]) -> tuple[Values, Values]:
    """Return the spectra of all runs, each less the mean of its run, (n, K), and the mean of the last one, (K,).

    The mean of a run begins at that of the run before.

    Parameters
    ----------
    runs : iterable of (observations, inflation)
        Prior runs, then the present one, each with the noise of its spectra relative to that of a good one.
    """
    centred: list[Values] = []
    mean = np.zeros(0)
    for observations, inflation in runs:
        if not observations:
            continue
        spectra = np.array([observation.spectrum for observation in observations], dtype=np.float64)  # (n, K)
        trust = 1 / inflation
        if centred:
            mean = (trust @ spectra + MEAN_COUNTS_AS * mean) / (trust.sum() + MEAN_COUNTS_AS)
        else:
            mean = np.average(spectra, axis=0, weights=trust)
        centred.append(spectra - mean)
    return np.concatenate(centred), mean
