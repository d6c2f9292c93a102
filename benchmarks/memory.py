"""The memory that an agent needs over the points of a run.

Budget: `paper-latent` with 200 points on 41 × 41 candidates takes two minutes on an idle core.
"""

import hashlib
import resource
import sys
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from agents.protocols import Context, Observation
from agents.registry import build
from benchmarks.problems import open_problem
from benchmarks.runner import parse_agent


def main(
    agent: Annotated[str, typer.Option(help="NAME or NAME:option=value,….")] = "paper-latent",
    points: Annotated[int, typer.Option(help="Points of the run.")] = 200,
    every: Annotated[int, typer.Option(help="Points between two lines.")] = 20,
    pixels: Annotated[int, typer.Option(help="Side of the image; 49 px give 41 × 41 candidates.")] = 49,
) -> None:
    """Print the resident memory of the process now and at its peak, in MB, and a digest of the decisions at the end."""
    problem = open_problem(f"twin:pixels={pixels},steps=64", 9, 1)
    thinker = build(parse_agent(agent, 0))
    thinker.ingest(problem.pool)
    context, said = Context(budget=points), hashlib.sha256()
    print(f"{agent}, {len(problem.pool)} candidates\n{'points':>8} {'now':>8} {'peak':>8} {'seconds':>8}")
    started = time.process_time()
    for number in range(points):
        (one,) = thinker.suggest(1, context)  # type: ignore[misc]  # these agents ask nothing
        said.update(repr((one.index, one.score, sorted(one.parts.items()))).encode())
        place = problem.pool.positions[one.index]
        spectrum = problem.spectra[one.index]
        thinker.ingest(Observation(one.index, place, place, spectrum, float(number), np.asarray(problem.axis)))
        thinker.report(context)
        if (number + 1) % every == 0:
            now = time.process_time() - started
            print(f"{number + 1:>8} {resident():>8.0f} {peak():>8.0f} {now:>8.0f}", flush=True)
    print(f"decisions: {said.hexdigest()[:16]}")


def resident() -> float:
    """Return the resident memory of this process in MB; NaN where the system does not tell."""
    status = Path("/proc/self/statm")
    if not status.exists():
        return float("nan")
    return int(status.read_text().split()[1]) * resource.getpagesize() / 1e6


def peak() -> float:
    """Return the largest resident memory so far in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


if __name__ == "__main__":
    typer.run(main)
