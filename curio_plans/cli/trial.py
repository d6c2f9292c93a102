"""The command trial: whether choosing points would have paid on a measured map."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from curio_plans.cli.common import DATA, Data, figure_file, named_values
from curio_plans.cli.options import (
    Axis,
    AxisUnit,
    ComplexPart,
    ImageChannel,
    ImageFile,
    Preprocess,
    Selected,
    SpectrumChannel,
)
from curio_plans.cli.output import Progress, console, warn


def trial(
    path: Annotated[Path, typer.Argument(help="A file of measured data; see curio look.", metavar="FILE")],
    agent: Annotated[
        list[str] | None,
        typer.Option(help="An agent to try; repeatable.", show_default="curio, ridge-ivr and random"),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Runs of each agent.", min=1, max=50)] = 5,
    points: Annotated[int, typer.Option(help="Most points of a run.", min=10)] = 250,
    seconds: Annotated[
        float | None,
        typer.Option(
            help="Time of one spectrum in s, moving included.", show_default="that in the file, if any", min=0
        ),
    ] = None,
    image: ImageFile = None,
    image_channel: ImageChannel = None,
    spectrum_channel: SpectrumChannel = None,
    part: ComplexPart = None,
    select: Selected = None,
    preprocess: Preprocess = None,
    extent: Annotated[float | None, typer.Option(help="Width in nm, where the file does not say or is wrong.")] = None,
    axis: Axis = None,
    axis_unit: AxisUnit = None,
    output: Annotated[
        Path | None,
        typer.Option(help="File of the picture.", show_default="figures/NAME-trial.png in the data directory"),
    ] = None,
    data: Data = DATA,
) -> None:
    """Tell whether curiosity would have saved time on a measured map.

        curio trial map.3ds --seconds 2.5

    Each agent measures until it knows the places that it did not measure as well as half of the grid tells them,
    interpolated or by a regression. The answer is a table, a picture, and a sentence, also where it would not have
    paid. Nothing is stored but the picture.
    """
    import numpy as np

    with Progress("reading the file") as progress:
        from agents.pool import automatic_window, make_pool
        from agents.registry import build, configure
        from curio_plans.report.trial import trial_figure
        from curio_plans.study.trial import trial as try_agents
        from ophyd_devices.twin.sample_file import sample_from

        sample = sample_from(
            path, extent, axis=axis, axis_unit=axis_unit, image=image, image_channel=image_channel,
            spectrum_channel=spectrum_channel, part=part,  # type: ignore[arg-type]  # checked there
            select=named_values("--select", select), preprocess=preprocess or (),
        )  # fmt: skip
        window, edge = automatic_window(sample.pixels, sample.area, sample.places)
        pool = make_pool(sample.image, sample.area, window, edge=edge, places=sample.places)
        spectral = np.asarray(sample.spectroscopy.axis)
        truth = sample.spectra(pool.positions, spectral)[0]
        configs = {name: [configure(name, seed=seed) for seed in range(seeds)]
                   for name in agent or ("curio", "ridge-ivr", "random")}  # fmt: skip

        def told(done: int, total: int) -> None:
            progress.step(f"run {done} of {total}")

        progress.step(f"{len(pool)} candidates, {sum(map(len, configs.values()))} runs")
        found = try_agents(pool, truth, spectral, build, configs, points, told)
    for note in sample.origin["notes"]:
        warn(note)
    dwell = seconds if seconds is not None else sample.origin.get("seconds_per_spectrum")
    table = Table("agent", "points to the error of half of the grid", "of seeds", "last error", box=None)
    for one in found.tried:
        needed = f"{one.points:.0f}" if np.isfinite(one.points) else f"more than {found.budget}"
        last = float(np.nanmedian([row[np.isfinite(row)][-1] for row in one.errors]))
        table.add_row(
            escape(one.name), needed, f"{np.isfinite(one.reached).sum()} of {len(one.reached)}", f"{last:.3f}"
        )
    table.add_row("half of the grid", str(found.half), "", f"{found.target:.3f}")
    if np.isfinite(found.modelled):
        model = escape(f"half of the grid, with the model of {found.tried[0].name}")
        table.add_row(model, str(found.half), "", f"{found.modelled:.3f}")
    console.print(table)
    for sentence in found.verdict(dwell):
        console.print(sentence, style="bold", highlight=False, soft_wrap=True)
    if dwell is None:
        console.print("For minutes instead of points, give the time of one spectrum with --seconds.", soft_wrap=True)
    saved = figure_file(output, data / "figures" / f"{path.name}-trial.png")
    saved.parent.mkdir(parents=True, exist_ok=True)
    trial_figure(found, path.name, dwell).savefig(saved, dpi=110)
    console.print(f"figure: {saved}", soft_wrap=True, highlight=False, markup=False)
