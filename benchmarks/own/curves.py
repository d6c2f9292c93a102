"""Learning curves of all agents on all samples, and what the own agent makes of its points against others."""

import numpy as np
import pandas as pd

from benchmarks import figures, statistics
from benchmarks.drawings import Key
from benchmarks.own.folds import folds
from benchmarks.own.study import (
    ANYWHERE,
    BASELINE,
    FLOOR,
    FULL,
    WINDOW,
    Part,
    Results,
    Study,
    Values,
    configured,
    geometric,
    wilcoxon,
)
from benchmarks.page import markdown, picture
from benchmarks.runner import Job
from benchmarks.statistics import BOTH, interval, with_interval
from curio_plans.floors import KINDS

PAPER_AGENT = "paper-latent"
DESIGNS = (
    "grid", "latin-hypercube", "sobol", "halton", "farthest-point:space=position", "farthest-point:space=patch",
    "k-means:space=patch",
)  # fmt: skip

MODELS = "five-fold"
"""Label of the cross-validation."""

INITIAL = 30
"""Points that the networks of the study of the paper start from; their finished jobs are used here too."""


def jobs(study: Study) -> dict[Key, Job]:
    """Return the jobs of the agent, of its baselines, and of the cross-validation."""
    found: dict[Key, Job] = {(name, MODELS, 0): folds(sample, WINDOW) for name, sample in study.samples.items()}
    return found | study.jobs((FULL, ANYWHERE, BASELINE, FLOOR), study.seeds)


def others(study: Study) -> dict[Key, Job]:
    """Return the jobs of networks and designs, as the study of the paper has them."""
    return {
        (name, agent, seed): Job(sample, WINDOW, study.budgets[-1], configured(agent, seed, INITIAL))
        for seed in range(study.seeds)
        for name, sample in study.samples.items()
        for agent in (PAPER_AGENT, *DESIGNS)
        if seed == 0 or "seed" in configured(agent, seed)
    }


def lines(results: Results) -> list[str]:
    """Return verdicts, figure and a table for each sample."""
    return [*_verdicts(results), _figure(results), *_tables(results)]


def floors(results: Results) -> dict[str, tuple[str, float]]:
    """Return name and NMSE of the best model of the cross-validation, for each sample."""
    found = {}
    for key, outcome in results.outcomes.items():
        if key[1] == MODELS:
            best = int(outcome["nmse"].argmin())
            found[key[0]] = str(outcome["models"][best]), float(outcome["nmse"][best])
    return found


def _verdicts(results: Results) -> list[str]:
    budgets, floor = results.study.budgets, floors(results)
    rows = []
    for count in budgets:
        row = {"points": str(count)}
        for other in (BASELINE, ANYWHERE):
            pairs = {name: results.both(name, FULL, other, (count, count)) for name in floor}
            excess = [(one - floor[name][1], two - floor[name][1]) for name, (one, two) in pairs.items() if len(one)]
            ratio = geometric(*zip(*excess, strict=True)) if excess else (np.nan,) * 3
            row |= {f"against {other}": with_interval(*ratio), "samples": str(len(excess))}
        rows.append(row)
    return [
        "Excess error of `curio` over that of another, geometric mean over the samples; below 1 it is the smaller:\n",
        markdown(pd.DataFrame(rows)),
        *_random_points(results, floor),
        _worse(results),
        *_paper(results),
    ]


def _random_points(results: Results, floor: dict[str, tuple[str, float]]) -> list[str]:
    """Compare the agent with random points for the same model at larger budgets."""
    _, second, third, last = results.study.budgets
    rows = []
    for name, (model, least) in floor.items():
        row = {"sample": name, "five-fold NMSE": f"{least:.3g} ({model})"}
        for count in (third, last):
            one, other = results.both(name, FULL, ANYWHERE, (second, count))
            ratio = geometric([one - least], [other - least]) if len(one) else (np.nan,) * 3
            row[f"{second} chosen over {count} random"] = with_interval(*ratio)
        rows.append(row)
    title = f"Excess error of {second} points that `curio` chose over that of more random points with the same model:\n"
    return [title, markdown(pd.DataFrame(rows))]


def _worse(results: Results) -> str:
    """Say where random points are significantly better for the same model."""
    found, tests = [], 0
    for name in results.samples:
        for count in results.study.budgets:
            one, other = results.both(name, FULL, ANYWHERE, (count, count))
            if len(one) < 2:
                continue
            tests, p = tests + 1, wilcoxon(one - other)
            if p < 0.05 and one.mean() > other.mean():
                found.append(f"{name} at {count} ({one.mean():.3g} against {other.mean():.3g}, p = {p:.3f})")
    where = "; ".join(found) or "nowhere"
    return f"Significantly worse than random points for the same model (Wilcoxon, each of {tests} tests): {where}.\n"


def _paper(results: Results) -> list[str]:
    first, *_, last = results.study.budgets
    rows = []
    for name in results.samples:
        one, other = results.nmse(name, FULL, first), results.nmse(name, PAPER_AGENT, last)
        if len(one) and len(other):
            rows.append({
                "sample": name, "seeds": f"{len(one)}, {len(other)}",
                f"curio, {first} points": _cell(one), f"{PAPER_AGENT}, {last} points": _cell(other),
            })  # fmt: skip
    return [f"NMSE with a quarter of the points of `{PAPER_AGENT}`:\n", markdown(pd.DataFrame(rows))] if rows else []


def _figure(results: Results) -> str:
    finished = {key: job for key, job in results.jobs.items() if key in results.outcomes and key[1] != MODELS}
    table = statistics.curves(finished, results.cache)
    drawing, floor = figures.learning_curves(table), floors(results)
    for axes in drawing.axes:
        if axes.get_title() in floor:
            model, least = floor[axes.get_title()]
            axes.axhline(least, color="black", lw=0.8, ls="-.", label=f"five-fold, all data ({model})")
            axes.legend(fontsize=6.5)
    path = figures.save(drawing, results.images / "own-curves.png")
    caption = "NMSE where unmeasured, mean and standard error; the five-fold line is what all data would allow."
    return picture(path, results.images.parent.parent, caption)


def _tables(results: Results) -> list[str]:
    found, floor = [], floors(results)
    for name in results.samples:
        agents = dict.fromkeys(key[1] for key in results.outcomes if key[0] == name and key[1] != MODELS)
        rows = []
        for agent in agents:
            seeds = results.seeds(name, agent)
            if len(results.outcomes[name, agent, seeds[0]]["counts"]):
                cells = {str(count): _cell(results.nmse(name, agent, count)) for count in results.study.budgets}
                rows.append({"strategy": agent, "seeds": str(len(seeds)), **cells})
                continue
            kinds = KINDS if agent == FLOOR else (BOTH.removeprefix("ridge on "),)
            rows += [
                {"strategy": f"ridge on {kind}, points of {agent}", "seeds": str(len(seeds)),
                 **_ridge(results, name, agent, kind)}
                for kind in kinds
            ]  # fmt: skip
        if name in floor:
            model, least = floor[name]
            rows.append(
                {
                    "strategy": f"five-fold, all data ({model})",
                    **{str(n): f"{least:.3g}" for n in results.study.budgets},
                }
            )
        found += [f"### {name}, NMSE after so many points\n", markdown(pd.DataFrame(rows).fillna(""))]
    return found


def _ridge(results: Results, sample: str, agent: str, kind: str) -> dict[str, str]:
    outcomes = [results.outcomes[sample, agent, seed] for seed in results.seeds(sample, agent)]
    row = list(KINDS).index(kind)
    nmse = np.array([found["ridge_unmeasured_mse"][row] / found["ridge_unmeasured_floor"] for found in outcomes])
    return {str(n): _cell(column) for n, column in zip(outcomes[0]["ridge_counts"], nmse.T, strict=True)}


def _cell(values: Values) -> str:
    return with_interval(float(values.mean()), *interval(values))


PART = Part(
    "Learning curves",
    "`curio` against the same model with random points (`choice=random`), against the integrated-variance-reduction "
    "baseline `gp-variance`, and, where the study of the paper has finished jobs, against the paper's agent and "
    "designs that learn nothing. Excess error is NMSE less that of the best of three models that learn from all "
    "data, by five-fold cross-validation: the part that measuring can remove. Intervals of ratios are of a "
    "bootstrap over seeds.",
    jobs,
    lines,
    others,
)
