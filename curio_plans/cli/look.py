"""The command look: what is in a file of measured data, and which files of a directory can be opened."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from curio_plans.cli.common import DATA, FAILED, Data, figure_file, named_values
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


def look(
    path: Annotated[Path, typer.Argument(help="A file of measured data, or a directory of them.", metavar="FILE")],
    check: Annotated[
        bool, typer.Option("--check", help="Say line by line what to mend in a file of the HDF5 layout.")
    ] = False,
    image: ImageFile = None,
    image_channel: ImageChannel = None,
    spectrum_channel: SpectrumChannel = None,
    part: ComplexPart = None,
    select: Selected = None,
    preprocess: Preprocess = None,
    extent: Annotated[float | None, typer.Option(help="Width in nm, where the file does not say or is wrong.")] = None,
    axis: Axis = None,
    axis_unit: AxisUnit = None,
    figure: Annotated[bool, typer.Option(help="Draw it.")] = True,
    output: Annotated[
        Path | None,
        typer.Option(
            help="File of the picture; of a directory, file of the table (Markdown).",
            show_default="figures/NAME.png in the data directory",
        ),
    ] = None,
    data: Data = DATA,
) -> None:
    """Show what is in a file: images, spectra, channels, axes, units, grid and holes, and what a run would measure.

        curio look map.3ds

    The options are those of [bold]curio run[/], so that one can see what each does. A directory gives a table of its
    files: kind, reader, and what came out of each.

        curio look measurements/ --output table.md

    Exits with 1 if the file cannot be measured as it is, or a check finds something to mend.
    """
    if path.is_dir():
        _look_around(path, output)
        return
    if check:
        _check(path)
        return
    with Progress("reading the file"):
        from ophyd_devices.readers import SampleError
        from ophyd_devices.twin.sample_file import read_measurement, sample_from

        found = read_measurement(path, axis=axis, image=image)
    console.print(_contents(found))
    console.print(f"{found.facts['format']}, read by {found.facts['reader']}", highlight=False, soft_wrap=True)
    try:
        sample = sample_from(
            path, extent, axis=axis, axis_unit=axis_unit, image=image, image_channel=image_channel,
            spectrum_channel=spectrum_channel, part=part,  # type: ignore[arg-type]  # checked there
            select=named_values("--select", select), preprocess=preprocess or (),
        )  # fmt: skip
    except SampleError as error:
        for note in found.notes:
            warn(note)
        warn(f"cannot be measured as it is: {error}")
        raise typer.Exit(FAILED) from error
    for label, text in _measured(sample):
        console.print(f"[bold]{label:11}[/] {escape(text)}", highlight=False, soft_wrap=True)
    for note in sample.origin["notes"]:
        warn(note)
    if figure:
        with Progress("drawing it"):
            from curio_plans.report.sample import sample_figure

            saved = figure_file(output, data / "figures" / f"{path.name}.png")
            saved.parent.mkdir(parents=True, exist_ok=True)
            sample_figure(sample, sample.positions, path.name).savefig(saved, dpi=110)
        console.print(f"figure: {saved}", soft_wrap=True, highlight=False, markup=False)


def _check(path: Path) -> None:
    """Say line by line what is well in a file of the HDF5 layout, and what to mend."""
    from ophyd_devices.readers import layout

    if not path.is_file():
        raise ValueError(f"{path}: expected an HDF5 file, there is none; check the path")
    lines = layout.check(path)
    for line in lines:
        word, style = ("well", "green") if line.well else ("mend", "bold red")
        console.print(
            f"[{style}]{word}[/]  {escape(line.about):10} {escape(line.text)}", highlight=False, soft_wrap=True
        )
    if not all(line.well for line in lines):
        raise typer.Exit(FAILED)


def _contents(found: Any) -> Table:
    table = Table("", "name", "unit", "size", "where / nm", "along", box=None)
    for image in found.images:
        ny, nx = image.values.shape
        table.add_row("image", escape(image.name), escape(image.unit), f"{ny}×{nx} px", _area(image.area), image.source)
    for spectra in found.spectra:
        count = len(spectra.positions)
        size = f"{count} places" if spectra.grid is None else f"{spectra.grid[0]}×{spectra.grid[1]} places"
        low, high = spectra.positions.min(axis=0), spectra.positions.max(axis=0)
        where = _area(spectra.area or (low[0], high[0], low[1], high[1]))
        along = ", ".join(_axis(axis) for axis in spectra.axes)
        kind = "complex spectra" if spectra.values.dtype.kind == "c" else "spectra"
        table.add_row(kind, escape(spectra.name), escape(spectra.unit), size, where, escape(along))
    return table


def _area(area: Sequence[float]) -> str:
    return f"{area[0]:.5g} … {area[1]:.5g}, {area[2]:.5g} … {area[3]:.5g}"


def _axis(axis: Any) -> str:
    low, high = axis.values.min(), axis.values.max()
    return f"{axis.name} {low:.4g} … {high:.4g} {axis.unit}".rstrip() + f" ({len(axis.values)} steps)"


def _measured(sample: Any) -> Iterator[tuple[str, str]]:
    """Yield what a run would measure."""
    from agents.pool import automatic_stride, automatic_window, find_candidates

    about, places = sample.spectroscopy, sample.places
    yield "spectra", ", ".join(f"{one.name}{f' / {one.unit}' if one.unit else ''}" for one in about.channels)
    unit = f" / {about.axis_unit}" if about.axis_unit else ""
    yield "axis", f"{about.axis_name}{unit}, {len(about.axis)} steps"
    width, height = sample.area[1] - sample.area[0], sample.area[3] - sample.area[2]
    ny, nx = sample.pixels
    names = ", ".join(one.name for one in sample.channels)
    yield "image", f"{names}: {ny}×{nx} px, {width:.5g} × {height:.5g} nm ({sample.origin['extent_source']})"
    window, edge = automatic_window((ny, nx), sample.area, places)
    stride = automatic_stride((ny, nx), window, area=sample.area, edge=edge, places=places)
    found = find_candidates((ny, nx), sample.area, window, stride, edge=edge, places=places)
    grid = "no grid" if found.grid is None else f"{found.grid[0]}×{found.grid[1]}"
    reflected = ", reflected at the edge" if edge == "reflect" else ""
    yield "candidates", f"{len(found.positions)} ({grid}), patches of {window}×{window} px{reflected}"
    if "seconds_per_spectrum" in sample.origin:
        yield "time", f"{sample.origin['seconds_per_spectrum']:.3g} s a spectrum"


def _only_images(found: Any) -> str:
    """Return what there is in a file without spectra, which can be the image of another; empty if it has some."""
    if found.spectra:
        return ""
    first = found.images[0]
    ny, nx = first.values.shape
    width, height = first.area[1] - first.area[0], first.area[3] - first.area[2]
    names = ", ".join(f"{one.name}{f' / {one.unit}' if one.unit else ''}" for one in found.images)
    return f"only images, for --image: {names}; {ny}×{nx} px, {width:.5g} × {height:.5g} nm ({found.extent_source})"


def _look_around(directory: Path, output: Path | None) -> None:
    """Print or write a table of what came out of each file of a directory."""
    from ophyd_devices.readers import SampleError, read
    from ophyd_devices.twin.sample_file import sample_from

    rows = []
    files = sorted(path for path in directory.rglob("*") if path.is_file() and not path.name.startswith("."))
    with Progress(f"reading {len(files)} files") as progress:
        for path in files:
            progress.step(f"reading {path.name}")
            began = time.perf_counter()
            reader = kind = ""
            try:
                found = read(path)
                reader, kind = found.facts["reader"], found.facts["format"]
                outcome = _only_images(found) or "; ".join(
                    f"{label}: {text}" for label, text in _measured(sample_from(path))
                )
            except SampleError as error:
                outcome = str(error).replace(f"{path}: ", "")
            rows.append((path.name, kind, reader, outcome, f"{time.perf_counter() - began:.1f} s"))
    if not rows:
        raise ValueError(f"there is no file in {directory}; choose another directory")
    header = ("file", "kind", "reader", "what came out", "time")
    if output is None:
        table = Table(*header)
        for row in rows:
            table.add_row(*map(escape, row))
        console.print(table)
        return
    lines = [header, ("---",) * len(header), *(tuple(text.replace("|", "\\|") for text in row) for row in rows)]
    output.write_text("".join(f"| {' | '.join(line)} |\n" for line in lines), encoding="utf-8")
    console.print(f"table: {output}", soft_wrap=True, highlight=False, markup=False)
