"""What the start document of our runs says; enough to rebuild the agent and to know with what it ran."""

import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from curio_plans.microscope import Microscope

PACKAGES = (
    "curio-plans", "bluesky", "ophyd", "event-model", "tiled", "bluesky-tiled-plugins", "databroker",
    "torch", "numpy", "scipy", "scikit-learn",
)  # fmt: skip
"""The packages whose versions are kept."""

RESERVED = ("plan_name", "plan_args", "agent", "points", "pool", "microscope", "sample", "versions")
"""Keys of the start document that a replay relies on; free metadata cannot replace them."""


@cache
def versions() -> Mapping[str, str]:
    """Return the versions of Python and of :data:`PACKAGES`; ``"not installed"`` where one is missing."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def run_metadata(
    afm: Microscope, plan_name: str, plan_args: Mapping[str, Any], md: Mapping[str, Any] | None, **more: Any
) -> dict[str, Any]:
    """Return the metadata of a run.

    Parameters
    ----------
    afm : Microscope
        Names itself and describes its sample.
    plan_name, plan_args
        What was asked for.
    md : mapping, optional
        The user's free metadata; it is not changed.
    more
        What belongs to this plan alone.

    Raises
    ------
    ValueError
        If `md` has a key of :data:`RESERVED`.
    """
    free = dict(md) if md is not None else {}
    taken = sorted(set(free) & set(RESERVED))
    if taken:
        raise ValueError(f"md must not set {', '.join(taken)}: a replay relies on them; choose other names")
    return {
        "plan_name": plan_name,
        "plan_args": dict(plan_args),
        "microscope": afm.name,
        "sample": dict(afm.describe_sample()),
        "versions": dict(versions()),
        "detectors": [afm.imager.name, afm.spectrometer.name],
        "motors": [afm.scanner.name],
        **more,
        **free,
    }
