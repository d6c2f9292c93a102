"""Is the twin an instrument? Its speed, its loops in numbers beside measured ones, and a figure to look at.

The measured loops are those of beps_pto_dtm.npz (band excitation, 50×50 points over 2×2 µm, 64 steps of ±8.5 V); the
twin measures the same grid with the same waveform, each point on its own film as grown, with and without effects.
"""

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from ophyd_devices.backend import Loop
from ophyd_devices.twin import Effects, Ferroelectric, SimulatedClock, TwinBackend, twin
from ophyd_devices.twin.world import World

Array = NDArray[np.float64]
SIDE = 50
SPACING_NM = 40.0


def triangle(steps: int, amplitude: float = 8.0) -> Array:
    rise = np.arange(steps // 4) / (steps // 4)
    return amplitude * np.concatenate([rise, 1 - rise, -rise, rise - 1])


def milliseconds(action: Callable[[], object], repeats: int) -> float:
    """Return the CPU time of one call: the machine may be busy with other work."""
    action()
    began = time.process_time()
    for _ in range(repeats):
        action()
    return 1000 * (time.process_time() - began) / repeats


def speed(effects: str, repeats: int) -> tuple[float, float]:
    """Return loops of 256 steps per second, and ms a frame of 256²."""
    backend = twin(effects=effects)
    backend.engage(20.0)
    bias = triangle(256)
    loop = milliseconds(lambda: backend.spectrum(bias, 4.1e-3), repeats)
    area = backend.info.scan_range
    frame = milliseconds(lambda: backend.frame(area, (256, 256), 1.0, lambda *_: None), max(2, repeats // 50))
    return 1000 / loop, frame


def crossings(loops: Array, bias: Array) -> tuple[Array, Array]:
    """Return where loops cross the middle of their range on the rising and on the falling branch, V."""
    found = []
    for first, last in ((bias.argmin(), bias.argmax()), (bias.argmax(), bias.argmin())):
        length = (last - first) % len(bias) + 1
        branch = (first + np.arange(length)) % len(bias)
        volts = bias[branch]
        centred = loops[:, branch] - (loops.max(axis=1) + loops.min(axis=1))[:, None] / 2
        step = np.argmax(np.diff(np.sign(centred), axis=1) != 0, axis=1)
        rows = np.arange(len(loops))
        low, high = centred[rows, step], centred[rows, step + 1]
        found.append(volts[step] + (volts[step + 1] - volts[step]) * low / (low - high))
    return found[0], found[1]


def remanence(loops: Array, bias: Array) -> Array:
    """Return the distance of the branches where the bias is small."""
    order = (np.arange(len(bias)) + bias.argmin()) % len(bias)
    rising, falling = order[: len(bias) // 2], order[len(bias) // 2 :]
    small = np.abs(bias) < 1.2
    upper, lower = loops[:, falling[small[falling]]], loops[:, rising[small[rising]]]
    return np.median(upper, axis=1) - np.median(lower, axis=1)


def correlation(values: Array, known: NDArray[np.bool_]) -> list[float]:
    """Return the correlation of values on the grid at 1, 2, … neighbours; values where `known`."""
    grid = np.full(SIDE * SIDE, np.nan)
    grid[known] = np.clip(values, *np.percentile(values, [5, 95]))
    grid = grid.reshape(SIDE, SIDE) - np.nanmean(grid)
    return [
        float(np.nanmean(np.concatenate([(grid[:, n:] * grid[:, :-n]).ravel(), (grid[n:] * grid[:-n]).ravel()])))
        / float(np.nanvar(grid))
        for n in (1, 2, 3, 5)
    ]


def statistics(loops: Array, bias: Array, bad: NDArray[np.bool_]) -> dict[str, str]:
    """Describe the loops that are not bad, and switch."""

    def spread(values: Array, form: str) -> str:
        low, middle, high = np.percentile(values, [25, 50, 75])
        return f"{middle:{form}} ({low:{form}} … {high:{form}})"

    good = loops[~bad]
    height = remanence(good, bias)
    switching = height > 0.4 * np.median(height)
    known = ~bad
    known[known] = switching
    good, height = good[switching], height[switching]
    up, down = crossings(good, bias)
    saturated = (bias.argmax() + np.arange(len(bias) // 4)) % len(bias)
    lean = good[:, saturated[0]] - good[:, saturated[-1]]
    roughness = np.diff(good, n=2, axis=1) / np.sqrt(6)
    return {
        "bad loops": f"{bad.mean():.0%}",
        "rising coercive voltage / V": spread(up, ".1f"),
        "falling coercive voltage / V": spread(down, ".1f"),
        "imprint / V": spread((up + down) / 2, ".1f"),
        "imprint, correlation at 40, 80, 120, 200 nm": ", ".join(
            f"{value:.2f}" for value in correlation((up + down) / 2, known)
        ),
        "height / its median": spread(height / np.median(height), ".2f"),
        "lean of the upper branch / height": spread(lean / height, ".2f"),
        "noise between steps, typical / height": spread(1.4826 * np.median(np.abs(roughness), axis=1) / height, ".3f"),
        "noise between steps, rms / height": spread(roughness.std(axis=1) / height, ".3f"),
    }


def grid_of_loops(effects: Effects, bias: Array, seed: int) -> list[Loop]:
    """Return the last cycle of a loop of two at each place of the grid, all as the first loop of a new tip."""
    film = Ferroelectric(seed)
    centres = (np.arange(SIDE) + 0.5) * SPACING_NM
    loops = []
    for number, (y, x) in enumerate(np.stack(np.meshgrid(centres, centres, indexing="ij"), axis=-1).reshape(-1, 2)):
        loop, _ = World(film, effects, seed + number).loop(np.tile(bias, 2), (x, y), 0.0)
        half = len(bias)
        loops.append(Loop(loop.spectrum[half:], resonance=loop.resonance))
    return loops


def measured_loops(samples: Path) -> tuple[Array, Array, NDArray[np.bool_]]:
    with np.load(samples / "beps_pto_dtm.npz") as archive:
        steps = archive["all_steps"].reshape(SIDE * SIDE, -1).astype(float)
        return 1e4 * steps, archive["all_bias"].astype(float), archive["bad"].ravel()


def main(
    samples: Annotated[
        Path | None, typer.Argument(help="Directory of the measured samples; none: the twin only.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the twin's world.")] = 0,
    figure: Annotated[Path | None, typer.Option(help="Draw twin and measured frames and loops into this PNG.")] = None,
    quick: Annotated[bool, typer.Option(help="Less exact timings.")] = False,
) -> None:
    """Time the twin; with measured samples, compare its loops with them."""
    console = Console(width=140)
    table = Table("one core", "loops of 256 steps per s", "ms a frame of 256²", box=None)
    for effects in ("calm", "realistic"):
        loops, frame = speed(effects, 100 if quick else 2000)
        table.add_row(effects, f"{loops:.0f}", f"{frame:.1f}")
    console.print(table)
    if samples is None:
        return
    measured, bias, bad = measured_loops(samples)
    columns = {"measured": statistics(measured, bias, bad)}
    worlds = {"calm": grid_of_loops(Effects(), bias, seed), "realistic": grid_of_loops(Effects.realistic(), bias, seed)}
    for name, world in worlds.items():
        columns[name] = statistics(
            np.array([loop.spectrum for loop in world]), bias, np.array([loop.resonance < 1 for loop in world])
        )
    table = Table("median (quartiles)", *columns, box=None)
    for row in columns["measured"]:
        table.add_row(row, *(column[row] for column in columns.values()))
    console.print()
    console.print(table)
    if figure is not None:
        draw(figure, samples, worlds["realistic"], seed)
        console.print(f"\n{figure}")


def draw(path: Path, samples: Path, world: list[Loop], seed: int) -> None:
    """Draw measured loops and frames above the twin's, then what use does to the twin's frames."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    from PIL import Image

    measured, bias, bad = measured_loops(samples)
    with np.load(samples / "pfm_pto_paper.npz") as archive:
        paper = archive["image"].astype(float)
    with np.load(samples / "beps_pto_dtm.npz") as archive:
        beps, raw = 1e4 * archive["image"].astype(float), 1e4 * archive["all_steps_raw"].reshape(SIDE * SIDE, -1)
    loops = np.array([loop.spectrum for loop in world])
    lost = np.array([loop.resonance < 1 for loop in world])
    coarse, topography, later, written, worn = used_frames(seed)

    rng = np.random.default_rng(seed)
    figure, axes = plt.subplots(3, 4, figsize=(12, 9.5), layout="constrained")

    def show(place: tuple[int, int], image: Array, title: str) -> None:
        low, high = np.percentile(image, [1, 99])
        shown = axes[place].imshow(image, origin="lower", cmap="gray", vmin=low, vmax=high, interpolation="nearest")
        figure.colorbar(shown, ax=axes[place], shrink=0.8)
        axes[place].set(title=title, xticks=[], yticks=[])

    show((0, 0), paper, "measured: polarisation\n49×49 px")
    show((0, 1), beps, "measured: response at 0 V\n50×50 px, 2 µm")
    show((1, 0), coarse, "twin: polarisation\n50×50 px, 2 µm")
    show((1, 1), topography, "twin: topography / nm\n128×128 px")
    show((2, 0), later, "twin: after 2 h of drift")
    show((2, 1), written, "twin: after 36 loops of ±8 V")
    show((2, 2), worn, "twin: after 2000 loops at the centre")
    turned = (np.arange(len(bias)) + bias.argmin()) % len(bias)
    closed = np.append(turned, turned[0])
    for row, (name, cube, wrong, spoilt) in enumerate([("measured", measured, bad, raw), ("twin", loops, lost, loops)]):
        height = remanence(cube, bias)
        usual = np.median(height[~wrong])
        switching = np.flatnonzero(~wrong & (height > 0.4 * usual))
        good, poor = rng.choice(switching, 6, replace=False), rng.choice(np.flatnonzero(wrong), 5, replace=False)
        axes[row, 2].plot(bias[closed], (cube[good] / height[good, None])[:, closed].T, lw=1)
        axes[row, 2].set(title=f"{name}: good loops", ylabel="response / height", ylim=(-1.4, 1.4))
        axes[row, 3].plot(bias[closed], (spoilt[poor] / usual)[:, closed].T, lw=1)
        axes[row, 3].set(title=f"{name}: bad loops", yscale="symlog", ylim=(-300, 300))
        for voltages in crossings(cube[switching], bias):
            colour = ("black", "tab:blue")[row]
            axes[2, 3].hist(voltages, np.arange(-8.5, 8.6, 0.5), density=True, histtype="step", color=colour)
    axes[2, 3].set(title="coercive voltages\ntwin (blue), measured", yticks=[])
    for axis in (*axes[:2, 2:].ravel(), axes[2, 3]):
        axis.set(xlim=(-8.8, 8.8), xlabel="bias / V")
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=72)
    Image.open(drawn).quantize(128).save(path, optimize=True)  # a third of the size


def used_frames(seed: int) -> list[Array]:
    """Return frames of one place: 50×50 px, its topography, and the polarisation after drift, loops, and wear."""
    area = (0.0, 2000.0, 0.0, 2000.0)

    def frame(backend: TwinBackend, pixels: int, channel: int = 3) -> Array:
        return backend.frame(area, (pixels, pixels), 1.0, lambda *_: None)[channel].astype(float)

    def fresh() -> TwinBackend:
        backend = TwinBackend(Ferroelectric(seed), SimulatedClock(), seed, Effects.realistic())
        backend.engage(20.0)
        return backend

    new, drifted, written, worn = fresh(), fresh(), fresh(), fresh()
    drifted.move(1000.0, 1000.0, 1000.0, 2 * 3600.0)
    bias = triangle(64)
    for x in np.linspace(250, 1750, 6):
        for y in np.linspace(250, 1750, 6):
            written.move(x, y, 1000.0, 0.1)
            written.spectrum(bias, 4.1e-3)
    for _ in range(2000):
        worn.spectrum(bias, 4.1e-3)
    return [frame(new, 50), frame(new, 128, 0), *(frame(backend, 128) for backend in (drifted, written, worn))]


if __name__ == "__main__":
    typer.run(main)
