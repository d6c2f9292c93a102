"""The acts: what people can ask of a run, and what each needs. Checked where somebody asks."""

import json
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field, JsonValue

from curio_plans.validation import Frozen, NonNegativeWhole, Positive, PositiveWhole, Text, validated

Corner = tuple[Annotated[float, Field(allow_inf_nan=False)], Annotated[float, Field(allow_inf_nan=False)]]
Area = Annotated[tuple[Corner, ...], Field(min_length=3, max_length=1000)]
"""The corners (x, y) of a polygon in nm, as the first image shows the places."""


class Act(Frozen):
    """Something that a human asks of a run. A subclass is one kind of act and has its values.

    Attributes
    ----------
    act : str
        The kind.
    """

    act: ClassVar[str]


class Pick(Act):
    """Measure next at a place, in nm as the first image shows it; or at a candidate."""

    act = "pick"
    x: Annotated[float, Field(allow_inf_nan=False)] | None = None
    y: Annotated[float, Field(allow_inf_nan=False)] | None = None
    candidate: NonNegativeWhole | None = None

    def model_post_init(self, _: object) -> None:
        """Refuse what names no place, or two."""
        if (self.candidate is None) == (self.x is None) or (self.x is None) != (self.y is None):
            raise ValueError("expected x and y in nm, or a candidate")


class Exclude(Act):
    """Measure at no further place within an area."""

    act = "exclude"
    area: Area


class Include(Act):
    """Take an exclusion back: that of a number, from 1; all without one."""

    act = "include"
    number: PositiveWhole | None = None


class Restrict(Act):
    """Measure within an area only; with `prefer` there as long as a candidate is left."""

    act = "restrict"
    area: Area
    prefer: bool = False


class Free(Act):
    """Measure everywhere again: the end of a restriction."""

    act = "free"


class Points(Act):
    """Measure so many points in total."""

    act = "points"
    points: PositiveWhole


class Until(Act):
    """Replace the rule for the end, see :class:`curio_plans.rules.StoppingRule`; none without one."""

    act = "until"
    rule: dict[str, JsonValue] | None = None


class MapEvery(Act):
    """Record what the agent believes over the whole pool after every so many points; 0 for only at the end."""

    act = "map_every"
    map_every: NonNegativeWhole


class Image(Act):
    """Take an image before the next point."""

    act = "image"


class Pause(Act):
    """Withdraw the tip and wait, after the point that is measured now."""

    act = "pause"


class Go(Act):
    """Go on after a pause."""

    act = "go"


class End(Act):
    """End after the point that is measured now."""

    act = "end"


class Abort(Act):
    """End as soon as possible; the exit status is ``abort``."""

    act = "abort"


class Answer(Act):
    """Answer the question of the agent."""

    act = "answer"
    text: Text


class Comment(Act):
    """Leave a note."""

    act = "note"
    text: Annotated[Text, Field(max_length=2000)]


class Approve(Act):
    """Let a human see each suggestion before it is followed.

    ``veto``: it is followed after so many seconds unless somebody says no; ``accept``: when somebody says yes; ``off``:
    at once.
    """

    act = "approve"
    mode: Literal["off", "veto", "accept"]
    seconds: Positive = 10.0


class Accept(Act):
    """Say yes to the suggestion that waits, of this decision."""

    act = "accept"
    decision: NonNegativeWhole


class Skip(Act):
    """Say no to the suggestion that waits, of this decision: its candidate is not suggested again."""

    act = "skip"
    decision: NonNegativeWhole


ACTS: Mapping[str, type[Act]] = {
    kind.act: kind
    for kind in (
        Pick, Exclude, Include, Restrict, Free, Points, Until, MapEvery, Image, Pause, Go, End, Abort, Answer, Comment,
        Approve, Accept, Skip,
    )
}  # fmt: skip
"""The kinds of acts by name."""


def read_act(act: object, values: object) -> Act:
    """Return an act from its name and values.

    Raises
    ------
    ValueError
        That says what was expected.
    """
    if not isinstance(act, str) or act not in ACTS:
        raise ValueError(f"expected one of the acts {', '.join(ACTS)}; got {act!r}")
    if not isinstance(values, Mapping):
        raise ValueError(f"expected the values of {act} by name, got {type(values).__name__}")  # noqa: TRY004
    return validated(ACTS[act], dict(values), act)


def write_act(act: Act) -> str:
    """Return the values of an act as JSON text."""
    return json.dumps(act.model_dump(mode="json", exclude_none=True), sort_keys=True)
