"""The command export: write a run into a file for other programs."""

from pathlib import Path
from typing import Annotated

import typer

from curio_plans.cli.common import DATA, Data, Key, Place, Tiled, Uid
from curio_plans.cli.output import Progress, console


def export(
    uid: Uid = "latest",
    to: Annotated[
        Path | None,
        typer.Option(
            help="The file. Its ending chooses the format: .nxs or .h5 NeXus, .npz a sample to measure, .hf5 NSID.",
            show_default="UID.nxs",
        ),
    ] = None,
    truth: Annotated[
        bool, typer.Option("--truth", help="For .npz: fill places without a spectrum with a simulation's true spectra.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    data: Data = DATA,
    tiled: Tiled = None,
    api_key: Key = None,
) -> None:
    """Write a run into one file that other programs read.

    NeXus, with everything in the run; h5web and silx plot it at once:

        curio export latest --to run.nxs

    A recorded sample, which can be measured:

        curio export latest --to sample.npz --truth
        curio run --sample sample.npz
    """
    with Progress("loading the stored run"), Place(data, tiled, api_key).open(must_exist=True) as storage:
        from curio_plans.documents.sense import making_sense_of
        from curio_plans.export import export as export_run

        uid = storage.resolve(uid)
        documents = storage.lineage(uid)
    with making_sense_of(documents):
        path = export_run(documents, to or Path(f"{uid}.nxs"), truth=truth, force=force)
    console.print(f"{path} ({path.stat().st_size / 1e6:.1f} MB)", soft_wrap=True, highlight=False, markup=False)
