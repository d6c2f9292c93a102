"""Learning curves of strategies beside their floors."""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from benchmarks.statistics import OWN

FLOORS = {"ridge on patch": "#0f766e", "ridge on position": "#7c3aed", "ridge on patch and position": "#475569"}
COLOURS = ("#c2410c", "#2563eb", "#ca8a04", "#be185d", "#15803d", "#0891b2", "#6d28d9", "#57534e")


def learning_curves(table: pd.DataFrame, floor: str = "random", measure: str = "nmse") -> Figure:
    """Draw the mean over seeds and its standard error against the number of points, a panel for each sample.

    Parameters
    ----------
    table : DataFrame
        From :func:`benchmarks.statistics.curves`.
    floor : str
        The strategy whose points the ridge regressions of the floors have.
    measure : {"nmse", "loss", "worst"}
        What to draw.
    """
    samples = list(dict.fromkeys(table[table["regressor"] == OWN]["sample"]))
    columns = min(len(samples), 2)
    stacked = -(-len(samples) // max(columns, 1))
    drawing = Figure(figsize=(5.2 * columns, 4.2 * stacked), layout="constrained")
    for number, sample in enumerate(samples):
        axes = drawing.add_subplot(stacked, columns, number + 1)
        here = table[table["sample"] == sample]
        axes.set(title=sample, xlabel="measured points", ylabel=LABELS[measure])
        if measure == "nmse":
            axes.axhline(1, color="#94a3b8", lw=0.8, ls=":", label="mean spectrum")
        if measure != "worst":
            for regressor, colour in FLOORS.items():
                rows = here[(here["strategy"] == floor) & (here["regressor"] == regressor)]
                _draw(axes, rows, measure, f"{regressor}, random points", colour, ls="--")
        own = here[here["regressor"] == OWN]
        for strategy, colour in zip(dict.fromkeys(own["strategy"]), COLOURS, strict=False):
            _draw(axes, own[own["strategy"] == strategy], measure, strategy, colour)
        axes.set_ylim(bottom=0)
        axes.legend(fontsize=6.5)
    return drawing


LABELS = {
    "nmse": "NMSE where unmeasured (1 = mean spectrum)",
    "loss": "sum over the pool of spectral MSE",
    "worst": "mean spectral MSE of the ten worst places",
}


def save(drawing: Figure, path: Path) -> Path:
    """Write a PNG file of 256 colours at `path`, so that it may be committed, and return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    drawing.savefig(path, dpi=85)
    Image.open(path).convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE).save(path, optimize=True)
    return path


def _draw(axes: Axes, rows: pd.DataFrame, measure: str, label: str, colour: str, ls: str = "-") -> None:
    if rows.empty:
        return
    groups = rows.groupby("points")[measure]
    mean, error = groups.mean(), groups.sem().fillna(0.0)
    points = mean.index.to_numpy()
    axes.plot(points, mean, color=colour, lw=1.3, ls=ls, label=f"{label} ({rows['seed'].nunique()} seeds)")
    axes.fill_between(points, mean - error, mean + error, color=colour, alpha=0.15, lw=0)
