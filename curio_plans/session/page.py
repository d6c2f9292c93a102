"""The page beside a run or a session: a server in a process of its own, which ends with the process that started it."""

import os
import subprocess
import sys
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path

from curio_plans.store.catalog import own_key


class PageBeside:
    """Serves the page of a data directory; whatever happens to it, nobody waits for it.

    Parameters
    ----------
    directory : Path
        The data directory.
    tell : callable
        Takes the address, with the key, as soon as the page is there.
    host : str
        Where to listen; by default on this computer only.
    port : int
        By default one that is free.
    """

    def __init__(self, directory: Path, tell: Callable[[str], None], host: str = "127.0.0.1", port: int = 0) -> None:
        self._directory, self._tell = directory, tell
        command = [
            sys.executable, "-W", "ignore", "-m", "curio_plans.cli", "serve", "--while-open",
            "--host", host, "--port", str(port), "--data", str(directory),
        ]  # fmt: skip
        self._server = subprocess.Popen(  # noqa: S603 - our own arguments
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            start_new_session=True,
        )  # fmt: skip
        self._teller = threading.Thread(target=self._read, name="page", daemon=True)
        self._teller.start()

    def close(self) -> None:
        """End the server."""
        self._server.terminate()
        self._server.wait()
        self._teller.join()
        for pipe in (self._server.stdin, self._server.stdout):
            if pipe is not None:
                pipe.close()

    def _read(self) -> None:
        told = False
        for line in self._server.stdout or ():
            if line.startswith("page:"):
                told = True
                key = os.environ.get("CURIO_SERVE_API_KEY") or own_key(self._directory)
                self._tell(f"{line.split()[-1]}#key={key}")
        if not told and self._server.wait() > 0:
            self._tell("could not be served; curio serve says why")


def open_page(directory: Path, host: str = "127.0.0.1", port: int = 0, *, browser: bool = False) -> PageBeside:
    """Serve the page of a session; print its address, and with `browser` open it there.

    The key is printed in a terminal only: what a service prints ends up in a log.
    """

    def tell(address: str) -> None:
        if browser and "#key=" in address:
            webbrowser.open(address)
        keyless = f"{address.partition('#')[0]} (the key is in {directory / 'tiled' / 'key'})"
        sys.stdout.write(f"page: {address if sys.stdout.isatty() or '#' not in address else keyless}\n")
        sys.stdout.flush()

    return PageBeside(directory, tell, host, port)
