"""The order in which runs started, whatever the clock said."""

import math
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

STARTED = "started.txt"
"""The file in a data directory with the uids of its runs, a line each, as they started."""


def note_start(directory: Path | str, uid: str) -> None:
    """Note that run `uid` starts; where the directory cannot be written, the run has its place by its time."""
    with suppress(OSError), (Path(directory) / STARTED).open("a") as file:
        file.write(f"{uid}\n")


def in_order(directory: Path | str, times: Mapping[str, float]) -> list[str]:
    """Return the uids of runs, the earliest first.

    Runs are ordered by their time, but none comes before one that started before it in this directory. A clock that
    was set back, by a time server or by hand, changes nothing. Runs of version 0.1, and those brought from elsewhere,
    have their time alone.

    Parameters
    ----------
    directory : Path or str
        The data directory.
    times : mapping of str to float
        When each run started by its own clock, in s.
    """
    latest, place = -math.inf, {uid: (time, 0) for uid, time in times.items()}
    for number, uid in enumerate(_noted(directory), start=1):
        if uid in times:
            latest = max(latest, times[uid])
            place[uid] = (latest, number)
    return sorted(times, key=lambda uid: place[uid])


def _noted(directory: Path | str) -> list[str]:
    try:
        text = (Path(directory) / STARTED).read_text(errors="replace")
    except OSError:
        return []
    return list(dict.fromkeys(text.split()))
