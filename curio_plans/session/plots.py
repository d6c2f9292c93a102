"""Figures that are drawn while a plan runs.

A RunEngine runs plans in a thread of its own. Bluesky hands what is to be drawn to the main thread, and keeps windows
alive there, for Qt alone; Tk ends the whole session ("Calling Tcl from different apartment").
"""

import os
import sys
from importlib.util import find_spec
from typing import Any

QT = ("PySide6", "PyQt6", "PyQt5", "PySide2")
"""Qt bindings that matplotlib knows, the best first."""


def open_plots(shell: Any = None) -> str:
    """Let figures open by themselves while plans run, if that can be. Call it before the RunEngine is made.

    A backend that ``MPLBACKEND`` or ``matplotlib.use`` chose is kept, if it is Qt's.

    Parameters
    ----------
    shell : InteractiveShell, optional
        IPython's, so that windows answer while the prompt waits, too.

    Returns
    -------
    str
        Empty if they open; else why they do not, and what to do.
    """
    import matplotlib

    chosen = (matplotlib.rcParams._get_backend_or_none() or "").lower()  # type: ignore[attr-defined]
    if chosen and not chosen.startswith("qt"):
        return f"no plots: matplotlib draws with {chosen}; windows that open while a plan runs need MPLBACKEND=QtAgg"
    if not _has_display():
        return "no plots: there is no display"
    if not any(find_spec(name) for name in QT):
        matplotlib.use("Agg")  # else the first figure takes Tk
        return "no plots: they need Qt; pip install 'curio-plans[qt]'"
    matplotlib.use("QtAgg")
    if hasattr(shell, "enable_gui"):
        shell.enable_gui("qt")
    matplotlib.interactive(True)
    return ""


def _has_display() -> bool:
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
