"""The options of an agent, each written once: name, type, default, limits and help in one line of a pydantic model.

A *recipe* is a function from such options to an agent; :func:`recipe` makes it a function of keyword arguments::

    class Seeded(Options):
        seed: int = Field(0, ge=0, description="Determines all random choices.")

    @recipe
    def random(options: Seeded) -> Agent:
        return RandomAgent(options.config)  # {"agent": "random", "seed": 0}
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, PrivateAttr, TypeAdapter, ValidationError, ValidationInfo, field_validator
from pydantic.errors import PydanticUserError
from pydantic_core import to_jsonable_python

from agents.protocols import Agent

LATER = "an option that came later"
"""Marks an option, ``Annotated[…, LATER]``, that is in a config only where it is not the default: the configs of older
stored runs stay as they are."""


class MissingExtraError(ImportError, ValueError):
    """An agent needs an optional package that is not installed."""


class OptionError(ValueError):
    """An option has a value that its agent does not take."""


class Options(BaseModel):
    """The options of an agent, in the order of its config.

    numpy scalars count as numbers, a float without a fraction as a whole number. A bool is no number; NaN and infinity
    are refused.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    _agent: str = PrivateAttr("")

    @property
    def config(self) -> dict[str, Any]:
        """``{"agent": name, **options}``: what a start document stores."""
        unused = {
            name
            for name, field in type(self).model_fields.items()
            if LATER in field.metadata and getattr(self, name) == field.default
        }
        return {"agent": self._agent, **self.model_dump(exclude=unused)}

    @field_validator("*", mode="before")
    @classmethod
    def _plain_number(cls, value: Any, info: ValidationInfo) -> Any:
        value = value.item() if isinstance(value, np.generic) else value
        whole = cls.model_fields[str(info.field_name)].annotation is int
        return int(value) if whole and isinstance(value, float) and value.is_integer() else value


Given = TypeVar("Given", bound=Options)


class Recipe(Generic[Given]):
    """A named agent, made from keyword options. ``paper_latent`` makes the agent ``paper-latent``."""

    def __init__(self, make: Callable[[Given], Agent]) -> None:
        functools.update_wrapper(self, make)
        self.name = make.__name__.replace("_", "-")
        self.options: type[Given] = inspect.signature(make).parameters["options"].annotation
        self.__signature__ = inspect.signature(self.options)
        self._make = make

    def __call__(self, **chosen: Any) -> Agent:
        """Make the agent; raise OptionError if the value of an option is out of range."""
        self.__signature__.bind(**chosen)
        try:
            options = self.options(**chosen)
        except ValidationError as error:
            wrong = dict.fromkeys(str(each["loc"][0]) for each in error.errors())
            properties = schema(self)["properties"]
            sentences = [f"{name} must be {expected(properties[name])}, got {chosen[name]!r}" for name in wrong]
            raise OptionError("; ".join(sentences)) from None
        options._agent = self.name
        return self._make(options)


recipe = Recipe
"""Decorate a function whose only parameter is ``options``, annotated with a subclass of :class:`Options`."""


@dataclass(frozen=True)
class Option:
    """What a user may want to know of an option.

    Attributes
    ----------
    default : Any
    expected : str
        What its value must be, e.g. ``a whole number of at least 0``; empty if the recipe does not say.
    help : str
        What it does; empty if the recipe does not say.
    """

    default: Any
    expected: str
    help: str


def schema(make: Callable[..., Agent]) -> dict[str, Any]:
    """Return the JSON schema of a recipe's options. Of a plain function it has types as far as they are annotated."""
    if isinstance(make, Recipe):
        found = make.options.model_json_schema()
    else:
        parameters = inspect.signature(make).parameters
        found = {"type": "object", "properties": {name: _property(each) for name, each in parameters.items()}}
    return {"additionalProperties": False, "properties": {}, **found, "description": inspect.getdoc(make) or ""}


def describe(make: Callable[..., Agent]) -> dict[str, Option]:
    """Return the options of a recipe, or of a plain function, in order."""
    properties = schema(make)["properties"]
    return {
        name: Option(parameter.default, expected(properties[name]), properties[name].get("description", ""))
        for name, parameter in inspect.signature(make).parameters.items()
    }


def expected(schema: Mapping[str, Any]) -> str:
    """Return in words what the JSON schema of an option demands: ``a number between 0 and 1``."""
    if "anyOf" in schema:
        return " or ".join(filter(None, (expected(each) for each in schema["anyOf"])))
    if "enum" in schema:
        return f"one of {', '.join(map(str, schema['enum']))}"
    words = WORDS.get(schema.get("type", ""), "")
    if {"minimum", "maximum"} <= set(schema):
        return f"{words} between {schema['minimum']:g} and {schema['maximum']:g}"
    return f"{words} of at least {schema['minimum']:g}" if "minimum" in schema else words


WORDS: Mapping[str, str] = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "string": "text",
    "object": "a mapping",
    "array": "a list",
    "null": "none",
}
"""What the types of JSON are called in messages."""


def _property(parameter: inspect.Parameter) -> dict[str, Any]:
    """Return the JSON schema of a plain function's option, as far as its annotation and its default say one."""
    found: dict[str, Any] = {}
    if parameter.annotation is not parameter.empty:
        try:
            found = TypeAdapter(parameter.annotation).json_schema()
        except (PydanticUserError, NameError):
            found = {}  # a type that JSON does not know
    return {**found, "default": to_jsonable_python(parameter.default, serialize_unknown=True)}
