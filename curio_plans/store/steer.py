"""Steering a run from any process that can write to the data directory."""

import getpass
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from curio_plans.documents.acts import Act, read_act
from curio_plans.store.mailbox import Mailbox
from curio_plans.store.reader import is_open, read_start
from curio_plans.store.storage import Storage
from curio_plans.store.tail import Tail

Corner = tuple[float, float]

_LOOK = 0.05


class SteeringError(ValueError):
    """Something that was asked of a run and refused; it says why."""


class Steer:
    """Asks things of a run that goes on, in whatever process.

    Each method returns in words what the run does about it, raises :class:`SteeringError` with the reason where it does
    nothing, and changes nothing then. A run answers between two points. What is asked of one whose process has died
    waits until it is resumed.

    Parameters
    ----------
    directory : Path or str
        The data directory.
    uid : str
        The run: its uid, the beginning of one, or ``latest``.
    by : str, optional
        Who asks; by default the name of the user.
    patience : float
        Seconds to wait for an answer. What is not answered by then is still done.

    Examples
    --------
    ::

        steer = Steer("curio-data")
        steer.pick(520, 310)
        steer.exclude((0, 400), (0, 400))
        steer.points(80)
    """

    def __init__(
        self, directory: Path | str, uid: str = "latest", *, by: str | None = None, patience: float = 30.0
    ) -> None:
        self._directory, self._uid, self._patience = Path(directory), uid, patience
        self.by = by or _user()

    def pick(self, x: float | None = None, y: float | None = None, *, candidate: int | None = None) -> str:
        """Measure next at the candidate nearest to a place in nm, or at a candidate."""
        return self.ask("pick", x=x, y=y, candidate=candidate)

    def exclude(self, *area: Sequence[float]) -> str:
        """Measure no further in an area: ``(x_min, x_max), (y_min, y_max)``, or at least three corners, in nm."""
        return self.ask("exclude", area=_corners(area))

    def include(self, number: int | None = None) -> str:
        """Take back the exclusion of this number, from 1, or all."""
        return self.ask("include", number=number)

    def restrict(self, *area: Sequence[float], prefer: bool = False) -> str:
        """Measure in an area only; with `prefer` as long as there is something left in it. See `exclude`."""
        return self.ask("restrict", area=_corners(area), prefer=prefer)

    def free(self) -> str:
        """Measure everywhere again."""
        return self.ask("free")

    def points(self, points: int) -> str:
        """Measure so many points in total."""
        return self.ask("points", points=points)

    def until(self, **rule: Any) -> str:
        """Replace the rule for the end, e.g. ``until(error=0.3)``; without arguments there is none."""
        return self.ask("until", rule=rule or None)

    def map_every(self, points: int) -> str:
        """Record the agent's maps after every so many points; 0 for only at the end."""
        return self.ask("map_every", map_every=points)

    def image(self) -> str:
        """Take an image before the next point."""
        return self.ask("image")

    def pause(self) -> str:
        """Withdraw the tip and wait, after the present point."""
        return self.ask("pause")

    def go(self) -> str:
        """Go on after a pause."""
        return self.ask("go")

    def end(self) -> str:
        """End after the present point."""
        return self.ask("end")

    def abort(self) -> str:
        """End at once, as aborted; what is being measured is not kept."""
        return self.ask("abort")

    def answer(self, text: str) -> str:
        """Answer the agent's question."""
        return self.ask("answer", text=text)

    def note(self, text: str) -> str:
        """Leave a note in the run."""
        return self.ask("note", text=text)

    def approve(self, mode: str, seconds: float = 10.0) -> str:
        """Let suggestions wait for a human: ``veto`` for so many seconds, ``accept`` for a yes, ``off`` not at all."""
        return self.ask("approve", mode=mode, seconds=seconds)

    def accept(self, decision: int | None = None) -> str:
        """Say yes to the suggestion that waits."""
        return self.ask("accept", decision=self._waiting() if decision is None else decision)

    def skip(self, decision: int | None = None) -> str:
        """Say no to the suggestion that waits."""
        return self.ask("skip", decision=self._waiting() if decision is None else decision)

    def ask(self, act: str, **values: Any) -> str:
        """Ask for an act by its name, with its values; see :mod:`curio_plans.documents.acts`."""
        given = {name: value for name, value in values.items() if value is not None}
        uid = self.uid
        mailbox, name = send(self._directory, uid, read_act(act, given), self.by)
        deadline = time.monotonic() + self._patience
        while (answer := mailbox.answered(name)) is None:
            if not is_open(self._directory, uid) and mailbox.answered(name) is None:
                return "it waits: the process of the run has ended; it is done when the run is resumed"
            if time.monotonic() > deadline:
                return "it waits: the run has not come to it yet"
            time.sleep(_LOOK)
        if not answer.get("done"):
            raise SteeringError(str(answer.get("text")))
        return str(answer.get("text"))

    @property
    def uid(self) -> str:
        """The full uid of the run."""
        with Storage.local(self._directory, writable=False) as storage:
            return storage.resolve(self._uid)

    def _waiting(self) -> int:
        suggestion = Mailbox(self._directory, self.uid).wanted().get("suggestion")
        if not isinstance(suggestion, Mapping):
            raise SteeringError("no suggestion waits for a human")
        return int(suggestion["decision"])


def send(directory: Path | str, uid: str, act: Act, by: str) -> tuple[Mailbox, str]:
    """Ask a run for an act; return its mailbox, and the name under which it will answer.

    Raises
    ------
    SteeringError
        If nobody will answer: no agent decides in the run, or it has ended.
    """
    start = read_start(directory, uid)
    if start.get("plan_name") != "curiosity":
        raise SteeringError(f"only a run of the plan curiosity can be steered, this is one of {start.get('plan_name')}")
    if not is_open(directory, uid) and has_stop(directory, uid):
        raise SteeringError(f"the run has ended; curio resume {uid[:8]} --points N goes on with more points")
    mailbox = Mailbox(directory, uid)
    values = {"act": act.act, "values": act.model_dump(mode="json", exclude_none=True), "by": by, "time": time.time()}
    return mailbox, mailbox.ask(values)


def has_stop(directory: Path | str, uid: str) -> bool:
    """Tell whether a run has its stop document."""
    return any(name == "stop" for name, _ in Tail(directory, uid).read())


def _corners(area: Sequence[Sequence[float]]) -> list[Corner]:
    """Return the corners of an area that is given as ranges of x and y, or as corners."""
    places = [tuple(float(value) for value in each) for each in area]
    if len(places) == 2:
        (left, right), (low, high) = places
        places = [(left, low), (right, low), (right, high), (left, high)]
    return [(x, y) for x, y in places]


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        return "somebody"
