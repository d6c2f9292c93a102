"""How the tip and the feedback change the measured topography."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import grey_dilation

from ophyd_devices.twin.domains import GRID_NM, Map


def broaden(height: Map, radius_nm: float) -> Map:
    """Return the image of a surface that a parabolic tip takes: the grey-scale dilation of the surface by the tip.

    ``image(r) = max_d [height(r + d) - d² / 2R]`` (Keller, Surf. Sci. 253, 353 (1991)). For a parabola the two axes
    separate.

    Parameters
    ----------
    height : Map
        Height in nm.
    radius_nm : float
        Radius R of the tip; 0 is a point, which changes nothing.
    """
    if radius_nm == 0:
        return height
    reach = int(np.sqrt(2 * radius_nm * np.ptp(height)) / GRID_NM)
    tip = -((GRID_NM * np.arange(-reach, reach + 1)) ** 2) / (2 * radius_nm)
    for structure in (tip[:, None], tip[None, :]):
        height = grey_dilation(height, structure=structure)  # type: ignore[arg-type]  # the stubs want integers
    return height


def lag(lines: NDArray[np.float64], pixels: float) -> NDArray[np.float64]:
    """Return scan lines (ny, nx) as a first-order feedback follows them from left to right.

    Parameters
    ----------
    lines : (ny, nx) float64
    pixels : float
        Time constant of the feedback over the time of a pixel; 0 follows at once.
    """
    if pixels == 0:
        return lines
    kept = np.exp(-1 / pixels)
    followed = lines.copy()
    for column in range(1, lines.shape[1]):
        followed[:, column] += kept * (followed[:, column - 1] - lines[:, column])
    return followed
