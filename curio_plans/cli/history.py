"""Commands that use stored runs: resume, recover, replay, explain."""

import functools
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from curio_plans.cli.common import DATA, FAILED, NO_READER, Data, Key, Place, Tiled, Uid, figure_file
from curio_plans.cli.execute import keep_run, make_engine
from curio_plans.cli.measure import agent_options, stored_as
from curio_plans.cli.options import Page
from curio_plans.cli.output import Progress, console, streams, warn
from curio_plans.cli.page import page_beside
from curio_plans.cli.selection import again, load
from curio_plans.cli.think import AgentAt, ElsewhereRule, PlaceKey, agent_place, builder, connector

Output = Annotated[
    Path | None, typer.Option(help="File of the figure.", show_default="in figures/ of the data directory")
]
Options = Annotated[
    list[str] | None,
    typer.Option("--option", "-o", help="An option of the agent; repeatable.", metavar="NAME=VALUE"),
]


def resume(
    uid: Uid = "latest",
    points: Annotated[
        int | None,
        typer.Option(
            help="Spectra in total, those of the run included; with more than it had, a completed run goes on.",
            min=1,
            show_default="as the run had",
        ),
    ] = None,
    sample: Annotated[
        Path | None, typer.Option(help="The file of the measured sample, if the run was measured on one.")
    ] = None,
    axis: Annotated[
        str | None,
        typer.Option(help="The spectral axis in that file, if the run was given one.", show_default=False),
    ] = None,
    axis_unit: Annotated[
        str | None, typer.Option(help="Its unit, if the run was given one.", show_default=False)
    ] = None,
    settings: Annotated[
        Path | None,
        typer.Option(
            help="A TOML file with the limits and the dose log to go on with; for a real instrument also its backend.",
            show_default="the limits that the run had",
        ),
    ] = None,
    data: Data = DATA,
    tiled: Tiled = None,
    api_key: Key = None,
    figure: Annotated[bool, typer.Option(help="Compare the run with simple methods and draw it at its end.")] = True,
    page: Page = False,
    agent_at: AgentAt = None,
    elsewhere: ElsewhereRule = None,
    agent_key: PlaceKey = None,
) -> None:
    """Go on with a run that ended early: killed, without power, interrupted, failed.

    The last run, or another:

        curio resume
        curio resume UID

    A run that was completed goes on with more points:

        curio resume UID --points 200

    Nothing that is stored is measured again, and the agent decides as if the run had never ended. The rest becomes a
    new run that points at the old one, and the old one gets a stop document that says what happened. A simulated
    instrument is first brought into the state in which the run left it. A real instrument is named with --settings:

        curio resume --settings curio.toml
    """
    chosen = None if settings is None else load(settings)
    place = Place(data, tiled, api_key) if chosen is None else stored_as(chosen, Place(data, tiled, api_key))
    with Progress("loading the stored run") as progress, place.open(must_exist=True) as storage:
        uid = storage.resolve(uid)

        progress.step("loading the agent and the instrument")
        from agents.registry import build
        from curio_plans.documents.sense import making_sense_of
        from curio_plans.plans import resume as resume_plan
        from curio_plans.run.resume import ResumedRun

        documents = storage.lineage(uid)
        with making_sense_of(documents):
            resumed = ResumedRun.of(documents, points=points)
            start = resumed.start
            instrument = again(
                start.get("sample", {}), resumed.envelope, chosen,
                sample=sample, axis=axis, axis_unit=axis_unit,
            )  # fmt: skip
        thinks = _thinks(agent_at, elsewhere, resumed.request)
        afm = instrument.connect(start.get("microscope", "afm"))
    with closing(afm), place.open(must_exist=True) as storage:
        resumed.restore(afm)
        plan = functools.partial(
            resume_plan,
            afm,
            uid,
            build=build,
            stored=functools.cache(storage.resumable),
            points=points,
            agent_at=thinks,
            connect=connector(agent_key),
        )
        with page_beside(place.data, wanted=page):
            keep_run(make_engine(chosen), afm, plan, storage, place, figure, resumed.documents)


def recover(
    uid: Annotated[
        str | None,
        typer.Argument(help="A run: its uid, the first characters of it, or latest.", show_default="all runs"),
    ] = None,
    data: Data = DATA,
    tiled: Tiled = None,
    api_key: Key = None,
) -> None:
    """Repair runs after a fault: a full disk, a lost server, a power cut.

    All runs, or one:

        curio recover
        curio recover UID

    Documents in a spare directory are moved into the data directory. A run whose process has died gets a stop
    document that says so. What Tiled lacks is inserted, completely and only once. Runs that are still being measured
    are left alone. Exits with 1 if a run is not in order afterwards.
    """
    with Progress("examining the runs") as progress, Place(data, tiled, api_key).open(must_exist=True) as storage:
        if replaced := storage.prepare_recovery():
            warn(f"{replaced}; a new one is made from the journal")
        uids = [storage.resolve(uid)] if uid is not None else [run.uid for run in storage.runs()]
        found = []
        for number, each in enumerate(uids, start=1):
            progress.detail(f"run {number} of {len(uids)}")
            found.append(storage.recover(each))
    changed = [recovery for recovery in found if not recovery.was_in_order]
    table = Table("run", "what was done", box=None)
    for recovery in changed:
        table.add_row(recovery.uid[:8], escape(str(recovery)), style="red" if recovery.problem else None)
    if changed:
        console.print(table)
    console.print(f"{len(found) - len(changed)} of {len(found)} runs were in order", highlight=False)
    if any(recovery.problem for recovery in found):
        raise typer.Exit(FAILED)


def replay(
    uid: Uid = "latest",
    agent: Annotated[
        str | None, typer.Option(help="Let this agent decide instead; see [bold]curio agents[/].", show_default=False)
    ] = None,
    option: Options = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the other agent.", show_default="that of the run")] = None,
    table: Annotated[bool, typer.Option(help="Print the documents as a table, as during the run.")] = False,
    into: Annotated[
        Path | None, typer.Option(help="Copy the documents into another data directory.", show_default=False)
    ] = None,
    pace: Annotated[
        float | None,
        typer.Option(help="With --table: 1 is as fast as the run was, 10 is ten times faster.", show_default="at once"),
    ] = None,
    output: Output = None,
    agent_at: AgentAt = None,
    agent_key: PlaceKey = None,
    data: Data = DATA,
    tiled: Tiled = None,
    api_key: Key = None,
) -> None:
    """Let the agent of a stored run decide again, or another one.

    [bold]Verify[/]: the agent is rebuilt from the start document alone and given the stored events. Exits with 1 if a
    decision differs, and names the first difference and the versions on both sides:

        curio replay UID

    An agent that thought elsewhere is asked here, or there:

        curio replay UID --agent-at http://gpu:8765

    [bold]Another agent[/], or the same with other options: where would it have measured, how many of those places were
    measured, what would it have learned? On a simulated or recorded sample it really measures there:

        curio replay UID --agent random
        curio replay UID -o decay=4

    [bold]The documents[/], as they were, in a table or copied into another data directory:

        curio replay UID --table --pace 10
        curio replay UID --into elsewhere
    """
    with ExitStack() as stack:
        with Progress("loading the stored run"):
            from curio_plans.documents.sense import making_sense_of

            storage = stack.enter_context(Place(data, tiled, api_key).open(must_exist=True))
            uid = storage.resolve(uid)
            documents = storage.lineage(uid)
            stack.enter_context(making_sense_of(documents))
        if table or into is not None:
            if agent is not None or option or seed is not None:
                raise ValueError("--table and --into show what is stored; leave out --agent, --option and --seed")
            _emit(documents, table, into, pace)
        elif agent is not None or option or seed is not None:
            path = figure_file(output, data / "figures" / f"{uid}-other.png")
            _compare(documents, storage.lineage, agent, option or [], seed, path)
        else:
            make = builder(agent_place(agent_at, None), connector(agent_key))
            _verify(documents, storage.lineage, make)


def explain(
    uid: Uid,
    point: Annotated[int, typer.Argument(help="Number of the point, 1 for the first.")],
    output: Output = None,
    recorded: Annotated[bool, typer.Option(help="Build no agent, use recorded maps.")] = False,
    data: Data = DATA,
    tiled: Tiled = None,
    api_key: Key = None,
) -> None:
    """Say why the agent chose a point.

    As text and as a figure: the score and its parts, the rank among all candidates, what was known then, the distance
    to the nearest earlier point, and what was found. The agent is rebuilt from the documents up to that decision, for
    its maps at that moment:

        curio explain latest 40

    With --recorded no agent is built: the maps are the last ones that the run recorded before.
    """
    with Progress("loading the stored run"), Place(data, tiled, api_key).open(must_exist=True) as storage:
        from curio_plans.documents.sense import making_sense_of
        from curio_plans.report.explain import draw
        from curio_plans.study.explain import explain as explain_decision

        uid = storage.resolve(uid)
        documents = storage.lineage(uid)
        with making_sense_of(documents):
            make = None if recorded else builder(None, lambda _: None)
            explanation = explain_decision(documents, point, stored=storage.lineage, build=make)
            rows, figure = explanation.rows(), draw(explanation)
    _show_rows(rows)
    _save(figure, figure_file(output, data / "figures" / f"{uid}-point-{point}.png"))


def _thinks(at: str | None, rule: list[str] | None, request: Any) -> dict[str, Any] | str | None:
    """Return where the agent of a resumed run thinks; None for where it did."""
    from curio_plans.rules.elsewhere import HERE

    if at == HERE:
        return HERE
    kept = request.agent_at
    if at is None and (not rule or kept is None):
        agent_place(at, rule)  # refuses a rule without a place
        return None
    told = {} if kept is None else kept.model_dump(mode="json")
    return {**told, **(agent_place(at or kept.address, rule) or {})}


def _verify(documents: Any, stored: Any, build: Any) -> None:
    with Progress("loading the agent") as progress:
        from curio_plans.study.replay import verify

        progress.step("replaying the decisions")
        verdict = verify(
            documents, build, lambda done, total: progress.detail(f"decision {done} of {total}"), stored=stored
        )
    console.print(str(verdict), markup=False, highlight=False, style="green" if verdict.identical else "red")
    if not verdict.identical:
        raise typer.Exit(FAILED)


def _compare(documents: Any, stored: Any, agent: str | None, pairs: list[str], seed: int | None, path: Path) -> None:
    with Progress("loading the agent") as progress:
        from agents.registry import build, configure, options
        from curio_plans.documents.agent_run import AgentRun
        from curio_plans.report.counterfactual import draw
        from curio_plans.study.counterfactual import counterfactual

        config = AgentRun.read(documents, stored).config
        name = agent if agent is not None else str(config["agent"])
        kept = {key: value for key, value in config.items() if key in options(name)}
        chosen = agent_options(name, int(config.get("seed", 0)) if seed is None else seed, None, pairs, build)
        progress.step("asking the other agent")
        result = counterfactual(
            documents,
            build,
            configure(name, **{**kept, **chosen}),
            lambda done, total: progress.detail(f"the other agent: decision {done} of {total}"),
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
        if streams.lost and into is None:
            raise typer.Exit(NO_READER)
        dispatcher.process(DocumentNames[name], doc)

    if into is None:
        return reemit(documents, process, pace=pace)
    with Storage.local(into) as storage:
        storage.attach(dispatcher)
        reemit(documents, process, pace=pace)
        for uid, failure in storage.failures.items():
            raise OSError(f"Tiled in {into} does not take run {uid}: {failure}; try curio recover --data {into}")
    count = sum(name == "start" for name, _ in documents)
    console.print(f"{count} run(s) put into {into}", highlight=False, markup=False, soft_wrap=True)
    return None


def _show_rows(rows: list[tuple[str, str]]) -> None:
    table = Table(box=None, show_header=False)
    for label, text in rows:
        table.add_row(f"[bold]{escape(label)}[/]", escape(text))
    console.print(table, highlight=False)


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    console.print(f"figure: {path}", soft_wrap=True, highlight=False, markup=False)
