import shutil

import pytest

from curio_plans.store.serve import databroker_profile


@pytest.fixture(scope="session")
def empty(tmp_path_factory):
    """A data directory with an empty catalog; making one takes seconds, copying it does not."""
    directory = tmp_path_factory.mktemp("empty")
    databroker_profile(directory)
    shutil.rmtree(directory / "profiles")
    (directory / "tiled" / "place").unlink()  # it has no runs yet: it may be copied
    return directory


@pytest.fixture
def data(empty, tmp_path):
    return shutil.copytree(empty, tmp_path / "data")
