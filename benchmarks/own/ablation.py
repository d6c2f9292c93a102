"""What each ingredient of the own agent is worth: the agent is compared with the agent without it."""

import pandas as pd

from benchmarks.drawings import Key
from benchmarks.own.study import FULL, Part, Results, Study, geometric, percent
from benchmarks.page import markdown
from benchmarks.runner import Job

WITHOUT = {
    "curio:surroundings=rings": "rings of the patch alone",
    "curio:surroundings=patch": "all pixels of a patch alike",
    "curio:position=false": "structure only, no position",
    "curio:robust=false": "every spectrum trusted alike",
    "curio:checks=0": "no random checks",
    "curio:choice=random": "random points",
}


def jobs(study: Study) -> dict[Key, Job]:
    """Return the jobs."""
    return study.jobs((FULL, *WITHOUT), study.fewer)


def lines(results: Results) -> list[str]:
    """Return a table of relative changes: all samples together, and the extremes."""
    rows = []
    for agent, meaning in WITHOUT.items():
        row = {"option": f"`{agent.partition(':')[2]}`", "meaning": meaning}
        for count in (results.study.budgets[1], results.study.budgets[-1]):
            pairs = {name: results.both(name, agent, FULL, (count, count)) for name in results.samples}
            row[f"{count} points"] = percent(geometric(pairs.values()))
            each = {name: one.mean() / other.mean() - 1 for name, (one, other) in pairs.items() if len(one)}
            if each:
                least, most = min(each, key=lambda name: each[name]), max(each, key=lambda name: each[name])
                row[f"of samples at {count}"] = f"{each[least]:+.0%} ({least}) … {each[most]:+.0%} ({most})"
        rows.append(row)
    return [markdown(pd.DataFrame(rows).fillna("–"))]


PART = Part(
    "Ablation",
    "Change of the NMSE where nothing was measured if one ingredient is left out; positive means that the ingredient "
    "helps. Geometric mean over the samples, 95 % bootstrap interval over seeds, and the samples where it helps least "
    "and most.",
    jobs,
    lines,
)
