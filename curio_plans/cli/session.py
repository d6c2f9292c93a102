"""Commands for a session in IPython: profile and ipython."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from curio_plans.cli.common import REFUSED
from curio_plans.cli.output import console

Directory = Annotated[Path, typer.Argument(help="Where the session starts.", show_default="here")]


def profile(directory: Directory = Path()) -> None:
    """Write the files of a session, to be changed as you like.

    curio.toml names the instrument and the storage; profile_collection/startup makes the RunEngine, the microscope and
    the plans, for IPython and for the queueserver.

        curio profile lab

        curio ipython lab
    """
    from curio_plans.session.profile import write_profile

    for path in write_profile(directory):
        console.print(f"wrote {path}", markup=False, highlight=False, soft_wrap=True)
    where = "" if directory == Path() else f" {directory}"
    console.print(f"start:  curio ipython{where}", markup=False, highlight=False, soft_wrap=True)


def ipython(directory: Directory = Path()) -> None:
    """Start a session in IPython: RE, the microscope afm, the plans, and the catalog of runs.

    It uses the profile_collection of the directory if there is one, else the files that come with curio. Its settings
    are in curio.toml there, if that exists.

        curio ipython

        curio ipython lab
    """
    from curio_plans.session.profile import FOLDER, profile_files

    if not directory.is_dir():
        raise ValueError(f"there is no directory {directory}; curio profile {directory} makes one")
    os.chdir(directory)
    own = Path(FOLDER)
    if (own / "startup").is_dir():
        arguments = [f"--profile-dir={own.resolve()}"]
    else:
        files = sorted(str(path) for path in (profile_files() / "startup").glob("*.py"))
        arguments = [f"--InteractiveShellApp.exec_files={files!r}"]
    sys.stdout.flush()
    command = [sys.executable, "-m", "IPython", "--no-banner", *arguments]
    try:
        os.execv(sys.executable, command)  # noqa: S606 - our own arguments
    except OSError as error:
        console.print(f"IPython does not start: {error}", markup=False)
        raise typer.Exit(REFUSED) from error
