"""The figures of the paper, on its own data and on others, with honest floors; writes docs/benchmarks.md.

The study is made of parts, each of jobs that are kept when they are finished: stop it when you like, start it again,
in as many sittings as it takes. The page shows what is finished and how many seeds that is.
"""

import enum
import itertools
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from matplotlib.figure import Figure

from benchmarks import figures, statistics
from benchmarks.problems import open_problem
from benchmarks.runner import Job, load, parse_agent, run_jobs
from benchmarks.statistics import OWN
from benchmarks.strategies import CACHE, RANDOM_POINTS, Cache, Quick, Workers, console
from curio_plans.floors import mean_spectrum_mse

Key = tuple[str, str, int]

PAPER, BEPS, ACTIN = "pfm_pto_paper", "beps_pto_dtm", "pif_actin"
TWIN = "twin:seed=0,pixels=64,steps=256"
RANDOM, CURIOUS, AS_CODE = "random points", "paper-latent", "paper-latent, options of the authors' code"
NETWORKS = {
    RANDOM: RANDOM_POINTS,
    CURIOUS: "paper-latent",
    AS_CODE: "paper-latent:start=random,choice=best-ten,random_probability=0.1,error_target=before+after",
}
FLOORS = {"random": "random"}
BOTH = "ridge on patch and position"
COLUMNS = ("strategy", "seeds", "final loss", "best loss", "NMSE", "worst", "ridge NMSE", "CPU s")


@dataclass(frozen=True)
class Part:
    """A part of the study.

    Attributes
    ----------
    title, text : str
        What the page says about it.
    strategies : mapping of label to agent
        See :func:`benchmarks.runner.parse_agent`.
    samples : mapping of name to number of seeds
        On which samples, and how often at most.
    baseline : str
        Label of the strategy that the others are compared with.
    windows : tuple of int
        Sides of a patch in px.
    points, initial : int
        The budget, and how many of it the agents start from.
    """

    title: str
    text: str
    strategies: Mapping[str, str]
    samples: Mapping[str, int]
    baseline: str
    windows: tuple[int, ...] = (9,)
    points: int = 200
    initial: int = 30

    def jobs(self, directory: Path, seeds: int | None = None) -> dict[Key, Job]:
        """Return the jobs by (sample, strategy, seed), seeds outermost; with `seeds`, at most so many of each."""
        found = {}
        most = max(self.samples.values())
        for seed, (sample, number), window in itertools.product(range(most), self.samples.items(), self.windows):
            if seed >= (number if seeds is None else min(number, seeds)):
                continue
            path = sample if sample.startswith("twin") else str(directory / f"{sample}.npz")
            name = sample if len(self.windows) == 1 else f"{sample}, {window} px"
            for label, agent in self.strategies.items():
                config = parse_agent(agent, seed, self.initial)
                if seed == 0 or "seed" in config:
                    found[name, label, seed] = Job(path, window, self.points, config)
        return found


PARTS: Mapping[str, Part] = {
    "networks": Part(
        "Does curiosity pay? (figures 5, 6 and 7)",
        "30 initial points, then 170. *Random points* are the paper's baseline: the same networks, trained alike, but\n"
        "learning from random points. The paper reports that curiosity reaches a lower loss. Mind that the loss sums\n"
        "over the whole pool, also over the places that were measured and learned: an agent that collects the odd\n"
        "ones lowers it without knowing more of the rest. NMSE counts only the rest.",
        {**NETWORKS, **FLOORS},
        {PAPER: 10, ACTIN: 5, BEPS: 3, TWIN: 3},
        RANDOM,
    ),
    "samplers": Part(
        "Points that need no agent (supporting information, section 3)",
        "Which points does one choose without learning anything meanwhile? No network plays a part here: kernel ridge\n"
        "regressions predict the spectra from the points alone.",
        {"random": "random", "grid": "grid"},
        {PAPER: 10, ACTIN: 10, BEPS: 10, TWIN: 10},
        "random",
    ),
    "patch-size": Part(
        "The size of the patch (figure S1)",
        "How large a patch does one need to predict the spectrum? 60 random points, half of them initial. Larger\n"
        "patches leave fewer candidates, so compare NMSE, not losses.",
        {RANDOM: RANDOM_POINTS, **FLOORS},
        {PAPER: 3},
        RANDOM,
        windows=(5, 7, 9, 11, 13),
        points=60,
    ),
}

Piece = enum.StrEnum("Piece", {name.replace("-", "_"): name for name in PARTS})

app = typer.Typer(rich_markup_mode="rich")


@app.command()
def paper(
    part: Annotated[
        list[Piece] | None, typer.Option(help="Run only this; repeat it for more. The page keeps the other parts.")
    ] = None,
    samples: Annotated[
        Path | None, typer.Option(help="Directory of the measured samples.", envvar="CURIO_SAMPLES")
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="At most so many of each.", min=1, show_default="all")] = None,
    workers: Workers = 1,
    cache: Cache = CACHE,
    minutes: Annotated[float, typer.Option(help="Begin no further job after so long.", min=0)] = float("inf"),
    output: Annotated[Path, typer.Option(help="Directory of the page and of its images.")] = Path("docs"),
    quick: Quick = False,
) -> None:
    """Make docs/benchmarks.md: the paper's figures, tables in both conventions, floors, paired tests.

    The whole study takes about two CPU-hours with the agents it has; see what each part took in its tables. Do what
    fits, and come back:

        python -m benchmarks.paper --part networks --seeds 3 --minutes 60

    With --minutes 0 nothing runs, and the page is written from what is finished.
    """
    if samples is None and not quick:
        raise typer.BadParameter("name the directory of the measured samples with --samples or CURIO_SAMPLES")
    directory = samples or Path()
    parts = {name: _small(found) for name, found in PARTS.items()} if quick else PARTS
    chosen = {name: found for name, found in parts.items() if part is None or name in part}
    wanted = [job for found in chosen.values() for job in found.jobs(directory, seeds).values()]
    run_jobs(wanted, cache, workers, until=time.monotonic() + 60 * minutes)
    sections = [_section(name, found, found.jobs(directory), cache, output) for name, found in parts.items()]
    page = output / "benchmarks.md"
    page.write_text("\n".join([INTRODUCTION, *filter(None, sections)]).rstrip() + "\n")
    console.print(f"page: {page}")


INTRODUCTION = """# Benchmarks

Written by a command, from jobs that are kept and never repeated; everything here can be made again, in pieces:

```text
python -m benchmarks.paper --samples DIRECTORY --workers 2
```

`python -m benchmarks.strategies` compares [agents and samples of your own](how-to/benchmarks.md) in the same way.

How to read the tables. Each strategy is judged by its own networks; beside it stand the floors: the mean spectrum of
all places, and kernel ridge regressions that learn from random points.

- *final loss*: the sum over the pool of each spectrum's mean squared error, after the last point;
- *best loss*: its minimum over the trajectory – the published convention, and an oracle's choice, because who measures
  does not know the truth;
- *NMSE*: the final error on what was never measured, over that of the mean spectrum there; 1 means nothing was learned;
- *worst*: the mean spectral error at the ten worst places;
- *ridge NMSE*: what a kernel ridge regression on patch and position makes of the points that this strategy chose: it
  tells a good choice of points from a good model;
- in brackets the 95 % interval of the mean over seeds (Student's t); *CPU s*: of one job, on one thread.

Differences are paired by seed, with a 95 % bootstrap interval; *p* is that of Wilcoxon's signed-rank test, *effect* the
mean difference over its standard deviation. With fewer than six pairs p cannot be under 0.05, and such intervals say
little.
"""


def _small(part: Part) -> Part:
    """Return the part as a quick one: a small twin, narrow networks."""
    strategies = {
        label: agent + (",filters=4" if ":" in agent else ":filters=4") if agent.startswith("paper") else agent
        for label, agent in part.strategies.items()
    }
    return Part(
        part.title, part.text, strategies, {"twin:pixels=24,steps=16": 2}, part.baseline, part.windows[:2], 12, 8
    )


def _section(name: str, part: Part, jobs: Mapping[Key, Job], cache: Path, output: Path) -> str:
    """Write the figures of a part and return its text; empty if none of its jobs is finished."""
    table = statistics.curves(jobs, cache)
    if table.empty:
        return ""
    images = output / "images" / "benchmarks"
    summary, tests = statistics.summarise(table), statistics.compare(table, part.baseline)
    lines = [f"\n## {part.title}\n", part.text, f"\n```text\npython -m benchmarks.paper --part {name}\n```\n"]
    lines += [verdict for sample in part.samples for verdict in _verdicts(tests, sample, part.baseline)]
    drawings = _drawings(name, part, table, jobs, cache)
    for kind, (caption, drawing) in drawings.items():
        path = figures.save(drawing, images / f"{name}-{kind}.png")
        lines.append(f"\n![{caption}]({path.relative_to(output)})\n\n*{caption}*\n")
    fewer = [
        f"{sample}: {finished} of {part.samples[sample]} seeds"
        for sample, finished in table.groupby("sample")["seed"].nunique().items()
        if sample in part.samples and finished < part.samples[sample]
    ]
    if fewer:
        lines.append(f"Not all seeds of the study are finished – {'; '.join(fewer)}.\n")
    for (sample, _), rows in summary.groupby(["sample", "budget"], sort=False):
        job = next(job for key, job in jobs.items() if key[0] == sample)
        lines += [f"\n### {sample}, {job.points} points\n", _markdown(_results(rows, job))]
        paired = tests[(tests["sample"] == sample) & tests["regressor"].isin([OWN, BOTH])] if len(tests) else tests
        if OWN in set(paired.get("regressor", ())):  # the floors have no networks: their differences mix two models
            paired = paired[paired["strategy"].isin(paired[paired["regressor"] == OWN]["strategy"])]
        if len(paired):
            lines += [f"Paired differences to {part.baseline} (negative: better).\n"]
            lines += [_markdown(statistics.readable_tests(paired).drop(columns=["sample", "points"]))]
    return "\n".join(lines)


def _results(summary: pd.DataFrame, job: Job) -> pd.DataFrame:
    """Return a row for the mean spectrum, the floors, and each strategy; `summary` is that of one sample."""
    texts = statistics.readable(summary)
    problem = open_problem(job.sample, job.window, job.stride)
    mean = mean_spectrum_mse(problem.truth) * len(problem.pool)
    rows = [{"strategy": "mean spectrum of all places", "final loss": f"{mean:.4g}", "NMSE": "1"}]
    for strategy, here in texts.groupby("strategy", sort=False):
        by = here.set_index("predicted by").to_dict("index")
        if OWN in by:
            numbers = {column: by[OWN][column] for column in ("seeds", "final loss", "best loss", "NMSE", "worst")}
            rows.append({"strategy": strategy, **numbers, "ridge NMSE": by[BOTH]["NMSE"], "CPU s": by[OWN]["CPU s"]})
        else:
            rows += [
                {"strategy": f"{regressor}, points of `{strategy}`",
                 **{column: found[column] for column in ("seeds", "final loss", "NMSE", "CPU s")}}
                for regressor, found in by.items()
            ]  # fmt: skip
    texts = [{column: str(value) for column, value in row.items()} for row in rows]
    shown = [column for column in COLUMNS if any(column in row for row in texts)]
    return pd.DataFrame(texts, columns=shown).fillna("")


def _verdicts(tests: pd.DataFrame, sample: str, baseline: str) -> list[str]:
    """Say what the tests say of each strategy, as judged by its own networks, in both conventions."""
    lines = []
    for strategy in dict.fromkeys(tests["strategy"]) if len(tests) else ():
        rows = tests[(tests["sample"] == sample) & (tests["strategy"] == strategy) & (tests["regressor"] == OWN)]
        said = [
            f"{label} {_judge(row)}"
            for measure, label in (("loss", "final loss"), ("best", "best loss"), ("nmse", "NMSE where unmeasured"))
            for row in rows[rows["measure"] == measure].to_dict("records")
        ]
        if said:
            pairs = int(rows["pairs"].max())
            lines.append(f"- **{sample}**, {strategy} against {baseline}, {pairs} seeds: {'; '.join(said)}.")
    return lines


def _judge(row: Mapping[str, Any]) -> str:
    numbers = f"{row['difference']:+.3g} ({row['low']:.3g} … {row['high']:.3g}, p = {row['p']:.3f})"
    if row["high"] < 0 and row["p"] < 0.05:
        return f"**lower**, {numbers}"
    if row["low"] > 0 and row["p"] < 0.05:
        return f"**higher**, {numbers}"
    return f"not told apart, {numbers}"


def _drawings(
    name: str, part: Part, table: pd.DataFrame, jobs: Mapping[Key, Job], cache: Path
) -> dict[str, tuple[str, Figure]]:
    """Return the figures of a part by kind, each with its caption."""
    if len(part.windows) > 1:
        caption = "NMSE on what was never measured against the side of the patch, mean and standard error over seeds."
        return {"windows": (caption, _against_window(table))}
    if name != "networks":
        caption = "NMSE on what was never measured, from kernel ridge regressions on the chosen points."
        return {"curves": (caption, _samplers(table))}
    drawings = {
        "curves": (
            "Learning curves of the networks on what was never measured, beside the floors (figure 6).",
            figures.learning_curves(table),
        ),
        "worst": ("Mean error of the ten worst places (figure 7).", figures.learning_curves(table, measure="worst")),
    }
    sample = next(iter(part.samples))
    job = jobs[sample, CURIOUS, 0]
    if (cache / job.name).exists():
        caption = (f"{CURIOUS} on {sample}, seed 0, at the end: the image and the chosen points, the error that the "
                   "agent expects, the true error, and the exploration reward (figure 5).")  # fmt: skip
        drawings["maps"] = (caption, _maps(job, cache))
    return drawings


def _maps(job: Job, cache: Path) -> Figure:
    problem = open_problem(job.sample, job.window, job.stride)
    _, arrays = load(job, cache)
    centre = problem.pool.patches[:, -1, job.window // 2, job.window // 2]
    rows, columns = np.unravel_index(arrays["chosen"], problem.pool.grid)
    initial = arrays["phases"] == "initial"
    drawing = Figure(figsize=(13, 3.4), layout="constrained")
    panels = (
        ("image and points", centre, "gray"),
        ("expected error, relative", arrays["map_predicted_error"], "viridis"),
        ("true error, rms", np.sqrt(arrays["place_mse"]), "viridis"),
        ("exploration", arrays["map_exploration"], "viridis"),
    )
    for axes, (title, values, cmap) in zip(drawing.subplots(1, 4), panels, strict=True):
        low, high = np.percentile(values, [1, 99])
        shown = axes.imshow(values.reshape(problem.pool.grid), origin="lower", cmap=cmap, vmin=low, vmax=high)
        axes.set(title=title, xticks=[], yticks=[])
        drawing.colorbar(shown, ax=axes, shrink=0.8)
    first = drawing.axes[0]
    first.plot(columns[initial], rows[initial], "o", mfc="none", mec="#38bdf8", ms=4)
    first.plot(columns[~initial], rows[~initial], ".", color="#c2410c", ms=4)
    return drawing


def _samplers(table: pd.DataFrame) -> Figure:
    rows = table[table["regressor"] == BOTH]
    return figures.learning_curves(rows.assign(regressor=OWN), floor="")


def _against_window(table: pd.DataFrame) -> Figure:
    last = table[table["points"] == table["budget"]].copy()
    last["window"] = last["sample"].str.extract(r", (\d+) px$", expand=False).astype(int)
    drawing = Figure(figsize=(5.2, 4.2), layout="constrained")
    axes = drawing.subplots()
    shown = last[(last["regressor"] == OWN) | (last["regressor"] == "ridge on patch") & (last["strategy"] == "random")]
    for (strategy, regressor), rows in shown.groupby(["strategy", "regressor"], sort=False):
        groups = rows.groupby("window")["nmse"]
        axes.errorbar(
            groups.mean().index,
            groups.mean(),
            groups.sem(),
            marker="o",
            ms=4,
            capsize=2,
            label=f"{regressor}, {strategy}",
        )
    axes.axhline(1, color="#94a3b8", lw=0.8, ls=":", label="mean spectrum")
    axes.set(xlabel="side of the patch / px", ylabel=figures.LABELS["nmse"])
    axes.legend(fontsize=7)
    return drawing


def _markdown(table: pd.DataFrame) -> str:
    rows = [list(table.columns), ["---"] * len(table.columns), *table.astype(str).to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


if __name__ == "__main__":
    app()
