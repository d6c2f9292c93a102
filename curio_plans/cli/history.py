"""Commands that make a stored run pay: resume, recover, replay, explain."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from curio_plans.cli.common import DATA, Data, Key, Tiled, Uid, app, console, open_storage, tell_errors
from curio_plans.cli.measure import agent_options, keep_run, make_engine

Output = Annotated[
    Path | None, typer.Option(help="Where to put the figure.", show_default="figures/ in the data directory")
]
Options = Annotated[
    list[str] | None,
    typer.Option(
        "--option", "-o", help="An option of the agent, name=value; repeat it for more.", metavar="NAME=VALUE"
    ),
]


@app.command()
@tell_errors
def resume(
    uid: Uid = "latest",
    sample: Annotated[
        Path | None, typer.Option(help="The file of the measured sample, where that was the instrument.")
    ] = None,
    axis: Annotated[
        str | None,
        typer.Option(help="The spectral axis in that file, if it was named for the run.", show_default=False),
    ] = None,
    axis_unit: Annotated[str | None, typer.Option(help="Its unit, likewise.", show_default=False)] = None,
    data: Data = DATA,
    tiled: Tiled = None,
    api_key: Key = None,
    figure: Annotated[bool, typer.Option(help="Compare with simple methods and draw the run at its end.")] = True,
) -> None:
    """Go on with a run that ended early: killed, out of power, aborted.

    Nothing that is stored is measured again, and the agent decides as if the run had never ended. A new run is made
    that points at the old one; the old one gets a stop document that says what happened. A simulated instrument is
    first brought into the state in which the run left it, and goes on in simulated time. At a real one, use the
    profile:

        RE(resume(afm, 'UID'))
    """
    from agents.registry import build
    from curio_plans.plans import resume as resume_plan
    from curio_plans.run.resume import ResumedRun
    from ophyd_devices.afm import AFM

    with open_storage(data, tiled, api_key, must_exist=True) as storage:
        uid = storage.resolve(uid)
        resumed = ResumedRun.of(storage.lineage(uid))
        start = resumed.start
        afm = AFM(
            _instrument(start.get("sample", {}), sample, axis=axis, axis_unit=axis_unit),
            name=start.get("microscope", "afm"),
        )
        try:
            resumed.restore(afm)
            plan = functools.partial(resume_plan, afm, uid, build=build, stored=functools.cache(storage.resumable))
            keep_run(make_engine(), afm, plan, storage, data, tiled, figure, resumed.documents)
        finally:
            afm.close()


@app.command()
@tell_errors
def recover(
    uid: Annotated[
        str | None, typer.Argument(help="A run's uid, the beginning of it, or latest.", show_default="all runs")
    ] = None,
    data: Data = DATA,
    tiled: Tiled = None,
    api_key: Key = None,
) -> None:
    """Put runs in order after a fault: a full disk, a server that went away, a power cut.

    What was kept in a spare directory is brought home; a run whose process ended before it gets a stop document that
    says so; what Tiled lacks is inserted, complete and only once. Runs that are still being measured are left alone.
    Exits with 1 if a run is not in order afterwards.
    """
    with open_storage(data, tiled, api_key, must_exist=True) as storage:
        uids = [storage.resolve(uid)] if uid is not None else [run.uid for run in storage.runs()]
        table = Table("run", "what was done", box=None)
        with console.status("looking") as status:
            found = []
            for number, each in enumerate(uids, start=1):
                status.update(f"run {number} of {len(uids)}")
                found.append(storage.recover(each))
    changed = [recovery for recovery in found if not recovery.was_in_order]
    for recovery in changed:
        table.add_row(recovery.uid[:8], str(recovery), style="red" if recovery.problem else None)
    if changed:
        console.print(table)
    console.print(f"{len(found) - len(changed)} of {len(found)} runs were in order", highlight=False)
    if any(recovery.problem for recovery in found):
        raise typer.Exit(1)


@app.command()
@tell_errors
def replay(
    uid: Uid = "latest",
    agent: Annotated[
        str | None, typer.Option(help="Let this agent decide instead; see [bold]curio agents[/].", show_default=False)
    ] = None,
    option: Options = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the other agent.", show_default="that of the run")] = None,
    table: Annotated[bool, typer.Option(help="Show the documents once more, as a table.")] = False,
    into: Annotated[
        Path | None, typer.Option(help="Put the documents into another data directory.", show_default=False)
    ] = None,
    pace: Annotated[
        float | None,
        typer.Option(help="With --table: 1 is as fast as it was, 10 ten times faster.", show_default="at once"),
    ] = None,
    output: Output = None,
    data: Data = DATA,
    tiled: Tiled = None,
    api_key: Key = None,
) -> None:
    """Challenge a stored run.

    [bold]Verify[/]: the agent is rebuilt from the start document alone and fed the stored events. Exits with 1 if it
    decides otherwise, and names the first difference and the versions on both sides:

        curio replay UID

    [bold]Another agent[/], or the same with other options: where would it have gone, how much of that was measured,
    what would it have learned? On a simulated or recorded sample it really goes on:

        curio replay UID --agent random
        curio replay UID -o decay=4

    [bold]The documents[/], as they were, in a table or in another data directory:

        curio replay UID --table --pace 10
        curio replay UID --into elsewhere
    """
    with open_storage(data, tiled, api_key, must_exist=True) as storage:
        uid = storage.resolve(uid)
        documents = storage.lineage(uid)
        if table or into is not None:
            if agent is not None or option or seed is not None:
                raise ValueError("the documents are those of the stored agent; leave out --agent, --option and --seed")
            _emit(documents, table, into, pace)
        elif agent is not None or option or seed is not None:
            path = output or data / "figures" / f"{uid}-other.png"
            _compare(documents, storage.lineage, agent, option or [], seed, path)
        else:
            _verify(documents, storage.lineage)


@app.command()
@tell_errors
def explain(
    uid: Uid,
    point: Annotated[int, typer.Argument(help="Which decision, 1 for the first.")],
    output: Output = None,
    data: Data = DATA,
    tiled: Tiled = None,
    api_key: Key = None,
) -> None:
    """Say why it was measured there, from the documents alone.

    The score and its parts, the rank among all candidates on the map of that moment, what was known then, how far the
    nearest earlier place was, and what came of it; as text and as a figure:

        curio explain latest 40
    """
    from curio_plans.report.explain import draw
    from curio_plans.study.explain import explain as explain_decision

    with open_storage(data, tiled, api_key, must_exist=True) as storage:
        uid = storage.resolve(uid)
        explanation = explain_decision(storage.lineage(uid), point, stored=storage.lineage)
    _show_rows(explanation.rows())
    _save(draw(explanation), output or data / "figures" / f"{uid}-point-{point}.png")


def _verify(documents: Any, stored: Any) -> None:
    from agents.registry import build
    from curio_plans.study.replay import verify

    with console.status("replaying") as status:
        verdict = verify(
            documents, build, lambda done, total: status.update(f"decision {done} of {total}"), stored=stored
        )
    console.print(str(verdict), markup=False, highlight=False, style="green" if verdict.identical else "red")
    if not verdict.identical:
        raise typer.Exit(1)


def _compare(documents: Any, stored: Any, agent: str | None, pairs: list[str], seed: int | None, path: Path) -> None:
    from agents.registry import build, configure, options
    from curio_plans.documents.agent_run import AgentRun
    from curio_plans.report.counterfactual import draw
    from curio_plans.study.counterfactual import counterfactual

    config = AgentRun.read(documents, stored).config
    name = agent if agent is not None else str(config["agent"])
    kept = {key: value for key, value in config.items() if key in options(name)}
    chosen = agent_options(name, int(config.get("seed", 0)) if seed is None else seed, None, pairs)
    with console.status("asking the other agent") as status:
        result = counterfactual(
            documents,
            build,
            configure(name, **{**kept, **chosen}),
            lambda done, total: status.update(f"the other agent: decision {done} of {total}"),
            stored=stored,
        )
    _show_rows(result.rows())
    _save(draw(result), path)


def _emit(documents: Any, table: bool, into: Path | None, pace: float | None) -> None:
    from bluesky.callbacks.best_effort import BestEffortCallback
    from bluesky.run_engine import Dispatcher
    from event_model import DocumentNames

    from curio_plans.documents.reemit import reemit
    from curio_plans.store.storage import Storage

    dispatcher = Dispatcher()
    if table:
        callback = BestEffortCallback()
        callback.disable_plots()
        dispatcher.subscribe(callback)

    def process(name: str, doc: Mapping[str, Any]) -> None:
        dispatcher.process(DocumentNames[name], doc)

    if into is None:
        return reemit(documents, process, pace=pace)
    with Storage.local(into) as storage:
        storage.attach(dispatcher)
        reemit(documents, process, pace=pace)
        for uid, failure in storage.failures.items():
            raise OSError(f"Tiled in {into} does not take run {uid}: {failure}; try curio recover --data {into}")
    console.print(f"{sum(name == 'start' for name, _ in documents)} run(s) put into {into}", highlight=False)
    return None


def _instrument(described: Mapping[str, Any], sample: Path | None, **axis: str | None) -> Any:
    """Make the simulated instrument that a start document describes, as it was when it was new."""
    from ophyd_devices.registry import make_backend

    known = described.get("sample", {})
    if known.get("kind") == "recorded":
        if sample is None:
            raise ValueError(
                f"this run was measured on a recorded sample: give its file, --sample …/{known.get('file')}"
            )
        options = {key: described[key] for key in ("faults",) if key in described}
        extent = known["extent_nm"] if known.get("extent_source") == "given" else None
        return make_backend("recorded", path=sample, extent_nm=extent, **axis, **options)
    if sample is not None or any(axis.values()):
        raise ValueError("this run was not measured on a recorded sample; leave out --sample and --axis")
    if described.get("instrument") != "twin":
        raise ValueError(
            f"this run was measured with {described.get('instrument', 'an instrument')!r}, which this command cannot "
            "make; resume it in the profile: RE(resume(afm, 'UID'))"
        )
    names = ("seed", "effects", "imaging", "faults")
    options = {key: described[key] for key in names if key in described}
    return make_backend("twin", extent_nm=tuple(known["extent_nm"]), pixels=tuple(known["pixels"]), **options)


def _show_rows(rows: list[tuple[str, str]]) -> None:
    table = Table(box=None, show_header=False)
    for label, text in rows:
        table.add_row(f"[bold]{label}[/]", text)
    console.print(table, highlight=False)


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    console.print(f"figure: {path}", soft_wrap=True)
