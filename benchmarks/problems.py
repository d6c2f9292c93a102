"""A measured sample, or one of the twin, as a pool with all its spectra: the problem that an agent solves."""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agents.pool import automatic_stride, find_candidates, make_pool
from agents.protocols import Pool
from benchmarks.worlds import World
from ophyd_devices.spectrometer import triangle
from ophyd_devices.twin import Ferroelectric, sample_from

TWIN, WORLD = "twin", "world"
TWIN_DEFAULTS = {"seed": 0, "pixels": 64, "steps": 64}


@dataclass(frozen=True, eq=False)
class Problem:
    """A sample with known spectra at all candidates.

    Attributes
    ----------
    name : str
        For tables.
    pool : Pool
        N candidates.
    spectra : (N, K) float64
        A measurement at each candidate.
    truth : (N, K) float64
        The spectra without noise; for a measured sample the same.
    axis : (K,) float64
        The spectral axis.
    """

    name: str
    pool: Pool
    spectra: NDArray[np.float64]
    truth: NDArray[np.float64]
    axis: NDArray[np.float64]


@functools.lru_cache(maxsize=16)
def open_problem(sample: str, window: int, stride: int | None = None) -> Problem:
    """Return the problem that `sample` names.

    Parameters
    ----------
    sample : str
        An npz file with image and spectra (see docs/how-to/measured-sample.md), or ``"twin"``, or
        ``"twin:seed=1,pixels=64,steps=256"``: a synthetic ferroelectric of which every candidate was measured once;
        or ``"world:seed=1"``, see :mod:`benchmarks.worlds`.
    window : int
        Side of a patch in px.
    stride : int, optional
        Distance between candidates in px; by default the smallest that gives at most 2 500.

    Raises
    ------
    ValueError
        If there is no such file or option, or the window does not fit.
    """
    if sample == TWIN or sample.startswith(f"{TWIN}:"):
        return _twin(sample, window, stride)
    if sample.startswith(f"{WORLD}:"):
        return _world(sample, window, stride)
    recorded = sample_from(sample)
    pool = make_pool(recorded.image, recorded.area, window, stride, places=recorded.places)
    axis = np.asarray(recorded.spectroscopy.axis)
    spectra = recorded.spectra(pool.positions, axis)[0]
    return Problem(Path(sample).stem, pool, spectra, spectra, axis)


def _twin(sample: str, window: int, stride: int | None) -> Problem:
    chosen = {**TWIN_DEFAULTS, **_options(sample)}
    shape = (chosen["pixels"], chosen["pixels"])
    world = Ferroelectric(chosen["seed"], pixels=shape)
    # The piezoresponse alone, as in the paper.
    frame = world.frame(world.area, shape, np.random.default_rng([chosen["seed"], 1]))[-1:]
    pool = make_pool(frame, world.area, window, stride)
    bias = triangle(8.0, chosen["steps"], 1)
    measured, _ = world.spectra(pool.positions, bias, np.random.default_rng([chosen["seed"], 2]))
    truth, _ = world.spectra(pool.positions, bias)
    return Problem(sample, pool, measured, truth, bias)


def _world(sample: str, window: int, stride: int | None) -> Problem:
    world = World.of(_options(sample).get("seed", 0))
    shape = world.image.shape[1:]
    area = (0.0, float(shape[1]), 0.0, float(shape[0]))  # a pixel is 1 nm wide
    stride = automatic_stride(shape, window) if stride is None else stride
    row, column = find_candidates(shape, area, window, stride).pixels.T
    pool = make_pool(world.image, area, window, stride)
    return Problem(sample, pool, world.spectra[row, column], world.truth[row, column], world.axis)


def _options(sample: str) -> dict[str, int]:
    chosen = {}
    for pair in filter(None, sample.partition(":")[2].split(",")):
        name, _, value = pair.partition("=")
        if name not in TWIN_DEFAULTS or not value.isdigit():
            raise ValueError(f"expected a twin with {', '.join(TWIN_DEFAULTS)} as whole numbers, got {pair!r}")
        chosen[name] = int(value)
    return chosen
