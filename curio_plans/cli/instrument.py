"""Commands about instruments: ioc, nanonis-sim and doctor."""

import os
from typing import Annotated, Literal

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


def nanonis_sim(
    option: Options = None,
    port: Annotated[
        int, typer.Option(help="The first of four ports, one for each connection; 0 takes free ones.", min=0, max=65532)
    ] = 6501,
    interface: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    current: Annotated[
        bool, typer.Option("--current", help="Let the feedback hold a tunnel current instead of the deflection.")
    ] = False,
    bottom_first: Annotated[
        bool, typer.Option("--bottom-first", help="Send the bottom line of a frame first.")
    ] = False,
    fault: Annotated[
        str | None,
        typer.Option(
            help="Let something go wrong: contact-lost, safe-tip, feedback-off, scan-stopped, error, junk, slow, hang, "
            "reset."
        ),
    ] = None,
    fault_after: Annotated[
        int, typer.Option(help="So many spectra (lines of the scan, approaches) succeed before.", min=0)
    ] = 3,
) -> None:
    """Simulate a Nanonis controller over the simulated microscope, until Ctrl-C.

    It speaks the controller's TCP protocol, so that curio and other programs can be tried without an instrument. The
    options are those of the backend twin:

        curio nanonis-sim -o seed=3 -o real_time=true

    Then, in another terminal:

        curio doctor --backend nanonis -o force_per_unit=50

    To see what curio does when something goes wrong, here when contact is lost before the sixth spectrum:

        curio nanonis-sim --fault contact-lost --fault-after 5
    """
    with Progress("loading the instrument"):
        from ophyd_devices.nanonis.simulator.controller import SimulatedController
        from ophyd_devices.nanonis.simulator.faults import FAULTS, Fault
        from ophyd_devices.nanonis.simulator.server import Server, serve

        options = named_values("--option", option)
        if "faults" in options:
            raise ValueError("the faults of the twin are no faults of a controller; leave the option faults out")
        twin = connect("twin", options)
    regulates: Literal["Current", "Deflection"] = "Current" if current else "Deflection"
    controller = SimulatedController(twin, bottom_first=bottom_first, regulates=regulates)
    ports = [port + number if port else 0 for number in range(4)]
    try:
        server = Server(controller, interface, ports, fault=None if fault is None else Fault(fault, fault_after))
    except OSError as error:
        raise ValueError(
            f"cannot listen on {interface}, ports {ports}: {error.strerror}; another program uses one of them, choose "
            "others with --port"
        ) from error

    def ready(bound: tuple[int, ...]) -> None:
        if fault is not None:
            console.print(f"fault: {FAULTS[fault]}, after {fault_after}")
        console.print(f"ready on {interface}, ports {' '.join(map(str, bound))}", soft_wrap=True, highlight=False)

    serve(server, ready)


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
