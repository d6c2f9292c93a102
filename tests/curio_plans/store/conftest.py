import shutil
import tempfile
from pathlib import Path

import pytest


@pytest.fixture
def spare(monkeypatch):
    """Spare directories of this test alone, which every user can reach."""
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o777)
    monkeypatch.setenv("XDG_STATE_HOME", str(directory / "state"))
    monkeypatch.setattr(tempfile, "tempdir", str(directory / "temporary"))
    yield directory
    shutil.rmtree(directory)
