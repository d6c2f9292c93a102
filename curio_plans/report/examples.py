"""The spectra that stand for a run: which they are, where, and what was predicted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from curio_plans.documents.history import History
from curio_plans.documents.streams import Point
from curio_plans.report.drawing import Array, draw_spectra, measured_style, predicted_style

EXAMPLES = 3
"""Number of spectra that are drawn."""


@dataclass(frozen=True, eq=False)
class Example:
    """One spectrum to show.

    Attributes
    ----------
    title : str
        What it stands for.
    kind : str
        ``true`` or ``measured``.
    spectrum : (K,) float
        In the unit of the run's spectra.
    position : (x, y) or None
        Its place in nm.
    predicted : (K,) float or None
        What the model says there.
    """

    title: str
    kind: str
    spectrum: Array
    position: tuple[float, float] | None
    predicted: Array | None = None


def some_points(points: Sequence[Point]) -> list[Example]:
    """Return spectra from the beginning, the middle and the end of a run."""
    numbers = sorted({0, len(points) // 2, len(points) - 1}) if points else []
    return [
        Example(f"point {number + 1}", "measured", points[number].spectrum, points[number].position)
        for number in numbers
    ]


def good_and_bad(history: History, prediction: Array) -> list[Example]:
    """Return candidates whose `prediction` (N, K) is good, middling and bad, unmeasured where the truth is known."""
    measured = history.measured()
    if history.reference is not None:
        kind, where, spectra = "true", "unmeasured", history.reference
        candidates = np.delete(np.arange(len(spectra)), measured)
    else:
        kind, where, candidates = "measured", "measured", np.array(measured, dtype=np.int64)
        spectra = np.full_like(prediction, np.nan)
        for observation in history.observations:
            spectra[observation.index] = observation.spectrum
    if not len(candidates):
        return []
    order = candidates[np.argsort(((prediction - spectra) ** 2).mean(axis=1)[candidates])]
    chosen = {percent: int(order[round(percent / 100 * (len(order) - 1))]) for percent in (10, 50, 90)}
    pool = history.pool
    places = {} if pool is None else {index: _place(pool.positions[index]) for index in chosen.values()}
    return [
        Example(
            f"{where}, error at the {percent}th percentile", kind, spectra[index], places.get(index), prediction[index]
        )
        for percent, index in chosen.items()
    ]


def located(examples: Sequence[Example]) -> Iterator[tuple[str, tuple[float, float]]]:
    """Yield the letter and the place of each example whose place is known."""
    for number, example in enumerate(examples):
        if example.position is not None:
            yield _letter(number), example.position


def draw_examples(panels: Sequence[Axes], history: History, examples: Sequence[Example], model: str) -> None:
    """Draw each example in its axes, with what `model` predicted; a legend below says which line is which."""
    for number, (axes, example) in enumerate(zip(panels, examples, strict=True)):
        axes.set_title(f"{_letter(number)}: {example.title}", fontsize=10)
        drawn = [(example.spectrum, measured_style(example.kind))]
        if example.predicted is not None:
            drawn.append((example.predicted, predicted_style(f"predicted ({model})")))
        draw_spectra(axes, history, *drawn)
        if len(drawn) > 1:
            axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2, frameon=False)


def _letter(number: int) -> str:
    return "ABC"[number]


def _place(position: Array) -> tuple[float, float]:
    return float(position[0]), float(position[1])
