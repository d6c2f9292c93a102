"""Bluesky's decorator for plans, typed."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

from bluesky import utils
from bluesky.utils import MsgGenerator

P = ParamSpec("P")
T = TypeVar("T")


def plan(function: Callable[P, MsgGenerator[T]]) -> Callable[P, MsgGenerator[T]]:
    """Mark a generator function as a plan: calling it without ``yield from`` gives a warning.

    This is :func:`bluesky.utils.plan`, which has no types, and would hide those of the function.
    """
    return cast("Callable[P, MsgGenerator[T]]", utils.plan(function))
