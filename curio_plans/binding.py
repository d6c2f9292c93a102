"""Fixing arguments of a plan while keeping it a plan that looks like one."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from bluesky.utils import plan as plan_decorator


def bind(plan: Callable[..., Any], **fixed: Any) -> Callable[..., Any]:
    """Return `plan` with the keyword arguments `fixed`, gone from its signature.

    Unlike :func:`functools.partial` the result keeps name and docstring and is a generator function, so help(), the
    queueserver and IPython show what a user can pass.

    Raises
    ------
    TypeError
        If the plan has no such argument.
    """
    signature = inspect.signature(plan)
    unknown = sorted(set(fixed) - set(signature.parameters))
    if unknown:
        raise TypeError(f"{plan.__name__} has no argument {', '.join(unknown)}")

    @functools.wraps(plan)
    def generator(*args: Any, **kwargs: Any) -> Any:
        return (yield from plan(*args, **kwargs, **fixed))

    bound: Callable[..., Any] = plan_decorator(generator)

    parameters = [parameter for name, parameter in signature.parameters.items() if name not in fixed]
    bound.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return bound
