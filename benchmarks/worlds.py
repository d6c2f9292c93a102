"""Samples drawn from a wide distribution: what an agent meets when nobody tuned it for a sample.

Each world is drawn from its seed alone: how large and how stretched its structures are, whether they are smooth,
domains, stripes or rare spots; what kind of spectra it has, and over how many decades they vary; how much of all that
the image shows, from nothing to everything; how noisy it is, and whether noise depends on the place. Worlds with even
seeds are for developing. Those with odd seeds are looked at once, when an agent is finished.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Map = NDArray[np.float64]
Structure = Literal["smooth", "domains", "stripes", "spots"]
Kind = Literal["loops", "currents", "resonances", "forces"]

PIXELS = 64
STEPS = 48

STRUCTURES: tuple[Structure, ...] = ("smooth", "domains", "stripes", "spots")
KINDS: tuple[Kind, ...] = ("loops", "currents", "resonances", "forces")
SIZE = (2.0, 12.0)
"""Of structures, in px."""
STRETCH = (1.0, 1.0, 3.0, 6.0)
WALL = (0.05, 0.5)
"""Width of the transition between domains, in standard deviations of the field below."""
SHARE = (0.01, 0.1)
"""Share of the surface that rare spots cover."""
SHOWN = (0.0, 0.3, 0.7, 1.0)
"""Share of the variance of the image that has to do with the spectra."""
DECADES = (0.0, 0.0, 1.0, 2.5)
"""Over how many decades the size of spectra varies between ±2 standard deviations."""
NOISE = (0.02, 0.3)
"""Relative to the spread of the spectra."""
UNEVEN = (0.0, 0.0, 1.0)
"""Standard deviation of the logarithm of the noise over the surface."""


@dataclass(frozen=True)
class Traits:
    """What a world is like; see the constants of this module."""

    structure: Structure
    kind: Kind
    size: float
    stretch: float
    wall: float
    share: float
    shown: float
    decades: float
    noise: float
    uneven: float

    @classmethod
    def of(cls, seed: int) -> "Traits":
        """Return the traits of a world."""
        numbers = np.random.default_rng([seed, 1])

        def log_uniform(low: float, high: float) -> float:
            return float(np.exp(numbers.uniform(np.log(low), np.log(high))))

        return cls(
            structure=STRUCTURES[numbers.integers(len(STRUCTURES))],
            kind=KINDS[numbers.integers(len(KINDS))],
            size=log_uniform(*SIZE),
            stretch=float(numbers.choice(STRETCH)),
            wall=log_uniform(*WALL),
            share=log_uniform(*SHARE),
            shown=float(numbers.choice(SHOWN)),
            decades=float(numbers.choice(DECADES)),
            noise=log_uniform(*NOISE),
            uneven=float(numbers.choice(UNEVEN)),
        )


@dataclass(frozen=True, eq=False)
class World:
    """A sample with known spectra at every pixel.

    Attributes
    ----------
    traits : Traits
    image : (1, PIXELS, PIXELS) float64
    truth, spectra : (PIXELS, PIXELS, STEPS) float64
        Without and with noise.
    axis : (STEPS,) float64
        The bias, frequency or distance, in arbitrary units.
    """

    traits: Traits
    image: NDArray[np.float64]
    truth: NDArray[np.float64]
    spectra: NDArray[np.float64]
    axis: NDArray[np.float64]

    @classmethod
    def of(cls, seed: int) -> "World":
        """Return the world of a seed."""
        traits, numbers = Traits.of(seed), np.random.default_rng([seed, 2])
        first = _structured(traits, numbers)
        second, third = _field(traits, numbers), _field(traits, numbers)
        axis = np.linspace(-1, 1, STEPS)
        shape = _SPECTRA[traits.kind](axis, first[..., None], second[..., None])
        truth = shape * 10 ** (traits.decades / 4 * first[..., None])  # ±2 standard deviations are all decades
        spread = float(truth.std(axis=(0, 1)).mean())
        level = traits.noise * spread * np.exp(traits.uneven * third)
        spectra = truth + level[..., None] * numbers.standard_normal(truth.shape)
        related = (first + 0.5 * second) / np.sqrt(1.25)
        image = np.sqrt(traits.shown) * related + np.sqrt(1 - traits.shown) * _structured(traits, numbers)
        image = image + 0.05 * numbers.standard_normal(image.shape)
        return cls(traits, image[None], truth, spectra, axis)


def _field(traits: Traits, numbers: np.random.Generator) -> Map:
    """Return a smooth random field with mean 0 and variance 1, stretched along a random direction."""
    side = 4 * PIXELS
    along = gaussian_filter(
        numbers.standard_normal((side, side)), (traits.size, traits.size * traits.stretch), mode="wrap"
    )
    angle = numbers.uniform(0, np.pi)
    y, x = np.mgrid[:PIXELS, :PIXELS] - PIXELS / 2
    rows = np.rint(np.cos(angle) * y + np.sin(angle) * x).astype(int) % side
    columns = np.rint(np.cos(angle) * x - np.sin(angle) * y).astype(int) % side
    field = gaussian_filter(along[rows, columns], 0.7)
    return np.asarray((field - field.mean()) / field.std())


def _structured(traits: Traits, numbers: np.random.Generator) -> Map:
    """Return a map of the world's structure with mean 0 and variance 1."""
    field = _field(traits, numbers)
    if traits.structure == "domains":
        field = np.tanh(field / traits.wall)
    elif traits.structure == "stripes":
        angle, (y, x) = numbers.uniform(0, np.pi), np.mgrid[:PIXELS, :PIXELS]
        phase = (np.cos(angle) * x + np.sin(angle) * y) * np.pi / (1.5 * traits.size) + field
        field = np.tanh(np.sin(phase) / traits.wall)
    elif traits.structure == "spots":
        field = np.clip((field - np.quantile(field, 1 - traits.share)) / traits.wall, 0, 1) + 0.02 * field
    return np.asarray((field - field.mean()) / field.std())


def _loops(axis: Map, first: Map, second: Map) -> Map:
    """Return loops over one period of a triangular bias, whose coercive bias and imprint vary."""
    bias = np.interp(np.linspace(0, 4, axis.size), [0, 1, 2, 3, 4], [0, 1, 0, -1, 0])
    upwards = np.sign(np.gradient(bias))
    coercive, imprint = 0.4 * np.exp(0.3 * second), 0.15 * first
    return np.asarray(np.tanh((bias - imprint - coercive * upwards) / 0.15))


def _currents(axis: Map, first: Map, second: Map) -> Map:
    """Return currents over the bias, more or less bent and rectifying."""
    return np.asarray(np.sinh((2.5 + 0.5 * second) * axis) * np.exp(0.4 * first * axis))


def _resonances(axis: Map, first: Map, second: Map) -> Map:
    """Return Lorentzian peaks whose frequency and width vary."""
    centre, width = 0.25 * np.tanh(first), 0.15 * np.exp(0.25 * second)
    return np.asarray(1 / (1 + ((axis - centre) / width) ** 2))


def _forces(axis: Map, first: Map, second: Map) -> Map:
    """Return forces over the distance: contact on the left, adhesion whose depth and reach vary."""
    adhesion, reach = np.exp(0.4 * first), 0.3 * np.exp(0.2 * second)
    return np.asarray(np.where(axis < 0, -4 * axis, 0.0) - adhesion * np.exp(-np.maximum(axis, 0) / reach))


_SPECTRA = {"loops": _loops, "currents": _currents, "resonances": _resonances, "forces": _forces}
