"""The local hysteresis loops of a ferroelectric film: how imprint, width, rounding and height follow its structure.

The medians are those of measured band-excitation loops of PbTiO3: coercive voltages of +5.4 V (quartiles 4.7 … 6.2 V)
and -2.9 V (-3.5 … -2.4 V). How they depend on the structure is an engineering guess in the direction that is known:
walls ease switching and round the loop, defects pin, charged defects shift it, thicker grains need more voltage.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ophyd_devices.twin.domains import Map, grow, random_field

IMPRINT_V = 1.2
"""Mean imprint, the centre of the loop on the bias axis, V: half the sum of the measured coercive voltages."""
IMPRINT_BY_DOMAIN_V = 0.5
"""How much the imprint of an up-domain lies above the mean, and that of a down-domain below, V (engineering guess)."""
IMPRINT_BY_GRAIN_V = 0.25
"""Change of the imprint for a standard deviation of the grain height, V (engineering guess)."""
IMPRINT_BY_CHARGE_V = 1.2
"""Imprint at the centre of a charged defect, V (engineering guess)."""

HALF_WIDTH_V = 4.5
"""Half the distance between the coercive voltages away from walls and defects, V: somewhat more than the measured
4.15 V, because walls lower the mean."""
HALF_WIDTH_BY_GRAIN_V = 0.3
"""Change of the half width for a standard deviation of the grain height, V (engineering guess)."""
HALF_WIDTH_LOST_AT_WALLS_V = 0.8
"""How much smaller the half width is at a wall, V (engineering guess)."""
HALF_WIDTH_AT_DEFECTS_V = 0.8
"""How much larger the half width is at a defect, V (engineering guess)."""
SMALLEST_HALF_WIDTH_V = 1.0
"""No loop is narrower than twice this, V (engineering guess)."""

UNSEEN_V = 0.13
"""Standard deviation of imprint and half width that no image shows, V (engineering guess)."""
DISORDER = 4.0
"""At walls and defects the surface says less about the loop: what no image shows is larger there by 1 + this
(engineering guess)."""
UNSEEN_NM = 50.0
"""Smoothing length of what no image shows, nm: correlated over about 100 nm, as in measured maps."""

SPREAD_V = 0.2
"""Scale of the distribution of thresholds, which rounds the loop, V (engineering guess)."""
SPREAD_AT_WALLS_V, SPREAD_AT_DEFECTS_V, SPREAD_IN_PLANE_V = 0.4, 0.4, 0.3
"""How much larger it is at walls, at defects and in in-plane domains, V (engineering guesses)."""
SPREAD_UNSEEN = 0.25
"""Log-normal deviation of the scale that no image shows (engineering guess)."""

HALF_HEIGHT = 0.75
"""Half the height of a loop in a.u., where everything switches (a unit; the detector's scale is arbitrary)."""
HEIGHT_SPREAD = 0.2
"""Log-normal deviation of the height from place to place (measured loops of PbTiO3 vary more, their frames do not)."""
UNSWITCHED_IN_PLANE, UNSWITCHED_AT_DEFECTS, UNSWITCHED_AT_WALLS = 0.8, 0.5, 0.2
"""Share of the height that in-plane domains, defects and walls take away (engineering guesses)."""
HEIGHT_UNSEEN = 0.04
"""Relative deviation of the height that no image shows (engineering guess)."""
SMALLEST_HEIGHT = 0.4
"""What no image shows leaves at least this share of the height (engineering guess)."""

OFFSET_AT_DEFECTS = 0.15
"""Vertical offset of the loop at a defect, with the sign of the domain, a.u. (engineering guess: pinned material)."""
OFFSET_UNSEEN, OFFSET_UNSEEN_BY_DISORDER = 0.04, 0.02
"""Deviation of the offset that no image shows, a.u., and what disorder adds to it (engineering guesses)."""

NOISE_BY_DISORDER = 0.5
"""How much noisier loops are at walls and defects, relative (engineering guess)."""

TROUBLE_NM = 60.0
"""Smoothing length of where loops go wrong, nm: the measured bad loops lie in patches of this size."""
TROUBLED_SHARE = 0.2
"""Share of the area where half of the bad loops lie; the others lie anywhere (engineering guess)."""


@dataclass(frozen=True, eq=False)
class Film:
    """A film as it was grown, each a map (ny, nx) on the fine grid unless said otherwise.

    Attributes
    ----------
    topography : Map
        Height in nm.
    state : Map
        Out-of-plane orientation, -1 … 1: the polarisation over its largest value.
    imprint, half_width, spread : Map
        In V; see :func:`~ophyd_devices.twin.hysteresis.remanent_state`.
    height : Map
        Half the height of the loop, a.u.
    offset : Map
        Vertical offset of the loop, a.u.
    noise : Map
        How much noisier than usual a loop is, 1 or more.
    trouble : Map
        How much likelier than usual a loop goes wrong; 1 on average.
    """

    topography: Map
    state: Map
    imprint: Map
    half_width: Map
    spread: Map
    height: Map
    offset: Map
    noise: Map
    trouble: Map

    @property
    def local(self) -> NDArray[np.float64]:
        """Imprint, half width, spread, height, offset and noise, (6, ny, nx)."""
        return np.stack([self.imprint, self.half_width, self.spread, self.height, self.offset, self.noise])


def grow_film(extent_nm: tuple[float, float], rng: np.random.Generator) -> Film:
    """Grow a film of `extent_nm` (width, height); `rng` decides everything random."""
    structure = grow(extent_nm, rng)
    shape = structure.grain.shape
    up, wall, flat, defect = structure.orientation, structure.wall, structure.in_plane, structure.defect
    unseen = [random_field(rng, shape, UNSEEN_NM) for _ in range(5)]
    disorder = 1 + DISORDER * np.maximum(wall, defect)

    imprint = (
        IMPRINT_V
        + IMPRINT_BY_DOMAIN_V * up
        + IMPRINT_BY_GRAIN_V * structure.grain
        + IMPRINT_BY_CHARGE_V * structure.charge
        + UNSEEN_V * disorder * unseen[0]
    )
    half_width = (
        HALF_WIDTH_V
        + HALF_WIDTH_BY_GRAIN_V * structure.grain
        - HALF_WIDTH_LOST_AT_WALLS_V * wall
        + HALF_WIDTH_AT_DEFECTS_V * defect
        + UNSEEN_V * disorder * unseen[1]
    )
    rounding = SPREAD_V + SPREAD_AT_WALLS_V * wall + SPREAD_AT_DEFECTS_V * defect + SPREAD_IN_PLANE_V * flat
    switching = (
        (1 - UNSWITCHED_IN_PLANE * flat) * (1 - UNSWITCHED_AT_DEFECTS * defect) * (1 - UNSWITCHED_AT_WALLS * wall)
    )
    texture = np.exp(HEIGHT_SPREAD * random_field(rng, shape, UNSEEN_NM))
    hidden = np.clip(1 + HEIGHT_UNSEEN * disorder * unseen[3], SMALLEST_HEIGHT, None)
    offset_unseen = (OFFSET_UNSEEN + OFFSET_UNSEEN_BY_DISORDER * disorder) * unseen[4] * switching
    field = random_field(rng, shape, TROUBLE_NM)
    troubled: Map = (field > np.quantile(field, 1 - TROUBLED_SHARE)) / TROUBLED_SHARE
    return Film(
        topography=structure.topography,
        state=up,
        imprint=imprint,
        half_width=np.clip(half_width, SMALLEST_HALF_WIDTH_V, None),
        spread=rounding * np.exp(SPREAD_UNSEEN * unseen[2]),
        height=HALF_HEIGHT * texture * switching * hidden,
        offset=OFFSET_AT_DEFECTS * defect * up + offset_unseen,
        noise=1 + NOISE_BY_DISORDER * np.maximum(wall, defect),
        trouble=0.5 + 0.5 * troubled,
    )
