"""Fixtures of the device tests: microscopes over a recorder or a given backend, and patience."""

import time

import pytest
from safety import Recorder

from ophyd_devices import AFM, Envelope


@pytest.fixture
def make():
    """Build microscopes: over a Recorder unless a backend is given, with the limits that are named."""
    made = []

    def build(backend=None, *, doses=None, **limits):
        made.append(AFM(backend or Recorder(), name="afm", envelope=Envelope.model_validate(limits), doses=doses))
        return made[-1]

    yield build
    for afm in made:
        afm.close()


@pytest.fixture(scope="session")
def eventually():
    """Wait for a condition, at most 10 s, and return it."""

    def wait(condition):
        deadline = time.monotonic() + 10
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.005)
        return condition()

    return wait
