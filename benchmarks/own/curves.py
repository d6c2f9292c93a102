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
    cell,
    configured,
    geometric,
)
from benchmarks.page import markdown, picture, wrap
from benchmarks.runner import Job
from benchmarks.statistics import BOTH, paired, with_interval
from curio_plans.study.floors import KINDS

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
            excess = [tuple(nmse - floor[name][1] for nmse in pair) for name, pair in pairs.items()]
            row |= {
                f"against {other}": with_interval(*geometric(excess)),
                "samples": str(sum(len(one) > 0 for one, _ in excess)),
            }
        rows.append(row)
    title = (
        "Excess error of `curio` over that of another strategy, geometric mean over the samples; below 1, `curio` is"
    )
    return [
        f"{title} better:\n",
        markdown(pd.DataFrame(rows)),
        *_random_points(results, floor),
        _worse(results),
        *_paper(results),
    ]


def _random_points(results: Results, floor: dict[str, tuple[str, float]]) -> list[str]:
    """Compare the agent with random points for the same model at larger budgets."""
    _, second, third, last = results.study.budgets
    rows = []
    for names in [*([name] for name in floor), list(floor)]:
        row = {"sample": names[0], "five-fold NMSE": "{1:.3g} ({0})".format(*floor[names[0]])}
        if len(names) > 1:
            row = {"sample": "all, geometric mean", "five-fold NMSE": ""}
        for count in (third, last):
            pairs = [results.both(name, FULL, ANYWHERE, (second, count)) for name in names]
            excess = [tuple(nmse - floor[name][1] for nmse in pair) for name, pair in zip(names, pairs, strict=True)]
            row[f"{second} chosen over {count} random"] = with_interval(*geometric(excess))
        rows.append(row)
    title = f"Excess error of {second} points that `curio` chose over that of more random points with the same model:\n"
    return [title, markdown(pd.DataFrame(rows))]


def _worse(results: Results) -> str:
    """Say where the agent differs significantly from random points for the same model."""
    worse, better, tests = [], 0, 0
    for name in results.samples:
        for count in results.study.budgets:
            one, other = results.both(name, FULL, ANYWHERE, (count, count))
            if len(one) < 2:
                continue
            tests, test = tests + 1, paired(one - other)
            if test["p"] < 0.05 and test["difference"] > 0:
                numbers = f"{one.mean():.3g} against {other.mean():.3g}, p = {test['p']:.3f}"
                worse.append(f"{name} at {count} ({numbers})")
            better += test["p"] < 0.05 and test["difference"] < 0
    text = (
        f"NMSE against random points for the same model, Wilcoxon's test for each sample and budget, p < 0.05: "
        f"significantly worse in {len(worse)} of {tests}, better in {better}. Worse: {'; '.join(worse) or 'nowhere'}."
    )
    return wrap(text) + "\n"


def _paper(results: Results) -> list[str]:
    first, *_, last = results.study.budgets
    rows = []
    for name in results.samples:
        one, other = results.nmse(name, FULL, first), results.nmse(name, PAPER_AGENT, last)
        if len(one) and len(other):
            rows.append({
                "sample": name, "seeds": f"{len(one)}, {len(other)}",
                f"curio, {first} points": cell(one), f"{PAPER_AGENT}, {last} points": cell(other),
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
                cells = {str(count): cell(results.nmse(name, agent, count)) for count in results.study.budgets}
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
    return {str(n): cell(column) for n, column in zip(outcomes[0]["ridge_counts"], nmse.T, strict=True)}


PART = Part(
    "Learning curves",
    "`curio` is compared with the same model on random points (`choice=random`), with the "
    "integrated-variance-reduction baseline `gp-variance`, and, where the study of the paper has finished jobs, with "
    "the paper's agent and with designs that learn nothing. The excess error is the NMSE less that of the best of "
    "three models that learn from all data (five-fold cross-validation): the part that measuring can remove. Intervals "
    "of ratios are from a bootstrap over seeds.",
    jobs,
    lines,
    others,
)
