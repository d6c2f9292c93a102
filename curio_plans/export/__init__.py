"""Runs as files that other programs read: NeXus/HDF5, NSID for pycroscopy, and npz that can be measured again."""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from curio_plans.export.run import ExportError, Run

__all__ = ["SUFFIXES", "ExportError", "export"]


def _nexus(run: Run, path: Path, *, truth: bool) -> None:  # noqa: ARG001  it has all streams anyway
    from curio_plans.export.nexus import write

    write(run, path)


def _sample(run: Run, path: Path, *, truth: bool) -> None:
    from curio_plans.export.sample import write

    write(run, path, truth=truth)


def _nsid(run: Run, path: Path, *, truth: bool) -> None:  # noqa: ARG001  pycroscopy has point clouds
    from curio_plans.export.nsid import write

    write(run, path)


SUFFIXES: Mapping[str, Callable[..., None]] = {
    ".nxs": _nexus,
    ".h5": _nexus,
    ".npz": _sample,
    ".hf5": _nsid,
    ".usid": _nsid,
}
"""The writer of a kind of file, by the ending of its name."""


def export(
    documents: Iterable[tuple[str, Mapping[str, Any]]], path: Path | str, *, truth: bool = False, force: bool = False
) -> Path:
    """Write a run into one file; the ending of its name chooses the kind.

    ``.nxs`` and ``.h5`` are NeXus: everything that is in the documents, under the names of NXspm where it has some, see
    :mod:`curio_plans.export.nexus`. ``.npz`` is a recorded sample, see :mod:`curio_plans.export.sample`. ``.hf5`` and
    ``.usid`` are NSID, see :mod:`curio_plans.export.nsid`. The file appears under its name when it is complete.

    Parameters
    ----------
    documents : iterable of (name, document)
        One run.
    path : Path or str
        The file.
    truth : bool
        Only for ``.npz``: fill places that were not measured with the true spectra that a simulation recorded.
    force : bool
        Replace an existing file.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ExportError
        If the ending is unknown, the file exists, or the run does not have what this kind of file needs.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise ExportError(f"expected a file that ends in one of {', '.join(SUFFIXES)}, got {path}")
    if path.exists() and not force:
        raise ExportError(f"{path} exists already; choose another name, or replace it with force")
    run = Run(documents)
    draft = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        SUFFIXES[path.suffix](run, draft, truth=truth)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return path
