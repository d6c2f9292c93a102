"""A recorded sample: one measured image, and one measured spectrum for each of its pixels."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ophyd_devices.backend import Area, BackendError, Channel, Spectroscopy
from ophyd_devices.twin.archive import Archive, SampleError
from ophyd_devices.twin.sample import AS_NEW, Condition, Spectra

__all__ = ["Extent", "RecordedSample", "SampleError", "load_recorded"]

Extent = float | Sequence[float]
"""Width (with square pixels), (width, height), or (x_min, x_max, y_min, y_max), in nm."""


@dataclass(frozen=True, eq=False)
class RecordedSample:
    """A measured image with a spectrum for each pixel; build it with :func:`load_recorded`.

    It returns the recorded data without further noise. The spectrum at (x, y) is that of the pixel that contains it.

    Attributes
    ----------
    image : (C, H, W) float32
        Row 0 at y_min.
    cube : (H, W, K) float64
        The spectra.
    channels : tuple of Channel
        C channels.
    spectroscopy : Spectroscopy
        Its `axis` (K,) is the recorded one.
    area : Area
        In nm.
    origin : mapping
        JSON-able facts about the source of the data.
    """

    image: NDArray[np.float32]
    cube: NDArray[np.float64]
    channels: tuple[Channel, ...]
    spectroscopy: Spectroscopy
    area: Area
    origin: Mapping[str, Any]
    fixed_frame: ClassVar[bool] = True

    @property
    def pixels(self) -> tuple[int, int]:
        """(H, W)."""
        return self.cube.shape[0], self.cube.shape[1]

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
    ) -> Spectra:
        """Return the recorded spectra (N, K) of the pixels that contain `positions` (N, 2).

        Raises
        ------
        BackendError
            If `bias` is not the recorded axis.
        """
        axis = self.spectroscopy.axis
        if not np.array_equal(bias, np.asarray(axis)):
            raise BackendError(
                f"a recorded sample only has the spectra along its own axis {self.spectroscopy.axis_name!r} of "
                f"{self.cube.shape[2]} steps, got another one of shape {np.shape(bias)}; "
                "pass info.spectroscopy.axis as the bias"
            )
        (height, width), (x_min, x_max, y_min, y_max) = self.pixels, self.area
        columns = np.floor((positions[:, 0] - x_min) / (x_max - x_min) * width).astype(int)
        rows = np.floor((positions[:, 1] - y_min) / (y_max - y_min) * height).astype(int)
        # The upper edges belong to the last pixels.
        return self.cube[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)], None

    def describe(self) -> Mapping[str, Any]:
        """Return kind, file, checksum, shapes and extent."""
        return {
            "kind": "recorded",
            "image_shape": list(self.image.shape),
            "spectra_shape": list(self.cube.shape),
            "extent_nm": list(self.area),
            **self.origin,
        }


def load_recorded(
    path: str | Path, extent_nm: Extent | None = None, *, axis: str | None = None, axis_unit: str | None = None
) -> RecordedSample:
    """Read a recorded sample from an npz file.

    Parameters
    ----------
    path : str or Path
        The file needs `image`, (H, W) or (C, H, W), and `spectra`, (H, W, K). It may have `axis` (K,), `axis_name`,
        `axis_unit`, `quantity`, `spectrum_unit`, `channels` and `channel_units` (C names each) and `extent_nm`.
        Other arrays are ignored; :meth:`RecordedSample.describe` names them.
    extent_nm : float or sequence, optional
        Width (the height follows from square pixels), (width, height), or (x_min, x_max, y_min, y_max), in nm. It
        overrides the extent in the file. Without either, a pixel is taken as 1 nm, and the description says so.
    axis : str, optional
        Name of the array (K,) that holds the spectral axis, if it is not called `axis`. It also names the axis.
    axis_unit : str, optional
        Unit of the axis, if the file does not give it.

    Returns
    -------
    RecordedSample
        The numbers of the file as float32 (image) and float64 (spectra).

    Raises
    ------
    SampleError
        If the file is missing or unreadable, or its arrays do not fit together.
    """
    file = Archive(Path(path))
    image = file.numbers("image", np.float32)
    cube = file.numbers("spectra", np.float64)
    if image.ndim == 2:
        image = image[None]
    _check_shapes(file, image, cube)
    channels, height, width, steps = len(image), *cube.shape

    key = "axis" if axis is None else axis
    there = axis is not None or key in file
    values = file.numbers(key, np.float64) if there else np.arange(steps, dtype=np.float64)
    if values.shape != (steps,):
        raise file.error(
            f"expected an axis of shape ({steps},), one value a step of the spectra, got {key!r} of {values.shape}; "
            "correct it or leave it out"
        )
    names = file.texts("channels", ["image"] if channels == 1 else [f"channel_{n}" for n in range(channels)])
    if len(set(names)) < channels:
        raise file.error(f"expected {channels} different names in 'channels', got {names}; rename them")
    units = file.texts("channel_units", [""] * channels)
    extent, source = _extent(file, extent_nm, (width, height))
    return RecordedSample(
        image=image,
        cube=cube,
        channels=tuple(Channel(name, unit) for name, unit in zip(names, units, strict=True)),
        spectroscopy=Spectroscopy(
            quantity=file.text("quantity", "spectrum"),
            unit=file.text("spectrum_unit", ""),
            axis_name=file.text("axis_name", key if there else "step"),
            axis_unit=axis_unit if axis_unit is not None else file.text("axis_unit", ""),
            axis=values,
        ),
        area=_area(file, extent, height / width),
        origin={
            "file": file.path.name,
            "sha256": hashlib.sha256(file.path.read_bytes()).hexdigest(),
            "extent_source": source,
            "unused_keys": sorted(set(file) - _KEYS - {key}),
            "possible_axes": [] if there else sorted(k for k in set(file) - _KEYS if file.raw(k).shape == (steps,)),
        },
    )


_KEYS = {
    *("image", "spectra", "extent_nm", "axis", "axis_name", "axis_unit"),
    *("quantity", "spectrum_unit", "channels", "channel_units"),
}


def _check_shapes(file: Archive, image: NDArray[np.float32], cube: NDArray[np.float64]) -> None:
    """Raise SampleError unless the shapes are (C, H, W) and (H, W, K)."""
    if image.ndim != 3 or cube.ndim != 3:
        raise file.error(
            f"expected image (H, W) or (C, H, W) and spectra (H, W, K), "
            f"got {file.raw('image').shape} and {cube.shape}; reshape them"
        )
    height, width, steps = cube.shape
    if image.shape[1:] != (height, width):
        raise file.error(
            f"expected one spectrum for each pixel, got an image of {image.shape[1]}×{image.shape[2]} px and "
            f"spectra of {height}×{width} px; crop or resample one of them, and check that none is transposed"
        )
    if len(image) < 1 or min(height, width) < 2 or steps < 2:
        raise file.error(
            f"expected at least 1 channel, 2×2 px and 2 steps a spectrum, "
            f"got {len(image)}, {height}×{width} and {steps}; check the order of the dimensions"
        )


def _extent(file: Archive, given: Extent | None, pixels: tuple[int, int]) -> tuple[NDArray[Any], str]:
    """Return the extent and its source; `pixels` is (W, H)."""
    if given is not None:
        return np.asarray(given), "given"
    if "extent_nm" in file:
        return file.raw("extent_nm"), "file"
    return np.array(pixels), "assumed 1 px = 1 nm"


def _area(file: Archive, extent: NDArray[Any], aspect: float) -> Area:
    """Return the area of an extent; `aspect` is height over width of the image."""
    if extent.dtype.kind in "iuf" and np.isfinite(extent).all():
        values = [float(value) for value in extent.ravel()]
        if len(values) == 1:
            values = [values[0], values[0] * aspect]
        if len(values) == 2:
            values = [0.0, values[0], 0.0, values[1]]
        if len(values) == 4 and values[1] > values[0] and values[3] > values[2]:
            return values[0], values[1], values[2], values[3]
    raise file.error(
        "expected an extent in nm as a width, (width, height) or (x_min, x_max, y_min, y_max), finite and with "
        f"positive sides, got {extent.tolist()}; correct 'extent_nm' in the file or the argument"
    )
