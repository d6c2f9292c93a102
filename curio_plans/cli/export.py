"""The command export: a run as a file for other programs."""

from pathlib import Path
from typing import Annotated

import typer

from curio_plans.cli.common import DATA, Data, Key, Tiled, Uid, app, console, open_storage, tell_errors


@app.command()
@tell_errors
def export(
    uid: Uid = "latest",
    to: Annotated[
        Path | None,
        typer.Option(
            help="The file; its ending tells the kind: .nxs or .h5 NeXus, .npz a sample to measure again, .hf5 NSID.",
            show_default="the uid with .nxs",
        ),
    ] = None,
    truth: Annotated[
        bool, typer.Option("--truth", help="For .npz: where nothing was measured, take a simulation's true spectra.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    data: Data = DATA,
    tiled: Tiled = None,
    api_key: Key = None,
) -> None:
    """Write a run into one file that other programs read.

    NeXus, with all that the run has; h5web and silx plot it at once:

        curio export latest --to run.nxs

    A recorded sample, which can be measured again:

        curio export latest --to sample.npz --truth
        curio run --sample sample.npz
    """
    from curio_plans.export import export as export_run

    with open_storage(data, tiled, api_key, must_exist=True) as storage:
        uid = storage.resolve(uid)
        documents = storage.lineage(uid)
    path = export_run(documents, to or Path(f"{uid}.nxs"), truth=truth, force=force)
    console.print(f"{path} ({path.stat().st_size / 1e6:.1f} MB)", soft_wrap=True, highlight=False)
