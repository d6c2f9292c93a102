"""From an image to the candidates of a run: a regular grid of positions, each with the patch around it."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from agents.protocols import Pool

MAX_CANDIDATES = 2500
"""Largest pool of the automatic stride (64-filter networks embed 2 500 patches in about 0.5 s)."""


def automatic_stride(shape: tuple[int, int], window: int) -> int:
    """Return the smallest stride for which an image of `shape` (ny, nx) has at most 2 500 candidates."""
    stride = 1
    while np.prod(grid_shape(shape, window, stride)) > MAX_CANDIDATES:
        stride += 1
    return stride


def grid_shape(shape: tuple[int, int], window: int, stride: int) -> tuple[int, int]:
    """Return (rows, columns) of the candidate grid for an image of `shape` (ny, nx).

    Raises
    ------
    ValueError
        If the window is under 3 px or larger than the image, or the stride is not positive.
    """
    ny, nx = shape
    if window < 3:
        raise ValueError(f"window must be at least 3 px, got {window}")
    if window > min(ny, nx):
        raise ValueError(f"window of {window} px does not fit into an image of {ny}×{nx} px; choose a smaller window")
    if stride < 1:
        raise ValueError(f"stride must be at least 1 px, got {stride}")
    return (ny - window) // stride + 1, (nx - window) // stride + 1


def make_pool(
    frame: ArrayLike, area: tuple[float, float, float, float], window: int = 9, stride: int | None = None
) -> Pool:
    """Cut an image into the candidates of a run.

    The position of a candidate is the centre of pixel ``window // 2`` of its patch. The patch of an even window
    therefore extends one pixel further to smaller than to larger x and y.

    Parameters
    ----------
    frame : (C, ny, nx)
        The image; row 0 lies at y_min, column 0 at x_min.
    area : (x_min, x_max, y_min, y_max)
        The imaged area in nm, up to the outer edges of the pixels.
    window : int
        Side of a patch in px.
    stride : int, optional
        Distance between neighbouring candidates in px; by default the smallest that gives at most 2 500 candidates.

    Returns
    -------
    Pool
        N candidates in C order (x runs fastest).

    Raises
    ------
    ValueError
        If the frame is not (C, ny, nx) or not finite, or window and stride do not fit it.
    """
    image = np.ascontiguousarray(frame, dtype=np.float32)
    if image.ndim != 3:
        raise ValueError(f"a frame has shape (C, ny, nx), got {image.shape}")
    if not np.isfinite(image).all():
        channel, row, column = np.argwhere(~np.isfinite(image))[0]
        raise ValueError(f"the frame is not finite: first at channel {channel}, row {row}, column {column}")
    _, ny, nx = image.shape
    stride = automatic_stride((ny, nx), window) if stride is None else stride
    grid = grid_shape((ny, nx), window, stride)

    views = sliding_window_view(image, (window, window), axis=(1, 2))[:, ::stride, ::stride]  # (C, rows, cols, w, w)
    patches = views.transpose(1, 2, 0, 3, 4).reshape(-1, len(image), window, window)

    positions = candidate_positions((ny, nx), area, window, stride)
    return Pool(positions=positions, patches=np.ascontiguousarray(patches), grid=grid)


def candidate_positions(
    shape: tuple[int, int], area: tuple[float, float, float, float], window: int, stride: int
) -> NDArray[np.float64]:
    """Return the positions (N, 2) in nm of the candidates of an image of `shape` (ny, nx); see :func:`make_pool`."""
    rows, columns = grid_shape(shape, window, stride)
    x = pixel_centres(area[0], area[1], shape[1])[window // 2 :: stride][:columns]
    y = pixel_centres(area[2], area[3], shape[0])[window // 2 :: stride][:rows]
    return np.stack([np.tile(x, rows), np.repeat(y, columns)], axis=1)


def pixel_centres(low: float, high: float, n: int) -> NDArray[np.float64]:
    """Return the centres of `n` equal pixels between the edges `low` and `high`, shape (n,)."""
    return low + (np.arange(n) + 0.5) * (high - low) / n
