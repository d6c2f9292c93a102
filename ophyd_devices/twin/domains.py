"""The structure of a ferroelectric film on a fine grid: domains, walls, needles, defects and grains."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter

Map = NDArray[np.float64]
"""(ny, nx) over the whole sample; row 0 at y_min."""

GRID_NM = 8.0
"""Spacing of the grid, nm: a few points across a wall."""
DOMAIN_NM = 75.0
"""Smoothing length of the domain pattern, nm. It gives c-domains of 200 … 500 nm (engineering guess)."""
WALL_NM = 14.0
"""Width of the wall profile tanh(d / 14 nm), nm: 31 nm from 10 to 90 %, blurred by the tip (typical PFM resolution)."""
WALL_REACH_NM = 32.0
"""Distance over which a wall eases switching, nm (engineering guess: the reach of the tip's field)."""
GRAIN_NM = 45.0
"""Smoothing length of the roughness, nm: grains of about 100 nm (engineering guess)."""
GRAIN_HEIGHT_NM = 0.5
"""RMS height of the grains, nm (engineering guess: an epitaxial film)."""
NEEDLES_PER_UM2 = 2.2
"""Density of in-plane needles, 1/µm² (engineering guess from published images of PbTiO3 films)."""
NEEDLE_LENGTHS_NM, NEEDLE_WIDTHS_NM = (250.0, 900.0), (35.0, 75.0)
"""Shortest and longest, narrowest and widest needle, nm (engineering guess from the same images)."""
NEEDLE_TAPER_NM, NEEDLE_EDGE_NM = 40.0, 6.0
"""Distances over which a needle ends along and across its axis, nm (engineering guess)."""
NEEDLE_TILT = 0.03
"""Slope of the surface across a needle: about c/a - 1 = 0.06, less clamping (engineering guess)."""
NEEDLE_RELAXATION_NM = 120.0
"""Distance over which the film relaxes beside a needle, nm (engineering guess)."""
DEFECTS_PER_UM2 = 9.0
"""Density of defects, a Poisson process, 1/µm² (engineering guess)."""
DEFECT_RADII_NM = (25.0, 32.0, 40.0)
"""Gaussian radii of defects, nm (engineering guess: a little over the tip radius)."""
DEFECT_HEIGHT_NM = 1.2
"""Height of the bump at a defect, nm (engineering guess)."""
PARTICLES_PER_UM2 = 3.0
"""Density of particles on the surface, 1/µm². Only the topography shows them (engineering guess: a sample in air)."""
PARTICLE_NM = 10.0
"""Gaussian radius of particles, nm (engineering guess: under that of the tip, which broadens them)."""
PARTICLE_HEIGHT_NM = 4.0
"""Height of particles, nm (engineering guess)."""


@dataclass(frozen=True, eq=False)
class Structure:
    """The structure of a film, each a map (ny, nx) unless said otherwise.

    Attributes
    ----------
    orientation : Map
        Out-of-plane orientation of the c-domains, -1 (down) … 1 (up), with walls of finite width.
    wall : Map
        Closeness to a wall, 0 … 1.
    in_plane : Map
        Share of in-plane a-domain, 0 … 1.
    defect : Map
        Closeness to a defect, 0 … 1.
    charge : Map
        Closeness to a defect with the sign of its charge, -1 … 1.
    grain : Map
        Height of the grains, mean 0, standard deviation 1.
    topography : Map
        Height in nm: grains, tilt of the needles, bumps at defects, particles.
    """

    orientation: Map
    wall: Map
    in_plane: Map
    defect: Map
    charge: Map
    grain: Map
    topography: Map


def grow(extent_nm: tuple[float, float], rng: np.random.Generator) -> Structure:
    """Grow a film of `extent_nm` (width, height).

    Parameters
    ----------
    extent_nm : (width, height)
        In nm.
    rng : numpy.random.Generator
        Decides everything random.

    Returns
    -------
    Structure
        Maps of shape ``ceil(height / 8 nm), ceil(width / 8 nm)``.
    """
    shape = (int(np.ceil(extent_nm[1] / GRID_NM)), int(np.ceil(extent_nm[0] / GRID_NM)))
    distance = _signed_distance(random_field(rng, shape, DOMAIN_NM) > 0)
    in_plane, steps = _needles(rng, shape)
    defect, charge = _defects(rng, shape)
    grain = random_field(rng, shape, GRAIN_NM)
    particles, _ = _points(rng, shape, PARTICLES_PER_UM2, PARTICLE_NM)
    return Structure(
        orientation=np.tanh(distance / WALL_NM),
        wall=np.exp(-0.5 * (distance / WALL_REACH_NM) ** 2),
        in_plane=in_plane,
        defect=defect,
        charge=charge,
        grain=grain,
        topography=GRAIN_HEIGHT_NM * grain + steps + DEFECT_HEIGHT_NM * defect + PARTICLE_HEIGHT_NM * particles,
    )


def random_field(rng: np.random.Generator, shape: tuple[int, int], smoothing_nm: float) -> Map:
    """Return a Gaussian random field of mean 0 and standard deviation 1.

    White noise that is smoothed with a Gaussian of deviation s has the correlation exp(-r² / 4s²), 1/e at r = 2s.
    """
    field = gaussian_filter(rng.standard_normal(shape), smoothing_nm / GRID_NM, mode="wrap")
    centred: Map = (field - field.mean()) / field.std()
    return centred


def _signed_distance(up: NDArray[np.bool_]) -> Map:
    """Return the distance to the nearest wall in nm, positive where up."""
    inside, outside = np.asarray(distance_transform_edt(up)), np.asarray(distance_transform_edt(~up))
    pixels = np.where(up, inside - 0.5, 0.5 - outside)
    smooth: Map = GRID_NM * gaussian_filter(pixels, 1.0)  # removes the staircase of the grid from the wall
    return smooth


def _needles(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[Map, Map]:
    """Return in-plane share and height (nm) of needles along two perpendicular crystal axes."""
    y, x = GRID_NM * np.indices(shape)
    in_plane, height = np.zeros(shape), np.zeros(shape)
    crystal_axis = rng.uniform(0.0, np.pi / 2)
    for _ in range(rng.poisson(NEEDLES_PER_UM2 * x.size * (GRID_NM / 1000) ** 2)):
        centre_x, centre_y = rng.uniform(0, x[-1, -1]), rng.uniform(0, y[-1, -1])
        length, width = rng.uniform(*NEEDLE_LENGTHS_NM), rng.uniform(*NEEDLE_WIDTHS_NM)
        angle = crystal_axis + rng.choice([0.0, np.pi / 2])
        along = (x - centre_x) * np.cos(angle) + (y - centre_y) * np.sin(angle)
        across = (y - centre_y) * np.cos(angle) - (x - centre_x) * np.sin(angle)
        taper = _rise(length / 2 - np.abs(along), NEEDLE_TAPER_NM)
        in_plane = np.maximum(in_plane, _rise(width / 2 * taper - np.abs(across), NEEDLE_EDGE_NM) * taper)
        tilt = NEEDLE_TILT * width * np.tanh(2 * across / width)
        height += tilt * taper * np.exp(-np.abs(across) / NEEDLE_RELAXATION_NM)
    return in_plane, height


def _defects(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[Map, Map]:
    """Return the closeness to defects, without and with the sign of their charge."""
    closeness, charge = np.zeros(shape), np.zeros(shape)
    for radius in DEFECT_RADII_NM:
        points, signs = _points(rng, shape, DEFECTS_PER_UM2 / len(DEFECT_RADII_NM), radius)
        closeness += points
        charge += signs
    return np.clip(closeness, 0, 1), np.clip(charge, -1, 1)


def _points(rng: np.random.Generator, shape: tuple[int, int], per_um2: float, radius_nm: float) -> tuple[Map, Map]:
    """Return Gaussian bumps of height 1 at random points, and the same with random signs."""
    points, signs = np.zeros(shape), np.zeros(shape)
    number = rng.poisson(per_um2 * points.size * (GRID_NM / 1000) ** 2)
    rows, columns = rng.integers(shape[0], size=number), rng.integers(shape[1], size=number)
    np.add.at(points, (rows, columns), 1.0)
    np.add.at(signs, (rows, columns), rng.choice([-1.0, 1.0], size=number))
    peak = 2 * np.pi * (radius_nm / GRID_NM) ** 2  # brings the centre of a smoothed point to 1
    return peak * gaussian_filter(points, radius_nm / GRID_NM), peak * gaussian_filter(signs, radius_nm / GRID_NM)


def _rise(distance_nm: Map, width_nm: float) -> Map:
    """Return a smooth step, 0 far below and 1 far above distance 0."""
    step: Map = 0.5 * (1 + np.tanh(distance_nm / width_nm))
    return step
