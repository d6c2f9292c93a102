"""Backends by name, from the entry-point group ``curio.backends``. Other packages can add their own.

A path ``package.module:function`` names a backend that no package has registered. Options are checked against the
signature of the function before it is called, so that a wrong option is reported before anything connects.
"""

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from ophyd_devices.backend import AfmBackend

GROUP = "curio.backends"


class UnknownBackendError(ValueError):
    """No installed package offers a backend of this name."""


def known_backends() -> tuple[str, ...]:
    """Return the names of all installed backends."""
    return tuple(sorted(entry_points(group=GROUP).names))


def make_backend(name: str, **options: Any) -> AfmBackend:
    """Build the backend `name`.

    Parameters
    ----------
    name : str
        One of :func:`known_backends`, or a dotted path ``package.module:function``.
    **options
        The arguments of the function. Lists and paths from a settings file are converted to the annotated types.

    Raises
    ------
    UnknownBackendError
        If there is no such backend; the message names those that are known.
    ValueError
        If an option is unknown, missing or has the wrong type.
    """
    factory = _factory(name)
    backend: AfmBackend = factory(**_checked(name, factory, options))
    return backend


def check_backend(name: str, options: Mapping[str, Any]) -> None:
    """Raise what :func:`make_backend` would raise for name and options. Nothing is built, nothing connects."""
    _checked(name, _factory(name), options)


def _factory(name: str) -> Callable[..., AfmBackend]:
    found = entry_points(group=GROUP, name=name)
    try:
        if found:
            return next(iter(found)).load()  # type: ignore[no-any-return]
        module, _, function = name.partition(":")
        if function:
            return getattr(import_module(module), function)  # type: ignore[no-any-return]
    except (ImportError, AttributeError) as error:
        raise UnknownBackendError(
            f"backend {name!r} cannot be loaded: {error}; install what is missing (for epics: "
            "pip install 'curio-plans[epics]'), or put its directory on PYTHONPATH"
        ) from error
    raise UnknownBackendError(
        f"unknown backend {name!r}; known are {', '.join(known_backends())}, or a path package.module:function"
    )


def _checked(name: str, factory: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    parameters = {
        key: parameter
        for key, parameter in inspect.signature(factory).parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    takes = f"it takes {', '.join(parameters)}" if parameters else "it takes none"
    for key, value in options.items():
        if key not in parameters:
            raise ValueError(f"backend {name!r} has no option {key} (= {value!r}); {takes}")
    for key, parameter in parameters.items():
        if parameter.default is parameter.empty and key not in options:
            raise ValueError(f"backend {name!r} needs the option {key}; {takes}")
    hints = get_type_hints(factory.__init__ if inspect.isclass(factory) else factory)
    return {key: _converted(name, key, value, hints.get(key, Any)) for key, value in options.items()}


def _converted(name: str, key: str, value: Any, annotation: Any) -> Any:
    try:
        return TypeAdapter(annotation).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"option {key} of backend {name!r} = {value!r}: {first['msg']}") from error
