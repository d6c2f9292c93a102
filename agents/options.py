"""Checks of an agent's options; each says what was expected and what came."""

from collections.abc import Iterable


class MissingExtraError(ImportError, ValueError):
    """An agent needs a package that is only installed when it is asked for."""


def whole(name: str, value: int, least: int) -> int:
    """Return `value` if it is a whole number of at least `least`; else raise ValueError."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return value


def between(name: str, value: float, low: float, high: float) -> float:
    """Return `value` if it is a number from `low` to `high`; else raise ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{name} must be a number between {low} and {high}, got {value!r}")
    return float(value)


def one_of(name: str, value: str, known: Iterable[str]) -> str:
    """Return `value` if it is among those `known`; else raise ValueError."""
    if value not in (names := tuple(known)):
        raise ValueError(f"{name} must be one of {', '.join(names)}, got {value!r}")
    return value
