"""What a stored run looks like: the summary that several commands print, and the command report."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from curio_plans.cli.common import DATA, FAILED, Data, Key, Place, Tiled, Uid
from curio_plans.cli.output import Progress, console, warn


def report(
    uid: Uid = "latest",
    output: Annotated[
        Path | None,
        typer.Option(help="Directory for the figures.", show_default="reports/UID in the data directory"),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(
            help="Draw only these figures, separated by commas: latent, acquisitions, errors, maps, patch-sizes.",
            show_default="all but patch-sizes, which trains the agent 25 times",
        ),
    ] = None,
    data: Data = DATA,
    tiled: Tiled = None,
    api_key: Key = None,
) -> None:
    """Analyse a run: what its agent learned, where it measured and why, whether it knew its errors.

    [bold]latent[/]: classes in the agent's latent space, and where they lie on the sample (the agent is rebuilt from
    the documents, as in a replay). [bold]acquisitions[/]: where points fell, the error there, how far apart they are.
    [bold]errors[/]: the learning curve on what was never measured, beside simple methods. [bold]maps[/]: expected and
    true error. [bold]patch-sizes[/]: how well spectra are predicted from smaller and larger patches.

        curio report latest --only maps,latent

    The numbers behind each figure come from curio_plans.study as xarray datasets.
    """
    chosen = [name.strip() for name in only.split(",")] if only else []
    with Progress("loading the stored run") as progress, Place(data, tiled, api_key).open(must_exist=True) as storage:
        from agents.registry import build
        from curio_plans.documents.agent_run import AgentRun
        from curio_plans.documents.sense import making_sense_of
        from curio_plans.report.figures import write_figures

        uid = storage.resolve(uid)
        documents = storage.lineage(uid)
        with making_sense_of(documents):
            history = AgentRun.read(documents, storage.lineage)
            progress.step("analysing the run")
            written, skipped = write_figures(history, build, output or data / "reports" / uid, chosen)
    for name, path in written.items():
        console.print(f"{name}: {path}", soft_wrap=True, highlight=False, markup=False)
    for name, reason in skipped.items():
        warn(f"{name}: not drawn, {reason}")
    if not written:
        raise typer.Exit(FAILED)


def print_summary(documents: Any, path: Path | None) -> None:
    """Print the summary of a run; with a `path`, compare it with simple methods and draw it there as well.

    Raises
    ------
    DocumentError
        If the documents make no sense.
    """
    from curio_plans.documents.sense import making_sense_of

    with making_sense_of(documents):
        _print_summary(documents, path)


def _print_summary(documents: Any, path: Path | None) -> None:
    with Progress("summarising the run"):
        from curio_plans.documents.agent_run import AgentRun, read_run
        from curio_plans.report.summary import summary

        history = read_run(documents)
        table = Table(box=None, show_header=False)
        for label, text in summary(history).items():
            table.add_row(f"[bold]{escape(label)}[/]", escape(text))
    console.print(table)
    if path is None:
        return
    from curio_plans.report.overview import is_drawable

    if not is_drawable(history):
        return
    evaluation = None
    if isinstance(history, AgentRun):
        with Progress("comparing the run with simple methods"):
            from curio_plans.study.evaluation import evaluate, evaluation_rows

            evaluation = evaluate(history)
    if isinstance(history, AgentRun) and evaluation is not None:
        losses = Table("loss (sum over the pool of spectral MSE)", "", box=None)
        for label, number in evaluation_rows(history, evaluation):
            losses.add_row(escape(label), number)
        console.print(losses)
    with Progress("drawing the run"):
        from curio_plans.report.overview import save_figure

        saved = save_figure(history, path, evaluation)
    console.print(f"figure: {saved}", soft_wrap=True, highlight=False, markup=False)
