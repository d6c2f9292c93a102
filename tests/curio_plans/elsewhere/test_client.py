"""An agent that thinks elsewhere is the same agent, or says why not."""

import socket
import threading
from contextlib import suppress

import httpx
import numpy as np
import pytest
from support import free_port, thinking

from agents.pool import make_pool
from agents.protocols import Agent, Context, EstimatesError, Observation, PlaceError, RecordError
from agents.registry import build
from curio_plans.elsewhere.wire import MEDIA_TYPE, pack

CONFIG = {"agent": "curio", "initial": 4}
KEY = "0123456789abcdef"


@pytest.fixture(scope="module")
def world():
    pool = make_pool(np.random.default_rng(0).normal(size=(1, 16, 18)), (0, 180, 0, 160), window=5, stride=2)
    return pool, np.tanh(pool.patches[:, 0, 2, 2:5].astype(np.float64) @ np.random.default_rng(1).normal(size=(3, 12)))


@pytest.fixture(scope="module")
def address():
    with thinking(build) as address:
        yield address


def observe(world, index):
    place = world[0].positions[index]
    return Observation(int(index), place, place, world[1][index], float(index))


def decisions(world, agent, count=10, after=lambda number: None):
    agent.ingest(world[0])
    said = []
    for number in range(count):
        (one,) = agent.suggest(1, Context(budget=20))
        score = agent.report(Context(20)).maps["score"].tobytes() if number > 6 else b""
        said.append((one.index, one.phase, one.score, dict(one.parts), score))
        agent.ingest(observe(world, one.index))
        after(number)
    return [repr(one) for one in said]


def test_it_decides_as_the_same_agent_here_does(world, address, remote):
    agent = remote(address, CONFIG)
    assert isinstance(agent, Agent)
    assert isinstance(agent, EstimatesError)
    assert agent.config == build(CONFIG).config
    assert decisions(world, agent) == decisions(world, build(CONFIG))
    assert agent.place["threads"] == 1
    assert agent.place["address"] == address
    again = remote(address, CONFIG)
    again.load_state(agent.state())
    assert repr(again.suggest(2, Context(20))) == repr(agent.suggest(2, Context(20)))


def test_two_places_that_answer_in_turn_and_one_that_forgets_change_nothing(world, remote):
    with thinking(build) as one, thinking(build) as other:
        agent = remote(one, CONFIG)
        places = [agent._http, remote(other, CONFIG)._http]

        def swap(number):
            agent._http = places[number % 2]
            if number == 7:  # a third one, which holds nothing
                agent._name = "another"

        assert decisions(world, agent, after=swap) == decisions(world, build(CONFIG))


class Cable:
    """Passes bytes on to a place, and is cut after so many requests, each time when a reply is on its way."""

    def __init__(self, address, cuts):
        host, port = address.removeprefix("http://").split(":")
        self.target, self.cuts, self.requests = (host, int(port)), cuts, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection(self.target)
                for pair in ((near, far, False), (far, near, True)):
                    threading.Thread(target=self.pass_on, args=pair, daemon=True).start()

    def pass_on(self, one, other, back):
        with suppress(OSError), one, other:
            while data := one.recv(1 << 16):
                self.requests += back
                if back and self.requests in self.cuts:
                    break
                other.sendall(data)
            for end in (one, other):
                end.shutdown(socket.SHUT_RDWR)


def test_a_network_that_is_cut_while_a_reply_is_on_its_way_changes_nothing(world, address, remote):
    cable = Cable(address, cuts=(3, 9, 10, 20, 21, 22, 30))
    with cable.listener:
        assert decisions(world, remote(cable.address, CONFIG)) == decisions(world, build(CONFIG))
    assert cable.requests > 30


def test_a_fold_of_somebody_else_is_left_alone(world, address, remote):
    one, other = remote(address, CONFIG), remote(address, CONFIG)
    decisions(world, one, 3)
    other._name = one._name
    other.ingest(world[0], observe(world, 11))
    assert other._name != one._name
    assert other.suggest(1, Context(20))[0].phase == "initial"


def test_a_malformed_record_leaves_it_unchanged(world, address, remote):
    agent = remote(address, CONFIG)
    agent.ingest(world[0])
    bad = observe(world, 3)
    bad.spectrum[2] = np.nan
    with pytest.raises(RecordError, match="not finite"):
        agent.ingest(bad)
    bad.spectrum[2] = 0
    agent.ingest(bad)
    assert len(agent.state()["records"]) == 2


def test_what_is_wrong_with_a_config_is_said_there_and_raised_here(address, remote):
    with pytest.raises(ValueError, match="there is no agent 'nobody'"):
        remote(address, {"agent": "nobody"})
    with pytest.raises(ValueError, match="initial must be"):
        remote(address, {"agent": "curio", "initial": -3})


def test_a_place_that_cannot_be_reached_is_said_at_once(remote):
    with pytest.raises(PlaceError, match="start curio think there"):
        remote(f"http://127.0.0.1:{free_port()}", CONFIG)


def test_a_key_is_asked_for_and_large_or_foreign_requests_are_refused(wanderer, remote):
    with thinking(wanderer, KEY, body_limit=4096) as address:
        assert remote(address, {}, KEY).config["agent"] == "wanderer"
        for wrong in (None, "", KEY[:-1], KEY + "0"):
            with pytest.raises(PlaceError, match="CURIO_THINK_KEY"):
                remote(address, {}, wrong)
        with httpx.Client(base_url=address) as http:
            headers = {"authorization": f"Apikey {KEY}"}
            body = pack({"version": 1, "config": {}})
            assert http.post("/describe", content=body, headers=headers).status_code == 415
            headers["content-type"] = MEDIA_TYPE
            assert http.post("/describe", content=body, headers=headers).status_code == 200
            assert http.post("/describe", content=body, headers={**headers, "origin": "http://evil"}).status_code == 415
            assert http.post("/describe", content=bytes(5000), headers=headers).status_code == 413
            assert http.get("/folds/a", headers=headers).status_code == 405
            assert http.get("/").json()["service"] == "curio think"
