"""The samples of the twin: the Sample protocol and a synthetic ferroelectric film."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from ophyd_devices.backend import Area, Channel, Spectroscopy
from ophyd_devices.twin.domains import GRID_NM, Map
from ophyd_devices.twin.film import grow_film
from ophyd_devices.twin.hysteresis import final_state, remanent_state
from ophyd_devices.twin.topography import broaden, lag


@dataclass(frozen=True, eq=False)
class Condition:
    """The condition of tip and sample when a measurement is taken; by default both are new.

    Attributes
    ----------
    state : Map or None
        Orientation with the domains that loops have written; None is as grown.
    gain : float
        Share of the piezoresponse that is left.
    tip_radius : float
        Radius that broadens the topography, nm.
    blur : float
        Gaussian deviation that smooths the piezoresponse of a frame, nm.
    lag : float
        Time constant of the topography's feedback over the time of a pixel.
    shift : (ny, 2) float64 or None
        Displacement (x, y) of each line of a frame, nm.
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

    With a random generator it returns measured data, with noise from that generator alone; without one, true data.
    """

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The channels of a frame."""
        ...

    @property
    def spectroscopy(self) -> Spectroscopy:
        """What a spectrum is. If its `axis` is given, spectra can only be measured along that axis."""
        ...

    @property
    def area(self) -> Area:
        """The whole sample in nm."""
        ...

    @property
    def pixels(self) -> tuple[int, int]:
        """Recorded or suggested frame size (ny, nx)."""
        ...

    @property
    def fixed_frame(self) -> bool:
        """Whether only the whole area at `pixels` can be imaged."""
        ...

    @property
    def places(self) -> NDArray[np.float64] | None:
        """The only places (M, 2) that have a spectrum, in nm; None if all have."""
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
    ) -> NDArray[np.float64]:
        """Return the channels (C, N, K) of the spectra at `positions` (N, 2) in nm for the waveform `bias` (K,)."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """Return JSON-able facts that identify the sample."""
        ...


TOPOGRAPHY_NOISE_NM = 0.04
"""Noise of each pixel of the topography, nm (engineering guess: a quiet contact-mode image)."""
LINE_NOISE_NM = 0.04
"""Offset from scan line to scan line, nm (engineering guess)."""
LOCK_IN_NOISE = 0.025
"""Noise of each quadrature of the piezoresponse in a frame, a.u. (engineering guess)."""

REFERENCE_BIAS_V = 8.0
"""The bias at which :data:`BIAS_NOISE` is given, V."""
SPECTRUM_NOISE = 0.01
"""Noise of a step over the height of its loop, times what the next lines say (measured BEPS loops of PbTiO3)."""
SPECTRUM_NOISE_SPREAD = 0.35
"""Log-normal deviation of the noise from point to point (measured there)."""
SWITCHING_NOISE = 12.0
"""At a state of 0 the response is small and its phase is lost: the noise is larger by 1 + this (measured there)."""
BIAS_NOISE = 1.0
"""At 8 V the noise is larger by 1 + this, with less bias in proportion (measured there)."""
SPECTRUM_NOISE_FLOOR = 0.015
"""Noise where the loop is flat, a.u. (engineering guess)."""
SKEW_SHAPE = 6.0
"""Shape of the gamma distribution of the noise: its skewness is 2/√6 = 0.8 (engineering guess)."""

ELECTROSTATIC_SLOPE = 0.03
"""The tip's electrostatic force adds a line to the on-field loop: a.u. per V (engineering guess: a fraction of the loop
at 8 V)."""
ELECTROSTATIC_OFFSET = 0.02
"""Its value at 0 V, a.u. (engineering guess)."""
SATURATION_SLOPE = 0.015
"""How much the branches lean: share of the height per V (as the measured loops do)."""
FULL_SCALE = (-50.0, 50.0)
"""Range of the detector, a.u. Failed fits reach it (engineering guess: some 30 times the height of a loop)."""
PHASE_START_DEG = -90.0
"""Phases are given from here on for a full turn, deg, so that noise around 0° and 180° is not torn apart."""
MEMORY_REACHES = 2.5
"""A loop writes up to this many reaches away: the field is then under a twentieth, below any coercive voltage."""


class Ferroelectric:
    """A synthetic tetragonal ferroelectric film, like PbTiO3.

    Imprint, width, rounding and height of the local loop follow from the domain, the distance to its wall, the grain,
    in-plane needles and defects – all of which the image shows – and, to a smaller part, from a variation that no image
    shows; see :mod:`ophyd_devices.twin.film`. The object never changes: a :class:`Condition` describes how the film was
    used, and :meth:`written` returns the domain that a loop writes.

    The off-field loop at a position is ``offset + height · (state + 0.015/V · bias)``, where `state` is the remanent
    state of :func:`~ophyd_devices.twin.hysteresis.remanent_state`; at zero bias it is the polarisation of the image.
    On-field: ``off-field + 0.03/V · bias + 0.02``. Measured loops are clipped to the full scale of ±50 a.u.

    Beyond its edges, where drift may take the tip, the film continues as its mirror image.

    Parameters
    ----------
    seed : int
        Decides the sample.
    extent_nm : (width, height)
        200 … 5000 nm each; x and y start at 0.
    pixels : (ny, nx)
        Frame size that is suggested.

    Raises
    ------
    ValueError
        If the extent is out of range.
    """

    channels: tuple[Channel, ...] = (
        Channel("topography", "nm"),
        Channel("amplitude", "a.u."),
        Channel("phase", "deg"),
        Channel("polarisation", "a.u."),
    )
    spectroscopy = Spectroscopy(
        "off-field piezoresponse", "a.u.", "bias", "V",
        others=(Channel("on-field piezoresponse", "a.u."),), full_scale=FULL_SCALE,
    )  # fmt: skip
    fixed_frame = False
    places = None

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
        self._film = grow_film((width, height), np.random.default_rng(seed))
        self._local = self._film.local
        self._risk = np.stack([self._film.height, self._film.trouble])

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
        state = self._film.state if condition.state is None else condition.state
        response = condition.gain * (self._film.offset + self._film.height * state)
        if condition.blur > 0:
            response = gaussian_filter(response, condition.blur / GRID_NM)
        surface = broaden(self._film.topography, condition.tip_radius)
        stencil = _stencil(state.shape, grid.reshape(-1, 2))
        topography, polarisation = _at(np.stack([surface, response]), stencil).reshape(2, ny, nx)
        topography = lag(topography, condition.lag)
        quadrature = np.zeros_like(polarisation)
        if rng is not None:
            topography += TOPOGRAPHY_NOISE_NM * rng.standard_normal((ny, nx))
            topography += LINE_NOISE_NM * rng.standard_normal((ny, 1))
            polarisation += LOCK_IN_NOISE * rng.standard_normal((ny, nx))
            quadrature += LOCK_IN_NOISE * rng.standard_normal((ny, nx))
        amplitude = np.hypot(polarisation, quadrature)
        phase = (np.degrees(np.arctan2(quadrature, polarisation)) - PHASE_START_DEG) % 360 + PHASE_START_DEG
        return np.stack([topography, amplitude, phase, polarisation]).astype(np.float32)

    def spectra(
        self,
        positions: NDArray[np.float64],
        bias: NDArray[np.float64],
        rng: np.random.Generator | None = None,
        condition: Condition = AS_NEW,
    ) -> NDArray[np.float64]:
        """Return off-field and on-field loops (2, N, K) in a.u.; each starts from the present state."""
        stencil = _stencil(self._film.state.shape, positions)
        imprint, half_width, spread, height, offset, noise = _at(self._local, stencil)
        there = self._film.state if condition.state is None else condition.state
        state = remanent_state(bias, imprint, half_width, spread, _at(there[None], stencil)[0])
        off = condition.gain * (offset[:, None] + height[:, None] * (state + SATURATION_SLOPE * bias))
        on = off + ELECTROSTATIC_SLOPE * bias + ELECTROSTATIC_OFFSET
        if rng is not None:
            level = SPECTRUM_NOISE * noise * np.exp(SPECTRUM_NOISE_SPREAD * rng.standard_normal(len(off)))
            when = 1 + SWITCHING_NOISE * (1 - state**2) + BIAS_NOISE * np.abs(bias) / REFERENCE_BIAS_V
            level = np.hypot(2 * (height * level)[:, None] * when, SPECTRUM_NOISE_FLOOR)
            off = np.clip(off + level * _skewed(rng, off.shape), *FULL_SCALE)
            on = np.clip(on + level * _skewed(rng, on.shape), *FULL_SCALE)
        return np.stack([off, on])

    def surface(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the orientation as grown, -1 … 1, and the topography in nm at `positions` (N, 2), shape (2, N)."""
        maps = np.stack([self._film.state, self._film.topography])
        return _at(maps, _stencil(self._film.state.shape, positions))

    def as_grown(self) -> Map:
        """Return a copy of the orientation as grown, -1 … 1, for :attr:`Condition.state`."""
        return self._film.state.copy()

    def height_and_trouble(self, position: tuple[float, float]) -> tuple[float, float]:
        """Return the height of the loop at a position, a.u., and how much likelier than on average it goes wrong."""
        height, trouble = _at(self._risk, _stencil(self._film.state.shape, np.array([position])))
        return 2 * float(height[0]), float(trouble[0])

    def written(
        self, position: tuple[float, float], bias: NDArray[np.float64], reach: float, state: Map
    ) -> tuple[tuple[slice, slice], Map]:
        """Return the part of the orientation that a loop changes, and its new values.

        At a distance ρ from the tip the bias acts as ``bias · (1 + ρ² / reach²)^(-3/2)``: the field along the surface
        of a point charge at the height `reach` (Molotskii, J. Appl. Phys. 93, 6234 (2003)). Each place then switches
        like the place under the tip.

        Parameters
        ----------
        position : (x, y)
            Of the tip, nm.
        bias : (K,) float64
            The waveform in V.
        reach : float
            Of the tip's field, nm.
        state : Map
            The orientation before the loop; it is not changed.

        Returns
        -------
        where : (slice, slice)
            Rows and columns of the orientation.
        becomes : Map
            The new orientation there.
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
        """Return kind, seed, extent and pixels, from which the sample can be built again."""
        return {
            "kind": "synthetic ferroelectric",
            "seed": self.seed,
            "extent_nm": [self.area[1], self.area[3]],
            "pixels": list(self.pixels),
        }


Stencil = tuple[NDArray[np.intp], NDArray[np.float64]]
"""Flat indices and weights (4, N) of the grid points around N positions."""


def _stencil(shape: tuple[int, ...], positions: NDArray[np.float64]) -> Stencil:
    """Return the stencil that interpolates maps of `shape` linearly at `positions` (N, 2); edges are mirrors."""
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
    """Return noise of mean 0 and standard deviation 1 with a longer positive tail."""
    noise: NDArray[np.float64] = (rng.standard_gamma(SKEW_SHAPE, shape) - SKEW_SHAPE) / np.sqrt(SKEW_SHAPE)
    return noise
