"""A run of the plan ``curiosity`` as one frozen value: what the start document keeps as its arguments."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator

from curio_plans.rules.drift import DriftCorrection
from curio_plans.rules.elsewhere import HERE, Elsewhere
from curio_plans.rules.escalation import EscalationRule
from curio_plans.rules.quality import Quality
from curio_plans.rules.setup import Setup
from curio_plans.rules.stopping import StoppingRule
from curio_plans.validation import Frozen, NonNegativeWhole, Positive, PositiveWhole, as_whole, validated


class RunRequest(Frozen):
    """What a run of ``curiosity`` is asked to do. Functions – hooks – are not part of it.

    The plan, the queue, the command line, a session and a resumed run all make this value, and the start document keeps
    it. Its JSON schema is ``RunRequest.model_json_schema()``, and ``curio schema run`` prints it.

    Attributes
    ----------
    agent : dict
        The agent's config, ``{"agent": name, **options}``.
    points : int
        Spectra in total, initial ones included; with `until` at most.
    window : int or None
        Side in px of the patch that the agent sees around each candidate, at least 3; None for 9 px, less in an image
        of under 18 px.
    window_nm : float or None
        The same side in nm; then `window` is the nearest number of px.
    edge : {"inside", "reflect"} or None
        Whether candidates lie so far inside that their whole patch is in the image, or up to the edge, with patches
        that are continued by reflection; None for inside, in an image of under 18 px for reflect.
    stride : int or None
        Distance between candidates in px, or in places where spectra exist only at some; None for the smallest that
        gives at most 2 500 candidates.
    channels : tuple of str or None
        Channels of the image that the agent sees; None for all.
    lookahead : {0, 1}
        0: decide with everything measured so far. 1: think about the next point while the present one is measured.
    map_every : int
        Record what the agent believes over the whole pool after every so many observations, and at the end; 0 for only
        at the end.
    quality : Quality
        When a spectrum is good, and what to do with one that is not.
    drift : DriftCorrection or None
        When to image again and correct the drift; None for never.
    until : StoppingRule or None
        When to end before the last point; None for never.
    think_timeout : float or None
        Seconds for one decision, after which the run ends; None for no limit. It does not hold for the first decision
        of a run that learns from prior runs or resumes one.
    escalate_when : EscalationRule or None
        When a place is worth a more advanced spectroscopy; None for never.
    learn_from : tuple of str or None
        Uids of prior runs from which the agent learns before it decides.
    agent_at : Elsewhere or None
        Where the agent thinks, and what happens while that place does not answer; an address alone is enough. None, or
        ``"here"``, for this process.
    setup : Setup or None
        How the microscope is set for this run; None for as it is.
    """

    agent: dict[str, Any]
    points: PositiveWhole = 100
    window: Annotated[int, Field(ge=3), as_whole] | None = None
    window_nm: Positive | None = None
    edge: Literal["inside", "reflect"] | None = None
    stride: PositiveWhole | None = None
    channels: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    lookahead: Annotated[Literal[0, 1], as_whole] = 0
    map_every: NonNegativeWhole = 10
    quality: Quality = Quality()
    drift: DriftCorrection | None = None
    until: StoppingRule | None = None
    think_timeout: Positive | None = None
    escalate_when: EscalationRule | None = None
    learn_from: tuple[str, ...] | None = None
    agent_at: Elsewhere | None = None
    setup: Setup | None = None

    @field_validator("agent_at", mode="before")
    @classmethod
    def _here(cls, value: object) -> object:
        return None if value == HERE else value

    @field_validator("learn_from", mode="before")
    @classmethod
    def _no_single_run(cls, value: object) -> object:
        if isinstance(value, str):
            raise ValueError(f"expected a list of runs to learn from; give [{value!r}]")  # noqa: TRY004
        return value or None

    @classmethod
    def of_start(cls, start: Mapping[str, Any]) -> Self:
        """Return the request that a start document keeps, with the agent's config in full.

        Raises
        ------
        KeyError, TypeError, ValueError
            If it keeps none.
        """
        return validated(cls, {**start["plan_args"], "agent": dict(start["agent"])}, "plan_args")

    def plan_args(self) -> dict[str, Any]:
        """Return the request as the start document keeps it: JSON values."""
        return self.model_dump(mode="json")
