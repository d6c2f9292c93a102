"""What a list of runs says of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from curio_plans.store.errors import JournalError
from curio_plans.store.places import LINES, parts
from curio_plans.store.reader import is_open, read_start, summarise


@dataclass(frozen=True)
class RunInfo:
    """One run in a list.

    Attributes
    ----------
    uid : str
        Its unique name.
    time : datetime
        When it started, in local time; of a run whose start document cannot be read, when its file was last written.
    plan_name : str
        The plan.
    agent : str or None
        Who decided, if anyone.
    points : int or None
        Spectra measured so far; None if that cannot be told.
    exit_status : str or None
        ``success``, ``abort`` or ``fail``; None while it goes on, and for good if it was killed.
    reason : str
        Why it ended, where its stop document says so.
    damaged : str
        What cannot be read of it, and what to do; empty if nothing was found. The lines of the journal are looked at,
        but neither its arrays nor Tiled: that is what :meth:`curio_plans.store.Storage.verify` does.
    """

    uid: str
    time: datetime
    plan_name: str = ""
    agent: str | None = None
    points: int | None = None
    exit_status: str | None = None
    reason: str = ""
    damaged: str = ""


def read_info(directory: Path | str, uid: str) -> RunInfo:
    """Return what a list says of a run in the journal, whatever state its files are in."""
    try:
        summary = summarise(directory, uid)
        if summary.start is None:
            damage = "" if is_open(directory, uid) else summary.damage  # it may just be beginning
            return RunInfo(uid, _written(directory, uid), damaged=damage)
        damage = summary.damage or resume_circle(directory, uid)
    except (JournalError, OSError) as error:  # it was taken away in the meantime
        return RunInfo(uid, datetime.fromtimestamp(0).astimezone(), damaged=str(error))
    return info_of(summary.start, summary.stop, summary.points, damage)


def info_of(start: Mapping[str, Any], stop: Mapping[str, Any] | None, points: int | None, damage: str = "") -> RunInfo:
    """Return what a list says of a run with this start and stop document."""
    agent = start.get("agent")
    return RunInfo(
        uid=start["uid"],
        time=datetime.fromtimestamp(start["time"]).astimezone(),
        plan_name=str(start.get("plan_name", "")),
        agent=str(agent["agent"]) if isinstance(agent, Mapping) and "agent" in agent else None,
        points=points,
        exit_status=None if stop is None else str(stop["exit_status"]),
        reason="" if stop is None else str(stop.get("reason", "")),
        damaged=damage,
    )


def resume_circle(directory: Path | str, uid: str) -> str:
    """Say so if run `uid` resumes itself, directly or by way of others; else, or where that ends elsewhere, nothing."""
    chain = [uid]
    try:
        while resumed := read_start(directory, chain[-1]).get("resumes"):
            if resumed in chain:
                return circle([*chain, resumed])
            chain.append(resumed)
    except JournalError:
        pass  # a run that is not here, or cannot be read
    return ""


def circle(uids: list[str]) -> str:
    """Say that runs resume each other in a circle."""
    return (
        f"expected a run that resumes an earlier one, but {' resumes '.join(uids)}; bring back its start document from "
        "a backup"
    )


def _written(directory: Path | str, uid: str) -> datetime:
    latest = max((folder / LINES).lstat().st_mtime for folder in parts(directory, uid))
    return datetime.fromtimestamp(latest).astimezone()
