"""What a run found, from its documents alone: learning curve, floors, figure."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from agents.protocols import Pool
from curio_plans import floors
from curio_plans.documents import IMAGE, POINT, History

Array = NDArray[np.floating[Any]]

ACCENT, QUIET = "#c2410c", "#64748b"


class ReportError(ValueError):
    """A run of which there is nothing to report."""


@dataclass(frozen=True, eq=False)
class Curve:
    """An error against the number of measured points.

    Attributes
    ----------
    points : (n,) int
        How many points were measured.
    mse : (n,) float64
        Mean squared error over the whole pool, in squared units of the spectrum.
    spread : (n,) float64 or None
        Standard deviation between repetitions.
    """

    points: NDArray[np.int64]
    mse: NDArray[np.float64]
    spread: NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How well a run did, where the truth is known.

    Attributes
    ----------
    curve : Curve or None
        The agent's own predictions; None for an agent without a model.
    same_points : float
        Kernel ridge regression on the points the agent chose, all of them.
    mean_spectrum : float
        The floor of doing nothing.
    patch, position : Curve
        Kernel ridge regression on as many random points, from the patch and from the coordinates only.
    final_unmeasured : float
        The agent's final error on what was never measured; NaN without a model.
    unmeasured_floor : float
        The error there of predicting the mean of all spectra: final_unmeasured over it is the NMSE.
    """

    curve: Curve | None
    same_points: float
    mean_spectrum: float
    patch: Curve
    position: Curve
    final_unmeasured: float
    unmeasured_floor: float


def learning_curve(history: History) -> Curve | None:
    """Return the error of the agent's predictions after each observation; None if there are none or no truth."""
    points = [decision.observations for decision in history.decisions]
    mse = [decision.map_mse for decision in history.decisions]
    final = history.maps[-1] if history.maps else None
    if final is not None and final.prediction is not None and history.reference is not None:
        points.append(final.observations)
        mse.append(float(((final.prediction.astype(np.float64) - history.reference) ** 2).mean()))
    known = ~np.isnan(mse)
    if not known.any():
        return None
    return Curve(np.asarray(points)[known], np.asarray(mse)[known])


def evaluate(history: History) -> Evaluation | None:
    """Compare a run with the floors; None where the truth is not known or fewer than 10 points were measured."""
    pool, truth = history.pool, history.reference
    measured = [observation.index for observation in history.observations]
    if pool is None or truth is None or len(measured) < 10:
        return None
    counts = np.unique(np.linspace(min(30, len(measured)), len(measured), 4).astype(np.int64))
    random = floors.ridge_on_random_points(pool, truth, counts.tolist())
    spectra = np.stack([observation.spectrum for observation in history.observations])
    same = ((floors.ridge_prediction(_features(pool), spectra, measured) - truth) ** 2).mean()
    unmeasured = np.delete(np.arange(len(pool)), measured)
    prediction = _final_prediction(history)
    error = np.nan if prediction is None else ((prediction - truth) ** 2)[unmeasured].mean()
    return Evaluation(
        curve=learning_curve(history),
        same_points=float(same),
        mean_spectrum=floors.mean_spectrum_mse(truth),
        patch=_random_curve(counts, random["patch"]),
        position=_random_curve(counts, random["position"]),
        final_unmeasured=float(error),
        unmeasured_floor=float(((truth.mean(axis=0) - truth) ** 2)[unmeasured].mean()),
    )


def summary(history: History) -> dict[str, str]:
    """Return the facts of a run that a reader wants first, as labelled text."""
    start = history.start
    if start is None:
        raise ReportError("expected the documents of a run, got none")
    facts = {"uid": str(start["uid"]), "plan": str(start.get("plan_name", "unknown"))}
    facts["status"] = str(history.stop["exit_status"]) if history.stop else "no stop document: running, or ended badly"
    sample = start.get("sample", {}).get("sample", {})
    facts["sample"] = ", ".join(str(sample[key]) for key in ("kind", "file") if key in sample)
    if "seed" in sample:
        facts["sample"] += f", seed {sample['seed']}"
    if "agent" in start:
        facts["agent"] = ", ".join(
            str(value) if key == "agent" else f"{key}={value}" for key, value in start["agent"].items()
        )
        facts["points"] = f"{len(history.observations)} measured of {start['points']} planned"
    if history.pool is not None:
        rows, columns = history.pool.grid
        facts["pool"] = f"{len(history.pool)} candidates ({rows} × {columns}), window {start['pool']['window']} px"
    if history.decisions:
        seconds = np.array([decision.think_time for decision in history.decisions if decision.phase != "initial"])
        if seconds.size:
            facts["thinking"] = f"{seconds.mean():.2f} s a decision on average, {seconds.sum():.0f} s in all"
    if history.observations:
        facts["instrument time"] = f"{history.observations[-1].time / 60:.1f} min"
    return facts


def evaluation_rows(history: History, evaluation: Evaluation) -> list[tuple[str, str]]:
    """Return the losses of a run beside the floors, as (what, number) – in both conventions.

    The published convention is the sum over the pool of each spectrum's mean squared error, the best over the
    trajectory; the honest one is the final error, on places that were never measured, relative to the mean spectrum.
    """
    n = len(history.observations)
    scale = len(history.pool) if history.pool is not None else 0
    rows = []
    if evaluation.curve is not None:
        mse = evaluation.curve.mse
        rows += [
            (f"agent, final loss after {n} points (sum over the pool)", f"{mse[-1] * scale:.4g}"),
            ("agent, best over the trajectory (published convention)", f"{mse.min() * scale:.4g}"),
            ("agent, final NMSE where unmeasured (1 = mean spectrum)",
             f"{evaluation.final_unmeasured / evaluation.unmeasured_floor:.3f}"),
        ]  # fmt: skip
    rows += [
        ("floor: mean spectrum of all places", f"{evaluation.mean_spectrum * scale:.4g}"),
        (f"floor: kernel ridge on patches, {n} random points", _with_spread(evaluation.patch, scale)),
        (f"floor: kernel ridge on coordinates only, {n} random points", _with_spread(evaluation.position, scale)),
        ("kernel ridge on patches, the agent's points", f"{evaluation.same_points * scale:.4g}"),
    ]
    return rows


def figure(history: History, evaluation: Evaluation | None = None) -> Figure:
    """Draw a run: path of chosen points, predicted and true error, learning curve, three spectra.

    Parameters
    ----------
    history : History
        A run with an image.
    evaluation : Evaluation, optional
        From :func:`evaluate`; adds floors to the learning curve.

    Raises
    ------
    ReportError
        If the run has no image.
    """
    if history.frame is None or history.start is None:
        raise ReportError("this run has no image; there is nothing to draw")
    drawing = Figure(figsize=(14, 7.2), layout="constrained")
    rows = drawing.add_gridspec(2, 1, height_ratios=(1.15, 1))
    maps, curves = rows[0].subgridspec(1, 4), rows[1].subgridspec(1, 3)
    image, predicted, true, curve = (drawing.add_subplot(maps[column]) for column in range(4))
    spectra_axes = [drawing.add_subplot(curves[column]) for column in range(3)]
    _draw_path(image, history)
    prediction = _final_prediction(history)
    label = "agent"
    if prediction is None and history.pool is not None and len(history.observations) >= 10:
        spectra = np.stack([observation.spectrum for observation in history.observations])
        measured = [observation.index for observation in history.observations]
        prediction, label = floors.ridge_prediction(_features(history.pool), spectra, measured), "kernel ridge"
    _draw_predicted_error(predicted, history)
    _draw_true_error(true, history, prediction, label)
    _draw_curve(curve, history, evaluation)
    for axes, (title, index) in zip(spectra_axes, _examples(history, prediction), strict=True):
        _draw_spectrum(axes, history, prediction, label, title, index)
    agent = history.start.get("agent", {}).get("agent", "")
    drawing.suptitle(f"{history.start.get('plan_name', 'run')} {agent}   {history.start['uid'][:8]}", fontsize=11)
    return drawing


def save_figure(history: History, path: Path, evaluation: Evaluation | None = None) -> Path:
    """Draw a run into a PNG file at `path` and return it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure(history, evaluation).savefig(path, dpi=110)
    return path


def _features(pool: Pool) -> NDArray[np.float64]:
    return pool.patches.reshape(len(pool), -1).astype(np.float64)


def _final_prediction(history: History) -> NDArray[np.float64] | None:
    if not history.maps or history.maps[-1].prediction is None:
        return None
    return history.maps[-1].prediction.astype(np.float64)


def _random_curve(counts: NDArray[np.int64], mse: Array) -> Curve:
    return Curve(counts, np.asarray(mse.mean(axis=0)), np.asarray(mse.std(axis=0)))


def _with_spread(curve: Curve, scale: float) -> str:
    return f"{curve.mse[-1] * scale:.4g} ± {_spread(curve)[-1] * scale:.2g}"


def _spread(curve: Curve) -> NDArray[np.float64]:
    return np.zeros_like(curve.mse) if curve.spread is None else curve.spread


def _extent(history: History) -> tuple[float, float, float, float]:
    area = history.configuration[IMAGE][f"{history.microscope}_imager_area"]
    return (float(area[0]), float(area[1]), float(area[2]), float(area[3]))


def _draw_path(axes: Axes, history: History) -> None:
    assert history.frame is not None  # noqa: S101  checked by figure()
    names = list(history.configuration[IMAGE][f"{history.microscope}_imager_channels"])
    shown = names.index("polarisation") if "polarisation" in names else 0
    axes.imshow(history.frame[shown], origin="lower", extent=_extent(history), cmap="gray")
    axes.set(title=f"{names[shown]}, {len(history.observations)} points", xlabel="x / nm", ylabel="y / nm")
    if not history.observations:
        return
    places = np.array([observation.position for observation in history.observations])
    initial = np.zeros(len(places), dtype=bool)
    initial[: sum(decision.phase == "initial" for decision in history.decisions)] = True
    if initial.any():
        axes.plot(places[initial, 0], places[initial, 1], "o", mfc="none", mec="#38bdf8", ms=5, label="initial")
        axes.legend(loc="upper right", fontsize=7)
    if (~initial).any():
        axes.plot(places[~initial, 0], places[~initial, 1], "-", color=ACCENT, lw=0.4, alpha=0.6)
        dots = axes.scatter(places[~initial, 0], places[~initial, 1], c=np.flatnonzero(~initial), s=12, cmap="autumn")
        axes.figure.colorbar(dots, ax=axes, label="point", shrink=0.75)


def _draw_predicted_error(axes: Axes, history: History) -> None:
    axes.set(title="error the agent expects", xlabel="x / nm")
    if not history.maps or "predicted_error" not in history.maps[-1].maps:
        return _leave_blank(axes, "this agent predicts no error")
    return _draw_map(axes, history, history.maps[-1].maps["predicted_error"], "relative")


def _draw_true_error(axes: Axes, history: History, prediction: Array | None, label: str) -> None:
    axes.set(title=f"true error ({label})", xlabel="x / nm")
    if history.reference is None:
        return _leave_blank(axes, "the truth is not known here")
    if prediction is None:
        return _leave_blank(axes, "no prediction yet")
    rms = np.sqrt(((prediction - history.reference) ** 2).mean(axis=1))
    return _draw_map(axes, history, rms, f"rms / {_spectrum_unit(history)}")


def _draw_map(axes: Axes, history: History, values: Array, label: str) -> None:
    assert history.pool is not None  # noqa: S101  there are maps only over a pool
    grid, positions = history.pool.grid, history.pool.positions
    half = [np.ptp(positions[:, axis]) / max(grid[1 - axis] - 1, 1) / 2 for axis in (0, 1)]
    low, high = positions.min(axis=0) - half, positions.max(axis=0) + half
    shown = axes.imshow(
        values.reshape(grid),
        origin="lower",
        extent=(float(low[0]), float(high[0]), float(low[1]), float(high[1])),
        cmap="viridis",
        vmax=float(np.percentile(values, 99)),
    )
    axes.figure.colorbar(shown, ax=axes, label=label, shrink=0.75)


def _draw_curve(axes: Axes, history: History, evaluation: Evaluation | None) -> None:
    axes.set(title="learning curve", xlabel="measured points", ylabel="NMSE (1 = mean spectrum)")
    if evaluation is None:
        return _leave_blank(axes, "no truth to compare with")
    unit = evaluation.mean_spectrum
    axes.axhline(1, color=QUIET, lw=0.8, ls=":", label="mean spectrum")
    for curve, label, colour in (
        (evaluation.patch, "ridge on patches, random points", "#0f766e"),
        (evaluation.position, "ridge on coordinates, random points", "#7c3aed"),
    ):
        axes.errorbar(curve.points, curve.mse / unit, _spread(curve) / unit, color=colour, lw=1, capsize=2, label=label)
    if evaluation.curve is not None:
        axes.plot(evaluation.curve.points, evaluation.curve.mse / unit, color=ACCENT, lw=1.5, label="agent")
    axes.plot(
        len(history.observations), evaluation.same_points / unit, "D", color=ACCENT, ms=5, mfc="none",
        label="ridge on the agent's points",
    )  # fmt: skip
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.5 * (high - low))  # room for the legend
    axes.legend(fontsize=7, loc="upper right")
    return None


def _examples(history: History, prediction: Array | None) -> list[tuple[str, int | None]]:
    """Return three places to show: predicted well, middling and badly, never measured where that can be judged."""
    if prediction is None or history.pool is None:
        return [(f"point {n + 1}", n if n < len(history.observations) else None) for n in range(3)]
    measured = [observation.index for observation in history.observations]
    if history.reference is not None:
        places = np.delete(np.arange(len(prediction)), measured)
        mse = ((prediction - history.reference) ** 2).mean(axis=1)[places]
        kind = "unmeasured"
    else:
        places = np.array(measured)
        spectra = np.stack([observation.spectrum for observation in history.observations])
        mse = ((prediction[measured] - spectra) ** 2).mean(axis=1)
        kind = "measured"
    if len(places) == 0:
        return [("", None)] * 3
    order = places[np.argsort(mse)]
    return [
        (f"{kind}, error at the {percent}th percentile", int(order[round(percent / 100 * (len(order) - 1))]))
        for percent in (10, 50, 90)
    ]


def _draw_spectrum(
    axes: Axes, history: History, prediction: Array | None, label: str, title: str, index: int | None
) -> None:
    spectrometer = f"{history.microscope}_spectrometer"
    configuration = history.configuration.get(POINT, {})
    unit = _axis_unit(history)
    axes.set(
        title=title,
        xlabel=f"{configuration.get(f'{spectrometer}_axis_name', 'step')}{f' / {unit}' if unit else ''}",
        ylabel=f"{configuration.get(f'{spectrometer}_quantity', '')} / {_spectrum_unit(history)}",
    )
    if index is None:
        return _leave_blank(axes, "not measured")
    axis = np.asarray(configuration[f"{spectrometer}_axis"])
    if prediction is None:
        axes.plot(axis, history.observations[index].spectrum, color=QUIET, lw=1)
        return None
    if history.reference is not None:
        truth, name = history.reference[index], "true"
    else:
        truth = next(o.spectrum for o in history.observations if o.index == index)
        name = "measured"
    axes.plot(axis, truth, ".-", color=QUIET, lw=0.8, ms=3, label=name)
    axes.plot(axis, prediction[index], color=ACCENT, lw=1.5, label=f"predicted ({label})")
    axes.legend(fontsize=7)
    return None


def _leave_blank(axes: Axes, reason: str) -> None:
    axes.text(0.5, 0.5, reason, ha="center", va="center", transform=axes.transAxes, color=QUIET)
    axes.set_xticks([])
    axes.set_yticks([])


def _spectrum_unit(history: History) -> str:
    keys = history.data_keys.get(POINT, {})
    return str(keys.get(f"{history.microscope}_spectrometer_spectrum", {}).get("units") or "a.u.")


def _axis_unit(history: History) -> str:
    spectrometer = f"{history.microscope}_spectrometer"
    keys = history.descriptor(POINT).get("configuration", {}).get(spectrometer, {}).get("data_keys", {})
    return str(keys.get(f"{spectrometer}_axis", {}).get("units") or "")
