"""The page beside a run: a server in a process of its own, as long as the run takes."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from curio_plans.cli.output import console


@contextmanager
def page_beside(directory: Path, *, wanted: bool) -> Iterator[None]:
    """Serve the page of a data directory while the block runs, where that is wanted, and print its address.

    The server is another process: the run goes on whatever happens to it, and never waits for it.
    """
    if not wanted:
        yield
        return
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "curio_plans.cli",
        "serve",
        "--port",
        "0",
        "--data",
        str(directory),
    ]
    with subprocess.Popen(  # noqa: S603 - our own arguments
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    ) as server:
        teller = threading.Thread(target=_tell, args=(server, directory), name="page", daemon=True)
        teller.start()
        try:
            yield
        finally:
            server.terminate()


def _tell(server: "subprocess.Popen[str]", directory: Path) -> None:
    from curio_plans.store.catalog import own_key

    for line in server.stdout or ():
        if line.startswith("page:"):
            address = f"{line.split()[-1]}#key={own_key(directory)}"
            console.print(f"page: {address}", highlight=False, markup=False, soft_wrap=True)
