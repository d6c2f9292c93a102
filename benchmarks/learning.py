"""Does curiosity pay? Final losses of agents on a measured sample, over seeds, beside strong floors.

The loss is the sum over the pool of each spectrum's mean squared error, after the last point; in brackets the best over
the trajectory, which is what was published. "random points" lets the same networks learn from random points, so the
difference to it is what curiosity brings. Points are measured by looking them up: no devices, no noise but the data's.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from agents.pool import make_pool
from agents.protocols import Config, Context, Observation, Pool
from agents.registry import build
from curio_plans.floors import mean_spectrum_mse, ridge_on_random_points

VARIANTS: dict[str, dict[str, Any]] = {
    "paper-latent": {},
    "with the options of the authors' code": {
        "start": "random", "choice": "best-ten", "random_probability": 0.1, "error_target": "before+after",
    },
    "random points": {"start": "random", "random_probability": 1.0},
}  # fmt: skip


def explore(pool: Pool, truth: NDArray[np.float64], points: int, config: Config) -> NDArray[np.float64]:
    """Return the loss after each point from the first training on, shape (points − initial + 1,)."""
    agent = build(config)
    agent.ingest(pool)
    context, losses = Context(budget=points), []
    for number in range(points):
        (suggestion,) = agent.suggest(1, context)
        place = pool.positions[suggestion.index]
        agent.ingest(Observation(suggestion.index, place, place, truth[suggestion.index], float(number)))
        if number + 1 >= config["initial"]:
            losses.append(((agent.report().prediction - truth) ** 2).mean(axis=1).sum())
    return np.array(losses)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("sample", type=Path, help="npz file with image and spectra")
    parser.add_argument("--points", type=int, default=200, help="spectra in total")
    parser.add_argument("--initial", type=int, default=30, help="of them initial")
    parser.add_argument("--window", type=int, default=9, help="side of a patch in px")
    parser.add_argument("--seeds", type=int, default=5, help="repetitions")
    parser.add_argument("--quick", action="store_true", help="one seed, 40 points")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.seeds, chosen.points = 1, 40

    with np.load(chosen.sample) as archive:
        image, spectra = archive["image"], archive["spectra"].astype(np.float64)
    frame = image if image.ndim == 3 else image[None]
    ny, nx = frame.shape[1:]
    pool = make_pool(frame, (0, nx, 0, ny), window=chosen.window)
    columns, rows = pool.positions.astype(int).T
    truth = spectra[rows, columns]

    ridge = ridge_on_random_points(pool, truth, [chosen.points], range(chosen.seeds))
    table = Table(f"{chosen.sample.name}, {chosen.points} points, {chosen.seeds} seeds", "loss", "each seed", box=None)
    table.add_row("mean spectrum of all places", f"{mean_spectrum_mse(truth) * len(pool):.4g}", "")
    for name, mse in ridge.items():
        loss = mse[:, -1] * len(pool)
        table.add_row(f"kernel ridge on {name}, random points", f"{loss.mean():.4g} ± {loss.std():.2g}", "")
    for name, options in VARIANTS.items():
        curves = [
            explore(pool, truth, chosen.points,
                    {"agent": "paper-latent", "seed": seed, "initial": chosen.initial, **options})
            for seed in track(range(chosen.seeds), name, console=Console(stderr=True))
        ]  # fmt: skip
        final = np.array([curve[-1] for curve in curves])
        each = ", ".join(f"{curve[-1]:.4g} ({curve.min():.4g})" for curve in curves)
        table.add_row(name, f"{final.mean():.4g} ± {final.std():.2g}", each)
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
