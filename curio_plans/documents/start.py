"""What the start document of our runs says: enough to rebuild the agent and to know with what it ran."""

import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

FORMAT = 1
"""What the documents of a run mean; it grows when an older reader would misread them."""

PACKAGES = (
    "curio-plans", "bluesky", "ophyd", "event-model", "tiled", "bluesky-tiled-plugins", "databroker",
    "torch", "numpy", "scipy", "scikit-learn",
)  # fmt: skip
"""The packages whose versions are kept."""

RESERVED = (
    *("plan_name", "plan_args", "agent", "points", "pool", "microscope", "sample"),
    *("versions", "git", "curio_format", "resumes", "rebuilt", "learned_from"),
)
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


class FormatError(ValueError):
    """Documents that a later version wrote."""


def check_format(start: Mapping[str, Any]) -> None:
    """Raise FormatError if the run of a start document was written by a version whose documents mean something new."""
    found = start.get("curio_format", FORMAT)
    if not isinstance(found, int) or found > FORMAT:
        raise FormatError(
            f"run {start.get('uid')} has document format {found!r}, and this version reads formats up to {FORMAT}; "
            "install a later version of curio-plans, it was measured with "
            f"{start.get('versions', {}).get('curio-plans', 'one that it does not name')}"
        )


@cache
def git_state(directory: Path = Path(__file__).parents[2]) -> Mapping[str, Any] | None:
    """Return the commit that we run from, and whether files differ from it.

    Parameters
    ----------
    directory : Path
        The top of the checkout.

    Returns
    -------
    mapping or None
        ``commit`` and ``dirty`` (tracked files were changed); None where we were not installed from a checkout, or
        git does not answer.
    """
    if not (directory / ".git").exists():
        return None
    command = ["git", "--no-optional-locks", "status", "--porcelain=v2", "--branch", "--untracked-files=no"]
    try:
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    lines = done.stdout.splitlines()
    commit = next(line.split()[-1] for line in lines if line.startswith("# branch.oid"))
    return {"commit": commit, "dirty": any(not line.startswith("#") for line in lines)}


def normalise(md: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata with its experiment checked; the ``md_normalizer`` of a RunEngine.

    So a mistake in ``RE.md["experiment"]`` ends a run before it starts.

    Raises
    ------
    ExperimentError
        As :func:`curio_plans.documents.experiment.check_experiment`.
    """
    if "experiment" not in md:
        return dict(md)
    from curio_plans.documents.experiment import check_experiment  # it takes a while, and most runs are only read

    return {**md, "experiment": check_experiment(md["experiment"])}
