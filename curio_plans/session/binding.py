"""Fitting a plan to a session: fixed arguments, agents by name, limits for the queue. The result is still a plan."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel

from curio_plans.rules.elsewhere import HERE
from curio_plans.run.plan import plan as plan_decorator

AnyPlan = Callable[..., Any]
Limits = dict[str, float]
"""``min``, ``max`` or both."""


def bind(plan: AnyPlan, **fixed: Any) -> AnyPlan:
    """Return `plan` with the keyword arguments `fixed`, which leave its signature.

    Unlike :func:`functools.partial` the result keeps name and docstring and is a generator function: help(), the
    queueserver and IPython show the arguments that are left.

    Raises
    ------
    TypeError
        If the plan has no such argument.
    """
    signature = _signature(plan, fixed)

    @functools.wraps(plan)
    def generator(*args: Any, **kwargs: Any) -> Any:
        return (yield from plan(*args, **kwargs, **fixed))

    parameters = [parameter for name, parameter in signature.parameters.items() if name not in fixed]
    return _plan(generator, signature.replace(parameters=parameters))


def default(plan: AnyPlan, **values: Any) -> AnyPlan:
    """Return `plan` with other defaults of keyword arguments.

    Raises
    ------
    TypeError
        If the plan has no such argument.
    """
    signature = _signature(plan, values)

    @functools.wraps(plan)
    def generator(*args: Any, **kwargs: Any) -> Any:
        return (yield from plan(*args, **{**values, **kwargs}))

    parameters = [
        parameter.replace(default=values[name]) if name in values else parameter
        for name, parameter in signature.parameters.items()
    ]
    return _plan(generator, signature.replace(parameters=parameters))


def name_agent(plan: AnyPlan, configure: Callable[..., dict[str, Any]]) -> AnyPlan:
    """Return `plan` with its argument ``agent`` given by name, and ``options`` for it.

    Parameters
    ----------
    plan : callable
        Has the argument ``agent``, a config.
    configure : callable
        Makes the full config from a name and options; :func:`agents.registry.configure`. It refuses unknown names and
        options before anything moves. It also completes a config that is given in place of the name. Where an agent
        thinks elsewhere, that place does this.

    Examples
    --------
    >>> explore = name_agent(curiosity, configure)
    >>> RE(explore(afm, "curio", points=50, options={"initial": 10}))  # doctest: +SKIP
    """
    signature = inspect.signature(plan)

    @functools.wraps(plan)
    def generator(*args: Any, options: dict[str, Any] | None = None, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs)
        given.apply_defaults()
        agent = given.arguments["agent"]
        config = {**({"agent": agent} if isinstance(agent, str) else agent), **(options or {})}
        thinks_here = given.arguments.get("agent_at") in (None, HERE)
        given.arguments["agent"] = configure(config.pop("agent"), **config) if thinks_here else config
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


def limit(plan: AnyPlan, **parameters: Mapping[str, Any]) -> AnyPlan:
    """Return `plan` with what the queueserver checks when it is submitted; the plan itself checks more.

    Parameters
    ----------
    plan : callable
        Any plan.
    **parameters : dict
        For each limited argument, as ``bluesky_queueserver.parameter_annotation_decorator`` takes it: ``annotation``,
        ``devices``, ``enums``, ``min``, ``max``. See also :func:`limits_of`.

    Raises
    ------
    TypeError
        If the plan has no such argument.
    """
    _signature(plan, parameters)
    limited = bind(plan)
    # The attribute that the decorator sets; a session without a queue need not install or import the queueserver.
    limited._custom_parameter_annotation_ = {"parameters": parameters}  # type: ignore[attr-defined]
    return limited


def limits_of(model: type[BaseModel]) -> dict[str, Limits]:
    """Return the limits of the numbers of a validated value, from its JSON schema, for :func:`limit`.

    The queueserver knows no limit that is itself excluded: 0 passes it where a number must be positive, and the plan
    refuses it.

    Parameters
    ----------
    model : type of pydantic model
        Its fields are arguments of a plan, e.g. :class:`curio_plans.rules.RunRequest`.
    """
    fields = model.model_json_schema()["properties"]
    found = {name: _limits(field) for name, field in fields.items()}
    return {name: limits for name, limits in found.items() if limits}


_LIMITS = {"minimum": "min", "exclusiveMinimum": "min", "maximum": "max", "exclusiveMaximum": "max"}
"""Names of limits in a JSON schema, and those of the queueserver."""


def _limits(field: Mapping[str, Any]) -> Limits:
    """Return the limits of a field; a field that may be null has one alternative for that and one for the number."""
    for kind in field.get("anyOf", [field]):
        if kind.get("type") in ("integer", "number"):
            choices = kind.get("enum", ())
            ends = {"min": min(choices), "max": max(choices)} if choices else {}
            return ends | {name: kind[key] for key, name in _LIMITS.items() if key in kind}
    return {}


def _signature(plan: AnyPlan, arguments: Mapping[str, Any]) -> inspect.Signature:
    """Return the signature of a plan; raise TypeError unless it has these arguments."""
    signature = inspect.signature(plan)
    unknown = sorted(set(arguments) - set(signature.parameters))
    if unknown:
        known = ", ".join(signature.parameters)
        raise TypeError(f"{plan.__name__} has no argument {', '.join(unknown)}; it has {known}")
    return signature


def _plan(generator: AnyPlan, signature: inspect.Signature) -> AnyPlan:
    bound = plan_decorator(generator)
    bound.__signature__ = signature  # type: ignore[attr-defined]
    return bound
