"""The options of the command run, each with its help, by the panel in which ``curio run --help`` shows them."""

from pathlib import Path
from typing import Annotated

import typer

INSTRUMENT, AGENT, MEASUREMENT, RULES, OUTPUT = "Instrument", "Agent", "Measurement", "Rules", "Output"
UNTIL = (
    "End before --points: 'minutes 120' of the instrument's time, 'loops 400' spectra, bad ones included; with an "
    "agent that estimates its error also 'error 0.3' (1 is the error of the mean spectrum) and 'gain 0.01' (10 more "
    "points would lower the error by less). Repeatable; the first rule that is met ends the run."
)

SampleFile = Annotated[
    Path | None,
    typer.Option(
        help="Measure this file of measured data; [bold]curio look FILE[/] shows what is in it.",
        show_default="the simulated sample",
        rich_help_panel=INSTRUMENT,
    ),
]

SettingsFile = Annotated[
    Path | None,
    typer.Option(
        help="Measure with the instrument in this TOML file, which may also name the storage; as for the profile.",
        show_default="the simulated instrument",
        rich_help_panel=INSTRUMENT,
    ),
]

ImageFile = Annotated[
    Path | None,
    typer.Option(
        help="Another file with the image, on the same scanner coordinates.",
        show_default="the image in the sample file",
        rich_help_panel=INSTRUMENT,
    ),
]

ImageChannel = Annotated[
    list[str] | None,
    typer.Option(
        help="A channel of the image that the agent sees; repeatable. Of a sample file also mean=LOW,HIGH, the mean of "
        "its spectra in a band.",
        show_default="all; of a sample file those with the pixels of the first",
        metavar="NAME",
        rich_help_panel=INSTRUMENT,
    ),
]

ComplexPart = Annotated[
    str | None,
    typer.Option(
        "--part",
        help="Of complex spectra: real, imag, abs or phase.",
        show_default="real",
        rich_help_panel=INSTRUMENT,
    ),
]

Selected = Annotated[
    list[str] | None,
    typer.Option(
        "--select",
        help="Where spectra have a further axis, such as cycles: the value to take; repeatable.",
        show_default="the first",
        metavar="AXIS=VALUE",
        rich_help_panel=INSTRUMENT,
    ),
]

Preprocess = Annotated[
    list[str] | None,
    typer.Option(
        help="A step that changes the spectra of a sample file: range=LOW,HIGH of the axis, sweep=N, bin=N, "
        "background=mean, background=linear, log, asinh=SCALE, rank; repeatable, in order.",
        metavar="STEP",
        rich_help_panel=INSTRUMENT,
    ),
]

Extent = Annotated[
    float | None,
    typer.Option(
        help="Width in nm of the sample file, where it does not say or is wrong.",
        show_default="that in the file, else 1 nm per px",
        rich_help_panel=INSTRUMENT,
    ),
]

Axis = Annotated[
    str | None,
    typer.Option(
        help="Array of an npz file that is the spectral axis.",
        show_default="the array axis, else step numbers",
        rich_help_panel=INSTRUMENT,
    ),
]

AxisUnit = Annotated[
    str | None,
    typer.Option(
        help="Unit of the spectral axis.", show_default="that in the file, if any", rich_help_panel=INSTRUMENT
    ),
]

Effects = Annotated[
    str | None,
    typer.Option(
        help="'realistic' lets the simulated instrument drift and wear, the surface remember, and spectra fail.",
        show_default="calm, only noise",
        rich_help_panel=INSTRUMENT,
    ),
]

RealTime = Annotated[bool, typer.Option(help="Let simulated actions take their real time.", rich_help_panel=INSTRUMENT)]

Agent = Annotated[str, typer.Option(help="The agent that decides; see [bold]curio agents[/].", rich_help_panel=AGENT)]

Initial = Annotated[
    int | None,
    typer.Option(
        help="Points that are measured before the agent learns.",
        show_default="the agent's own; 10 for curio",
        rich_help_panel=AGENT,
    ),
]

AgentOption = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        "-o",
        help="An option of the agent; repeatable. [bold]curio agents NAME[/] explains them.",
        metavar="NAME=VALUE",
        rich_help_panel=AGENT,
    ),
]

Seed = Annotated[int, typer.Option(help="Seed of the agent and of the simulated sample.", rich_help_panel=AGENT)]

LearnFrom = Annotated[
    list[str] | None,
    typer.Option(
        help="An earlier run in the same data directory from which the agent learns first: its uid, the first "
        "characters of it, or latest; repeatable. Not every agent can.",
        metavar="UID",
        rich_help_panel=AGENT,
    ),
]

Points = Annotated[int, typer.Option(help="Spectra in total, initial ones included.", rich_help_panel=MEASUREMENT)]

Pixels = Annotated[
    int | None,
    typer.Option(
        help="Side of the image in px.", show_default="128; that of the sample file", rich_help_panel=MEASUREMENT
    ),
]

SetupRule = Annotated[
    list[str] | None,
    typer.Option(
        "--setup",
        help="A setting of the microscope for this run: area=0,500,0,500 (nm), pixels=64, line_rate=2, velocity=1000, "
        "amplitude=6, cycles=2, dwell=0.004 …; repeatable. [bold]curio schema setup[/] lists them.",
        show_default="as the instrument and the settings file say",
        metavar="NAME=VALUE",
        rich_help_panel=MEASUREMENT,
    ),
]

SpectrumChannel = Annotated[
    str | None,
    typer.Option(
        help="Channel of the spectra that the agent learns. All are recorded. Of a sample file 'A + B' learns both.",
        show_default="the instrument's first",
        metavar="NAME",
        rich_help_panel=MEASUREMENT,
    ),
]

Window = Annotated[
    int | None,
    typer.Option(
        help="Side in px of the patch that the agent sees around each candidate.",
        show_default="9, in a small image less",
        rich_help_panel=MEASUREMENT,
    ),
]

WindowNm = Annotated[
    float | None, typer.Option(help="The same in nm, instead of --window.", rich_help_panel=MEASUREMENT)
]

Edge = Annotated[
    str | None,
    typer.Option(
        help="inside: candidates whose whole patch lies in the image. reflect: up to its edge, with reflected patches.",
        show_default="inside, in a small image reflect",
        rich_help_panel=MEASUREMENT,
    ),
]

Stride = Annotated[
    int | None,
    typer.Option(
        help="Distance between candidates in px, or in places with a spectrum.",
        show_default="the smallest with at most 2500 candidates",
        rich_help_panel=MEASUREMENT,
    ),
]

Lookahead = Annotated[
    int,
    typer.Option(
        help="1: choose the next point while the present one is measured.",
        min=0,
        max=1,
        rich_help_panel=MEASUREMENT,
    ),
]

QualityRule = Annotated[
    list[str] | None,
    typer.Option(
        help="What a good spectrum is and what to do with a bad one, such as min_snr=3 or policy=skip; repeatable.",
        metavar="NAME=VALUE",
        rich_help_panel=RULES,
    ),
]

DriftRule = Annotated[
    list[str] | None,
    typer.Option(
        help="When to image again and correct the drift, such as every_points=10 or every_minutes=5; repeatable.",
        metavar="NAME=VALUE",
        rich_help_panel=RULES,
    ),
]

UntilRule = Annotated[list[str] | None, typer.Option(help=UNTIL, metavar="'NAME VALUE'", rich_help_panel=RULES)]

DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Print every step with its time; nothing moves and nothing is stored.",
        rich_help_panel=OUTPUT,
    ),
]

Page = Annotated[bool, typer.Option("--page", help="Show the run in the browser while it goes on; prints the address.")]
Figure = Annotated[
    bool,
    typer.Option(help="Compare the run with simple methods and draw it at its end.", rich_help_panel=OUTPUT),
]
