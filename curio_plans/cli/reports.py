"""Commands that look closer at stored runs: report."""

from pathlib import Path
from typing import Annotated

import typer

from curio_plans.cli.common import DATA, Data, Key, Tiled, Uid, app, console, open_storage, tell_errors


@app.command()
@tell_errors
def report(
    uid: Uid = "latest",
    data: Data = DATA,
    tiled: Tiled = None,
    api_key: Key = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Directory for the figures.", show_default="reports/UID in the data directory"),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(
            help="Some figures only, with commas: latent, acquisitions, errors, maps, patch-sizes.",
            show_default="all but patch-sizes, which trains the agent 25 times",
        ),
    ] = None,
) -> None:
    """Analyse a run: what its agent learned, where it went and why, whether it knew its errors.

    [bold]latent[/]: classes in the agent's latent space, and where they lie on the sample (the agent is rebuilt from
    the documents, as in a replay). [bold]acquisitions[/]: where points fell, the error there, how far apart they are.
    [bold]errors[/]: the learning curve on what was never measured, beside the floors. [bold]maps[/]: expected against
    true error. [bold]patch-sizes[/]: how well spectra are predicted from smaller and larger patches.

        curio report latest --only maps,latent

    The numbers behind each figure come from curio_plans.study as xarray datasets.
    """
    from agents.registry import build
    from curio_plans.documents.agent_run import AgentRun
    from curio_plans.report.figures import write_figures

    with open_storage(data, tiled, api_key, must_exist=True) as storage:
        uid = storage.resolve(uid)
        documents = storage.lineage(uid)
        history = AgentRun.read(documents, storage.lineage)
    chosen = [name.strip() for name in only.split(",")] if only else []
    with console.status("analysing"):
        written, skipped = write_figures(history, build, output or data / "reports" / uid, chosen)
    for name, path in written.items():
        console.print(f"{name}: {path}", soft_wrap=True, highlight=False)
    for name, reason in skipped.items():
        console.print(f"[yellow]{name}: not drawn, {reason}[/]", soft_wrap=True, highlight=False)
    if not written:
        raise typer.Exit(1)
