"""A data directory with one run whose names are hostile, and its server."""

import shutil

import pytest
from bluesky import RunEngine
from browser import PageServer
from support import microscope

from curio_plans.plans import curiosity
from curio_plans.store.storage import Storage

HOSTILE = "<script>document.title='owned'</script>\n\"'../../etc/passwd<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def measured(empty, wanderer, tmp_path_factory):
    """A data directory with one run of 12 points; its uid; what the RunEngine emitted."""
    data = shutil.copytree(empty, tmp_path_factory.mktemp("page") / "data")
    documents = []
    afm = microscope()
    engine = RunEngine({})
    experiment = {"sample": {"name": HOSTILE}, "operator": HOSTILE, "more": {"note": HOSTILE}}
    with Storage.local(data) as storage:
        storage.attach(engine)
        engine.subscribe(lambda name, doc: documents.append((name, doc)))
        plan = curiosity(
            afm, {"seed": 1, "initial": 4}, 12, build=wanderer, map_every=4, drift={"every_points": 5},
            md={"experiment": experiment},
        )  # fmt: skip
        (uid,) = engine(plan)
    afm.close()
    return data, uid, documents


@pytest.fixture(scope="module")
def served(measured):
    data, uid, _ = measured
    server = PageServer(data)
    yield server, uid
    server.end()
