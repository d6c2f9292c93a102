"""The files of an IPython session, which a laboratory may take over and change."""

import shutil
from pathlib import Path

import curio_plans
from curio_plans.session.settings import FILE

FOLDER = "profile_collection"


def profile_files() -> Path:
    """Return the folder of the files: inside the installed package, or in the checkout."""
    package = Path(curio_plans.__file__).parent
    inside = package / FOLDER
    return inside if inside.is_dir() else package.parent / FOLDER


def write_profile(directory: Path) -> list[Path]:
    """Copy the files to a directory: the startup files, the permissions of the queue, and ``curio.toml``.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    FileExistsError
        If one of them is there already; then nothing is written.
    """
    source = profile_files()
    startup = sorted(path for path in (source / "startup").iterdir() if path.suffix in (".py", ".yaml"))
    targets = {path: directory / FOLDER / "startup" / path.name for path in startup}
    targets[source / FILE] = directory / FILE
    there = [path for path in targets.values() if path.exists()]
    if there:
        raise FileExistsError(f"{there[0]} exists already, and nothing is overwritten; choose another directory")
    for path, target in targets.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return list(targets.values())
