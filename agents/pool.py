"""From an image to the candidates of a run: places where a spectrum can be taken, each with the patch around it."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from agents.protocols import Pool

MAX_CANDIDATES = 2500
"""Largest pool of the automatic stride (64-filter networks embed 2 500 patches in about 0.5 s)."""

WINDOW = 9
"""Side in px of a patch, unless another is chosen."""

Area = tuple[float, float, float, float]
"""(x_min, x_max, y_min, y_max) in nm, to the outer edges of the pixels."""

Edge = Literal["inside", "reflect"]
"""Which candidates there are at the edge of an image: ``"inside"`` – those whose whole patch lies in it;
``"reflect"`` – all, the patches at the edge continued by reflection."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """N places where a spectrum can be taken.

    Attributes
    ----------
    positions : (N, 2) float64
        x and y of each in nm.
    pixels : (N, 2) int64
        Row and column of the pixel at the centre of its patch.
    grid : (rows, columns) or None
        The regular grid that they form, in C order; None if they form none.
    """

    positions: NDArray[np.float64]
    pixels: NDArray[np.int64]
    grid: tuple[int, int] | None


def automatic_window(shape: tuple[int, int], area: Area, places: ArrayLike | None = None) -> tuple[int, Edge]:
    """Return window and edge for an image of `shape` (ny, nx) over `area`, with spectra at `places` or everywhere.

    Usually 9 px, inside. Under 18 px this would leave out most of an image: there the window is the largest odd number
    up to half of the smaller side, at least 3, and patches are continued by reflection. They are, too, where so
    many places lie at the edge that less than half of what one expects would be left.
    """
    half = min(shape) // 2
    if half < WINDOW:
        return max(3, half - 1 + half % 2), "reflect"
    if places is not None:
        every = len(find_candidates(shape, area, WINDOW, 1, edge="reflect", places=places).positions)
        try:
            inside = len(find_candidates(shape, area, WINDOW, 1, places=places).positions)
        except ValueError:  # none
            inside = 0
        usual = np.prod(grid_shape(shape, WINDOW, 1)) / np.prod(shape)  # of the pixels
        if inside < every * usual / 2:
            return WINDOW, "reflect"
    return WINDOW, "inside"


def automatic_stride(
    shape: tuple[int, int],
    window: int,
    *,
    area: Area = (0.0, 1.0, 0.0, 1.0),
    edge: Edge = "inside",
    places: ArrayLike | None = None,
) -> int:
    """Return the smallest stride with which an image of `shape` (ny, nx) has at most 2 500 candidates."""
    stride = 1
    if places is not None:
        while len(find_candidates(shape, area, window, stride, edge=edge, places=places).positions) > MAX_CANDIDATES:
            stride += 1
        return stride
    while np.prod(grid_shape(shape, window, stride, edge)) > MAX_CANDIDATES:
        stride += 1
    return stride


def grid_shape(shape: tuple[int, int], window: int, stride: int, edge: Edge = "inside") -> tuple[int, int]:
    """Return (rows, columns) of the candidate grid for an image of `shape` (ny, nx).

    Raises
    ------
    ValueError
        If the window is under 3 px or larger than the image, the stride is not positive, or the edge is unknown.
    """
    ny, nx = shape
    if window < 3:
        raise ValueError(f"window must be at least 3 px, got {window}")
    if window > min(ny, nx):
        raise ValueError(f"window of {window} px does not fit into an image of {ny}×{nx} px; choose a smaller window")
    if stride < 1:
        raise ValueError(f"stride must be at least 1 px, got {stride}")
    if edge not in get_args(Edge):
        raise ValueError(f"edge must be one of {', '.join(get_args(Edge))}, got {edge!r}")
    margin = 0 if edge == "reflect" else window - 1
    return (ny - margin - 1) // stride + 1, (nx - margin - 1) // stride + 1


def make_pool(
    frame: ArrayLike,
    area: Area,
    window: int = WINDOW,
    stride: int | None = None,
    *,
    edge: Edge = "inside",
    places: ArrayLike | None = None,
) -> Pool:
    """Cut an image into the candidates of a run.

    The patch of a candidate is centred on the pixel that contains it: this is pixel ``window // 2`` of the patch. The
    patch of an even window therefore extends one pixel further to smaller than to larger x and y.

    Parameters
    ----------
    frame : (C, ny, nx)
        The image; row 0 lies at y_min, column 0 at x_min.
    area : (x_min, x_max, y_min, y_max)
        The imaged area in nm, up to the outer edges of the pixels.
    window : int
        Side of a patch in px.
    stride : int, optional
        Distance between neighbouring candidates, in px or, with `places`, in places; by default the smallest that gives
        at most 2 500 candidates.
    edge : {"inside", "reflect"}
        Which candidates there are at the edge of the image, see :data:`Edge`.
    places : (M, 2), optional
        Where spectra can be taken, in nm; by default at the centre of every pixel.

    Returns
    -------
    Pool
        N candidates, those of a grid in C order (x runs fastest).

    Raises
    ------
    ValueError
        If the frame is not (C, ny, nx) or not finite, or window, stride and places do not fit it.
    """
    image = np.ascontiguousarray(frame, dtype=np.float32)
    if image.ndim != 3:
        raise ValueError(f"a frame has shape (C, ny, nx), got {image.shape}")
    if not np.isfinite(image).all():
        channel, row, column = np.argwhere(~np.isfinite(image))[0]
        raise ValueError(f"the frame is not finite: first at channel {channel}, row {row}, column {column}")
    shape = (image.shape[1], image.shape[2])
    if stride is None:
        stride = automatic_stride(shape, window, area=area, edge=edge, places=places)
    found = find_candidates(shape, area, window, stride, edge=edge, places=places)
    rows, columns = found.pixels.T
    before, after = window // 2, window - 1 - window // 2
    if edge == "reflect":
        image = np.pad(image, ((0, 0), (before, after), (before, after)), mode="reflect")
    else:
        rows, columns = rows - before, columns - before
    views = sliding_window_view(image, (window, window), axis=(1, 2))[:, rows, columns]  # (C, N, w, w)
    return Pool(found.positions, np.ascontiguousarray(views.transpose(1, 0, 2, 3)), found.grid)


def find_candidates(
    shape: tuple[int, int],
    area: Area,
    window: int,
    stride: int,
    *,
    edge: Edge = "inside",
    places: ArrayLike | None = None,
) -> Candidates:
    """Return the candidates of an image of `shape` (ny, nx); see :func:`make_pool`.

    Raises
    ------
    ValueError
        If window and stride do not fit the image, or no place is left.
    """
    grid = grid_shape(shape, window, stride, edge)
    before, after = (0, 0) if edge == "reflect" else (window // 2, window - 1 - window // 2)
    if places is None:
        row, column = (before + stride * index.ravel() for index in np.indices(grid))
        y, x = pixel_centres(area[2], area[3], shape[0])[row], pixel_centres(area[0], area[1], shape[1])[column]
        return Candidates(np.stack([x, y], axis=1), np.stack([row, column], axis=1), grid)
    positions = np.asarray(places, dtype=np.float64)
    if positions.ndim != 2 or positions.shape[1] != 2 or not np.isfinite(positions).all():
        raise ValueError(f"places are finite positions (M, 2) in nm, got shape {positions.shape}")
    pixels = np.stack(
        [pixel_of(positions[:, 1], area[2], area[3], shape[0]), pixel_of(positions[:, 0], area[0], area[1], shape[1])],
        axis=1,
    )
    fits = ((pixels >= before) & (pixels < np.array(shape) - after)).all(axis=1)
    if not fits.any():
        raise ValueError(
            f"none of the {len(positions)} places with a spectrum lies in the image with a whole patch of {window} px "
            "around it; choose a smaller window, or patches that are reflected at the edge"
        )
    positions, pixels = positions[fits], pixels[fits]
    kept = _every(positions, stride)
    return Candidates(positions[kept], pixels[kept], _complete(positions[kept]))


def lattice(positions: NDArray[np.float64]) -> tuple[tuple[int, int], NDArray[np.int64]] | None:
    """Return the axis-parallel grid on which positions (N, 2) lie, with gaps or without.

    Returns
    -------
    ((rows, columns), (N, 2) int64) or None
        Its shape, and row and column of each position; None if they lie on none, or if it would have more than four
        times as many nodes.
    """
    steps = []
    for values in positions.T:
        unique = np.unique(values)
        tolerance = 1e-6 * max(float(np.ptp(values)), 1e-12)
        gaps = np.diff(unique)
        gaps = gaps[gaps > tolerance]
        pitch = float(gaps.min()) if gaps.size else 1.0
        step = (values - unique[0]) / pitch
        if np.abs(step - np.round(step)).max() > 0.01:
            return None
        steps.append(np.round(step).astype(np.int64))
    column, row = steps
    shape = (int(row.max()) + 1, int(column.max()) + 1)
    if shape[0] * shape[1] > 4 * len(positions):
        return None
    return shape, np.stack([row, column], axis=1)


def _every(positions: NDArray[np.float64], stride: int) -> NDArray[np.intp]:
    """Return which places are kept: every `stride`-th row and column of a grid, else every `stride`-th place."""
    if stride == 1:
        return np.arange(len(positions))
    found = lattice(positions)
    if found is None:
        return np.arange(0, len(positions), stride)
    return np.flatnonzero((found[1] % stride == 0).all(axis=1))


def _complete(positions: NDArray[np.float64]) -> tuple[int, int] | None:
    """Return the grid that places form in C order, without gaps; else None."""
    found = lattice(positions)
    if found is None:
        return None
    (rows, columns), nodes = found
    if rows * columns != len(positions) or (nodes @ (columns, 1) != np.arange(len(positions))).any():
        return None
    return rows, columns


def pixel_centres(low: float, high: float, n: int) -> NDArray[np.float64]:
    """Return the centres of `n` equal pixels between the edges `low` and `high`, shape (n,)."""
    return low + (np.arange(n) + 0.5) * (high - low) / n


def pixel_of(values: NDArray[np.float64], low: float, high: float, n: int) -> NDArray[np.int64]:
    """Return which of `n` equal pixels between `low` and `high` contains each value; −1 or `n` outside.

    The upper edge belongs to the last pixel.
    """
    index = np.floor((values - low) / (high - low) * n)
    index[values == high] = n - 1
    return np.clip(index, -1, n).astype(np.int64)
