"""What the twin can measure: the Sample protocol, and a synthetic ferroelectric film."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from ophyd_devices.backend import Area, Channel, Spectroscopy
from ophyd_devices.twin.domains import GRID_NM, Map, grow, random_field
from ophyd_devices.twin.hysteresis import final_state, remanent_state
from ophyd_devices.twin.topography import broaden, lag

Spectra = tuple[NDArray[np.float64], NDArray[np.float64] | None]
"""Off-field (or only) spectra (N, K), and on-field ones where there are any."""


@dataclass(frozen=True, eq=False)
class Condition:
    """What use has made of tip and sample when a measurement is taken; by default both are as new.

    Attributes
    ----------
    state : Map or None
        Orientation with the domains that loops have written; None is as grown.
    gain : float
        What is left of the piezoresponse.
    tip_radius : float
        Broadens the topography, nm.
    blur : float
        Gaussian deviation that smooths the piezoresponse of a frame, nm.
    lag : float
        Time constant of the topography's feedback in units of the time of a pixel.
    shift : (ny, 2) float64 or None
        Where the lines of a frame lie off their places, nm.
    """

    state: Map | None = None
    gain: float = 1.0
    tip_radius: float = 0.0
    blur: float = 0.0
    lag: float = 0.0
    shift: NDArray[np.float64] | None = None


AS_NEW = Condition()


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

    def frame(
        self,
        area: Area,
        pixels: tuple[int, int],
        rng: np.random.Generator | None = None,
        condition: Condition = AS_NEW,
    ) -> NDArray[np.float32]:
        """Return the frame (C, ny, nx) of `area`; row 0 at y_min."""
        ...

    def spectra(
        self,
        positions: NDArray[np.float64],
        bias: NDArray[np.float64],
        rng: np.random.Generator | None = None,
        condition: Condition = AS_NEW,
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
SPECTRUM_NOISE = 0.01  # of the loop's height, with the terms below; measured BEPS loops of PbTiO3
SPECTRUM_NOISE_SPREAD = 0.35  # log-normal, from point to point; the same source
SWITCHING_NOISE = 12.0  # times as much in a state of 0, where the response is small and its phase is lost; same source
BIAS_NOISE = 1.0  # times as much more at 8 V; same source
SPECTRUM_NOISE_FLOOR = 0.015  # where the loop is flat, engineering guess
SKEW_SHAPE = 6.0  # of the gamma distribution: skewness 2/√6 = 0.8, engineering guess

# On-field: the tip's electrostatic force adds a line (engineering guess: a fraction of the loop at 8 V).
ELECTROSTATIC_SLOPE = 0.03  # 1/V
ELECTROSTATIC_OFFSET = 0.02

SATURATION_SLOPE = 0.015  # 1/V of the height: the branches lean, as those of the measured loops do
HEIGHT_SPREAD = 0.2  # log-normal, from place to place; measured loops of PbTiO3 vary more, their frames do not

FULL_SCALE = (-50.0, 50.0)
"""Range of the response in a.u., which failed fits reach (engineering guess: some 30 times the height of a loop)."""

VARIATION_NM = 50.0  # smoothing length of what no image shows: correlated over about 100 nm, as in measured maps

TROUBLE_NM = 60.0  # smoothing length of where loops go wrong: the measured bad loops lie in patches of this size
TROUBLED_SHARE = 0.2  # of the area (engineering guess); half of the bad loops lie there, the others anywhere

MEMORY_REACHES = 2.5  # beyond that many reaches the field is under a twentieth, below any coercive voltage


class Ferroelectric:
    """A synthetic tetragonal ferroelectric film, like PbTiO3.

    The as-grown state decides the image; imprint, width, rounding and height of the local loop follow from the domain,
    the distance to its wall, the grain, in-plane needles and defects – all of which the image shows – and, to a
    smaller part, from a variation that no image shows. The object never changes: what use makes of the film is a
    :class:`Condition`, and :meth:`written` tells what a loop leaves behind.

    The off-field loop at a position is ``offset + height · (state + 0.015/V · bias)``, where `state` is the remanent
    state of :func:`~ophyd_devices.twin.hysteresis.remanent_state`; at zero bias it is the polarisation of the image.
    On-field: ``off-field + 0.03/V · bias + 0.02``. Both are clipped to the full scale of ±50 a.u. as measured.

    Beyond its edges, where drift may take the tip, the film goes on as its mirror image.

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
    spectroscopy = Spectroscopy("off-field piezoresponse", "a.u.", "bias", "V", on_field=True, full_scale=FULL_SCALE)
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
        imprint = 1.2 + 0.5 * up + 0.25 * structure.grain + 1.2 * structure.charge + 0.13 * disorder * unseen[0]
        half_width = 4.5 + 0.3 * structure.grain - 0.8 * wall + 0.8 * defect + 0.13 * disorder * unseen[1]
        spread = (0.2 + 0.4 * wall + 0.4 * defect + 0.3 * flat) * np.exp(0.25 * unseen[2])
        switching = (1 - 0.8 * flat) * (1 - 0.5 * defect) * (1 - 0.2 * wall)
        texture = np.exp(HEIGHT_SPREAD * random_field(rng, shape, VARIATION_NM))
        self._height = 0.75 * texture * switching * np.clip(1 + 0.04 * disorder * unseen[3], 0.4, None)
        self._offset = 0.15 * defect * up + (0.04 + 0.02 * disorder) * unseen[4] * switching
        noise = 1 + 0.5 * np.maximum(wall, defect)
        field = random_field(rng, shape, TROUBLE_NM)
        troubled = field > np.quantile(field, 1 - TROUBLED_SHARE)
        self._local = np.stack([imprint, np.clip(half_width, 1.0, None), spread, self._height, self._offset, noise])
        self._risk = np.stack([self._height, 0.5 + 0.5 * troubled / TROUBLED_SHARE])  # which is 1 on average

    def frame(
        self,
        area: Area,
        pixels: tuple[int, int],
        rng: np.random.Generator | None = None,
        condition: Condition = AS_NEW,
    ) -> NDArray[np.float32]:
        """Return topography (nm), amplitude, phase (deg, -90 … 270) and polarisation, shape (4, ny, nx).

        Amplitude and phase are those of ``polarisation + noise + i·noise``: polarisation = amplitude · cos(phase).
        """
        ny, nx = pixels
        grid = np.empty((ny, nx, 2))
        grid[..., 0] = area[0] + (np.arange(nx) + 0.5) * (area[1] - area[0]) / nx
        grid[..., 1] = (area[2] + (np.arange(ny) + 0.5) * (area[3] - area[2]) / ny)[:, None]
        if condition.shift is not None:
            grid += condition.shift[:, None]
        state = self._state if condition.state is None else condition.state
        response = condition.gain * (self._offset + self._height * state)
        if condition.blur > 0:
            response = gaussian_filter(response, condition.blur / GRID_NM)
        surface = broaden(self._topography, condition.tip_radius)
        stencil = _stencil(self._state.shape, grid.reshape(-1, 2))
        topography, polarisation = _at(np.stack([surface, response]), stencil).reshape(2, ny, nx)
        topography = lag(topography, condition.lag)
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
        self,
        positions: NDArray[np.float64],
        bias: NDArray[np.float64],
        rng: np.random.Generator | None = None,
        condition: Condition = AS_NEW,
    ) -> Spectra:
        """Return off-field and on-field loops (N, K) in a.u., each starting from the state that is there."""
        stencil = _stencil(self._state.shape, positions)
        imprint, half_width, spread, height, offset, noise = _at(self._local, stencil)
        there = self._state if condition.state is None else condition.state
        state = remanent_state(bias, imprint, half_width, spread, _at(there[None], stencil)[0])
        off = condition.gain * (offset[:, None] + height[:, None] * (state + SATURATION_SLOPE * bias))
        on = off + ELECTROSTATIC_SLOPE * bias + ELECTROSTATIC_OFFSET
        if rng is not None:
            level = SPECTRUM_NOISE * noise * np.exp(SPECTRUM_NOISE_SPREAD * rng.standard_normal(len(off)))
            when = 1 + SWITCHING_NOISE * (1 - state**2) + BIAS_NOISE * np.abs(bias) / 8
            level = np.hypot(2 * (height * level)[:, None] * when, SPECTRUM_NOISE_FLOOR)
            off = np.clip(off + level * _skewed(rng, off.shape), *FULL_SCALE)
            on = np.clip(on + level * _skewed(rng, on.shape), *FULL_SCALE)
        return off, on

    def as_grown(self) -> Map:
        """Return a copy of the orientation that no loop has touched, -1 … 1, for :attr:`Condition.state`."""
        return self._state.copy()

    def height_and_trouble(self, position: tuple[float, float]) -> tuple[float, float]:
        """Return the height of the loop at a position, a.u., and how much likelier than usual it goes wrong."""
        height, trouble = _at(self._risk, _stencil(self._state.shape, np.array([position])))
        return 2 * float(height[0]), float(trouble[0])

    def written(
        self, position: tuple[float, float], bias: NDArray[np.float64], reach: float, state: Map
    ) -> tuple[tuple[slice, slice], Map]:
        """Return the part of the orientation that a loop changes, and what it becomes.

        At a distance ρ from the tip the bias acts as ``bias · (1 + ρ² / reach²)^(-3/2)``, the field that a point charge
        at the height `reach` has along the surface (Molotskii, J. Appl. Phys. 93, 6234 (2003)); each place then
        switches as the one under the tip does.

        Parameters
        ----------
        position : (x, y)
            In nm.
        bias : (K,) float64
            The waveform in V.
        reach : float
            In nm.
        state : Map
            Before the loop; it is not changed.

        Returns
        -------
        where : (slice, slice)
            Rows and columns of the orientation.
        becomes : Map
            The orientation there.
        """
        column, row = (coordinate / GRID_NM - 0.5 for coordinate in position)
        far = MEMORY_REACHES * reach / GRID_NM
        where = (
            slice(*np.clip([np.ceil(row - far), np.floor(row + far) + 1], 0, state.shape[0]).astype(int)),
            slice(*np.clip([np.ceil(column - far), np.floor(column + far) + 1], 0, state.shape[1]).astype(int)),
        )
        before = state[where]
        rows, columns = np.ogrid[where]
        squared = ((rows - row) ** 2 + (columns - column) ** 2) * (GRID_NM / reach) ** 2
        # A weaker bias on a film is the same bias on a harder film.
        imprint, half_width, spread = ((1 + squared) ** 1.5 * self._local[(slice(0, 3), *where)]).reshape(3, -1)
        return where, final_state(bias, imprint, half_width, spread, before.ravel()).reshape(before.shape)

    def describe(self) -> Mapping[str, Any]:
        """Return kind, seed and extent: they rebuild the sample."""
        return {
            "kind": "synthetic ferroelectric",
            "seed": self.seed,
            "extent_nm": [self.area[1], self.area[3]],
            "pixels": list(self.pixels),
        }


Stencil = tuple[NDArray[np.intp], NDArray[np.float64]]
"""Flat indices and weights (4, N) of the grid points around N positions."""


def _stencil(shape: tuple[int, ...], positions: NDArray[np.float64]) -> Stencil:
    """Return what interpolates maps of `shape` linearly at `positions` (N, 2); maps are mirrored at their edges."""
    size = np.array(shape[::-1])
    mirrored = positions / GRID_NM % (2 * size)
    index = np.clip(np.minimum(mirrored, 2 * size - mirrored) - 0.5, 0, size - 1)
    below = np.minimum(index.astype(np.intp), size - 2)
    (column, row), (right, up) = below.T, (index - below).T
    corner = row * shape[1] + column
    return (
        np.stack([corner, corner + 1, corner + shape[1], corner + shape[1] + 1]),
        np.stack([(1 - right) * (1 - up), right * (1 - up), (1 - right) * up, right * up]),
    )


def _at(maps: NDArray[np.float64], stencil: Stencil) -> NDArray[np.float64]:
    """Return the values (M, N) of maps (M, ny, nx) at the positions of a stencil."""
    corners, weights = stencil
    values: NDArray[np.float64] = np.einsum("mcn,cn->mn", maps.reshape(len(maps), -1)[:, corners], weights)
    return values


def _skewed(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return noise of mean 0 and deviation 1 with a longer positive tail."""
    noise: NDArray[np.float64] = (rng.standard_gamma(SKEW_SHAPE, shape) - SKEW_SHAPE) / np.sqrt(SKEW_SHAPE)
    return noise
