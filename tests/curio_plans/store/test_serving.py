import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import urllib.request

import numpy as np
import pytest
from bluesky import RunEngine
from processes import PYTHON
from support import microscope

from curio_plans import campaign
from curio_plans.plans import spectra_at
from curio_plans.store.catalog import own_key
from curio_plans.store.errors import RunNotFound, StorageError
from curio_plans.store.serve import databroker_profile, serve
from curio_plans.store.storage import Storage
from curio_plans.store.tiled_reader import count_points, read_stream
from ophyd_devices import AFM
from ophyd_devices.twin import twin

PLACES = [(10.0 * number, 5.0 * number) for number in range(30)]

SERVE = "import sys; from curio_plans.store import serve; serve(sys.argv[1], port=int(sys.argv[2]))"


class Server:
    """A Tiled server in a process of its own."""

    def __init__(self, directory, port=0):
        command = [*PYTHON, "-W", "ignore", "-c", SERVE, str(directory), str(port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.page = self.process.stdout.readline().split()[-1]
        self.uri, self.key = re.search(r"(http\S+) +API key: (\w+)", self.process.stdout.readline()).groups()
        self.port = int(self.uri.rsplit(":", 1)[1])

    def end(self, how=signal.SIGKILL):
        self.process.send_signal(how)
        self.process.communicate(timeout=30)
        return self.process.returncode


@pytest.fixture(scope="module")
def served(empty, tmp_path_factory):
    """A server of a directory with one run, measured before."""
    data = shutil.copytree(empty, tmp_path_factory.mktemp("served") / "data")
    afm = AFM(twin(seed=3), name="afm")
    engine = RunEngine({})
    with Storage.local(data) as storage:
        storage.attach(engine)
        (uid,) = engine(spectra_at(afm, PLACES, md={"experiment": {"sample": "PTO-7"}}))
    afm.close()
    server = Server(data)
    yield server, data, uid
    server.end()


def test_the_runs_of_a_directory_are_served(served, tmp_path):
    server, data, uid = served
    with Storage.remote(server.uri, server.key, tmp_path) as remote, Storage.local(data) as local:
        assert local.runs() == [run for run in remote.runs() if run.uid == uid]
        assert remote.resolve("latest") == remote.runs()[0].uid
        assert remote.resolve(uid[:12]) == uid
        spectra = read_stream(remote.catalog[uid])["afm_spectrometer_spectrum"]
        assert (spectra.shape, spectra.dtype) == ((30, 96), np.float64)
        for (_, one), (_, other) in zip(remote.documents(uid), local.documents(uid), strict=True):
            if "data" in one:
                np.testing.assert_equal(one["data"], other["data"])
        with pytest.raises(RunNotFound):
            remote.resolve("nothing")
        with pytest.raises(StorageError, match="not in the journal"):
            remote.repair(uid)


def test_the_worker_of_a_campaign_sends_its_run_to_a_server(served, tmp_path, wanderer):
    server, _, _ = served
    job = campaign.Job(
        {"seed": 1}, "twin", {}, None, {"points": 3}, {"agent": "w", "sample": "", "settings": "", "seed": 1}
    )
    there = campaign.Server(server.uri, server.key)
    measured = campaign.measure(job, "few", there, build=wanderer, connect=lambda _: microscope())
    uid = measured.rows[0]["uid"]
    with Storage.remote(server.uri, server.key, tmp_path) as storage:
        assert campaign.rows_of(storage.documents(uid))[0]["candidate"] == measured.rows[0]["candidate"]
        assert storage.catalog[uid].metadata["start"]["campaign"]["job"] == job.name
    with pytest.raises(StorageError, match="does not let us in"):
        campaign.measure(job, "few", campaign.Server(server.uri, "no"), build=wanderer, connect=lambda _: microscope())


def test_there_is_a_web_page(served):
    server, _, _ = served
    with urllib.request.urlopen(server.page, timeout=10) as answer:
        assert b"<title>Tiled" in answer.read()


def test_the_key_is_kept_for_its_owner_alone(served):
    server, data, _ = served
    assert own_key(data) == server.key
    assert stat.S_IMODE((data / "tiled" / "key").stat().st_mode) == 0o600


def test_a_wrong_key_and_a_wrong_address_are_told_at_once(served, tmp_path):
    server, _, _ = served
    with pytest.raises(StorageError, match="does not let us in"):
        Storage.remote(server.uri, "wrong", tmp_path)
    with pytest.raises(StorageError, match=r"no Tiled server at http://127\.0\.0\.1:1"):
        Storage.remote("http://127.0.0.1:1", "any", tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="expected a directory"):
        Storage.remote(server.uri, server.key, tmp_path / "file")


def test_a_run_goes_to_a_server_and_can_be_read_there_meanwhile(served, tmp_path, afm, engine):
    server, data, _ = served
    with Storage.remote(server.uri, server.key, tmp_path) as storage:
        storage.attach(engine)
        (uid,) = engine(spectra_at(afm, PLACES[:5]))
        assert storage.failures == {}
        assert [run.points for run in storage.runs()[:1]] == [5]
    with Storage.local(data) as other:
        with pytest.raises(RunNotFound):
            other.resolve(uid)
        assert count_points(other.catalog[uid]) == 5


def test_a_server_that_dies_costs_no_data_and_no_plan(empty, tmp_path, afm, engine):
    data = shutil.copytree(empty, tmp_path / "served")
    server = Server(data)
    told = []

    def kill(name, doc):
        if doc["seq_num"] == 10:
            server.end()

    with Storage.remote(server.uri, server.key, tmp_path / "journal", tell=told.append, patience=2.0) as storage:
        storage.attach(engine)
        engine.subscribe(kill, "event")
        (uid,) = engine(spectra_at(afm, PLACES))
        assert uid in storage.failures
        assert "data are safe in the journal" in told[-1]
        documents = storage.documents(uid)
        assert documents[-1][1]["exit_status"] == "success"
        assert documents[-1][1]["num_events"] == {"primary": 30}
        again = Server(data, server.port)
        for _ in range(30):
            recovery = storage.recover(uid)
            if not recovery.problem:
                break
            assert "try again later" in recovery.problem
        # What was under way when the server died may come through when it is back.
        assert not recovery.missing or recovery.missing.endswith("the stop document"), "events before it, perhaps"
        assert storage.recover(uid).was_in_order
        assert storage.failures == {}
        assert count_points(storage.catalog[uid]) == 30
    assert again.end(signal.SIGINT) == 0, "Ctrl-C ends a server"


def test_what_a_server_cannot_do_is_told(tmp_path):
    with pytest.raises(StorageError, match="no such directory"):
        serve(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="letters and digits"):
        serve(tmp_path, api_key="not/one")
    with pytest.raises(ValueError, match="port from 0 to 65535"):
        serve(tmp_path, port=70000)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StorageError, match=rf"cannot listen at 127\.0\.0\.1:{port}: .*choose another"):
            serve(tmp_path, port=port)


DATABROKER = """
import sys
import databroker
run = databroker.catalog["curio"].v3[sys.argv[1]]
print(run["primary/afm_spectrometer_spectrum"].read().shape, run.stop["exit_status"])
run = databroker.Broker.named("curio")[sys.argv[1]]
print(run.table("primary")["afm_scanner_x"].tolist()[:2], len(list(run.documents())))
db = databroker.Broker.named("curio")
print(db[-1].start["uid"] == sys.argv[2])
kinds = [{"plan_name": "spectra_at"}, {"experiment.sample.name": "PTO-7"}, {"since": "2020"}, {"until": "2020"}]
print([sys.argv[1] in [found.start["uid"] for found in db(**kind)] for kind in kinds])
"""


def test_databroker_reads_a_run_in_both_its_ways_and_finds_it(served):
    _, data, uid = served
    profile = databroker_profile(data)
    environment = {**os.environ, "TILED_PROFILES": str(profile.parent)}
    with Storage.local(data) as storage:
        newest = list(storage.catalog)[-1]
    command = [sys.executable, "-W", "ignore", "-c", DATABROKER, uid, newest]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert done.stdout.splitlines() == [
        "(30, 96) success",
        "[0.0, 10.0] 33",
        "True",
        "[True, True, True, False]",
    ], done.stderr
