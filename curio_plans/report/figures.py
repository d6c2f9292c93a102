"""The figures of an analysed run, each from a function in :mod:`curio_plans.study`."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import xarray
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from curio_plans import study as analysis
from curio_plans.documents.agent_run import AgentRun
from curio_plans.report.drawing import (
    ACCENT,
    ALL_EQUAL,
    FLOOR_COLOURS,
    QUIET,
    belief,
    draw_frame,
    draw_map,
    draw_spectra,
    leave_blank,
    spectrum_unit,
    title,
)
from curio_plans.study.common import AnalysisError, Build
from curio_plans.study.evaluation import evaluate

CLASSES = ("#2563eb", "#f59e0b", "#15803d", "#be185d", "#6d28d9", "#0891b2", "#78716c", "#a16207")
"""Colours of up to eight clusters."""


def latent(history: AgentRun, data: xarray.Dataset) -> Figure:
    """Draw :func:`curio_plans.study.latent.latent_clusters`: latent space, classes on the sample, their patches."""
    classes = data.sizes["cluster"]
    colours = [CLASSES[number % len(CLASSES)] for number in range(classes)]
    drawing = Figure(figsize=(14, 4), layout="constrained")
    grid = drawing.add_gridspec(classes, 4, width_ratios=(1, 1, 0.35, 1.1))
    space, sample, spectra = (drawing.add_subplot(grid[:, column]) for column in (0, 1, 3))
    for number, colour in enumerate(colours):
        here = data["cluster"].to_numpy() == number
        first, second = data["latent"].to_numpy()[here][:, [0, min(1, data.sizes["axis"] - 1)]].T
        space.plot(first, second, ".", color=colour, ms=3, label=f"{number + 1}: {here.sum()}")
        axes = drawing.add_subplot(grid[number, 2])
        axes.imshow(data["patch"].to_numpy()[number, -1], origin="lower", cmap="gray")
        axes.set(xticks=[], yticks=[], ylabel=str(number + 1))
    axes = drawing.axes[3]
    axes.set_title("mean patch", fontsize=9)
    space.set(title=f"latent space of {data.attrs['agent']}", xlabel="latent 1", ylabel="latent 2")
    space.legend(fontsize=7, title="class: candidates", title_fontsize=7)
    style = {"cmap": ListedColormap(colours), "vmin": -0.5, "vmax": classes - 0.5}
    draw_map(sample, history.pool, data["cluster"].to_numpy().astype(float), "class", **style)
    sample.figure.axes[-1].set_yticks(range(classes), [str(number + 1) for number in range(classes)])
    sample.set(title="classes on the sample", xlabel="x / nm", ylabel="y / nm")
    styles = [{"color": colour, "lw": 1.5, "label": str(number + 1)} for number, colour in enumerate(colours)]
    draw_spectra(spectra, history, *zip(data["spectrum"].to_numpy(), styles, strict=True))
    source = {"truth": "all true spectra", "measurements": "measured spectra"}[data.attrs["spectra_from"]]
    spectra.set_title(f"mean of {source}")
    spectra.legend(fontsize=7)
    return drawing


def acquisitions(history: AgentRun, data: xarray.Dataset) -> Figure:
    """Draw :func:`curio_plans.study.points.acquisitions`: the points, the errors there, their distances."""
    drawing = Figure(figsize=(14, 4), layout="constrained")
    where, errors, distances = drawing.subplots(1, 3)
    draw_frame(where, history)
    phases = list(dict.fromkeys(data["phase"].to_numpy().tolist()))
    number = np.arange(1, data.sizes["point"] + 1)
    for phase, colour in zip(phases, CLASSES, strict=False):
        here = data["phase"].to_numpy() == phase
        where.plot(data["x"][here], data["y"][here], "o", ms=4, mfc="none", mec=colour, label=f"{phase}: {here.sum()}")
        errors.plot(number[here], data["error"][here], ".", color=colour, label=phase)
        distances.plot(number[here], data["nearest"][here], ".", color=colour, label=phase)
    where.legend(fontsize=7, loc="upper right")
    errors.set(title="error of the last prediction", xlabel="point", ylabel=f"rms / {spectrum_unit(history)}")
    if np.isnan(data["error"]).all():
        leave_blank(errors, "this agent predicts no spectra")
    else:
        later = data["error"].to_series().rolling(20, min_periods=5).median()
        errors.plot(number, later, color=QUIET, lw=1, label="median of 20")
        errors.legend(fontsize=7)
    distances.set(title="distance to the nearest point before", xlabel="point", ylabel="nm", ylim=(0, None))
    drawing.suptitle(title(history), fontsize=10)
    return drawing


def errors(history: AgentRun, data: xarray.Dataset) -> Figure:
    """Draw :func:`curio_plans.study.errors.error_curve`: learning curve where unmeasured and over the pool, floors."""
    drawing = Figure(figsize=(9.5, 4), layout="constrained")
    unmeasured, pool = drawing.subplots(1, 2)
    unmeasured.set(title="test set: never measured", xlabel="measured points", ylabel="NMSE (1 = mean spectrum)")
    pool.set(title="the whole pool", xlabel="measured points")
    drawing.suptitle(title(history), fontsize=10)
    points, unit = data["points"], data.attrs["mean_spectrum_mse"]
    if unit == 0:
        leave_blank(unmeasured, ALL_EQUAL)
        leave_blank(pool, ALL_EQUAL)
        return drawing
    unmeasured.plot(points, data["unmeasured_nmse"], color=ACCENT, lw=1.5)
    pool.plot(points, data["mse"] / unit, color=ACCENT, lw=1.5, label="agent")
    pool.plot(points, data["best"] / unit, color=ACCENT, lw=1, ls="--", label="best so far (published convention)")
    for kind, colour in FLOOR_COLOURS.items() if "floor" in data else ():
        mean, spread = (data[name].sel(kind=kind) / unit for name in ("floor", "floor_spread"))
        pool.errorbar(
            data["floor_points"], mean, spread, color=colour, lw=1, capsize=2, label=f"ridge on {kind}, random points"
        )
    for axes in (unmeasured, pool):
        axes.axhline(1, color=QUIET, lw=0.8, ls=":", label="mean spectrum")
        axes.set_ylim(0, None)
    pool.legend(fontsize=7, loc="lower left")
    return drawing


def maps(history: AgentRun, data: xarray.Dataset) -> Figure:
    """Draw :func:`curio_plans.study.errors.belief_maps`: each map, and the expected against the true error."""
    names = [name for name in ("predicted_error", "error", "exploration", "score") if name in data]
    names += [str(name) for name in data if name not in (*names, "measured")]
    compare = "error" in data and "predicted_error" in data
    drawing = Figure(figsize=(3.6 * (len(names) + compare), 3.6), layout="constrained")
    panels = drawing.subplots(1, len(names) + compare, squeeze=False)[0]
    measured = data["measured"].to_numpy()
    x, y = history.pool.positions.T
    drawn = {name: data[name].to_numpy().ravel() for name in names}
    for axes, name in zip(panels, names, strict=False):
        values, unit = belief(history, drawn, name)
        draw_map(axes, history.pool, values, f"rms / {spectrum_unit(history)}" if name == "error" else unit)
        axes.plot(x[measured.ravel()], y[measured.ravel()], ".", color="white", ms=1.5)
        axes.set(title=_MAP_TITLES.get(name, name), xlabel="x / nm")
    if compare:
        (expected, _), true, known = belief(history, drawn, "predicted_error"), drawn["error"], measured.ravel()
        panels[-1].plot(expected[~known], true[~known], ".", color=QUIET, ms=2, label="unmeasured")
        panels[-1].plot(expected[known], true[known], ".", color=ACCENT, ms=3, label="measured")
        correlation = data.attrs.get("rank_correlation")
        heading = "expected and true error" if correlation is None else f"rank correlation {correlation:.2f}"
        panels[-1].set(title=heading, xlabel="error the agent expects", ylabel="true error")
        panels[-1].legend(fontsize=7)
    drawing.suptitle(f"{title(history)}, after {data.attrs['observations']} points", fontsize=10)
    return drawing


def patch_sizes(history: AgentRun, data: xarray.Dataset) -> Figure:
    """Draw :func:`curio_plans.study.patches.patch_sizes`: validation error against the side of the patch."""
    drawing = Figure(figsize=(5, 4), layout="constrained")
    axes = drawing.subplots()
    for name, colour, label in (("agent_nmse", ACCENT, "agent"), ("ridge_nmse", "#0f766e", "kernel ridge")):
        mean, spread = data[name].mean("fold"), data[name].std("fold", ddof=1) / np.sqrt(data.sizes["fold"])
        axes.errorbar(data["window"], mean, spread, color=colour, marker="o", ms=4, capsize=2, label=label)
    axes.axhline(1, color=QUIET, lw=0.8, ls=":", label="mean of the training spectra")
    axes.set(
        title=f"{data.sizes['fold']}-fold over {data.attrs['points']} points", xlabel="side of the patch / px",
        ylabel="validation NMSE ± standard error", xticks=data["window"].to_numpy(),
    )  # fmt: skip
    axes.legend(fontsize=7)
    drawing.suptitle(title(history), fontsize=10)
    return drawing


FIGURES: Mapping[str, Callable[[AgentRun, Build], Figure]] = {
    "latent": lambda history, build: latent(history, analysis.latent_clusters(history, build)),
    "acquisitions": lambda history, _: acquisitions(history, analysis.acquisitions(history)),
    "errors": lambda history, _: errors(history, analysis.error_curve(history, evaluate(history))),
    "maps": lambda history, _: maps(history, analysis.belief_maps(history)),
    "patch-sizes": lambda history, build: patch_sizes(history, analysis.patch_sizes(history, build)),
}
"""By name, what draws a figure of a run."""

SLOW = ("patch-sizes",)
"""Figures that train the agent many times; drawn only if named."""


def write_figures(
    history: AgentRun, build: Build, directory: Path, only: Iterable[str] = ()
) -> tuple[dict[str, Path], dict[str, str]]:
    """Draw the figures of a run as PNG files into `directory`.

    Parameters
    ----------
    history : AgentRun
        A run of the plan ``curiosity``.
    build : callable
        Makes an agent from its config, e.g. :func:`agents.registry.build`.
    directory : Path
        Made if it is not there.
    only : iterable of str
        Names in :data:`FIGURES`; by default all but the slow ones.

    Returns
    -------
    (written, skipped)
        The file of each figure; and for each that this run does not have, the reason.

    Raises
    ------
    AnalysisError
        If there is no figure of such a name.
    """
    chosen = list(only) or [name for name in FIGURES if name not in SLOW]
    unknown = sorted(set(chosen) - set(FIGURES))
    if unknown:
        raise AnalysisError(f"there is no figure {', '.join(unknown)}; there are {', '.join(FIGURES)}")
    directory.mkdir(parents=True, exist_ok=True)
    written, skipped = {}, {}
    for name in chosen:
        try:
            drawing = FIGURES[name](history, build)
        except AnalysisError as error:
            skipped[name] = str(error)
            continue
        written[name] = directory / f"{name}.png"
        drawing.savefig(written[name], dpi=110)
    return written, skipped


_MAP_TITLES = {"predicted_error": "error the agent expects", "error": "true error"}
