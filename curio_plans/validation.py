"""Validated values: frozen models, numbers that mean what they say, and errors in sentences."""

from collections.abc import Mapping
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

Model = TypeVar("Model", bound=BaseModel)


class Frozen(BaseModel):
    """A frozen value that refuses unknown names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def replace(self, **changes: Any) -> Self:
        """Return a copy with changes, validated."""
        return type(self).model_validate({**dict(self), **changes})


def validated(model: type[Model], values: Mapping[str, Any] | Model, name: str) -> Model:
    """Return validated values; raise ValueError that names each wrong one."""
    if isinstance(values, model):
        return values
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'as a whole'}: {problem['msg']}, got {problem['input']!r}"
            for problem in error.errors()
        )
        raise ValueError(f"{name}: {wrong}; known are {', '.join(model.model_fields)}") from None
