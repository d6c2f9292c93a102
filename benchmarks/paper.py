"""The figures of the paper, on its own data and on others, with honest floors; writes docs/benchmarks.md.

The study is made of parts, each of jobs that are kept when they are finished: stop it when you like, start it again,
in as many sittings as it takes. The page shows what is finished and how many seeds that is.
"""

import enum
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from benchmarks import figures, page, statistics
from benchmarks.drawings import Key
from benchmarks.page import markdown, picture, wrap
from benchmarks.runner import Job, load, run_jobs
from benchmarks.statistics import BOTH, OWN
from benchmarks.strategies import (
    CACHE,
    Cache,
    Minutes,
    PageDirectory,
    Quick,
    Samples,
    Seeds,
    Workers,
    console,
    directory_of,
)
from benchmarks.study import PARTS, Part, small
from curio_plans.study.floors import mean_spectrum_mse

MEASURES = {"loss": "final loss", "best": "best loss", "nmse": "NMSE where unmeasured", "worst": "ten worst places"}
COLUMNS = ("strategy", "seeds", "final loss", "best loss", "NMSE", "worst", "ridge NMSE", "CPU s")

Piece = enum.StrEnum("Piece", {name.replace("-", "_"): name for name in PARTS})

app = typer.Typer(rich_markup_mode="rich")


@app.command()
def paper(
    part: Annotated[
        list[Piece] | None, typer.Option(help="Run only this; repeat it for more. The page keeps the other parts.")
    ] = None,
    samples: Samples = None,
    seeds: Seeds = None,
    workers: Workers = 1,
    cache: Cache = CACHE,
    minutes: Minutes = float("inf"),
    output: PageDirectory = Path("docs"),
    quick: Quick = False,
) -> None:
    """Make docs/benchmarks.md: the paper's figures, tables in both conventions, floors, paired tests.

    The whole study takes about four CPU-hours; the tables say what each job took. It can be run in steps:

        python -m benchmarks.paper --part networks --seeds 3 --minutes 60

    With --minutes 0 nothing runs, and the page is written from the finished jobs.
    """
    directory = directory_of(samples, quick=quick)
    parts = {name: small(found) for name, found in PARTS.items()} if quick else PARTS
    chosen = {name: found for name, found in parts.items() if part is None or name in part}
    wanted = [job for found in chosen.values() for job in found.jobs(directory, seeds).values()]
    run_jobs(wanted, cache, workers, until=time.monotonic() + 60 * minutes)
    sections = {name: _section(name, found, found.jobs(directory), cache, output) for name, found in parts.items()}
    missing = [f"`--part {name}`" for name, section in sections.items() if not section]
    closing = [f"\nNot on this page, because it was not run yet: {', '.join(missing)}."] if missing else []
    text = "\n".join([INTRODUCTION, *filter(None, sections.values()), *closing])
    console.print(f"page: {page.write(output, above=text)}")


INTRODUCTION = """# Benchmarks

A command writes this page. It keeps each finished job and never repeats it, so the page can be made in several steps:

```text
python -m benchmarks.paper --samples DIRECTORY --workers 2
```

`python -m benchmarks.strategies` compares [agents and samples of your own](how-to/benchmarks.md) in the same way.

How to read the tables. Each strategy is judged by its own model. Beside it are the floors: the mean spectrum of all
places, and kernel ridge regressions that learn from random points.

- *final loss*: the sum over the pool of each spectrum's mean squared error, after the last point;
- *best loss*: its minimum over the trajectory. This is the published convention, and an oracle's choice: in an
  experiment the truth is not known;
- *NMSE*: the final error where nothing was measured, over that of the mean spectrum there; 1 means nothing was learned;
- *worst*: the mean spectral error at the ten worst places;
- *ridge NMSE*: the NMSE of a kernel ridge regression on patch and position at the points that this strategy chose. It
  separates a good choice of points from a good model;
- in brackets: the 95 % interval of the mean over seeds (Student's t); *CPU s*: of one job, on one thread.

Differences are paired by seed, with a 95 % bootstrap interval; *p* is that of Wilcoxon's signed-rank test, *effect* the
mean difference over its standard deviation. With fewer than six pairs p cannot be below 0.05, and such intervals say
little.
"""


def _section(name: str, part: Part, jobs: Mapping[Key, Job], cache: Path, output: Path) -> str:
    """Write the figures of a part and return its text; empty while its first two strategies have no finished job."""
    table = statistics.curves(jobs, cache)
    if table.empty or not set(list(part.strategies)[:2]) <= set(table["strategy"]):
        return ""
    images = output / "images" / "benchmarks"
    summary, tests = statistics.summarise(table), statistics.compare(table, part.baseline)
    lines = [f"\n## {part.title}\n", wrap(part.text)]
    lines += [f"\n```text\npython -m benchmarks.paper --part {name}\n```\n"]
    verdicts = [verdict for sample in part.samples for verdict in _verdicts(tests, sample, part.baseline)]
    if verdicts:
        lines += [
            "**lower** means better than the baseline, in that measure only.\n",
            *verdicts,
        ]
    finished = {key: load(job, cache)[1] for key, job in jobs.items() if (cache / job.name).exists()}
    for draw in part.draw:
        caption, drawing = draw(table, jobs, finished)
        path = figures.save(drawing, images / f"{name}-{draw.__name__}.png")
        lines.append(picture(path, output, caption))
    asked, done = Counter(key[:2] for key in jobs), Counter(key[:2] for key in finished)
    fewer = [
        f"{sample}, {label} {done[sample, label]} of {n}"
        for (sample, label), n in asked.items()
        if done[sample, label] < n
    ]
    if fewer:
        lines.append(wrap(f"Finished seeds of those that the study asks for: {'; '.join(fewer)}."))
    for (sample, _), rows in summary.groupby(["sample", "budget"], sort=False):
        job = next(job for key, job in jobs.items() if key[0] == sample)
        lines += [f"\n### {sample}, {job.points} points\n", markdown(_results(rows, job))]
        paired = tests[(tests["sample"] == sample) & tests["regressor"].isin([OWN, BOTH])] if len(tests) else tests
        if OWN in set(paired.get("regressor", ())):  # the floors have no model of their own: leave them out
            paired = paired[paired["strategy"].isin(paired[paired["regressor"] == OWN]["strategy"])]
        if len(paired):
            lines += [f"Paired differences to {part.baseline} (negative: better).\n"]
            lines += [markdown(statistics.readable_tests(paired).drop(columns=["sample", "points"]))]
    return "\n".join(lines)


def _results(summary: pd.DataFrame, job: Job) -> pd.DataFrame:
    """Return a row for the mean spectrum, the floors, and each strategy; `summary` is that of one sample."""
    texts = statistics.readable(summary)
    problem = job.problem()
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
    """Say what the tests say of each strategy, as judged by its own model, in both conventions."""
    lines = []
    for strategy in dict.fromkeys(tests["strategy"]) if len(tests) else ():
        rows = tests[(tests["sample"] == sample) & (tests["strategy"] == strategy) & (tests["regressor"] == OWN)]
        said = [
            f"{label} {_judge(row)}"
            for measure, label in MEASURES.items()
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


if __name__ == "__main__":
    app()
