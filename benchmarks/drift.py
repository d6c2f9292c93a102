"""How far from where it was meant to be a drifting microscope measures, with and without correcting the drift.

A run of about two hours of simulated time on the twin with realistic effects. The twin knows where on the sample its
tip really is; the error is how far that is from the place that the first image showed.
"""

import argparse
from pathlib import Path

import numpy as np
from bluesky import RunEngine
from matplotlib.figure import Figure

from agents.registry import build, configure
from curio_plans.documents.history import History
from curio_plans.plans import curiosity
from ophyd_devices import AFM
from ophyd_devices.twin import twin


def pointing(points: int, every_minutes: float | None, seed: int) -> tuple[np.ndarray, np.ndarray, History]:
    """Return instrument time in min and pointing error in nm of each point, and the history of the run."""
    backend = twin(seed=seed, effects="realistic")
    afm = AFM(backend, name="afm")
    afm.spectrometer.steps_per_cycle.put(128)
    offsets: list[np.ndarray] = []
    times: list[float] = []
    errors: list[float] = []

    def drifted() -> np.ndarray:
        return np.subtract(backend.true_position(), backend.position())

    def watch(name: str, doc: dict) -> None:
        if name == "event" and "afm_imager_frame" in doc["data"]:
            offsets.append(drifted())
        elif name == "event" and "target_x" in doc["data"] and "rejected_reason" not in doc["data"]:
            wanted = np.array([doc["data"]["target_x"], doc["data"]["target_y"]]) + (before + offsets[0]) / 2
            errors.append(float(np.hypot(*(backend.true_position() - wanted))))
            times.append(backend.time() / 60)

    engine, history = RunEngine({}), History()
    engine.subscribe(history)
    engine.subscribe(watch)
    before = drifted()
    drift = None if every_minutes is None else {"every_minutes": every_minutes}
    engine(curiosity(afm, configure("random", seed=seed), points, build=build, drift=drift))
    afm.close()
    return np.array(times), np.array(errors), history


def main() -> None:
    """Run with and without, print the errors, draw them if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--points", type=int, default=1450, help="spectra of each run")
    parser.add_argument("--every-minutes", type=float, default=10.0, help="image again after so many minutes")
    parser.add_argument("--seeds", type=int, default=3, help="worlds")
    parser.add_argument("--quick", action="store_true", help="a short run in one world")
    parser.add_argument("--figure", type=Path, help="where to draw the error over time, of the first world")
    chosen = parser.parse_args()
    points, seeds = (60, 1) if chosen.quick else (chosen.points, chosen.seeds)
    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axes = figure.subplots()
    for every_minutes in (None, 1.0 if chosen.quick else chosen.every_minutes):
        label = "uncorrected" if every_minutes is None else f"corrected every {every_minutes:g} min"
        means, refused = [], 0
        for seed in range(seeds):
            minutes, errors, history = pointing(points, every_minutes, seed)
            means.append(errors.mean())
            refused += sum(not found.accepted for found in history.drifts)
            if seed == 0:
                axes.plot(minutes, errors, label=label)
            print(
                f"{label}, world {seed}: {len(errors)} points in {minutes[-1]:.0f} min, error {errors.mean():.1f} nm "
                f"on average, 90 % under {np.percentile(errors, 90):.1f} nm, largest {errors.max():.1f} nm; "
                f"{len(history.drifts)} comparisons"
            )
        print(f"{label}: mean error {np.mean(means):.1f} nm; {refused} corrections refused")
    if chosen.figure:
        axes.set(xlabel="instrument time / min", ylabel="pointing error / nm", yscale="log")
        axes.legend(frameon=False)
        figure.savefig(chosen.figure, dpi=120)


if __name__ == "__main__":
    main()
