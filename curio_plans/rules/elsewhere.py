"""Where the agent of a run thinks, and what happens while that place does not answer."""

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from curio_plans.validation import Frozen, Positive, as_number

HERE = "here"
"""In place of an address: in the process of the run."""


class Elsewhere(Frozen):
    """An agent that thinks on another machine, where ``curio think`` serves it.

    Attributes
    ----------
    address : str
        Of that place, ``http://host:port`` or ``https://…``.
    wait : float
        Seconds without an answer from the place, after which `then` is done. Until then the run asks again.
    slow : float or None
        Seconds that the place may think about one decision, after which `then` is done; None for any.
    then : {"pause", "local", "end"}
        ``"pause"`` – ask a human whether to go on waiting, think here, or end; ``"local"`` – let the agent think here
        for the rest of the run; ``"end"`` – end the run, which can be resumed.
    withdraw_after : float
        Seconds of waiting for a decision after which the tip is withdrawn.
    """

    address: str
    wait: Positive = 300.0
    slow: Positive | None = None
    then: Literal["pause", "local", "end"] = "pause"
    withdraw_after: Annotated[float, Field(ge=0), as_number] = 20.0

    @field_validator("address")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise ValueError("expected an address such as http://127.0.0.1:8765, or here")
        return value.rstrip("/")

    @model_validator(mode="before")
    @classmethod
    def _of_address(cls, given: Any) -> Any:
        return {"address": given} if isinstance(given, str) else given
