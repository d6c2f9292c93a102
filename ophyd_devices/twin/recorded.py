"""A recorded sample: a measured image, and measured spectra at some or all of its places."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from ophyd_devices.backend import Area, BackendError, Channel, Spectroscopy
from ophyd_devices.twin.sample import AS_NEW, Condition


@dataclass(frozen=True, eq=False)
class RecordedSample:
    """A measured image with spectra; build it with :func:`~ophyd_devices.twin.sample_file.sample_from`.

    It returns the recorded data without further noise. Where every pixel of the image has a spectrum, the spectrum at
    (x, y) is that of the pixel that contains it; else it is that of the nearest place that has one.

    Attributes
    ----------
    image : (C, H, W) float32
        Row 0 at y_min.
    values : (N, M, K) float64
        N channels of the spectra: of all M pixels in C order, or of the places.
    channels : tuple of Channel
        C channels.
    spectroscopy : Spectroscopy
        Its `axis` (K,) is the recorded one.
    area : Area
        In nm.
    origin : mapping
        JSON-able facts about the source of the data.
    places : (M, 2) float64 or None
        Where the spectra were measured, in nm; None for the centres of all pixels.
    """

    image: NDArray[np.float32]
    values: NDArray[np.float64]
    channels: tuple[Channel, ...]
    spectroscopy: Spectroscopy
    area: Area
    origin: Mapping[str, Any]
    places: NDArray[np.float64] | None = None
    fixed_frame: ClassVar[bool] = True

    @property
    def pixels(self) -> tuple[int, int]:
        """(H, W)."""
        return self.image.shape[1], self.image.shape[2]

    @property
    def positions(self) -> NDArray[np.float64]:
        """Where the spectra were measured (M, 2) in nm: the places, or the centres of all pixels in C order."""
        if self.places is not None:
            return self.places
        (height, width), (x_min, x_max, y_min, y_max) = self.pixels, self.area
        x = x_min + (np.arange(width) + 0.5) * (x_max - x_min) / width
        y = y_min + (np.arange(height) + 0.5) * (y_max - y_min) / height
        return np.stack([np.tile(x, height), np.repeat(y, width)], axis=1)

    @property
    def cube(self) -> NDArray[np.float64]:
        """The first channel of the spectra (H, W, K), where every pixel has one.

        Raises
        ------
        BackendError
            If only some places have one.
        """
        if self.places is not None:
            raise BackendError(f"this sample has spectra at {len(self.places)} places, and not one for each pixel")
        cube: NDArray[np.float64] = self.values[0].reshape(*self.pixels, -1)
        return cube

    def frame(
        self,
        area: Area,
        pixels: tuple[int, int],
        rng: np.random.Generator | None = None,  # noqa: ARG002  the data have their noise already
        condition: Condition = AS_NEW,  # noqa: ARG002  and do not change
    ) -> NDArray[np.float32]:
        """Return the image (C, H, W).

        Raises
        ------
        BackendError
            If the area and the pixels are not the recorded ones.
        """
        if not np.array_equal(area, self.area) or tuple(pixels) != self.pixels:
            raise BackendError(
                f"a recorded sample only has its own frame: expected area {self.area} nm and pixels {self.pixels}, "
                f"got {tuple(area)} and {tuple(pixels)}; ask for info.scan_range at info.pixels"
            )
        return self.image.copy()

    def spectra(
        self,
        positions: NDArray[np.float64],
        bias: NDArray[np.float64],
        rng: np.random.Generator | None = None,  # noqa: ARG002  the data have their noise already
        condition: Condition = AS_NEW,  # noqa: ARG002  and do not change
    ) -> NDArray[np.float64]:
        """Return the channels (C, N, K) of the recorded spectra at `positions` (N, 2).

        Raises
        ------
        BackendError
            If `bias` is not the recorded axis, or a position is farther from every place with a spectrum than those are
            from each other.
        """
        axis = self.spectroscopy.axis
        if not np.array_equal(bias, np.asarray(axis)):
            raise BackendError(
                f"a recorded sample only has the spectra along its own axis {self.spectroscopy.axis_name!r} of "
                f"{self.values.shape[2]} steps, got another one of shape {np.shape(bias)}; "
                "pass info.spectroscopy.axis as the bias"
            )
        found: NDArray[np.float64] = self.values[:, self._index(positions)]
        return found

    def describe(self) -> Mapping[str, Any]:
        """Return kind, file, checksum, shapes and extent."""
        shape = self.values.shape[1:] if self.places is not None else (*self.pixels, self.values.shape[2])
        return {
            "kind": "recorded",
            "image_shape": list(self.image.shape),
            "spectra_shape": list(shape),
            "extent_nm": list(self.area),
            **self.origin,
        }

    def _index(self, positions: NDArray[np.float64]) -> NDArray[np.intp]:
        """Return which of the spectra belongs to each position."""
        if self.places is None:
            (height, width), (x_min, x_max, y_min, y_max) = self.pixels, self.area
            columns = np.floor((positions[:, 0] - x_min) / (x_max - x_min) * width).astype(int)
            rows = np.floor((positions[:, 1] - y_min) / (y_max - y_min) * height).astype(int)
            # The upper edges belong to the last pixels.
            inside: NDArray[np.intp] = np.clip(rows, 0, height - 1) * width + np.clip(columns, 0, width - 1)
            return inside
        tree, reach = self._nearest
        distances, indices = map(np.asarray, tree.query(positions))
        if (distances > reach).any():
            x, y = positions[int(np.argmax(distances))]
            raise BackendError(
                f"no spectrum was recorded within {reach:.4g} nm of ({x:.6g}, {y:.6g}) nm; choose one of info.places"
            )
        return indices.astype(np.intp)

    @cached_property
    def _nearest(self) -> tuple[KDTree, float]:
        """The places, and the smallest distance between two of them."""
        places = np.asarray(self.places)
        tree = KDTree(places)
        apart = np.asarray(tree.query(places, k=2)[0])  # to itself, and to the nearest other
        return tree, float(apart[:, 1].min())
