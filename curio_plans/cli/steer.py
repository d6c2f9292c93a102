"""The command steer: ask something of a run that goes on, in whatever process."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from curio_plans.cli.common import DATA, FAILED, Data, Uid, named_values
from curio_plans.cli.output import console, tell_error

ACTS: Mapping[str, str] = {
    "pick": "X Y",
    "exclude": "X_MIN X_MAX Y_MIN Y_MAX, or corners X Y X Y X Y …",
    "include": "[NUMBER]",
    "restrict": "as exclude",
    "prefer": "as exclude",
    "free": "",
    "points": "N",
    "until": "[RULE=VALUE …]",
    "map-every": "N",
    "image": "",
    "pause": "",
    "go": "",
    "end": "",
    "abort": "",
    "answer": "TEXT",
    "note": "TEXT",
    "approve": "off|veto|accept [SECONDS]",
    "accept": "",
    "skip": "",
}


def steer(
    uid: Uid,
    act: Annotated[str, typer.Argument(help=f"One of {', '.join(ACTS)}.", show_default=False)],
    values: Annotated[list[str] | None, typer.Argument(help="What it needs.", show_default=False)] = None,
    by: Annotated[str | None, typer.Option(help="Who asks.", show_default="the name of the user")] = None,
    wait: Annotated[float, typer.Option(help="Seconds to wait for the answer.", min=0)] = 30.0,
    data: Data = DATA,
) -> None:
    """Ask something of a run while it goes on; it answers between two points.

    Measure next at a place, in nm, and nowhere in a rectangle:

        curio steer latest pick 520 310
        curio steer latest exclude 0 400 0 400

    Take back exclusion 1, measure in a rectangle only, or preferably, and everywhere again:

        curio steer latest include 1
        curio steer latest restrict 0 900 0 900
        curio steer latest prefer 0 900 0 900
        curio steer latest free

    Change how far it goes, and what it records:

        curio steer latest points 80
        curio steer latest until error=0.3
        curio steer latest map-every 5
        curio steer latest image

    Wait, go on, end after the present point, abort:

        curio steer latest pause
        curio steer latest go
        curio steer latest end
        curio steer latest abort

    Talk: answer the agent, leave a note, see each suggestion before it is followed:

        curio steer latest answer yes
        curio steer latest note "the tip looks blunt"
        curio steer latest approve veto 20
        curio steer latest skip

    Each act becomes an event of the run. One that is refused changes nothing; then the exit code is 1. What is asked of
    a run whose process has died is done when it is resumed.
    """
    from curio_plans.store.steer import Steer, SteeringError

    given = values or []
    steering = Steer(data, uid, by=by, patience=wait)
    known: dict[str, Callable[[], str]] = {
        "pick": lambda: steering.pick(*_numbers(act, given, (2,))),
        "exclude": lambda: steering.exclude(*_area(act, given)),
        "include": lambda: steering.include(*map(int, _numbers(act, given, (0, 1)))),
        "restrict": lambda: steering.restrict(*_area(act, given)),
        "prefer": lambda: steering.restrict(*_area(act, given), prefer=True),
        "points": lambda: steering.points(*map(int, _numbers(act, given, (1,)))),
        "until": lambda: steering.until(**named_values("until", given)),
        "map-every": lambda: steering.map_every(*map(int, _numbers(act, given, (1,)))),
        "answer": lambda: steering.answer(_text(act, given)),
        "note": lambda: steering.note(_text(act, given)),
        "approve": lambda: steering.approve(*_mode(given)),
    }
    plain: Any = getattr(steering, act, None) if act in ACTS and not ACTS[act] else None
    if act not in known and plain is None:
        raise ValueError(f"expected one of {', '.join(ACTS)}; got {act!r}")
    if act not in known and given:
        raise ValueError(f"expected no values for {act}, got {' '.join(given)}")
    try:
        console.print(known[act]() if act in known else plain(), highlight=False, markup=False)
    except SteeringError as refusal:
        tell_error(refusal)
        raise typer.Exit(FAILED) from refusal


def _numbers(act: str, given: list[str], counts: tuple[int, ...]) -> list[float]:
    try:
        numbers = [float(text) for text in given]
    except ValueError:
        numbers = None
    if numbers is None or len(numbers) not in counts:
        raise ValueError(f"expected {act} {ACTS[act]}, got {' '.join(given) or 'nothing'}")
    return numbers


def _area(act: str, given: list[str]) -> list[tuple[float, float]]:
    counts = (4, *range(6, 2001, 2))
    numbers = _numbers("exclude" if ACTS[act].startswith("as") else act, given, counts)
    return [(x, y) for x, y in zip(numbers[::2], numbers[1::2], strict=True)]


def _text(act: str, given: list[str]) -> str:
    if not given:
        raise ValueError(f"expected {act} {ACTS[act]}")
    return " ".join(given)


def _mode(given: list[str]) -> tuple[Any, ...]:
    if not given:
        raise ValueError(f"expected approve {ACTS['approve']}")
    return (given[0], *_numbers("approve", given[1:], (0, 1)))
