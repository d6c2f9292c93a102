"""Commands about instruments: ioc and doctor."""

import os
from typing import Annotated

import typer

from curio_plans.cli.common import app, connect, console, named_values, tell_errors

Backend = Annotated[
    str, typer.Option(help="The instrument: twin, recorded, epics, … or a path package.module:function.")
]
Options = Annotated[
    list[str] | None,
    typer.Option(
        "--option", "-o", help="An option of the backend, name=value; repeat it for more.", metavar="NAME=VALUE"
    ),
]
STYLES = {"works": "green", "fails": "bold red", "skipped": "yellow"}


@app.command()
@tell_errors
def ioc(
    backend: Backend = "twin",
    option: Options = None,
    prefix: Annotated[str, typer.Option(help="In front of each PV's name.")] = "afm:",
    interface: Annotated[
        list[str] | None,
        typer.Option(help="Address to listen at; repeat it for more.", show_default="127.0.0.1, this computer only"),
    ] = None,
    port: Annotated[
        int, typer.Option(help="Port of Channel Access.", envvar="EPICS_CA_SERVER_PORT", min=1, max=65535)
    ] = 5064,
) -> None:
    """Serve an instrument over EPICS Channel Access, until Ctrl-C.

    The simulated one, taking its real time:

        curio ioc -o real_time=true --prefix afm:

    It begins and ends with the tip withdrawn. Clients find it where EPICS_CA_ADDR_LIST says.
    """
    try:
        from ophyd_devices.epics.ioc import serve
    except ModuleNotFoundError as error:
        raise ValueError(f"{error}; install it with pip install 'curio-plans[epics]'") from error
    os.environ["EPICS_CA_SERVER_PORT"] = str(port)
    interfaces = interface or ["127.0.0.1"]

    def ready(bound: int) -> None:
        console.print(f"{prefix} ready on {', '.join(interfaces)}, port {bound}", soft_wrap=True, highlight=False)

    serve(connect(backend, named_values(option or [])), prefix, interfaces, ready)


@app.command()
@tell_errors
def doctor(
    backend: Backend = "twin",
    option: Options = None,
    contact: Annotated[bool, typer.Option(help="Also touch the surface, after asking.")] = False,
) -> None:
    """Examine a backend step by step, without approaching the surface.

    Prints what works, what does not and what to check; exits with 1 if something does not.

        curio doctor --backend epics -o prefix=afm:
    """
    from ophyd_devices.backend import BackendError
    from ophyd_devices.doctor import examine

    instrument = connect(backend, named_values(option or []))
    if contact and not instrument.info.simulated:
        typer.confirm("The tip will approach the surface and touch it. Go on?", abort=True)
    failed = 0
    try:
        for finding in examine(instrument, contact=contact):
            failed += finding.verdict == "fails"
            _tell(finding.verdict, finding.step, finding.detail, finding.advice)
        instrument.close()
    except BackendError as error:
        failed += 1
        _tell("fails", "end", str(error), "look at the tip: it may be on the surface")
    if failed:
        console.print(f"{failed} of the steps failed", style="bold red")
        raise typer.Exit(1)


def _tell(verdict: str, step: str, detail: str, advice: str) -> None:
    console.print(f"{verdict:8}", style=STYLES[verdict], end="")
    console.print(f"{step:15} {detail}", markup=False, highlight=False, soft_wrap=True)
    if advice:
        console.print(f"{'':23} check: {advice}", markup=False, highlight=False, soft_wrap=True)
