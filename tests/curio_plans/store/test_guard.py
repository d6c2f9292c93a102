"""What a served data directory gives to whom, over real HTTP."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import event_model
import h5py
import httpx
import numpy as np
import pexpect
import pytest
import yaml
from bluesky import RunEngine
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from processes import PYTHON
from tiled.client import from_uri
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from curio_plans.plans import spectra_at
from curio_plans.store import tiled_writer
from curio_plans.store.catalog import make_app
from curio_plans.store.errors import StorageError
from curio_plans.store.guard import WRONG_KEYS, Attempts
from curio_plans.store.serve import databroker_profile, serve
from curio_plans.store.storage import Storage
from ophyd_devices import AFM
from ophyd_devices.twin import twin

PUBLIC = {"/", "/healthz", "/favicon.ico", "/tiled-ui-settings", "/api/v1/", "/ui/{path:path}"}
"""Routes that answer without a key; each is argued in docs/how-to/server.md."""

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]

LIMIT = 2**20
SERVE = f"""
import sys
from curio_plans.store import catalog
from curio_plans.store.serve import serve
catalog.BODY_LIMIT = {LIMIT}
serve(sys.argv[1], port=0)
"""


class Served:
    """A server in a process of its own."""

    def __init__(self, process, directory, uri, key):
        self.process, self.directory, self.uri, self.key = process, directory, uri, key
        self.port = int(uri.rsplit(":", 1)[1])
        self.header = {"Authorization": f"Apikey {key}"}

    def ask(self, method, target, headers=(), source="127.0.0.1"):
        """Return status, headers and body of a request whose target goes out as it is."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10, source_address=(source, 0))
        try:
            connection.putrequest(method, target)
            for name, value in dict(headers).items():
                connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()


@contextmanager
def served_by(command, directory, **options):
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options) as process:
        try:
            told = iter(process.stdout.readline, "")
            found = next(filter(None, (re.search(r"(http\S+) +API key: (.+)", line) for line in told)))
            uri, key = found.groups()
            yield Served(process, directory, uri, key)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


@pytest.fixture(scope="module")
def measured(empty, tmp_path_factory):
    """A data directory with one run, and the run's uid."""
    data = shutil.copytree(empty, tmp_path_factory.mktemp("guarded") / "data")
    afm = AFM(twin(seed=3), name="afm")
    engine = RunEngine({})
    with Storage.local(data) as storage:
        storage.attach(engine)
        (uid,) = engine(spectra_at(afm, [(1.0, 2.0), (3.0, 4.0)]))
    afm.close()
    return data, uid


@pytest.fixture(scope="module")
def served(measured):
    with served_by([*PYTHON, "-W", "ignore", "-c", SERVE, str(measured[0])], measured[0]) as server:
        yield server


UP = 30
ESCAPES = [
    "/ui//{}",
    "/ui///{}",
    "/ui/./{}",
    "/ui/%2f{}",
    "/ui/%2F%2f{}",
    "/ui/%252f{}",
    "/ui/%25252f{}",
    "/ui/%5c{}",
    "/ui/\\{}",
    "/ui/" + "../" * UP + "{}",
    "/ui/assets/" + "../" * UP + "{}",
    "/ui/" + "%2e%2e/" * UP + "{}",
    "/ui/" + "%2E%2E%2F" * UP + "{}",
    "/ui/" + ".%2e/" * UP + "{}",
    "/ui/" + "%252e%252e%252f" * UP + "{}",
    "/ui/" + "..%5c" * UP + "{}",
    "/ui/" + "..\\" * UP + "{}",
    "/ui/C:/{}",
    "/ui/C:%5c{}",
    "/ui/file:///{}",
    "/ui/index.html%00/{}",
    "/ui/%00{}",
    "/static//{}",
    "/static/{}",
    "/static/" + "../" * UP + "{}",
    "/static/" + "%2e%2e%2f" * UP + "{}",
    "/favicon.ico/{}",
    "/{}",
    "//{}",
    "//ui//{}",
    "/docs//{}",
]


@pytest.mark.parametrize("target", ESCAPES)
def test_no_file_outside_the_page_is_served(target, served):
    path = str(served.directory.resolve() / "tiled" / "key").lstrip("/")
    for header, without in (({}, 401), (served.header, 404)):
        status, _, body = served.ask("GET", target.format(path), header)
        assert served.key.encode() not in body
        assert status == (404 if target.startswith(("/ui/", "/static/")) else without)


def test_the_page_is_served_to_anyone(served, measured):
    status, headers, page = served.ask("GET", "/ui/")
    assert (status, headers["Referrer-Policy"]) == (200, "no-referrer")
    (script,) = re.findall(rb'src="(/ui/assets/[^"]+[.]js)"', page)
    assert served.ask("GET", script.decode())[0] == 200
    # What is no file is a view of the page, which it draws itself.
    for view in (
        f"/ui/browse/{measured[1]}/primary",
        "/ui/assets",
        "/ui/index.html/x",
        "/ui/" + "x" * 300,
        "/ui/a%20b",
    ):
        assert served.ask("GET", view)[::2] == (200, page), view


def test_pages_of_other_origins_may_not_read_with_a_visitors_key(served):
    origin = {"Origin": "http://elsewhere.example", "Cookie": f"tiled_api_key={served.key}"}
    asked = {**origin, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    for method, headers, expected in (("OPTIONS", asked, 400), ("GET", origin, 200)):
        status, said, _ = served.ask(method, "/api/v1/metadata/", headers)
        assert status == expected
        assert "Access-Control-Allow-Origin" not in said
    assert served.ask("DELETE", "/api/v1/metadata/x", origin)[0] == 403, "a cookie alone changes nothing"


def routes(found):
    for route in found:
        if hasattr(route, "effective_candidates"):  # a router within the application
            yield from routes(route.effective_candidates())
        else:
            yield route.path or route.starlette_route.path


def test_without_a_key_every_route_is_closed_but_for_the_public_ones(served, measured):
    data, uid = measured
    everything = set(routes(make_app(data).routes))
    assert len(everything) >= 50
    assert everything >= PUBLIC
    with httpx.Client(base_url=served.uri) as client:
        for path in sorted(everything | {"/not/of/this/version", "/api/v1/not/of/this/version"}):
            address = re.sub(r"\{\w+:path\}", f"{uid}/primary", path)
            address = re.sub(r"\{\w+\}", "0", address)
            assert "{" not in address
            for method in METHODS:
                answer = client.request(method, address)
                if path in PUBLIC and method == "GET":
                    assert answer.status_code == 200, (method, path)
                else:
                    assert answer.status_code in (401, 403, 404, 405), (method, path, answer.text)
                assert uid not in answer.text, (method, path)
                assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("way", ["header", "query", "cookie"])
def test_a_key_opens_in_each_way_and_a_wrong_one_does_not(way, served, measured):
    def status(key, path):
        address = f"{path}?api_key={key}" if way == "query" else path
        shown = {"header": {"Authorization": f"Apikey {key}"}, "cookie": {"Cookie": f"tiled_api_key={key}"}}
        return served.ask("GET", address, shown.get(way, {}), f"127.0.1.{len(way)}")[0]

    for path in (f"/api/v1/metadata/{measured[1]}", f"/zarr/v3/{measured[1]}", "/openapi.json", "/docs"):
        assert status(served.key, path) == 200, path
        assert status("0" * 64, path) == 401, path


def test_a_wrong_key_in_an_address_is_refused_before_it_becomes_a_cookie(served):
    for path in ("/", "/ui/"):
        status, headers, _ = served.ask("GET", f"{path}?api_key=%C3%A4")
        assert (status, headers.get_all("Set-Cookie")) == (401, None)
        assert "tiled_api_key=" in str(served.ask("GET", f"{path}?api_key={served.key}")[1])


@pytest.mark.parametrize("path", ["/api/v1/stream/single/", "/api/graphql", "/ui/"])
def test_a_websocket_needs_a_key_before_it_opens(path, served):
    with pytest.raises(InvalidStatus, match="401"), connect(f"ws://127.0.0.1:{served.port}{path}"):
        pass


def test_a_client_with_many_wrong_keys_has_to_wait_and_a_right_key_never(served):
    path = "/api/v1/metadata/"
    for number in range(WRONG_KEYS):
        assert served.ask("GET", path, {"Authorization": f"Apikey {number}"}, "127.0.0.2")[0] == 401
    for target in (path, "/ui/?api_key=wrong"):
        status, headers, _ = served.ask("GET", target, {"Authorization": "Apikey wrong"}, "127.0.0.2")
        assert status == 429
        assert 50 < int(headers["Retry-After"]) <= 60
    assert served.ask("GET", path, {"Authorization": "Apikey wrong"}, "127.0.0.3")[0] == 401
    assert served.ask("GET", path, served.header, "127.0.0.2")[0] == 200


def test_wrong_keys_are_forgotten_after_a_minute_and_right_ones_are_not_counted():
    now = 0.0
    attempts = Attempts(lambda: now)
    attempts.accepted("a reader's, which may not write")
    for _ in range(3 * WRONG_KEYS):
        assert attempts.refused("reader", "a reader's, which may not write") == 0
    assert [attempts.refused("guesser", str(number)) for number in range(WRONG_KEYS)] == [0] * WRONG_KEYS
    now = 45.5
    assert attempts.refused("guesser", "another") == 15
    assert attempts.wait("reader") == 0
    now = 60.0
    assert attempts.refused("guesser", "another") == 0
    for number in range(5000):
        attempts.refused(f"10.0.{number // 250}.{number % 250}", "wrong")
    assert attempts.wait("guesser") == 0, "memory is bounded"


def blocks(number):
    for _ in range(number):
        yield bytes(LIMIT // 4)


def test_the_body_of_a_request_is_bounded(served):
    address = f"{served.uri}/api/v1/metadata/"
    for body in (bytes(LIMIT + 1), blocks(5)):
        assert httpx.post(address, content=body, headers=served.header).status_code == 413
    assert httpx.post(f"{served.uri}/api/v1/register/", content=blocks(5), headers=served.header).status_code == 413
    assert httpx.post(address, content=blocks(3), headers=served.header).status_code == 422


@pytest.fixture(scope="module")
def external(served):
    """A file in the readable storage, which may be registered."""
    path = served.directory.resolve() / "tiled" / "external" / "scan.h5"
    with h5py.File(path, "w") as file:
        file["z"] = np.arange(6.0).reshape(2, 3)
    return path


def posted(uri, **source):
    """Return a request to register an array in an HDF5 file."""
    structure = {
        "data_type": {"endianness": "little", "kind": "f", "itemsize": 8},
        "chunks": [[2], [3]],
        "shape": [2, 3],
        "dims": None,
        "resizable": False,
    }
    asset = {"data_uri": str(uri), "is_directory": False, "parameter": "data_uris", "num": 0}
    return {
        "id": source.pop("id", "foreign"),
        "structure_family": "array",
        "metadata": {},
        "specs": [],
        "data_sources": [
            {
                "structure_family": "array",
                "structure": structure,
                "mimetype": "application/x-hdf5",
                "parameters": {"dataset": "z"},
                "assets": [asset],
                "management": "external",
                **source,
            }
        ],
    }


def test_a_file_of_the_readable_storage_can_be_registered_and_read(served, external):
    answer = httpx.post(
        f"{served.uri}/api/v1/register/",
        json=posted(f"file://localhost{external}", id="scanned"),
        headers=served.header,
    )
    assert answer.status_code == 200, answer.text
    status, _, read = served.ask("GET", "/api/v1/array/full/scanned?format=application/json", served.header)
    assert (status, json.loads(read)) == (200, [[0, 1, 2], [3, 4, 5]])
    # Its raw file is another thing: Tiled does not keep such requests within an asset.
    for path in ("bytes/scanned?id=1", "manifest/scanned?id=1", "scanned?id=1"):
        assert served.ask("DELETE" if path[0] == "s" else "GET", f"/api/v1/asset/{path}", served.header)[0] == 403


@pytest.mark.parametrize(
    "uri",
    [
        "file://localhost/etc/hostname",
        "file:///etc/hostname",
        "file:/etc/hostname",
        "file:etc/hostname",
        "/etc/hostname",
        "file://localhost{external}/../../key",
        "file://localhost{external}/%2e%2e/%2e%2e/key",
        "file://localhost{external}-not",
        "file://localhost{external}/link",
        "sqlite:///{external}/../catalog.db",
        "http://localhost/secret",
        "",
    ],
)
def test_a_foreign_file_cannot_be_registered(uri, served, external):
    link = external.parent / "link"
    link.unlink(missing_ok=True)
    link.symlink_to("/etc")
    body = posted(uri.format(external=external.parent))
    for path, method in (("register/", "POST"), ("metadata/", "POST")):
        answer = httpx.request(method, f"{served.uri}/api/v1/{path}", json=body, headers=served.header)
        assert answer.status_code == 422
        assert "expected data in the storage of this catalog" in answer.json()["detail"]
    changed = {"data_source": {**body["data_sources"][0], "id": 1}}
    answer = httpx.put(f"{served.uri}/api/v1/data_source/x", json=changed, headers=served.header)
    assert answer.status_code == 422
    assert "tiled/external in a data directory" in answer.json()["detail"]
    assert served.ask("GET", "/api/v1/metadata/foreign", served.header)[0] == 404


@pytest.mark.parametrize(
    "parameters", [{"data_uris": ["file://localhost/etc/passwd"]}, {"filepath": "/etc"}, {"x": "http://h"}]
)
def test_a_foreign_file_cannot_be_registered_as_a_parameter(parameters, served, external):
    body = posted(f"file://localhost{external}", parameters=parameters)
    answer = httpx.post(f"{served.uri}/api/v1/register/", json=body, headers=served.header)
    assert answer.status_code == 422
    assert f"got '{next(iter(parameters))}=" in answer.json()["detail"].replace('"', "'")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"data_sources": 1}'])
def test_what_is_not_a_registration_is_refused_by_tiled(body, served):
    for path, method in (("register/", "POST"), ("data_source/x", "PUT")):
        answer = httpx.request(method, f"{served.uri}/api/v1/{path}", content=body, headers=served.header)
        assert answer.status_code in (400, 422), answer.text


def test_arrays_and_tables_can_still_be_written(served):
    catalog = from_uri(served.uri, api_key=served.key)
    array = np.arange(1000.0).reshape(10, 100)
    assert np.array_equal(catalog.write_array(array, key="written").read(), array)
    assert catalog.write_table({"a": [1, 2]}, key="columns").read()["a"].tolist() == [1, 2]
    catalog.context.close()


def test_a_run_larger_than_a_request_is_sent_in_parts(served, monkeypatch):
    monkeypatch.setattr(tiled_writer, "_BATCH", LIMIT // 4)
    run = event_model.compose_run()
    key = {"source": "", "dtype": "array", "shape": [64, 128], "dtype_numpy": "<f8"}
    stream = run.compose_descriptor(name="primary", data_keys={"frame": key})
    frames = np.random.default_rng(0).normal(size=(40, 64, 128))
    events = [
        stream.compose_event(data={"frame": frame}, timestamps={"frame": 0.0}, seq_num=number)
        for number, frame in enumerate(frames, start=1)
    ]
    documents = [("start", run.start_doc), ("descriptor", stream.descriptor_doc)]
    documents += [*(("event", event) for event in events), ("stop", run.compose_stop())]
    assert frames.nbytes > 2 * LIMIT
    catalog = from_uri(served.uri, api_key=served.key)
    tiled_writer.insert(catalog, documents)
    assert np.array_equal(catalog[run.start_doc["uid"]]["primary"]["frame"].read(), frames)
    catalog.context.close()


def modes(directory):
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in (directory / "tiled", *directory.glob("tiled/*"))}


def test_nobody_else_may_read_what_is_kept(served):
    found = modes(served.directory)
    assert {"catalog.db", "catalog.db-wal", "catalog.db-shm", "tables.db", "key", "lock", "place"} <= set(found)
    assert [name for name, mode in found.items() if mode & 0o077] == []
    assert not (served.directory / "journal").stat().st_mode & 0o077


@pytest.mark.parametrize(("shared", "folder", "file"), [(0o755, 0o700, 0o600), (0o2770, 0o770, 0o660)])
def test_rights_are_mended_when_a_directory_is_opened(shared, folder, file, data):
    (data / "journal").mkdir()
    for path in (data / "tiled", data / "journal", *data.glob("tiled/*")):
        path.chmod(0o777 if path.is_dir() else 0o666)
    data.chmod(shared)
    databroker_profile(data)
    found = modes(data)
    assert found["catalog.db"] == found["tables.db"] == file
    assert {found["tiled"], found["arrays"], stat.S_IMODE((data / "journal").stat().st_mode)} == {folder}
    assert stat.S_IMODE(data.stat().st_mode) == shared


def spawn(data, **environment):
    """Return the command of a user, and its environment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CURIO_")}
    command = [*PYTHON, "-W", "ignore", "-m", "curio_plans.cli", "serve", "--port", "0", "--data", str(data)]
    return command, {**kept, "PYTHONUNBUFFERED": "1", **environment}


def test_the_key_goes_to_a_terminal_and_into_no_log(data):
    command, environment = spawn(data)
    with served_by([*command, "--host", "0.0.0.0"], data, env=environment) as server:
        assert server.key == f"in {data / 'tiled' / 'key'}"
        assert "unencrypted; --ssl-certfile" in server.process.stdout.readline()
    terminal = pexpect.spawn(
        command[0], command[1:], env=environment, encoding="utf-8", use_poll=True, timeout=60, dimensions=(24, 300)
    )
    terminal.expect(f"API key: {(data / 'tiled' / 'key').read_text()}")
    terminal.sendintr()
    terminal.expect(pexpect.EOF)


@pytest.mark.parametrize("key", ["", "k" * 15, "a key with blanks in it"])
def test_a_key_that_can_be_guessed_or_garbled_is_refused(key, tmp_path):
    with pytest.raises(ValueError, match="at least 16 letters and digits"):
        serve(tmp_path, api_key=key)


@contextmanager
def deployed(configuration, place, port):
    """Run Tiled's own configuration as docs/how-to/server.md says, with a log of all requests."""
    (place / "server.yml").write_text(yaml.safe_dump(configuration))
    command = [*PYTHON, "-m", "uvicorn", "--factory", "curio_plans.store.guard:configured", "--port", str(port)]
    with (place / "log").open("w") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env={**os.environ, "TILED_CONFIG": str(place / "server.yml")}
        )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/healthz")
                break
            except httpx.TransportError:
                assert process.poll() is None, (place / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.1)
        yield Served(process, place, f"http://127.0.0.1:{port}", "s" * 32)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def configuration(data):
    (profile,) = yaml.safe_load(databroker_profile(data).read_text()).values()
    return profile["direct"]


def test_a_configured_server_is_guarded_and_logs_no_key(data, tmp_path, port):
    with deployed(
        {**configuration(data), "authentication": {"single_user_api_key": "s" * 32}}, tmp_path, port
    ) as server:
        assert server.ask("GET", f"/ui/{tmp_path}/server.yml")[0] == 404
        assert server.ask("GET", "/api/graphql")[0] == 401
        assert server.ask("GET", f"/api/v1/metadata/?api_key={server.key}&x=1")[0] == 200
        with connect(f"ws://127.0.0.1:{port}/api/v1/stream/single/?api_key={server.key}"):
            pass
    log = (tmp_path / "log").read_text()
    assert "/api/v1/metadata/?api_key=***&x=1" in log
    assert "/api/v1/stream/single/?api_key=***" in log
    assert server.key not in log


def test_a_server_with_accounts_is_guarded_too(data, tmp_path, port):
    accounts = {
        "secret_keys": ["x" * 32],
        "providers": [
            {
                "provider": "house",
                "authenticator": "tiled.authenticators:DictionaryAuthenticator",
                "args": {"users_to_passwords": {"ada": "right"}},
            }
        ],
    }
    with deployed({**configuration(data), "authentication": accounts}, tmp_path, port) as server:
        for header in ({}, {"Authorization": "Apikey 00"}, {"Authorization": "Bearer 00"}):
            assert server.ask("GET", f"/ui/{tmp_path}/server.yml", header)[0] == 404
            for path in ("/api/graphql", "/api/v1/metadata/", "/zarr/v3/"):
                assert server.ask("GET", path, header)[0] == 401, path
        assert server.ask("GET", "/docs")[0] == 401

        def login(password):
            form = {"username": "ada", "password": password}
            with httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.2")) as client:
                return client.post(f"{server.uri}/api/v1/auth/provider/house/token", data=form)

        token = login("right").json()["access_token"]
        header = {"Authorization": f"Bearer {token}"}
        assert server.ask("GET", "/api/v1/metadata/", header)[0] == 200
        assert httpx.post(
            f"{server.uri}/api/v1/register/", json=posted("file:///etc/hostname"), headers=header
        ).status_code in (401, 422)
        assert {login(str(number)).status_code for number in range(WRONG_KEYS)} == {401}
        assert [login(word).status_code for word in ("wrong", "right")] == [429, 429]
        assert server.ask("GET", "/api/v1/metadata/", header)[0] == 200


@pytest.fixture
def certificate(tmp_path):
    """Files of a certificate for this computer, and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (tmp_path / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (tmp_path / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
    return tmp_path / "cert.pem", tmp_path / "key.pem"


def test_a_directory_is_served_encrypted_with_a_key_that_no_list_of_processes_has(data, certificate):
    key = "k" * 16
    command, environment = spawn(data, CURIO_SERVE_API_KEY=key)
    options = ["--ssl-certfile", str(certificate[0]), "--ssl-keyfile", str(certificate[1])]
    with served_by([*command, *options], data, env=environment) as server:
        assert server.key == "as given"
        assert key not in Path(f"/proc/{server.process.pid}/cmdline").read_text()
        address = f"https://localhost:{server.port}/api/v1/metadata/"
        trust = ssl.create_default_context(cafile=certificate[0])
        assert httpx.get(address, verify=trust).status_code == 401
        assert httpx.get(address, verify=trust, headers={"Authorization": f"Apikey {key}"}).status_code == 200


def test_a_certificate_that_cannot_be_used_is_told(data, certificate, tmp_path):
    with pytest.raises(StorageError, match=r"cannot use the certificate .*none\.pem.*expected PEM files"):
        serve(data, port=0, certificate=tmp_path / "none.pem")
    with pytest.raises(StorageError, match=r"cannot use the certificate .*expected PEM files"):
        serve(data, port=0, certificate=certificate[1])
    with pytest.raises(ValueError, match="expected a certificate for that key"):
        serve(data, port=0, certificate_key=certificate[1])
