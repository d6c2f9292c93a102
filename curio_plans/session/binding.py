"""Fitting a plan to a session: arguments fixed, agents by name, limits for the queue. It still looks like a plan."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from curio_plans.run.plan import plan as plan_decorator


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

    parameters = [parameter for name, parameter in signature.parameters.items() if name not in fixed]
    return _plan(generator, signature.replace(parameters=parameters))


def name_agent(plan: Callable[..., Any], configure: Callable[..., dict[str, Any]]) -> Callable[..., Any]:
    """Return `plan` with its argument ``agent`` given by name, and ``options`` for it.

    Parameters
    ----------
    plan : callable
        Takes ``agent``, a config.
    configure : callable
        Makes the full config from a name and options; :func:`agents.registry.configure`. What it refuses is refused
        before anything moves. A config in place of the name is completed by it.

    Examples
    --------
    >>> explore = name_agent(curiosity, configure)
    >>> RE(explore(afm, "curio", points=50, options={"initial": 10}))  # doctest: +SKIP
    """
    signature = inspect.signature(plan)

    @functools.wraps(plan)
    def generator(*args: Any, options: dict[str, Any] | None = None, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs)
        agent = given.arguments["agent"]
        config = {**({"agent": agent} if isinstance(agent, str) else agent), **(options or {})}
        given.arguments["agent"] = configure(config.pop("agent"), **config)
        return (yield from plan(*given.args, **given.kwargs))

    options = inspect.Parameter(
        "options", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=dict[str, Any] | None
    )
    parameters = dict(signature.parameters)
    parameters["agent"] = parameters["agent"].replace(annotation=str | dict[str, Any])
    named = _plan(generator, signature.replace(parameters=[*parameters.values(), options]))
    hint = "In this session ``agent`` is a name or a config, and ``options`` are options of that agent."
    named.__doc__ = (plan.__doc__ or "").replace("\n\n", f"\n\n    {hint}\n\n", 1)
    return named


def limit(plan: Callable[..., Any], **parameters: Mapping[str, Any]) -> Callable[..., Any]:
    """Tell the queueserver what `plan` takes, so that it refuses anything else when it is submitted; return `plan`.

    Parameters
    ----------
    plan : callable
        From :func:`bind` or :func:`name_agent`.
    **parameters : dict
        For each limited argument what ``bluesky_queueserver.parameter_annotation_decorator`` takes: ``annotation``,
        ``devices``, ``enums``, ``min``, ``max``.

    Raises
    ------
    TypeError
        If the plan has no such argument.
    """
    unknown = sorted(set(parameters) - set(inspect.signature(plan).parameters))
    if unknown:
        raise TypeError(f"{plan.__name__} has no argument {', '.join(unknown)}")
    # The attribute that the decorator sets; a session without a queue need not install or import the queueserver.
    plan._custom_parameter_annotation_ = {"parameters": parameters}  # type: ignore[attr-defined]
    return plan


def _plan(generator: Callable[..., Any], signature: inspect.Signature) -> Callable[..., Any]:
    bound = plan_decorator(generator)
    bound.__signature__ = signature  # type: ignore[attr-defined]
    return bound
