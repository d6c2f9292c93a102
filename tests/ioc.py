"""An IOC in a process of its own, on loopback."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from processes import CURIO


@contextmanager
def loopback() -> Iterator[None]:
    """Channel Access on loopback only; each IOC has a port of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EPICS_CA_ADDR_LIST", "")
        patch.setenv("EPICS_CA_AUTO_ADDR_LIST", "NO")
        yield


def free_port():
    """Return a port that is free for TCP and UDP."""
    with socket.socket(type=socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
        udp.bind(("127.0.0.1", 0))
        tcp.bind(("127.0.0.1", udp.getsockname()[1]))
        return udp.getsockname()[1]


class Ioc:
    """``curio ioc`` as a user starts it."""

    def __init__(self, prefix, *options, backend="twin"):
        port = str(free_port())
        os.environ["EPICS_CA_ADDR_LIST"] += f" 127.0.0.1:{port}"
        self._command = [*CURIO, "ioc", "--backend", backend]
        self._command += ["--prefix", prefix, "--port", port]
        self._command += [word for option in options for word in ("-o", option)]
        self.prefix = prefix
        self.start()

    def start(self):
        self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert "ready" in self.process.stdout.readline()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
