"""How well a run did, where the truth is known: its learning curve, and the floors."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curio_plans.documents.agent_run import AgentRun
from curio_plans.documents.history import History
from curio_plans.study import floors
from curio_plans.study.common import measured_spectra

LEAST = 10
"""A run with fewer points is not evaluated."""


@dataclass(frozen=True, eq=False)
class Curve:
    """An error against the number of measured points.

    Attributes
    ----------
    points : (n,) int
        Numbers of measured points.
    mse : (n,) float64
        Mean squared error over the whole pool, in squared units of the spectrum.
    spread : (n,) float64
        Standard deviation between repetitions; 0 where there is only one.
    """

    points: NDArray[np.int64]
    mse: NDArray[np.float64]
    spread: NDArray[np.float64]

    def relative(self, floor: float) -> "Curve":
        """Return the curve in units of `floor`, the error of the mean spectrum; NaN where that is 0."""
        return Curve(self.points, floors.relative(self.mse, floor), floors.relative(self.spread, floor))


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How well a run did, where the truth is known.

    Attributes
    ----------
    curve : Curve or None
        The agent's own predictions; None for an agent without a model.
    same_points : float
        Kernel ridge regression from the patch on the points the agent chose, all of them.
    mean_spectrum : float
        Error of the mean of all true spectra; 0 if all are equal.
    floors : mapping of str to Curve
        Kernel ridge regression on as many random points, from each of :data:`curio_plans.study.floors.KINDS`.
    final_unmeasured : float
        The agent's final error over the candidates that were not measured; NaN without a model, or if all were.
    unmeasured_floor : float
        Error of the mean spectrum there: `final_unmeasured` over it is the NMSE.
    """

    curve: Curve | None
    same_points: float
    mean_spectrum: float
    floors: Mapping[str, Curve]
    final_unmeasured: float
    unmeasured_floor: float

    @property
    def all_equal(self) -> bool:
        """Whether all true spectra are equal, so that no error relative to the mean spectrum is defined."""
        return self.mean_spectrum == 0


def learning_curve(history: AgentRun) -> Curve | None:
    """Return the error of the agent's predictions after each observation; None without predictions or truth."""
    points = [decision.observations for decision in history.decisions]
    mse = [decision.map_mse for decision in history.decisions]
    final = history.maps[-1] if history.maps else None
    if final is not None and final.prediction is not None and history.reference is not None:
        points.append(final.observations)
        mse.append(float(((final.prediction.astype(np.float64) - history.reference) ** 2).mean()))
    known = ~np.isnan(mse)
    if not known.any():
        return None
    return Curve(np.asarray(points)[known], np.asarray(mse)[known], np.zeros(int(known.sum())))


def evaluate(history: AgentRun) -> Evaluation | None:
    """Compare a run with the floors; None where the truth is not known or fewer than 10 points were measured."""
    pool, truth = history.pool, history.reference
    measured = history.measured()
    if truth is None or len(measured) < LEAST:
        return None
    counts = np.unique(np.linspace(min(30, len(measured)), len(measured), 4).astype(np.int64))
    random = floors.ridge_on_random_points(pool, truth, counts.tolist())
    same = ((floors.ridge_prediction(pool, measured_spectra(history), measured) - truth) ** 2).mean()
    prediction = final_prediction(history)
    errors = np.full(len(pool), np.nan) if prediction is None else ((prediction - truth) ** 2).mean(axis=1)
    unmeasured = np.delete(np.arange(len(pool)), measured)
    return Evaluation(
        curve=learning_curve(history),
        same_points=float(same),
        mean_spectrum=floors.mean_spectrum_mse(truth),
        floors={kind: Curve(counts, mse.mean(axis=0), mse.std(axis=0)) for kind, mse in random.items()},
        final_unmeasured=floors.mean_or_nan(errors[unmeasured]),
        unmeasured_floor=floors.mean_or_nan(floors.mean_spectrum_errors(truth)[unmeasured]),
    )


def evaluation_rows(history: AgentRun, evaluation: Evaluation) -> list[tuple[str, str]]:
    """Return the losses of a run beside the floors, as (what, number) – in both conventions.

    The published convention is the sum over the pool of each spectrum's mean squared error, the best over the
    trajectory; the honest one is the final error over the candidates that were not measured, relative to the mean
    spectrum.
    """
    n = len(history.observations)
    scale = len(history.pool)
    rows = []
    if evaluation.all_equal:
        rows.append(("all spectra are equal", "nothing can be learned, and no NMSE is defined"))
    if evaluation.curve is not None:
        mse = evaluation.curve.mse
        nmse = float(floors.relative(evaluation.final_unmeasured, evaluation.unmeasured_floor))
        rows += [
            (f"agent, final loss after {n} points (sum over the pool)", f"{mse[-1] * scale:.4g}"),
            ("agent, best over the trajectory (published convention)", f"{mse.min() * scale:.4g}"),
            ("agent, final NMSE where unmeasured (1 = mean spectrum)", "–" if np.isnan(nmse) else f"{nmse:.3f}"),
        ]
    rows += [("floor: mean spectrum of all candidates", f"{evaluation.mean_spectrum * scale:.4g}")]
    rows += [
        (f"floor: kernel ridge on {kind}, {n} random points",
         f"{curve.mse[-1] * scale:.4g} ± {curve.spread[-1] * scale:.2g}")
        for kind, curve in evaluation.floors.items()
    ]  # fmt: skip
    rows += [("kernel ridge on patch, the agent's points", f"{evaluation.same_points * scale:.4g}")]
    return rows


def final_prediction(history: History) -> NDArray[np.float64] | None:
    """Return the spectra (N, K) that the agent predicted at the end; None without a model."""
    if not history.maps or history.maps[-1].prediction is None:
        return None
    return history.maps[-1].prediction.astype(np.float64)
