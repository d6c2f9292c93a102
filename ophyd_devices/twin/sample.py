"""What the twin can measure: the Sample protocol, and a synthetic ferroelectric film."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from ophyd_devices.backend import Area, Channel, Spectroscopy
from ophyd_devices.twin.domains import GRID_NM, Map, grow, random_field
from ophyd_devices.twin.hysteresis import remanent_state

Spectra = tuple[NDArray[np.float64], NDArray[np.float64] | None]
"""Off-field (or only) spectra (N, K), and on-field ones where there are any."""


class Sample(Protocol):
    """Something that can be imaged and measured.

    With a random generator it answers as measured, with noise drawn from that generator alone; without one it answers
    what is true.
    """

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The channels of a frame."""
        ...

    @property
    def spectroscopy(self) -> Spectroscopy:
        """What a spectrum is; where its `axis` is given, no other can be measured."""
        ...

    @property
    def area(self) -> Area:
        """The whole sample in nm."""
        ...

    @property
    def pixels(self) -> tuple[int, int]:
        """Native or sensible frame size (ny, nx)."""
        ...

    @property
    def fixed_frame(self) -> bool:
        """Whether only the whole area at `pixels` can be imaged."""
        ...

    def frame(self, area: Area, pixels: tuple[int, int], rng: np.random.Generator | None = None) -> NDArray[np.float32]:
        """Return the frame (C, ny, nx) of `area`; row 0 at y_min."""
        ...

    def spectra(
        self, positions: NDArray[np.float64], bias: NDArray[np.float64], rng: np.random.Generator | None = None
    ) -> Spectra:
        """Return the spectra (N, K) at `positions` (N, 2) in nm for the waveform `bias` (K,)."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """Return JSON-able facts that identify the sample."""
        ...


# Noise, constants in units of the quantity unless said otherwise.
TOPOGRAPHY_NOISE_NM = 0.04  # engineering guess: a quiet contact-mode image
LINE_NOISE_NM = 0.04  # offset from scan line to scan line, engineering guess
LOCK_IN_NOISE = 0.025  # of each quadrature of the piezoresponse image, engineering guess
SPECTRUM_NOISE = 0.04  # of the loop's height; with the spread below 1.5 … 14 %, measured BEPS loops of PbTiO3
SPECTRUM_NOISE_SPREAD = 0.35  # log-normal, from point to point; the same source
SPECTRUM_NOISE_FLOOR = 0.025  # where the loop is flat, engineering guess
SKEW_SHAPE = 6.0  # of the gamma distribution: skewness 2/√6 = 0.8, engineering guess

# On-field: the tip's electrostatic force adds a line (engineering guess: a fraction of the loop at 8 V).
ELECTROSTATIC_SLOPE = 0.03  # 1/V
ELECTROSTATIC_OFFSET = 0.02

VARIATION_NM = 50.0  # smoothing length of what no image shows: correlated over about 100 nm, as in measured maps


class Ferroelectric:
    """A synthetic tetragonal ferroelectric film, like PbTiO3.

    The as-grown state decides the image; imprint, width, rounding and height of the local loop follow from the domain,
    the distance to its wall, the grain, in-plane needles and defects – all of which the image shows – and, to a
    smaller part, from a variation that no image shows. Measuring does not change the sample.

    The off-field loop at a position is ``offset + height · state``, where `state` is the remanent state of
    :func:`~ophyd_devices.twin.hysteresis.remanent_state`; at zero bias it is the polarisation of the image.
    On-field: ``off-field + 0.03/V · bias + 0.02``.

    Parameters
    ----------
    seed : int
        Decides the sample.
    extent_nm : (width, height)
        200 … 5000 nm each; x and y start at 0.
    pixels : (ny, nx)
        Frame size offered.

    Raises
    ------
    ValueError
        If the extent is out of range.

    Notes
    -----
    Coercive voltages follow measured band-excitation loops of PbTiO3: medians +5.4 V (quartiles 4.7 … 6.2 V) and
    -2.9 V (-3.5 … -2.4 V). How they depend on the structure is an engineering guess in the direction that is known:
    walls ease switching and round the loop, defects pin, charged defects shift it, thicker grains need more voltage.
    """

    channels: tuple[Channel, ...] = (
        Channel("topography", "nm"),
        Channel("amplitude", "a.u."),
        Channel("phase", "deg"),
        Channel("polarisation", "a.u."),
    )
    spectroscopy = Spectroscopy("off-field piezoresponse", "a.u.", "bias", "V", on_field=True)
    fixed_frame = False

    def __init__(
        self,
        seed: int = 0,
        extent_nm: tuple[float, float] = (2000.0, 2000.0),
        pixels: tuple[int, int] = (128, 128),
    ) -> None:
        width, height = (float(side) for side in extent_nm)
        if not (200 <= width <= 5000 and 200 <= height <= 5000):
            raise ValueError(f"expected an extent of 200 … 5000 nm a side, got {width:g}×{height:g} nm")
        self.seed = seed
        self.area: Area = (0.0, width, 0.0, height)
        self.pixels = pixels
        self._build(np.random.default_rng(seed))

    def _build(self, rng: np.random.Generator) -> None:
        structure = grow((self.area[1], self.area[3]), rng)
        shape = structure.grain.shape
        up, wall, flat, defect = structure.orientation, structure.wall, structure.in_plane, structure.defect
        unseen = [random_field(rng, shape, VARIATION_NM) for _ in range(5)]
        # Near walls and defects the surface says less about the loop.
        disorder = 1 + 4 * np.maximum(wall, defect)

        self._topography = structure.topography
        self._state = up
        self._imprint = 1.2 + 0.5 * up + 0.25 * structure.grain + 1.2 * structure.charge + 0.13 * disorder * unseen[0]
        half_width = 4.5 + 0.3 * structure.grain - 0.8 * wall + 0.8 * defect + 0.13 * disorder * unseen[1]
        self._half_width = np.clip(half_width, 1.0, None)
        self._spread = (0.2 + 0.4 * wall + 0.4 * defect + 0.3 * flat) * np.exp(0.25 * unseen[2])
        switching = (1 - 0.8 * flat) * (1 - 0.5 * defect) * (1 - 0.2 * wall)
        self._height = 0.8 * switching * np.clip(1 + 0.04 * disorder * unseen[3], 0.4, None)
        self._offset = 0.15 * defect * up + 0.025 * disorder * unseen[4] * switching
        self._noise = 1 + 0.9 * np.maximum(wall, defect)

    def frame(self, area: Area, pixels: tuple[int, int], rng: np.random.Generator | None = None) -> NDArray[np.float32]:
        """Return topography (nm), amplitude, phase (deg, -90 … 270) and polarisation, shape (4, ny, nx).

        Amplitude and phase are those of ``polarisation + noise + i·noise``: polarisation = amplitude · cos(phase).
        """
        ny, nx = pixels
        x = area[0] + (np.arange(nx) + 0.5) * (area[1] - area[0]) / nx
        y = area[2] + (np.arange(ny) + 0.5) * (area[3] - area[2]) / ny
        grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        topography = self._at(self._topography, grid).reshape(ny, nx)
        polarisation = self._at(self._offset + self._height * self._state, grid).reshape(ny, nx)
        quadrature = np.zeros_like(polarisation)
        if rng is not None:
            topography += TOPOGRAPHY_NOISE_NM * rng.standard_normal((ny, nx))
            topography += LINE_NOISE_NM * rng.standard_normal((ny, 1))
            polarisation += LOCK_IN_NOISE * rng.standard_normal((ny, nx))
            quadrature += LOCK_IN_NOISE * rng.standard_normal((ny, nx))
        amplitude = np.hypot(polarisation, quadrature)
        phase = (np.degrees(np.arctan2(quadrature, polarisation)) + 90) % 360 - 90
        return np.stack([topography, amplitude, phase, polarisation]).astype(np.float32)

    def spectra(
        self, positions: NDArray[np.float64], bias: NDArray[np.float64], rng: np.random.Generator | None = None
    ) -> Spectra:
        """Return off-field and on-field loops (N, K) in a.u., each starting from the as-grown state."""
        height = self._at(self._height, positions)[:, None]
        state = remanent_state(
            bias,
            self._at(self._imprint, positions),
            self._at(self._half_width, positions),
            self._at(self._spread, positions),
            self._at(self._state, positions),
        )
        off = self._at(self._offset, positions)[:, None] + height * state
        on = off + ELECTROSTATIC_SLOPE * bias + ELECTROSTATIC_OFFSET
        if rng is not None:
            level = np.exp(SPECTRUM_NOISE_SPREAD * rng.standard_normal((len(off), 1)))
            level *= SPECTRUM_NOISE * self._at(self._noise, positions)[:, None]
            level = np.hypot(2 * height * level, SPECTRUM_NOISE_FLOOR)
            off = off + level * _skewed(rng, off.shape)
            on = on + level * _skewed(rng, on.shape)
        return off, on

    def describe(self) -> Mapping[str, Any]:
        """Return kind, seed and extent: they rebuild the sample."""
        return {
            "kind": "synthetic ferroelectric",
            "seed": self.seed,
            "extent_nm": [self.area[1], self.area[3]],
            "pixels": list(self.pixels),
        }

    def _at(self, values: Map, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Interpolate a map linearly at `positions` (N, 2); returns (N,)."""
        rows_columns = positions.T[::-1] / GRID_NM - 0.5
        values_there: NDArray[np.float64] = map_coordinates(values, rows_columns, order=1, mode="nearest")
        return values_there


def _skewed(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return noise of mean 0 and deviation 1 with a longer positive tail."""
    noise: NDArray[np.float64] = (rng.standard_gamma(SKEW_SHAPE, shape) - SKEW_SHAPE) / np.sqrt(SKEW_SHAPE)
    return noise
