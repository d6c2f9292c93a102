"""The networks of the paper on the processor and on a GPU, side by side, on one computer.

`paper-latent` as it is, `paper-ensemble` with 128 filters and patches of 16 px: the seconds of the first training with
30 observations, of each later decision, and of the predictions for 65 536 candidates. Budget: minutes on a GPU, for the
ensemble half an hour on a core; ``--quick`` only shows that it runs.
"""

import time
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

from agents.devices import DeviceError, check_device
from agents.pool import make_pool
from agents.protocols import Context, Observation, Pool
from agents.registry import build

STEPS = 64
CASES = {
    "paper-latent": (9, {"agent": "paper-latent"}),
    "paper-ensemble": (16, {"agent": "paper-ensemble", "filters": 128}),
}
"""Side of a patch in px, and config, by name."""
console = Console(width=120)


def main(
    device: Annotated[
        list[str] | None, typer.Option(help="Repeatable.", show_default="cpu and the GPU there is")
    ] = None,
    candidates: Annotated[int, typer.Option(help="Side of the grid of candidates for the map.", min=8)] = 256,
    decisions: Annotated[int, typer.Option(help="Later decisions to average.", min=1)] = 5,
    threads: Annotated[int, typer.Option(help="Threads of the processor.", min=1)] = 1,
    quick: Annotated[bool, typer.Option(help="Few filters and epochs, 16 × 16 candidates.")] = False,
) -> None:
    """Measure each device, or say why it cannot be."""
    table = Table("agent", "device", "first training / s", "a decision / s", "map / s", "candidates", box=None)
    for name, (window, config) in CASES.items():
        pool = _pool(16 if quick else candidates, window)
        small = {"filters": 4, "epochs": 2, "autoencoder_epochs": 1} if quick else {}
        for each in device or ["cpu", "cuda", "mps"]:
            try:
                check_device(each)
            except DeviceError as error:
                if device:
                    console.print(f"{each}: {error}")
                continue
            times = _measure({**config, **small, "device": each, "threads": threads}, pool, decisions)
            table.add_row(name, _named(each), *(f"{seconds:.3g}" for seconds in times), str(len(pool)))
    console.print(table)
    console.print(f"PyTorch {torch.__version__}, {threads} threads, deterministic algorithms")


def _measure(config: dict[str, object], pool: Pool, decisions: int) -> tuple[float, float, float]:
    rng = np.random.default_rng(0)
    agent = build(config)
    initial = int(agent.config["initial"])
    agent.ingest(pool)
    context = Context(budget=initial + decisions)
    places = rng.choice(len(pool), initial + decisions, replace=False)
    agent.ingest(*(_observe(pool, int(index)) for index in places[:initial]))
    started = time.perf_counter()
    agent.suggest(1, context)
    first = time.perf_counter() - started
    started = time.perf_counter()
    for index in places[initial:]:
        agent.ingest(_observe(pool, int(index)))
        agent.suggest(1, context)
    later = (time.perf_counter() - started) / decisions
    agent.forget("_prediction", "_part_maps")  # type: ignore[attr-defined]  # so that the map is predicted again
    started = time.perf_counter()
    agent.report(context)
    return first, later, time.perf_counter() - started


def _pool(side: int, window: int) -> Pool:
    frame = np.random.default_rng(1).normal(size=(2, side + window - 1, side + window - 1)).cumsum(axis=2)
    return make_pool(frame, (0.0, 1000.0, 0.0, 1000.0), window, 1)


def _observe(pool: Pool, index: int) -> Observation:
    spectrum = np.sin(np.linspace(0, 6, STEPS) + float(pool.patches[index].mean()))
    return Observation(index, pool.positions[index], pool.positions[index], spectrum, 0.0)


def _named(device: str) -> str:
    return f"{device}: {torch.cuda.get_device_name()}" if device == "cuda" else device


if __name__ == "__main__":
    typer.run(main)
