"""Commands about instruments: ioc and doctor."""

import os
from typing import Annotated

import typer

from curio_plans.cli.common import FAILED, connect, named_values
from curio_plans.cli.output import Progress, console

Backend = Annotated[str, typer.Option(help="The instrument: twin, recorded, epics, … or package.module:function.")]
Options = Annotated[
    list[str] | None,
    typer.Option("--option", "-o", help="An option of the backend; repeatable.", metavar="NAME=VALUE"),
]
STYLES = {"works": "green", "fails": "bold red", "skipped": "yellow"}


def ioc(
    backend: Backend = "twin",
    option: Options = None,
    prefix: Annotated[str, typer.Option(help="First characters of each PV's name.")] = "afm:",
    interface: Annotated[
        list[str] | None,
        typer.Option(help="Address to listen on; repeatable.", show_default="127.0.0.1, this computer only"),
    ] = None,
    port: Annotated[
        int, typer.Option(help="Port of Channel Access.", envvar="EPICS_CA_SERVER_PORT", min=1, max=65535)
    ] = 5064,
) -> None:
    """Serve an instrument over EPICS Channel Access, until Ctrl-C.

    The simulated one, taking its real time:

        curio ioc -o real_time=true --prefix afm:

    It begins and ends with the tip withdrawn. Clients look for it at the addresses in EPICS_CA_ADDR_LIST.
    """
    with Progress("loading the instrument"):
        try:
            from caproto import CaprotoError

            from ophyd_devices.epics.ioc import serve
        except ModuleNotFoundError as error:
            raise ValueError(f"{error}; install it with pip install 'curio-plans[epics]'") from error
        instrument = connect(backend, named_values("--option", option))
    os.environ["EPICS_CA_SERVER_PORT"] = str(port)
    interfaces = interface or ["127.0.0.1"]

    def ready(bound: int) -> None:
        console.print(f"{prefix} ready on {', '.join(interfaces)}, port {bound}", soft_wrap=True, highlight=False)

    try:
        serve(instrument, prefix, interfaces, ready)
    except CaprotoError as error:
        raise ValueError(
            f"cannot listen on {', '.join(interfaces)}, port {port}: {error}; choose another --interface or --port"
        ) from error


def doctor(
    backend: Backend = "twin",
    option: Options = None,
    contact: Annotated[bool, typer.Option(help="Also touch the surface, after a question.")] = False,
) -> None:
    """Examine an instrument step by step, without approaching the surface.

    Prints what works, what does not, and what to check. Exits with 1 if something does not work.

        curio doctor --backend epics -o prefix=afm:
    """
    with Progress("loading the instrument"):
        from ophyd_devices.backend import BackendError
        from ophyd_devices.doctor import examine

        instrument = connect(backend, named_values("--option", option))
    if contact and not instrument.info.simulated:
        typer.confirm("The tip will approach the surface and touch it. Go on?", abort=True)
    failed = 0
    try:
        for finding in examine(instrument, contact=contact):
            failed += finding.verdict == "fails"
            _tell(finding.verdict, finding.step, finding.detail, finding.advice)
        instrument.close()
    except (BackendError, AttributeError) as error:  # it may lack the member that would withdraw the tip
        failed += 1
        _tell("fails", "end", str(error), "look at the tip: it may be on the surface")
    if failed:
        console.print(f"{failed} of the steps failed", style="bold red")
        raise typer.Exit(FAILED)


def _tell(verdict: str, step: str, detail: str, advice: str) -> None:
    console.print(f"{verdict:8}", style=STYLES[verdict], end="")
    console.print(f"{step:15} {detail}", markup=False, highlight=False, soft_wrap=True)
    if advice:
        console.print(f"{'':23} check: {advice}", markup=False, highlight=False, soft_wrap=True)
