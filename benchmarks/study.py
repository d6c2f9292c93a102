"""What the study of the paper consists of: parts, each with strategies, samples, seeds and figures."""

import dataclasses
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agents.registry import options
from benchmarks import drawings
from benchmarks.drawings import Draw, Key
from benchmarks.runner import Job, parse_agent
from benchmarks.strategies import RANDOM_POINTS

PAPER, BEPS, ACTIN = "pfm_pto_paper", "beps_pto_dtm", "pif_actin"
TWIN = "twin:seed=0,pixels=64,steps=256"

RANDOM, CURIOUS, MCD, INVERSE = "random points", "paper-latent", "paper-latent-mcd", "paper-spec2im"
AS_CODE = "paper-latent, options of the authors' code"
CODE = "start=random,choice=best-ten,random_probability=0.1,error_target=before+after"
NARROW = "filters=32,epochs=50"
FLOORS = {"random": "random"}
QUICK = {"filters": 4, "epochs": 3, "later_epochs": 1, "autoencoder_epochs": 1}


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
    draw : tuple of callable
        What draws its figures, see :data:`Draw`.
    """

    title: str
    text: str
    strategies: Mapping[str, str]
    samples: Mapping[str, int]
    baseline: str
    windows: tuple[int, ...] = (9,)
    points: int = 200
    initial: int = 30
    draw: tuple[Draw, ...] = ()

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
        "30 initial points, then 170. The baseline, *random points*, is that of the paper: the same networks, "
        "trained in the same way, on random points. The paper reports that curiosity reaches a lower loss, and "
        "that Monte-Carlo dropout does not, but lowers the error of the ten worst places. The authors' public "
        "code ended at 13.5 ± 0.4 on the paper's set (dropout, three seeds), and with random points as well. The "
        "loss sums over the whole pool, including places that were measured and learned: an agent that collects "
        "the unusual places lowers it without knowing more about the rest. NMSE counts only the rest. "
        "`latent-careful` trains the networks with early stopping, weight decay and standardised targets, which the "
        "paper does not claim. `gp-variance` has no network: it is a Gaussian process over patch and position, "
        "and measures where that lowers its variance over the whole pool most.",
        {
            RANDOM: RANDOM_POINTS,
            CURIOUS: "paper-latent",
            MCD: "paper-latent-mcd",
            AS_CODE: f"paper-latent:{CODE}",
            "latent-careful": "latent-careful",
            "gp-variance": "gp-variance",
            **FLOORS,
        },
        {PAPER: 10, ACTIN: 5, BEPS: 3, TWIN: 3},
        RANDOM,
        draw=(drawings.curves, drawings.worst, drawings.maps),
    ),
    "ensemble": Part(
        "The ensemble and its β (figures 2, 3 and S2)",
        "The first workflow with patches of 16 px: 50 random initial points, then 100. β = 1 seeks large "
        "predicted errors, β = 0 small ones, β = 0.5 both. To save time, the networks have 32 filters instead of "
        "128 and 50 epochs instead of 100, the budget is 150 of about 1150 candidates instead of 545 of 1225, and "
        "there are two seeds.",
        {
            RANDOM: f"paper-ensemble:{NARROW},random_probability=1.0",
            "β = 1": f"paper-ensemble:{NARROW},beta=1.0",
            "β = 0.5": f"paper-ensemble:{NARROW},beta=0.5",
            "β = 0": f"paper-ensemble:{NARROW},beta=0.0",
            **FLOORS,
        },
        {PAPER: 2, BEPS: 2, TWIN: 2},
        RANDOM,
        windows=(16,),
        points=150,
        initial=50,
        draw=(drawings.acquired, drawings.curves, drawings.classes),
    ),
    "inverse": Part(
        "Spectrum to image",
        "`paper-spec2im` predicts the patch from the spectrum, so it has no spectral loss; its points are "
        "judged by kernel ridge regressions. Several structures can give the same loop, so it takes another path "
        "than `paper-latent`.",
        {CURIOUS: "paper-latent", INVERSE: "paper-spec2im", **FLOORS},
        {PAPER: 3},
        "random",
        draw=(drawings.paths, drawings.samplers),
    ),
    "samplers": Part(
        "Points that need no agent (supporting information, section 3)",
        "Which points are best if nothing is learned during the run? No network is involved here: kernel ridge "
        "regressions predict the spectra from the chosen points.",
        {
            "random": "random",
            "grid": "grid",
            "latin-hypercube": "latin-hypercube",
            "sobol": "sobol",
            "halton": "halton",
            "farthest-point, position": "farthest-point:space=position",
            "farthest-point, patch": "farthest-point:space=patch",
            "k-means, patch": "k-means:space=patch",
        },
        {PAPER: 10, ACTIN: 5, BEPS: 5, TWIN: 5},
        "random",
        draw=(drawings.samplers,),
    ),
    "patch-size": Part(
        "The size of the patch (figure S1)",
        "How large a patch is needed to predict the spectrum? 60 random points, half of them initial. "
        "Larger patches leave fewer candidates, so compare NMSE, not losses.",
        {RANDOM: RANDOM_POINTS, **FLOORS},
        {PAPER: 3},
        RANDOM,
        windows=(5, 7, 9, 11, 13),
        points=60,
        draw=(drawings.windows,),
    ),
}


def small(part: Part) -> Part:
    """Return the part as a quick one: a small twin, narrow networks that hardly train, few points."""
    strategies = {}
    for label, agent in part.strategies.items():
        name, _, chosen = agent.partition(":")
        shorter = [f"{option}={value}" for option, value in QUICK.items() if option in options(name)]
        given = [pair for pair in chosen.split(",") if pair and pair.partition("=")[0] not in QUICK]
        strategies[label] = f"{name}:{','.join(shorter + given)}"
    windows = part.windows[:2] if len(part.windows) > 1 else (9,)
    return dataclasses.replace(
        part, strategies=strategies, samples={"twin:pixels=22,steps=16": 2}, windows=windows, points=10, initial=7
    )
