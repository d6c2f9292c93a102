"""Values that are checked when they are made, and what we say when a check fails."""

import math
import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self, TypeVar, get_args

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

Model = TypeVar("Model", bound=BaseModel)

_SECRET = ("key", "password", "secret", "token")


class _Short(reprlib.Repr):
    """`repr` of the beginning of a value."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 100

    def repr_int(self, x: int, level: int) -> str:  # noqa: ARG002
        """Return the digits, or how many there are: Python refuses to write out thousands of them."""
        return repr(x) if x.bit_length() < 300 else f"a whole number of {x.bit_length()} bits"


class Frozen(BaseModel):
    """A value that never changes: the base of all rules, requests and settings.

    Unknown keys are refused, and so is a float that is not finite. :meth:`replace` makes a changed copy.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed, checked like a new value.

        Raises
        ------
        ValueError
            As :func:`validated`.
        """
        given = {name: getattr(self, name) for name in self.model_fields_set}
        return validated(type(self), {**given, **changes}, type(self).__name__)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy without changes.

        Raises
        ------
        TypeError
            If `update` has changes: pydantic would not check them.
        """
        if update:
            changes = ", ".join(f"{name}=…" for name in update)
            raise TypeError(
                f"expected no unchecked change of a {type(self).__name__}, got update of {', '.join(update)}; "
                f"use replace({changes}), which checks it"
            )
        return super().model_copy(deep=deep)


def validated(model: type[Model], values: Mapping[str, Any] | Model, name: str) -> Model:
    """Return the value of type `model` that `values` describe.

    Parameters
    ----------
    model : type of pydantic model
        For instance a subclass of :class:`Frozen`.
    values : mapping or instance of `model`
        An instance is returned as it is.
    name : str
        What the user calls it, e.g. ``"quality"``; errors begin with it.

    Raises
    ------
    ValueError
        If a key is unknown or missing, or a value is not of its kind. It names each such key, what was expected, what
        came, and the known keys.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ValueError("; ".join(sentence(name, fault) for fault in faults(error, model))) from None


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a value.

    Attributes
    ----------
    place : tuple of str
        Key, key within it, …; empty where the value as a whole is meant.
    text : str
        What was expected, what came, and the known keys where the key is unknown or missing.
    """

    place: tuple[str, ...]
    text: str


def faults(error: ValidationError, model: type[BaseModel]) -> Iterator[Fault]:
    """Yield what pydantic found wrong with a value of type `model`. Passwords and keys are not shown."""
    for found in error.errors():
        place = tuple(str(part) for part in found["loc"])
        value = "…" if any(word in part.lower() for part in place[-1:] for word in _SECRET) else shown(found["input"])
        if found["type"] == "extra_forbidden":
            text = f"there is no such key, got {value}"
        elif found["type"] == "missing":
            text = "expected a value, got none"
        else:
            text = f"{found['msg'].removeprefix('Value error, ')}, got {value}"
        if found["type"] in ("extra_forbidden", "missing"):
            text += f"; known are {', '.join(_model_at(model, place[:-1]).model_fields)}"
        yield Fault(place, text)


def sentence(name: str, fault: Fault) -> str:
    """Return one sentence about a fault of the value that the user calls `name`."""
    return ": ".join(part for part in (name, ".".join(fault.place), fault.text) if part)


def shown(value: Any) -> str:
    """Return `value` for an error message: its beginning, whatever its size."""
    return _Short().repr(value)


def _model_at(model: type[BaseModel], place: tuple[str, ...]) -> type[BaseModel]:
    """Return the model of the field that lies at `place`; the nearest one around it where that is none."""
    for part in place:
        field = model.model_fields.get(part)
        kinds = () if field is None else (field.annotation, *get_args(field.annotation))
        model = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), model)
    return model


def _plain(value: Any) -> Any:
    """Return the Python value of a NumPy scalar or of an array without dimensions; any other value as it is."""
    return value.item() if isinstance(value, np.generic | np.ndarray) and value.ndim == 0 else value


def _number(value: Any) -> float:
    value = _plain(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PydanticCustomError("number", "Input should be a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise PydanticCustomError("finite_number", "Input should be a finite number")
    return number


def _whole(value: Any) -> int:
    value = _plain(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise PydanticCustomError("whole_number", "Input should be a whole number")
    return value


def _flag(value: Any) -> bool:
    value = _plain(value)
    if not isinstance(value, bool):
        raise PydanticCustomError("flag", "Input should be true or false")
    return value


as_number, as_whole = BeforeValidator(_number), BeforeValidator(_whole)
"""For numbers with limits of their own; they come last, ``Annotated[int, Field(le=3), as_whole]``, for the schema."""

Number = Annotated[float, as_number]
"""A finite number; NumPy scalars count, bools and text do not."""

Positive = Annotated[float, Field(gt=0), as_number]
NonNegative = Annotated[float, Field(ge=0), as_number]
Fraction = Annotated[float, Field(ge=0, le=1), as_number]

Whole = Annotated[int, as_whole]
"""A whole number; 9.0 and NumPy integers count, bools and text do not."""

PositiveWhole = Annotated[int, Field(ge=1), as_whole]
NonNegativeWhole = Annotated[int, Field(ge=0), as_whole]

Flag = Annotated[bool, BeforeValidator(_flag)]
"""True or false; NumPy's count, numbers and text do not."""

Text = Annotated[str, Field(min_length=1)]
