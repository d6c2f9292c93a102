"""The command ``curio``: here names become agents and backends, and plans meet a RunEngine."""

import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
    help=(
        "Let a microscope follow its curiosity.\n\n"
        "[bold]curio run[/] takes an image, then asks an agent again and again where to measure the next spectrum. "
        "Everything is kept as Bluesky documents: [bold]curio runs[/] lists them, [bold]curio show[/] draws one, "
        "[bold]curio replay[/] checks that the agent decides the same again."
    ),
)
console = Console()
errors = Console(stderr=True)

Data = Annotated[
    Path, typer.Option(help="Directory where runs are kept.", envvar="CURIO_DATA", show_default="./curio-data")
]
Tiled = Annotated[
    str | None,
    typer.Option(help="Address of a Tiled server to write to; default: a catalog in the data directory.",
                 envvar="CURIO_TILED_URI"),
]  # fmt: skip
Key = Annotated[str | None, typer.Option(help="API key of that server.", envvar="CURIO_TILED_API_KEY")]
Uid = Annotated[str, typer.Argument(help="A run's uid, the beginning of it, or the word latest.")]
DATA = Path("curio-data")


def tell_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Tell what was wrong with the input in one message, without a traceback, and exit with 2."""

    @functools.wraps(command)
    def told(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except (ValueError, LookupError, OSError) as error:
            errors.print(
                f"[bold red]error:[/] {type(error).__name__}: " if not str(error) else "[bold red]error:[/] ", end=""
            )
            errors.print(str(error), markup=False, highlight=False)
            raise typer.Exit(2) from error

    return told


@app.command()
@tell_errors
def run(
    sample: Annotated[
        Path | None,
        typer.Option(help="A measured sample: npz with image (H,W) or (C,H,W) and spectra (H,W,K). Default: the twin."),
    ] = None,
    extent: Annotated[
        float | None, typer.Option(help="Width in nm of a sample file that has no extent_nm; else 1 px counts as 1 nm.")
    ] = None,
    agent: Annotated[str, typer.Option(help="Who decides; see [bold]curio agents[/].")] = "paper-latent",
    points: Annotated[int, typer.Option(help="Spectra in total, initial ones included.")] = 100,
    initial: Annotated[
        int | None, typer.Option(help="Points the agent starts from.", show_default="the agent's own, mostly 30")
    ] = None,
    window: Annotated[int, typer.Option(help="Side in px of the patch the agent sees around each candidate.")] = 9,
    stride: Annotated[
        int | None,
        typer.Option(help="Distance between candidates in px.", show_default="the least that gives up to 2500"),
    ] = None,
    pixels: Annotated[
        int | None, typer.Option(help="Side of the image in px; a recorded sample has its own.", show_default="128")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the agent, and of the twin's world.")] = 0,
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option", "-o", help="An option of the agent, name=value; repeat it for more.", metavar="NAME=VALUE"
        ),
    ] = None,
    lookahead: Annotated[
        int, typer.Option(help="1: think about the next point while the present one is measured.", min=0, max=1)
    ] = 0,
    real_time: Annotated[bool, typer.Option(help="Let simulated actions take their real time.")] = False,
    data: Data = DATA,
    tiled: Tiled = None,
    api_key: Key = None,
    figure: Annotated[bool, typer.Option(help="Compare with simple methods and draw the run at its end.")] = True,
) -> None:
    """Image, then measure where the agent is curious.

    Without --sample a simulated ferroelectric is measured:

        curio run --points 100

    With it, a measured sample answers in place of the instrument:

        curio run --sample pfm.npz --window 9 --points 200
    """
    from agents.registry import build, configure
    from ophyd_devices.afm import AFM
    from ophyd_devices.registry import make_backend

    config = configure(agent, **_agent_options(agent, seed, initial, option or []))
    if sample is None:
        if extent is not None:
            raise ValueError("--extent belongs to a measured sample; give --sample as well, or leave it out")
        backend = make_backend("twin", seed=seed, real_time=real_time)
    else:
        backend = make_backend("recorded", path=sample, extent_nm=extent, real_time=real_time)
    afm = AFM(backend, name="afm")
    try:
        if pixels is not None or sample is None:
            side = 128 if pixels is None else pixels
            afm.imager.pixels.put((side, side))
        if "assumed" in str(backend.describe()["sample"].get("extent_source", "")):
            console.print("[yellow]the sample file has no extent: 1 px counts as 1 nm (see --extent)[/]")
        arguments = {
            "agent": config, "points": points, "build": build,
            "window": window, "stride": stride, "lookahead": lookahead,
        }  # fmt: skip
        _measure(afm, arguments, data, tiled, api_key, figure)
    finally:
        afm.close()


@app.command()
def agents() -> None:
    """List the agents that can decide, with their options."""
    from agents.registry import configure, known_agents

    table = Table("agent", "options and their defaults", box=None)
    for name in known_agents():
        config = {key: value for key, value in configure(name).items() if key != "agent"}
        table.add_row(name, ", ".join(f"{key}={value}" for key, value in config.items()))
    console.print(table)


@app.command()
@tell_errors
def runs(
    data: Data = DATA,
    tiled: Tiled = None,
    api_key: Key = None,
    limit: Annotated[int, typer.Option(help="Show so many, newest first.", min=1)] = 20,
) -> None:
    """List the stored runs, newest first."""
    with _open(data, tiled, api_key, must_exist=True) as storage:
        table = Table("uid", "time", "plan", "agent", "points", "status", box=None)
        for found in storage.runs()[:limit]:
            when = f"{found.time:%Y-%m-%d %H:%M:%S}"
            points = "" if found.points is None else str(found.points)
            table.add_row(
                found.uid[:8], when, found.plan_name, found.agent or "", points, found.exit_status or "no stop"
            )
    console.print(table)


@app.command()
@tell_errors
def show(
    uid: Uid = "latest",
    data: Data = DATA,
    tiled: Tiled = None,
    api_key: Key = None,
    output: Annotated[
        Path | None, typer.Option(help="Where to put the figure.", show_default="figures/ in the data directory")
    ] = None,
) -> None:
    """Summarise a run and draw it."""
    with _open(data, tiled, api_key, must_exist=True) as storage:
        uid = storage.resolve(uid)
        documents = storage.documents(uid)
    _report(documents, output or data / "figures" / f"{uid}.png")


@app.command()
@tell_errors
def replay(uid: Uid = "latest", data: Data = DATA, tiled: Tiled = None, api_key: Key = None) -> None:
    """Let the stored agent decide again, and compare.

    The agent is rebuilt from the start document alone and fed the stored events. Exits with 1 if a decision differs.
    """
    from agents.registry import build
    from curio_plans.replay import verify

    with _open(data, tiled, api_key, must_exist=True) as storage:
        documents = storage.documents(storage.resolve(uid))
    with console.status("replaying") as status:
        verdict = verify(documents, build, lambda done, total: status.update(f"decision {done} of {total}"))
    console.print(str(verdict), markup=False, highlight=False, style="green" if verdict.identical else "red")
    if not verdict.identical:
        raise typer.Exit(1)


@app.command()
@tell_errors
def serve(
    data: Data = DATA,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at.")] = 8000,
    api_key: Annotated[
        str | None, typer.Option(help="Key to ask for.", show_default="made once, kept in the data directory")
    ] = None,
) -> None:
    """Serve the stored runs over HTTP, with Tiled's web page, until Ctrl-C."""
    from curio_plans.server import serve as serve_directory

    serve_directory(data, host=host, port=port, api_key=api_key)


def _agent_options(agent: str, seed: int, initial: int | None, pairs: list[str]) -> dict[str, Any]:
    from agents.registry import options

    known = options(agent)
    chosen: dict[str, Any] = {"seed": seed} if "seed" in known else {}
    if initial is not None:
        if "initial" not in known:
            raise ValueError(f"the agent {agent!r} has no initial points; leave out --initial")
        chosen["initial"] = initial
    for pair in pairs:
        name, found, value = pair.partition("=")
        if not found:
            raise ValueError(f"expected --option name=value, got {pair!r}")
        chosen[name] = _value(value)
    return chosen


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _open(data: Path, tiled: str | None, api_key: str | None, *, must_exist: bool = False) -> Any:
    from curio_plans.storage import Storage

    if must_exist and tiled is None and not data.exists():
        raise ValueError(f"there are no runs in {data}: no such directory; choose another with --data")
    if tiled is not None:
        return Storage.remote(tiled, api_key, data)
    return Storage.local(data)


def _measure(
    afm: Any, arguments: dict[str, Any], data: Path, tiled: str | None, api_key: str | None, figure: bool
) -> None:
    from bluesky import RunEngine
    from bluesky.preprocessors import SupplementalData
    from bluesky.simulators import check_limits
    from bluesky.utils import RunEngineInterrupted

    from curio_plans.live import LiveView
    from curio_plans.persistent import PersistentMetadata
    from curio_plans.plans import curiosity

    engine = RunEngine({})
    # Every argument is checked before the first file is made.
    check_limits(curiosity(afm, **arguments))
    with _open(data, tiled, api_key) as storage:
        metadata = PersistentMetadata(data / "metadata.db")
        engine.md, engine.scan_id_source = metadata, metadata.next_scan_id
        storage.attach(engine)
        engine.preprocessors.append(SupplementalData(baseline=afm.baseline))
        started: list[str] = []
        engine.subscribe(lambda _, doc: started.append(doc["uid"]), "start")
        interrupted = False
        with LiveView(console) as view:
            engine.subscribe(view)
            engine.waiting_hook = view.waiting
            try:
                engine(curiosity(afm, **arguments))
            except RunEngineInterrupted:
                engine.abort("interrupted at the terminal")
                interrupted = True
        documents = storage.documents(started[-1])
        _report(documents, data / "figures" / f"{started[-1]}.png" if figure else None)
        _tell_where(started[-1], data, tiled)
        if interrupted:
            raise typer.Exit(130)


def _report(documents: Any, path: Path | None) -> None:
    from curio_plans import report
    from curio_plans.documents import History

    history = History(documents)
    table = Table(box=None, show_header=False)
    for label, text in report.summary(history).items():
        table.add_row(f"[bold]{label}[/]", text)
    console.print(table)
    if path is None or history.frame is None:
        return
    with console.status("comparing with simple methods"):
        evaluation = report.evaluate(history)
    if evaluation is not None:
        losses = Table("loss (sum over the pool of spectral MSE)", "", box=None)
        for label, number in report.evaluation_rows(history, evaluation):
            losses.add_row(label, number)
        console.print(losses)
    console.print(f"figure: {report.save_figure(history, path, evaluation)}", soft_wrap=True)


def _tell_where(uid: str, data: Path, tiled: str | None) -> None:
    where = f" --data {data}" if data != DATA else ""
    console.print(f"data:   {tiled or data.resolve()}", soft_wrap=True, highlight=False)
    if tiled is None:
        console.print("python: from curio_plans.storage import Storage", highlight=False)
        run = f"Storage.local({str(data)!r}).catalog[{uid[:8]!r}]"
        console.print(f"        {run}['primary'].read()", soft_wrap=True, highlight=False)
    console.print(
        f"again:  curio show {uid[:8]}{where}   curio replay {uid[:8]}{where}", soft_wrap=True, highlight=False
    )


if __name__ == "__main__":
    sys.exit(app())
