"""One picture of a file of measured data: its image with the places, some spectra, and how much they vary."""

from typing import Any, Protocol

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from agents.pool import lattice
from curio_plans.report.drawing import ACCENT, QUIET, broken, draw_places, label_axes

SHOWN = 5
"""Number of spectra that are drawn."""

CONTRAST = (0.5, 99.5)
"""Percentiles of the image between which it is shaded: a few odd pixels do not hide the rest."""

TICKS = 5
"""Most intervals between the numbers of an axis: numbers of six digits stay apart."""


class Sample(Protocol):
    """What is drawn: an image (C, ny, nx) over an area in nm, and channels (N, M, K) of spectra at places."""

    @property
    def image(self) -> NDArray[np.float32]:
        """The image."""

    @property
    def values(self) -> NDArray[np.float64]:
        """The spectra."""

    @property
    def area(self) -> tuple[float, float, float, float]:
        """What the image covers."""

    @property
    def channels(self) -> Any:
        """Name and unit of each channel of the image."""

    @property
    def spectroscopy(self) -> Any:
        """Quantity and axis of the spectra, with their units."""


def sample_figure(sample: Sample, places: NDArray[np.float64], title: str) -> Figure:
    """Draw a sample; `places` (M, 2) are those of its spectra in nm."""
    spectra, about = sample.values[0], sample.spectroscopy
    drawing = Figure(figsize=(14, 4.2), layout="constrained")
    image, curves, spread = drawing.subplots(1, 3)
    low, high = (float(value) for value in np.nanpercentile(sample.image[0], CONTRAST))
    shown = image.imshow(sample.image[0], origin="lower", extent=sample.area, cmap="gray", vmin=low, vmax=high)
    first = sample.channels[0]
    unit = f" / {first.unit}" if first.unit else ""
    drawing.colorbar(shown, ax=image, label=f"{first.name}{unit}", shrink=0.75)
    if len(places) < sample.image[0].size or lattice(places) is None:
        image.plot(places[:, 0], places[:, 1], ".", color=ACCENT, ms=max(1.0, min(4.0, 120 / len(places) ** 0.5)))
    image.set(title=f"image, {len(places)} spectra", xlabel="x / nm", ylabel="y / nm")
    size = spectra.std(axis=1)
    order = np.argsort(size)
    for rank in np.linspace(0, len(order) - 1, min(SHOWN, len(order))).astype(int):
        curves.plot(*broken(np.asarray(about.axis), spectra[order[rank]]), lw=0.9)
    curves.plot(*broken(np.asarray(about.axis), spectra.mean(axis=0)), color=QUIET, lw=2, ls="--", label="mean of all")
    curves.legend(fontsize=7)
    label_axes(curves, (about.axis_name, about.axis_unit), (about.quantity, about.unit))
    curves.set_title("from the smallest to the largest spread")
    draw_places(spread, places, size, f"standard deviation of a spectrum / {about.unit}".rstrip("/ "))
    spread.set(title="how much they vary", xlabel="x / nm", aspect="equal", xlim=sample.area[:2], ylim=sample.area[2:])
    for axes in (image, curves, spread):
        axes.locator_params(axis="x", nbins=TICKS)
    drawing.suptitle(title, fontsize=11)
    return drawing
