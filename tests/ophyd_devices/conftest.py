"""Fixtures of the device tests: microscopes over a recorder or a given backend."""

import pytest
from hypothesis import settings
from safety import Recorder

from ophyd_devices import AFM, Envelope

settings.register_profile("curio", deadline=None)  # no test may depend on how busy the computer is
settings.load_profile("curio")


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
