"""Tables from finished jobs: losses in both conventions, intervals, paired tests, effect sizes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from benchmarks.runner import Job, load
from curio_plans.study.floors import KINDS

OWN, BOTH = "own model", "ridge on patch and position"
"""Regressors: the agent's own model, or a kernel ridge regression on the points that it chose."""

RESAMPLES = 9999


def curves(jobs: Mapping[tuple[str, str, int], Job], cache: Path) -> pd.DataFrame:
    """Return one row for each finished job, regressor and number of points.

    Parameters
    ----------
    jobs : mapping of (sample, strategy, seed) to Job
        Those that are not in `cache` are left out.

    Returns
    -------
    DataFrame
        Columns ``sample, strategy, seed, budget, regressor, points, loss`` (sum over the pool of the spectral mean
        squared error), ``nmse`` (on what was never measured; 1 = mean spectrum), ``worst`` (mean spectral error of the
        ten worst places; the agent's own model only) and ``cpu_s`` of the job.
    """
    tables = []
    for (sample, strategy, seed), job in jobs.items():
        if not (cache / job.name).exists():
            continue
        facts, arrays = load(job, cache)
        size = len(job.problem().pool)
        common = {"sample": sample, "strategy": strategy, "seed": seed, "budget": job.points, "cpu_s": facts["cpu_s"]}
        if len(arrays["counts"]):
            tables.append(
                pd.DataFrame(
                    {
                        **common,
                        "regressor": OWN,
                        "points": arrays["counts"],
                        "loss": arrays["pool_mse"] * size,
                        "nmse": arrays["unmeasured_mse"] / arrays["unmeasured_floor"],
                        "worst": arrays["worst_mse"],
                    }
                )
            )
        tables += [
            pd.DataFrame(
                {
                    **common,
                    "regressor": f"ridge on {kind}",
                    "points": arrays["ridge_counts"],
                    "loss": arrays["ridge_pool_mse"][row] * size,
                    "nmse": arrays["ridge_unmeasured_mse"][row] / arrays["ridge_unmeasured_floor"],
                    "worst": np.nan,
                }
            )
            for row, kind in enumerate(KINDS)
        ]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each sample, budget, strategy and regressor, from the rows of :func:`curves`.

    Columns: ``seeds``; ``final`` loss after the last point and ``best`` over the trajectory (the published convention;
    the agent's own model only); ``nmse`` on what was never measured, at the end; each with ``…_low`` and ``…_high``,
    the 95 % interval of the mean over seeds (see :func:`interval`).
    """
    rows = []
    for key, group in table.groupby(["sample", "budget", "strategy", "regressor"], sort=False):
        last = _last(group)
        best = group.groupby("seed")["loss"].min().to_numpy()
        row = dict(zip(("sample", "budget", "strategy", "regressor"), key, strict=True)) | {"seeds": len(last)}
        measures = {"final": last["loss"].to_numpy(), "nmse": last["nmse"].to_numpy()}
        if key[3] == OWN:
            measures |= {"best": best, "worst": last["worst"].to_numpy()}
        for name, values in measures.items():
            low, high = interval(values)
            row |= {name: values.mean(), f"{name}_low": low, f"{name}_high": high}
        rows.append(row | {"cpu_s": last["cpu_s"].mean()})
    return pd.DataFrame(rows)


def compare(
    table: pd.DataFrame, baseline: str, measures: Sequence[str] = ("loss", "best", "nmse", "worst")
) -> pd.DataFrame:
    """Return each strategy's paired difference to `baseline`: same sample, budget, regressor and seed.

    Columns: ``difference`` in the mean (negative: better than the baseline) with its 95 % bootstrap interval ``low``
    and ``high``; ``p`` of Wilcoxon's signed-rank test; ``effect``, the mean of the differences over their standard
    deviation (Cohen's d for pairs). With fewer than two pairs there is no row, with fewer than six p cannot be under
    0.05.
    """
    rows = []
    for key, group in table.groupby(["sample", "budget", "regressor"], sort=False):
        ends = {name: _last(part).assign(best=part.groupby("seed")["loss"].min())
                for name, part in group.groupby("strategy", sort=False)}  # fmt: skip
        if baseline not in ends:
            continue
        for name, values in ends.items():
            for measure in measures if name != baseline else ():
                differences = (values[measure] - ends[baseline][measure]).dropna().to_numpy()
                if len(differences) > 1 and (measure != "best" or key[2] == OWN):  # the others are not a trajectory
                    row = dict(zip(("sample", "budget", "regressor"), key, strict=True))
                    rows.append(row | {"strategy": name, "measure": measure, **paired(differences)})
    return pd.DataFrame(rows)


def paired(differences: NDArray[np.float64]) -> dict[str, float]:
    """Return mean, 95 % bootstrap interval, Wilcoxon's p and effect size of paired `differences` (n,), n ≥ 2."""
    spread = differences.std(ddof=1)
    bounds = stats.bootstrap(
        (differences,), np.mean, n_resamples=RESAMPLES, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    return {
        "pairs": len(differences),
        "difference": float(differences.mean()),
        "low": float(bounds.low),
        "high": float(bounds.high),
        "p": float(stats.wilcoxon(differences).pvalue) if differences.any() else 1.0,
        "effect": float(differences.mean() / spread) if spread > 0 else np.nan,
    }


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95 % interval of the mean of `values` (n,) by Student's t; NaN for a single one."""
    if len(values) < 2:
        return np.nan, np.nan
    half = stats.sem(values) * stats.t.ppf(0.975, len(values) - 1)
    return float(values.mean() - half), float(values.mean() + half)


def readable(summary: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of :func:`summarise` as texts, each number with its 95 % interval."""
    columns = {"sample": summary["sample"], "points": summary["budget"], "strategy": summary["strategy"],
               "predicted by": summary["regressor"], "seeds": summary["seeds"]}  # fmt: skip
    for title, name in (("final loss", "final"), ("best loss", "best"), ("NMSE", "nmse"),
                        ("worst", "worst")):  # fmt: skip
        if name in summary:
            columns[title] = [with_interval(*row) for row in summary[[name, f"{name}_low", f"{name}_high"]].to_numpy()]
    columns["CPU s"] = summary["cpu_s"].round(1)
    return pd.DataFrame(columns)


def readable_tests(tests: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of :func:`compare` as texts."""
    differences = [with_interval(*row) for row in tests[["difference", "low", "high"]].to_numpy()]
    return pd.DataFrame({
        "sample": tests["sample"], "points": tests["budget"], "strategy": tests["strategy"],
        "predicted by": tests["regressor"], "measure": tests["measure"], "pairs": tests["pairs"],
        "difference": differences, "p": tests["p"].map("{:.3f}".format),
        "effect": tests["effect"].map("{:+.2f}".format),
    })  # fmt: skip


def with_interval(value: float, low: float, high: float) -> str:
    """Return a number with its interval, where there is one, as text."""
    if np.isnan(value):
        return "–"
    return f"{value:.3g}" if np.isnan(low) else f"{value:.3g} ({low:.3g} … {high:.3g})"


def _last(group: pd.DataFrame) -> pd.DataFrame:
    """Return the row with the most points of each seed, by seed."""
    return group.loc[group.groupby("seed")["points"].idxmax()].set_index("seed")
