"""A simulated controller with its server, in this process."""

from contextlib import suppress

import pytest
from support import film

from ophyd_devices.nanonis.backend import NanonisBackend
from ophyd_devices.nanonis.client import LostError
from ophyd_devices.nanonis.simulator.controller import SimulatedController
from ophyd_devices.nanonis.simulator.server import Server
from ophyd_devices.twin import SimulatedClock, TwinBackend


@pytest.fixture
def serve():
    """A function that serves a twin and returns the server."""
    servers = []

    def serve(*, real_time=False, errors="block", sample=None, fault=None, **options):
        twin = TwinBackend(sample or film(3), SimulatedClock(real_time), 3)
        servers.append(Server(SimulatedController(twin, **options), errors=errors, fault=fault))
        return servers[-1]

    yield serve
    for server in servers:
        server.close()
        server.controller.close()


@pytest.fixture
def connect():
    """A function that connects a backend to a server."""
    backends = []

    def connect(server, **options):
        backends.append(
            NanonisBackend(**{"ports": server.ports[:3], "force_per_unit": 50.0, "timeout": 5.0, **options})
        )
        return backends[-1]

    yield connect
    for backend in backends:
        with suppress(LostError):  # of a controller that hangs
            backend.close()
