"""When a place is worth a more advanced spectroscopy."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class EscalationRule(BaseModel):
    """When a place is worth a more advanced spectroscopy.

    Attributes
    ----------
    looks : int
        So many points were measured within `radius` of it, it included.
    radius : float
        In nm.
    factor : float
        The error that the agent expects there, having learned from them, is still so many times the median over the
        pool.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    looks: Annotated[int, Field(ge=1)] = 3
    radius: Annotated[float, Field(gt=0)] = 100.0
    factor: Annotated[float, Field(gt=0)] = 2.0
