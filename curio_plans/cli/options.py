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
        help="Measure this file: npz with image (H,W) or (C,H,W) and spectra (H,W,K).",
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

Extent = Annotated[
    float | None,
    typer.Option(
        help="Width in nm of a sample file without extent_nm.",
        show_default="1 nm per px",
        rich_help_panel=INSTRUMENT,
    ),
]

Axis = Annotated[
    str | None,
    typer.Option(
        help="Array of the sample file that is the spectral axis.",
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

Window = Annotated[
    int,
    typer.Option(
        help="Side in px of the patch that the agent sees around each candidate.", rich_help_panel=MEASUREMENT
    ),
]

Stride = Annotated[
    int | None,
    typer.Option(
        help="Distance between candidates in px.",
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

Figure = Annotated[
    bool,
    typer.Option(help="Compare the run with simple methods and draw it at its end.", rich_help_panel=OUTPUT),
]
