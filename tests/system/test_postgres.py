"""A Tiled server on PostgreSQL, set up by the very commands of docs/how-to/server.md."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
import numpy as np
import pexpect
import pytest
from processes import PYTHON
from support import command, free_port, until
from tiled.queries import Key

from curio_plans.plans import spectra_at
from curio_plans.store.errors import StorageError
from curio_plans.store.storage import Storage
from curio_plans.store.tiled_reader import count_points, read_documents, read_stream

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
PASSWORD = "it's secret"


def blocks():
    """Return the commands of the section on PostgreSQL: databases, settings, start, login, keys, use."""
    _, section = (HOW_TO / "server.md").read_text().split("## On PostgreSQL")
    found = re.findall(r"^```text\n(.*?)^```", section, flags=re.MULTILINE | re.DOTALL)
    assert len(found) == 6
    return dict(zip(("databases", "settings", "start", "login", "keys", "use"), found, strict=True))


def binaries():
    """Return where the programs of PostgreSQL are; skip the test if they are nowhere."""
    places = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    if (found := shutil.which("initdb")) is not None:
        places.insert(0, Path(found).parent)
    for place in places:
        if (place / "initdb").exists() and (place / "createdb").exists():
            return place
    return pytest.skip("PostgreSQL is not installed (no initdb); on Debian: apt-get install postgresql")


@pytest.fixture(scope="module")
def postgres(tmp_path_factory):
    """A new cluster of databases on a free port; the environment with which to reach it as its owner."""
    programs, port = binaries(), free_port()
    place = Path(tempfile.mkdtemp(prefix="curio-postgres-"))
    (place / "password").write_text(PASSWORD)
    account = {}
    if os.geteuid() == 0:  # as whom PostgreSQL refuses to run; and its own user may not enter pytest's directories
        try:
            for path in (place, place / "password"):
                shutil.chown(path, "postgres", "postgres")
        except LookupError:
            shutil.rmtree(place)
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
        account = {"user": "postgres", "group": "postgres", "extra_groups": []}
    pgpass = tmp_path_factory.mktemp("pgpass") / "pgpass"
    pgpass.write_text(f"*:{port}:*:curio:{PASSWORD}\n")
    pgpass.chmod(0o600)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PG")},
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), str(programs), os.environ["PATH"]]),
        "PGPASSFILE": str(pgpass),
        "PGHOST": "127.0.0.1",
        "PGPORT": str(port),
        "PGUSER": "curio",
    }
    form = ["-U", "curio", "-A", "scram-sha-256", "--pwfile", place / "password", "-N", "-E", "UTF8", "--locale", "C"]
    settings = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": "", "fsync": "off"}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    try:
        command(programs / "initdb", "-D", place / "data", *form, **account)
        with (place / "log").open("w") as log:
            process = subprocess.Popen([programs / "postgres", "-D", place / "data", *options], stderr=log, **account)
        try:
            ready = [programs / "pg_isready", "-q"]
            until(lambda: ended(process) or subprocess.run(ready, env=environment, check=False).returncode == 0, 120)
            yield environment
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)
    finally:
        shutil.rmtree(place)


def ended(process):
    assert process.poll() is None, "it has ended"


def answers(uri):
    try:
        return httpx.get(f"{uri}/api/v1/").is_success
    except httpx.HTTPError:
        return False


class Served:
    """The server: its address, a key that may write and one that may not, an environment for commands."""

    def __init__(self, uri, keys, environment):
        self.uri, (self.key, self.reader), self.environment = uri, keys, environment


@pytest.fixture(scope="module")
def served(postgres, tmp_path_factory):
    place, port = tmp_path_factory.mktemp("server"), free_port()
    shutil.copy(HOW_TO / "server.yml", place)
    (place / "arrays").mkdir()
    environment = {
        **postgres,
        "CURIO_POSTGRES": f"postgresql://127.0.0.1:{postgres['PGPORT']}",
        "CURIO_ARRAYS": str(place / "arrays"),
        "CURIO_SECRET": "0123456789abcdef",
        "CURIO_ADMIN_PASSWORD": "only for this test",
        "TILED_CONFIG": "server.yml",
        "TILED_PROFILES": str(place / "profiles"),
        "TILED_CACHE_DIR": str(place / "cache"),
    }
    said = blocks()
    wanted = set(re.findall(r"\$\{(\w+)\}", (place / "server.yml").read_text().split("\n", 2)[2]))
    assert set(re.findall(r"^export (\w+)=", said["settings"], flags=re.MULTILINE)) == {
        "PGUSER",
        "TILED_CONFIG",
        *wanted,
    }

    def bash(commands):
        commands = commands.replace("sudo -u postgres ", "").replace("localhost:8000", f"127.0.0.1:{port}")
        return command("bash", "-euo", "pipefail", "-c", commands, cwd=place, env=environment)

    bash(
        "\n".join(line for line in said["databases"].splitlines() if "apt-get" not in line and "createuser" not in line)
    )
    *first, serve = said["start"].splitlines()
    bash("\n".join(first))
    serve = serve.replace("0.0.0.0", "127.0.0.1").replace("8000", str(port))
    with (place / "log").open("w") as log:
        process = subprocess.Popen(serve.split(), cwd=place, env=environment, stdout=log, stderr=log)
    uri = f"http://127.0.0.1:{port}"
    try:
        until(lambda: ended(process) or answers(uri), 120)
        create, login = said["login"].splitlines()
        bash(create)
        terminal = pexpect.spawn(login, env=environment, encoding="utf-8", use_poll=True, timeout=120)
        terminal.expect("Username: ")
        terminal.sendline("admin")
        terminal.expect("Password: ")
        terminal.sendline(environment["CURIO_ADMIN_PASSWORD"])
        terminal.expect(pexpect.EOF)
        terminal.close()
        assert terminal.exitstatus == 0, terminal.before
        yield Served(uri, bash(said["keys"]).split(), environment)
        assert PASSWORD not in (place / "log").read_text()
    finally:
        process.terminate()
        process.wait(30)


EXPERIMENT = """
import sys
from bluesky import RunEngine, plan_stubs as bps
from curio_plans.run import stubs
from curio_plans.plans import spectra_at
from curio_plans.store.storage import Storage
from ophyd_devices import AFM
from ophyd_devices.twin import twin

uri, key, directory, seed = sys.argv[1:]
afm, engine, points = AFM(twin(seed=int(seed)), name="afm"), RunEngine({}), 120

def step(afm, place, *more, **options):
    reason = yield from stubs.take_spectrum(afm, place, *more, **options)
    yield from bps.sleep(0.01)
    if place[0] == points // 2:
        print("half", flush=True)
        sys.stdin.readline()
    return reason

with Storage.remote(uri, key, directory) as storage:
    storage.attach(engine)
    engine.subscribe(lambda _, doc: print(doc["uid"], flush=True), "start")
    engine(spectra_at(afm, [(float(x), 5.0) for x in range(points)], measure=step))
    assert storage.failures == {}, storage.failures
afm.close()
"""


@pytest.fixture
def experiments(served, tmp_path):
    """Two processes that measure; each tells its run's uid, and waits for a line when it has done half."""
    command = [*PYTHON, "-W", "ignore", "-c", EXPERIMENT, served.uri, served.key]
    started = [
        subprocess.Popen([*command, tmp_path / seed, seed], stdin=-1, stdout=-1, text=True) for seed in ("1", "2")
    ]
    yield started
    for process in started:
        process.kill()
        process.communicate()


def test_two_experiments_write_while_a_third_process_reads(experiments, served, tmp_path):
    uids = [experiment.stdout.readline().strip() for experiment in experiments]
    with Storage.remote(served.uri, served.reader, tmp_path / "reader") as storage:
        assert [experiment.stdout.readline().strip() for experiment in experiments] == ["half", "half"]
        # Both are in the middle of their runs, and wait.
        runs = {uid: storage.catalog[uid] for uid in uids}
        for run in runs.values():
            until(lambda run=run: count_points(run) == 61, 120)
            assert read_stream(run)["afm_scanner_x_setpoint"].values.tolist() == list(range(61))
            assert not run.metadata.get("stop")
        for experiment in experiments:
            experiment.stdin.write("go on\n")
            experiment.stdin.flush()
        lengths = []
        while any(experiment.poll() is None for experiment in experiments):
            lengths.append([read_stream(run).sizes["time"] for run in runs.values()])
        assert [experiment.wait() for experiment in experiments] == [0, 0]
        for each in zip(*lengths, strict=True):
            assert list(each) == sorted(each)
        for seed, uid in zip(("1", "2"), uids, strict=True):
            run = storage.catalog[uid]
            assert run.stop["exit_status"] == "success"
            with Storage.local(tmp_path / seed) as local:
                measured = [doc["data"] for name, doc in local.documents(uid) if name == "event"]
            read = [doc["data"] for name, doc in read_documents(run) if name == "event"]
            assert len(read) == len(measured) == 120
            for one, other in zip(read, measured, strict=True):
                np.testing.assert_equal(one, other)
        assert {run.uid for run in storage.runs()} >= set(uids)


def test_a_key_of_a_reader_cannot_write(served, tmp_path, afm, engine):
    with Storage.remote(served.uri, served.key, tmp_path / "writer") as storage:
        storage.attach(engine)
        (uid,) = engine(spectra_at(afm, [(1.0, 2.0)], md={"experiment": {"sample": "PTO-7"}}))
    told = []
    with Storage.remote(served.uri, served.reader, tmp_path / "reader", tell=told.append) as storage:
        assert list(storage.catalog.search(Key("experiment.sample.name") == "PTO-7")) == [uid]
        storage.attach(engine)
        (refused,) = engine(spectra_at(afm, [(1.0, 2.0)]))
        assert "Not enough permissions" in storage.failures[refused]
        assert refused not in storage.catalog
        assert storage.documents(refused)[-1][1]["exit_status"] == "success", "the journal has it"
        with pytest.raises(Exception, match="Not enough permissions"):
            storage.catalog.delete_contents(uid, recursive=True, external_only=False)
        assert uid in storage.catalog
    assert "data are safe in the journal" in told[0]


@pytest.mark.parametrize("key", ["0" * 72, "wrong", None])
def test_without_a_right_key_nothing_can_be_read_or_written(key, served, tmp_path):
    with pytest.raises(StorageError, match="does not let us in"):
        Storage.remote(served.uri, key, tmp_path)
    headers = {} if key is None else {"Authorization": f"Apikey {key}"}
    for path in ("metadata/", "search/", "container/full/"):
        assert httpx.get(f"{served.uri}/api/v1/{path}", headers=headers).status_code == 401, path
    assert httpx.get(f"{served.uri}/api/graphql", headers=headers).status_code == 401
    assert httpx.get(f"{served.uri}/ui/%2fetc/hostname", headers=headers).status_code == 404
    posted = {"structure_family": "container", "metadata": {}, "data_sources": [], "specs": []}
    assert httpx.post(f"{served.uri}/api/v1/metadata/", json=posted, headers=headers).status_code == 401


def test_the_commands_use_the_server(served, tmp_path):
    lines = blocks()["use"].splitlines()
    commands = "\n".join(line for line in lines if not line.startswith("export"))
    environment = {**served.environment, "CURIO_TILED_URI": served.uri, "CURIO_TILED_API_KEY": served.key}
    assert all(name in environment for name in re.findall(r"^export (\w+)=", "\n".join(lines), flags=re.MULTILINE))
    said = command("bash", "-euo", "pipefail", "-c", commands, cwd=tmp_path, env=environment)
    (row,) = [line for line in said.splitlines() if " random " in line and "success" in line]
    assert row.split()[-2:] == ["5", "success"]
