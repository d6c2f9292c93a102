"""What the start document of our runs says: enough to rebuild the agent and to know with what it ran."""

import hashlib
import json
import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from curio_plans.documents.plain_values import plain

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

PROVENANCE = "curio_provenance"
"""The key of the start document with a digest of each of these; see `check_provenance`."""


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


def is_of_agent(start: Mapping[str, Any]) -> bool:
    """Tell whether an agent decides in the run of a start document: it names agent, budget and pool as curiosity does.

    Plans of a user's own may keep anything by these names.
    """
    pool = start.get("pool")
    if not isinstance(start.get("agent"), Mapping) or not isinstance(pool, Mapping):
        return False
    channels, numbers = pool.get("channels"), (start.get("points"), pool.get("window"), pool.get("stride"))
    return (
        isinstance(channels, list | tuple)
        and all(isinstance(name, str) for name in channels)
        and all(isinstance(number, int) and number > 0 for number in numbers)
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
    """Return the metadata of a run as the start document keeps it; the ``md_normalizer`` of a RunEngine.

    The RunEngine calls it with all metadata of a run – of ``RE.md``, of ``RE(plan, key=value)``, of the plan and what
    is wrapped around it – before anything moves.

    Raises
    ------
    ValueError
        If a value could not be read back (see :func:`curio_plans.documents.plain_values.plain`), the experiment is not
        described as :class:`curio_plans.documents.experiment.Experiment` says, or a key of :data:`RESERVED` is not what
        the plan gave.
    """
    values = _plain(md)
    check_provenance(values)
    return values


def sealed(md: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata of a plan, normalised, with a digest of each key of :data:`RESERVED` under `PROVENANCE`.

    Raises
    ------
    ValueError
        As :func:`normalise`.
    """
    values = _plain(md)
    return {**values, PROVENANCE: {key: _digest(values[key]) for key in RESERVED if key in values}}


def check_provenance(md: Mapping[str, Any]) -> None:
    """Raise ValueError if the metadata of one of our plans was changed on its way into the start document.

    There are many ways to do that – ``RE(plan, key=value)``, ``RE.md``, ``inject_md_wrapper`` –, and one rule: each key
    of :data:`RESERVED` is what its digest says, and is missing where it has none. A plan that gives no digests may use
    these keys as it likes.
    """
    if PROVENANCE not in md and "curio_format" not in md:
        return
    digests = md.get(PROVENANCE)
    told = digests if isinstance(digests, Mapping) else {}
    changed = [key for key in RESERVED if (_digest(md[key]) if key in md else None) != told.get(key)]
    if changed or not told:
        raise ValueError(
            f"expected {', '.join(changed) or PROVENANCE} as the plan gave it, because replaying and resuming rely on "
            "it, but RE(plan, key=…), RE.md or a wrapper set it; choose other names for metadata of your own"
        )


def _plain(md: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(md)
    if "experiment" in found:
        from curio_plans.documents.experiment import check_experiment  # it takes a while, and most runs are only read

        found["experiment"] = check_experiment(found["experiment"])
    return plain(found)  # type: ignore[no-any-return]


def _digest(value: Any) -> str:
    """Return a short digest of a value; that of a tuple is that of a list."""
    text = json.dumps(value, sort_keys=True, default=lambda array: [str(array.dtype), array.tolist()])
    return hashlib.sha256(text.encode()).hexdigest()[:16]
