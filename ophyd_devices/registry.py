"""Backends by name, through the entry-point group ``curio.backends``; another package can add one."""

from importlib.metadata import entry_points
from typing import Any

from ophyd_devices.backend import AfmBackend

GROUP = "curio.backends"


class UnknownBackendError(ValueError):
    """No installed package offers a backend of this name."""


def known_backends() -> tuple[str, ...]:
    """Return the names of all installed backends."""
    return tuple(sorted(entry_points(group=GROUP).names))


def make_backend(name: str, **options: Any) -> AfmBackend:
    """Build the backend `name`.

    Raises
    ------
    UnknownBackendError
        If no installed package offers it; the message names those that are known.
    """
    found = entry_points(group=GROUP, name=name)
    if not found:
        raise UnknownBackendError(f"unknown backend {name!r}; known are {', '.join(known_backends())}")
    backend: AfmBackend = next(iter(found)).load()(**options)
    return backend
