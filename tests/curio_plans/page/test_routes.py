"""Who gets what from the page, over real HTTP."""

import json

import numpy as np
import pytest

from curio_plans.page.routes import FILES


def test_files_are_public_and_data_need_a_key_in_a_header(served):
    server, uid = served
    for path in ("", f"run/{uid}", "files/run.js", "files/plotly.js", "files/cividis.rgb"):
        status, headers, _ = server.ask(path)
        assert (path, status) == (path, 200)
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
    for path in ("api/runs", f"api/runs/{uid}", f"api/runs/{uid}/pool", f"api/runs/{uid}/events", "api/nothing"):
        assert server.ask(path)[0] == 401
        assert server.ask(path, "0" * 64)[0] == 401
        assert server.ask(f"{path}?api_key={server.key}")[0] == 401
        assert server.ask(path, Cookie=f"tiled_api_key={server.key}")[0] == 401
    assert server.ask(f"api/runs?api_key={server.key}", server.key)[0] == 401


def test_the_watching_key_opens_the_page_and_nothing_else(served):
    server, uid = served
    assert server.watching != server.key
    assert server.json(f"api/runs/{uid}", server.watching)["uid"] == uid
    assert server.ask("/api/v1/search/", server.watching)[0] == 401
    assert server.ask("/api/v1/search/", server.key)[0] == 200


@pytest.mark.parametrize("name", ["..%2f..%2fview.py", "%2e%2e/view.py", "nothing.js", "../view.py", "evil.rgb"])
def test_only_the_page_s_own_files_are_handed_out(served, name):
    server, _ = served
    assert (FILES / "../view.py").is_file()
    assert server.ask(f"files/{name}")[0] in (401, 404)


@pytest.mark.parametrize("uid", ["..", "%2e%2e", "..%2f..%2fetc", "nothing", "%00"])
def test_a_run_that_is_none_is_not_found(served, uid):
    server, _ = served
    for path in (f"api/runs/{uid}", f"api/runs/{uid}/pool", f"api/runs/{uid}/events"):
        status, _, body = server.ask(path, server.key)
        assert status in (401, 404)
        assert b"Traceback" not in body


def test_steering_needs_a_key_that_may_write(served):
    server, uid = served
    act = {"act": "note", "values": {"text": "hello"}, "by": "ann"}
    path = f"api/runs/{uid}/acts"
    status, _, body = server.ask(path, server.watching, act)
    assert (status, b"write:metadata" in body) == (403, True)
    assert server.ask(path, None, act)[0] == 401
    assert server.ask(path, None, act, Cookie=f"tiled_api_key={server.key}")[0] == 401
    status, _, body = server.ask(path, server.key, act, **{"Content-Type": "application/json"})
    assert (status, b"the run has ended" in body) == (409, True)
    for wrong in ({**act, "by": ""}, {**act, "more": 1}, {**act, "values": []}):
        assert server.ask(path, server.key, wrong, **{"Content-Type": "application/json"})[0] == 422
    assert server.ask(f"{path}/..%2f..%2fnow", server.key)[0] == 404
    wrong = {**act, "values": {"text": "x" * 2001}}
    status, _, body = server.ask(path, server.key, wrong, **{"Content-Type": "application/json"})
    assert (status, b"at most 2000 characters" in body) == (409, True)


@pytest.mark.parametrize("headers", [{"Origin": "http://elsewhere.example"}, {"Sec-Fetch-Site": "cross-site"}])
def test_the_page_of_another_site_does_not_steer(served, headers):
    server, uid = served
    act = {"act": "note", "values": {"text": "hello"}, "by": "ann"}
    status, _, body = server.ask(
        f"api/runs/{uid}/acts", server.key, act, **{"Content-Type": "application/json", **headers}
    )
    assert (status, b"another site" in body) == (403, True)


def test_the_page_sets_no_cookie(served):
    server, uid = served
    for path in ("", f"run/{uid}", f"api/runs/{uid}"):
        status, headers, _ = server.ask(path, server.key)
        assert (status, headers["Set-Cookie"]) == (200, None)


def test_arrays_come_as_bytes(served):
    server, uid = served
    status, headers, body = server.ask(f"api/runs/{uid}/images/0/1", server.key)
    assert (status, headers["X-Type"], headers["X-Shape"]) == (200, "float32", "32,32")
    assert np.isfinite(np.frombuffer(body, "<f4")).all()
    for wrong in ("images/9/0", "images/0/-1", "maps/0/nothing", "spectra/points/12", "predictions/0/99999", "rows/no"):
        assert server.ask(f"api/runs/{uid}/{wrong}", server.key)[0] == 404


def test_what_is_new_is_told(served):
    server, uid = served
    _, headers, body = server.ask(
        f"api/runs/{uid}/events?since={json.dumps({'points': 11})}".replace('"', "%22").replace(" ", ""), server.key
    )
    assert headers["Content-Type"].startswith("text/event-stream")
    first, end, *_ = body.decode().split("\n\n")
    message = json.loads(first.removeprefix("data: "))
    assert len(message["rows"]["points"]) == 1
    assert len(message["rows"]["decisions"]) == 12
    assert (message["state"], end.splitlines()[0]) == ("ended", "event: end")
    assert server.ask(f"api/runs/{uid}/events?since=no", server.key)[0] == 422
