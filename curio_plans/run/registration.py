"""Image registration: how far one image lies from another."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

UPSAMPLING = 20
"""Shifts are found to 1/20 px."""


Array = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Registration:
    """How one image lies over another.

    Attributes
    ----------
    rows, columns : float
        How far what the second image shows lies from where the first shows it, in px.
    confidence : float
        Pearson correlation of the two where they then overlap, −1…1; 0 where they hardly do or one shows nothing.
    """

    rows: float
    columns: float
    confidence: float


def register(first: Array, second: Array) -> Registration:
    """Find the shift between two images (ny, nx) of the same size.

    Phase correlation finds it to a pixel, whatever lies at the edges; then the cross-correlation of what both images
    show, tapered (Hann) so that the edges do not pull, finds it to 1/20 px. Both as implemented in scikit-image after
    Guizar-Sicairos et al., Optics Letters 33, 156 (2008).
    """
    from scipy import ndimage

    nothing = Registration(0.0, 0.0, 0.0)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return nothing
    coarse = np.rint(_shift(first, second, "phase")).astype(int)
    one, other = _overlap(first, second, *coarse)
    if one.size < first.size // 4 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return nothing
    fine = _shift(one, other, None)
    confidence = float(np.corrcoef(one.ravel(), ndimage.shift(other, -fine, order=1, mode="nearest").ravel())[0, 1])
    rows, columns = coarse + fine
    return Registration(float(rows), float(columns), confidence)


def _shift(first: Array, second: Array, normalization: str | None) -> NDArray[np.float64]:
    """Return how far (rows, columns) in px `second` shows everything from where `first` shows it."""
    from skimage.filters import window  # a second to load, and most runs do not follow the drift
    from skimage.registration import phase_cross_correlation

    taper = window("hann", first.shape)
    tapered = [(image - image.mean()) * taper for image in (first, second)]
    back, _, _ = phase_cross_correlation(*tapered, upsample_factor=UPSAMPLING, normalization=normalization)
    return -np.asarray(back, dtype=np.float64)


def _overlap(first: Array, second: Array, rows: int, columns: int) -> tuple[Array, Array]:
    """Return what both images show, when `second` shows it (rows, columns) px from where `first` does."""

    def parts(size: int, shift: int) -> tuple[slice, slice]:
        low, high = max(0, -shift), min(size, size - shift)
        return slice(low, high), slice(low + shift, high + shift)

    (rows_one, rows_other), (columns_one, columns_other) = parts(first.shape[0], rows), parts(first.shape[1], columns)
    return first[rows_one, columns_one], second[rows_other, columns_other]
