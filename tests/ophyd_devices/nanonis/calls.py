"""A call of each command, for our client and for the vendor's, and the table of commands on the page about Nanonis."""

from ophyd_devices.nanonis import wire
from ophyd_devices.nanonis.commands import COMMANDS

CALLS = {
    "Signals.RangeGet": (24,),
    "Signals.ValGet": (24, 1),
    "Signals.ValsGet": ([0, 24, 30], 1),
    "Bias.Set": (-1.25,),
    "FolMe.XYPosSet": (10e-9, -15e-9, 1),
    "FolMe.XYPosGet": (1,),
    "FolMe.SpeedSet": (2e-6, 1),
    "FolMe.PSOnOffSet": (0,),
    "Scan.Action": (0, 1),
    "Scan.WaitEndOfLine": (500,),
    "Scan.FrameSet": (1e-7, -2e-7, 5e-7, 4e-7, 30.0),
    "Scan.BufferSet": ([30, 86, 87], 128, 64),
    "Scan.PropsSet": (2, 2, 3, "series", "a comment", ["Scan", "Z-Controller"], 0),
    "Scan.SpeedSet": (1e-6, 1e-6, 0.5, 0.5, 2, 1.0),
    "Scan.FrameDataGrab": (30, 1),
    "ZCtrl.OnOffSet": (1,),
    "ZCtrl.SetpntSet": (0.4,),
    "ZCtrl.Withdraw": (1, 30_000),
    "AutoApproach.OnOffSet": (1,),
    "SafeTip.OnOffSet": (1,),
    "BiasSpectr.Start": (1, "base"),
    "BiasSpectr.ChsSet": ([86, 0],),
    "BiasSpectr.PropsSet": (2, 1, 2, 0, 1e-9, 2, 2),
    "BiasSpectr.AdvPropsSet": (1, 2, 0, 0),
    "BiasSpectr.TimingSet": (0.1, 0.0, 0.01, 100.0, 0.001, 0.01, 0.01, 0.1),
    "BiasSpectr.MLSModeSet": ("MLS",),
    "BiasSpectr.MLSLockinPerSegSet": (0,),
    "BiasSpectr.MLSValsSet": (2, [0.0, 1.0], [1.0, -1.0], [0.0, 0.0], [1e-3, 1e-3], [2e-3, 2e-3], [9, 17], [0, 1]),
    "ZSpectr.Start": (1, "base"),
    "ZSpectr.ChsSet": ([1, 30],),
    "ZSpectr.PropsSet": (1, 128, 1, 2, 2, 2),
    "ZSpectr.RangeSet": (0.0, 5e-8),
    "ZSpectr.TimingSet": (0.1, 0.01, 100.0, 0.001, 0.01, 0.01, 0.1),
    "ZSpectr.RetractSet": (1, 2.0, 1, 0),
}
"""Values of each command that takes some."""
RAW = {"Scan.WaitEndOfLine": (["i"], ["I", "i", "H", "i"])}
"""Commands that the vendor's client has no method for: the types for its ``quickSend``."""
SIZES_OF_STRINGS = {"Scan.PropsSet"}
"""The vendor's client sends 4 × count as the size of an array of strings, against its own document."""
UNREADABLE = {"Scan.PropsGet", "BiasSpectr.PropsGet", "BiasSpectr.StatusGet", "Util.VersionGet", "ZSpectr.PropsGet"}
"""Commands whose answer the vendor's client, version 1.0.9, cannot read."""


def table():
    """The rows of the table of commands in docs/how-to/nanonis.md."""
    rows = ["| command | takes → returns | bytes | simulator | damage |", "|---|---|---|---|---|"]
    for name, command in COMMANDS.items():
        takes, returns = (
            ", ".join(f"{field} `{kind}`" for kind, field in wire.fields(layout)) or "–"
            for layout in (command.takes, command.returns)
        )
        one = "raw" if name in RAW else "strings' size" if name in SIZES_OF_STRINGS else "same"
        two = "raw" if name in RAW else "sent" if name in UNREADABLE else "agrees"
        rows.append(f"| `{name}` | {takes} → {returns} | {one} | {two} | yes |")
    return "\n".join(rows) + "\n"
