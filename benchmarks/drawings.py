"""The figures of the study, from finished jobs; each function returns caption and figure."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.cluster import KMeans

from agents.protocols import Pool
from benchmarks import figures
from benchmarks.problems import open_problem
from benchmarks.runner import Arrays, Job
from benchmarks.statistics import BOTH, OWN

Key = tuple[str, str, int]
"""Sample, strategy, seed."""

CURIOUS = "paper-latent"
"""The strategy whose beliefs are drawn."""

Draw = Callable[[pd.DataFrame, Mapping[Key, Job], Mapping[Key, Arrays]], tuple[str, Figure]]
"""Takes the rows of the curves, the jobs and the outcomes of the finished ones; returns caption and figure."""


def curves(table: pd.DataFrame, *_: object) -> tuple[str, Figure]:
    """Draw the learning curves of the agents' own models."""
    caption = "Learning curves on what was never measured, the agents' own models and floors; mean ± standard error."
    return caption, figures.learning_curves(table)


def worst(table: pd.DataFrame, *_: object) -> tuple[str, Figure]:
    """Draw the error of the ten worst places."""
    return "Mean error of the ten worst places; mean and standard error.", figures.learning_curves(
        table, measure="worst"
    )


def samplers(table: pd.DataFrame, *_: object) -> tuple[str, Figure]:
    """Draw what a kernel ridge regression makes of the points of each strategy."""
    rows = table[table["regressor"] == BOTH]
    caption = "NMSE on what was never measured, of kernel ridge regressions on patch and position at the chosen points."
    return caption, figures.learning_curves(rows.assign(regressor=OWN), floor="")


def windows(table: pd.DataFrame, *_: object) -> tuple[str, Figure]:
    """Draw the error against the size of the patch."""
    last = table[table["points"] == table["budget"]].copy()
    last["window"] = last["sample"].str.extract(r", (\d+) px$", expand=False).astype(int)
    shown = last[
        (last["regressor"] == OWN) | ((last["regressor"] == "ridge on patch") & (last["strategy"] == "random"))
    ]
    drawing = Figure(figsize=(5.2, 4.2), layout="constrained")
    axes = drawing.subplots()
    for regressor, rows in shown.groupby("regressor", sort=False):
        groups = rows.groupby("window")["nmse"]
        axes.errorbar(groups.mean().index, groups.mean(), groups.sem(), marker="o", ms=4, capsize=2, label=regressor)
    axes.axhline(1, color="#94a3b8", lw=0.8, ls=":", label="mean spectrum")
    axes.set(xlabel="side of the patch / px", ylabel=figures.LABELS["nmse"], xticks=sorted(set(last["window"])))
    axes.legend(fontsize=7)
    return "NMSE against the side of the patch, mean and standard error over seeds.", drawing


def maps(_: object, jobs: Mapping[Key, Job], finished: Mapping[Key, Arrays]) -> tuple[str, Figure]:
    """Draw what the curious agent believed in the end, with seed 0 on the first sample."""
    key = next(key for key in finished if key[1] == CURIOUS)
    arrays, job = finished[key], jobs[key]
    drawing = Figure(figsize=(13, 3.4), layout="constrained")
    panels = drawing.subplots(1, 4)
    _draw_points(panels[0], job, arrays)
    for axes, title, values in zip(
        panels[1:],
        ("expected error, relative", "true error, rms", "exploration"),
        (arrays["map_predicted_error"], np.sqrt(arrays["place_mse"]), arrays["map_exploration"]),
        strict=True,
    ):
        low, high = np.percentile(values, [1, 99])
        shown = axes.imshow(values.reshape(_pool(job).grid), origin="lower", vmin=low, vmax=high)
        axes.set(title=title, xticks=[], yticks=[])
        drawing.colorbar(shown, ax=axes, shrink=0.8)
    return f"{CURIOUS} on {key[0]}, seed 0, at the end (blue: initial points).", drawing


def paths(_: object, jobs: Mapping[Key, Job], finished: Mapping[Key, Arrays]) -> tuple[str, Figure]:
    """Draw where each strategy measured, with seed 0 on the first sample."""
    sample = next(iter(finished))[0]
    keys = [key for key in finished if key[0] == sample and key[2] == 0]
    drawing = Figure(figsize=(3.2 * len(keys), 3.4), layout="constrained")
    for axes, key in zip(drawing.subplots(1, len(keys), squeeze=False)[0], keys, strict=True):
        _draw_points(axes, jobs[key], finished[key])
        axes.set_title(key[1], fontsize=9)
    return f"Where the strategies measured on {sample}, seed 0 (blue: initial points).", drawing


def acquired(_: object, __: object, finished: Mapping[Key, Arrays]) -> tuple[str, Figure]:
    """Draw the error of the prediction at each point just before it was measured."""
    sample = next(iter(finished))[0]
    drawing = Figure(figsize=(6, 4.2), layout="constrained")
    axes = drawing.subplots()
    strategies = dict.fromkeys(key[1] for key in finished if key[0] == sample)
    for strategy, colour in zip(strategies, figures.COLOURS, strict=False):
        runs = [arrays["acquired_mse"] for key, arrays in finished.items() if key[:2] == (sample, strategy)]
        mean = pd.Series(np.sqrt(np.mean(runs, axis=0)))
        if mean.notna().any():
            axes.plot(mean.index + 1, mean.rolling(10, min_periods=3).median(), color=colour, label=strategy)
    axes.set(xlabel="point", ylabel="rms error just before measuring", ylim=(0, None))
    axes.legend(fontsize=7)
    return f"How surprising the chosen points were, {sample}: mean over seeds, median of ten points.", drawing


def classes(_: object, jobs: Mapping[Key, Job], finished: Mapping[Key, Arrays]) -> tuple[str, Figure]:
    """Draw three classes of the latent space and where they lie, with seed 0 on the first sample."""
    sample = next(iter(finished))[0]
    keys = [key for key, arrays in finished.items() if key[0] == sample and key[2] == 0 and "latent" in arrays]
    drawing = Figure(figsize=(3.2 * len(keys), 6.2), layout="constrained")
    for (above, below), key in zip(drawing.subplots(2, len(keys), squeeze=False).T, keys, strict=True):
        latent, grid = finished[key]["latent"], _pool(jobs[key]).grid
        found = KMeans(3, n_init=10, random_state=0).fit_predict(latent)
        order = np.argsort(np.argsort(-np.bincount(found, minlength=3)))[found]  # 0 for the largest
        above.scatter(latent[:, 0], latent[:, -1], c=order, s=2, cmap="viridis")
        above.set_title(key[1], fontsize=9)
        below.imshow(order.reshape(grid), origin="lower", cmap="viridis")
        below.set(xticks=[], yticks=[])
    return f"Three classes of the latent space (first and last coordinate) on {sample}, seed 0.", drawing


def _draw_points(axes: Axes, job: Job, arrays: Arrays) -> None:
    pool = _pool(job)
    centre = pool.patches[:, -1, job.window // 2, job.window // 2].reshape(pool.grid)
    rows, columns = np.unravel_index(arrays["chosen"], pool.grid)
    initial = arrays["phases"] == "initial"
    axes.imshow(centre, origin="lower", cmap="gray")
    axes.plot(columns[initial], rows[initial], "o", mfc="none", mec="#38bdf8", ms=4)
    axes.plot(columns[~initial], rows[~initial], ".", color="#c2410c", ms=4)
    axes.set(title="image and points", xticks=[], yticks=[])


def _pool(job: Job) -> Pool:
    return open_problem(job.sample, job.window, job.stride).pool
