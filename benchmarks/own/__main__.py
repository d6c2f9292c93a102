"""The project's own agent against its baselines and against the truth; writes its part of docs/benchmarks.md.

Made of parts and of jobs that are kept, like ``python -m benchmarks.paper``. After a change of the agent delete its
jobs, ``curio-*.npz``: a job is known by its options alone.
"""

import enum
import time
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import page
from benchmarks.own import ablation, arena, bad, curves, halves, honesty, past, travel, worlds
from benchmarks.own.study import Part, Results, Study, later, shared
from benchmarks.page import wrap
from benchmarks.runner import load, run_jobs
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

PARTS: dict[str, Part] = {
    "arena": arena.PART,
    "worlds": worlds.PART,
    "curves": curves.PART,
    "ablation": ablation.PART,
    "honesty": honesty.PART,
    "bad": bad.PART,
    "halves": halves.PART,
    "past": past.PART,
    "travel": travel.PART,
}

QUICK = Study({"twin": "twin:pixels=20,steps=16"}, (4, 8, 12, 16), seeds=2, fewer=1, few=1, initial=4, drawn=1)

Piece = enum.StrEnum("Piece", {name: name for name in PARTS})

app = typer.Typer(rich_markup_mode="rich")


@app.command()
def own(
    part: Annotated[list[Piece] | None, typer.Option(help="Run only this; repeat it for more.")] = None,
    samples: Samples = None,
    seeds: Seeds = None,
    networks: Annotated[
        bool, typer.Option(help="Also run jobs that the study of the paper has not finished; takes hours.")
    ] = False,
    workers: Workers = 1,
    cache: Cache = CACHE,
    minutes: Minutes = float("inf"),
    output: PageDirectory = Path("docs"),
    quick: Quick = False,
) -> None:
    """Judge the agent `curio`: learning curves, ablation, honesty, bad spectra, prior runs, moves.

    The whole study takes about an hour on one core. It can be run in steps:

        python -m benchmarks.own --part curves --seeds 3 --minutes 20

    With --minutes 0 nothing runs, and the page is written from the finished jobs.
    """
    directory = directory_of(samples, quick=quick)
    study = QUICK if quick else Study(shared(directory), others=later(directory))
    wanted = [
        job
        for name, found in PARTS.items()
        if part is None or name in part
        for key, job in ({**found.jobs(study), **(found.borrowed(study) if networks else {})}).items()
        if seeds is None or key[2] < seeds
    ]
    run_jobs(list({job.name: job for job in wanted}.values()), cache, workers, until=time.monotonic() + 60 * minutes)
    sections = {name: _section(name, found, study, cache, output) for name, found in PARTS.items()}
    missing = [f"`--part {name}`" for name, section in sections.items() if not section]
    closing = [wrap(f"Not on this page, because it was not run yet: {', '.join(missing)}.")] if missing else []
    text = "\n\n".join([INTRODUCTION, *filter(None, sections.values()), *closing])
    console.print(f"page: {page.write(output, below=text)}")


INTRODUCTION = """# The project's own agent

Another command writes this part, also in several steps:

```text
python -m benchmarks.own --samples DIRECTORY
```

Three measured samples, and three samples of the twin (64 px, 64 steps of the bias), whose truth is known without
noise; in the comparisons with the strongest simple method more of them. Windows of 9 px. Every decision is the one
that a run would make. In brackets: 95 % intervals of the mean over seeds (Student's t), or of a bootstrap where it
says so. All samples use the same options.
"""


def _section(name: str, part: Part, study: Study, cache: Path, output: Path) -> str:
    """Write the figures of a part and return its text; empty while one of its strategies has no finished job."""
    asked = part.jobs(study)
    jobs = asked | part.borrowed(study)
    loaded = {key: load(job, cache) for key, job in jobs.items() if (cache / job.name).exists()}
    finished = {key: outcome for key, (_, outcome) in loaded.items()}
    done, of = (Counter(key[1] for key in keys) for keys in (asked.keys() & finished.keys(), asked))
    if done.keys() != of.keys():
        return ""
    lines = [f"## {part.title}\n", wrap(part.text), f"\n```text\npython -m benchmarks.own --part {name}\n```\n"]
    lines += part.lines(Results(study, jobs, finished, cache, output / "images" / "benchmarks"))
    seconds = sum(facts["cpu_s"] for key, (facts, _) in loaded.items() if key in asked)
    counted = ", ".join(f"{agent} {done[agent]} of {number}" for agent, number in of.items())
    lines.append(wrap(f"Finished runs: {counted}. {seconds / 60:.1f} min of CPU time in all, on one thread."))
    return "\n".join(lines)


if __name__ == "__main__":
    app()
