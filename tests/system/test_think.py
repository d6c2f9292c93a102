"""Kill -9 the process in which an agent thinks for a run elsewhere, at random moments: the decisions stay the same.

CURIO_KILLS    how many times, e.g. 20; without it twice
"""

import functools
import os
import random
import signal
import subprocess
import threading
import time

import pytest
from bluesky import RunEngine
from processes import CURIO
from support import command, free_port, microscope, until

from agents.registry import build
from curio_plans.documents.history import History
from curio_plans.elsewhere import connect
from curio_plans.plans import curiosity
from curio_plans.study.replay import verify

KILLS = int(os.environ.get("CURIO_KILLS", "2"))
KEY = "0123456789abcdef"
CONFIG = {"agent": "curio", "initial": 4}


class Place:
    """A process of ``curio think`` at the second loopback address, on a port that stays when it is started again."""

    def __init__(self, log):
        self.port, self.log = free_port(), log
        self.address = f"http://127.0.0.2:{self.port}"
        self.start()
        until(self.answers)

    def start(self):
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [*CURIO, "think", "--host", "127.0.0.2", "--port", str(self.port)],
                stdout=log, stderr=subprocess.STDOUT, env={**os.environ, "CURIO_THINK_KEY": KEY},
            )  # fmt: skip

    def answers(self):
        assert self.process.poll() is None, self.log.read_text()
        return "agents think at" in self.log.read_text()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = Place(tmp_path_factory.mktemp("think") / "log")
    yield place
    place.kill()


def test_a_place_that_is_killed_at_random_moments_changes_no_decision(place, facts):
    points, chance = 12 + 2 * KILLS, random.Random(KILLS)
    moments = sorted(chance.sample(range(1, points), KILLS))
    documents, over = [], threading.Event()

    def decided():
        return sum(name == "event" and "agent_candidate" in doc["data"] for name, doc in documents)

    def murder():
        for moment in moments:
            until(lambda moment=moment: decided() >= moment or over.is_set())
            time.sleep(chance.uniform(0, 0.1))
            place.kill()
            place.start()

    afm, killing = microscope(), threading.Thread(target=murder)
    killing.start()
    rule = {"address": place.address, "wait": 120, "withdraw_after": 120, "then": "end"}
    plan = curiosity(
        afm, CONFIG, points, build=build, agent_at=rule, connect=functools.partial(connect, key=KEY), map_every=0
    )
    try:
        RunEngine({})(plan, lambda name, doc: documents.append((name, doc)))
    finally:
        over.set()
        killing.join()
        afm.close()
    history = History(documents)
    places = [decision.place["process"] for decision in history.decisions]
    assert len(set(places)) > 1 + KILLS // 2  # most kills came before the last decision
    local, here = [], microscope()
    RunEngine({})(
        curiosity(here, CONFIG, points, build=build, map_every=0), lambda name, doc: local.append((name, doc))
    )
    here.close()
    assert repr(facts(documents)) == repr(facts(local))
    assert verify(documents, build).identical
    print(f"{KILLS} kills, {len(set(places))} processes, {points} decisions, all as those of a local run")


def test_the_commands_run_and_replay_let_an_agent_think_elsewhere(place, data, tmp_path):
    environment = {**os.environ, "CURIO_THINK_KEY": KEY, "CURIO_DATA": str(data), "CURIO_AGENT_AT": place.address}
    curio = functools.partial(command, *CURIO, cwd=tmp_path, env=environment)
    printed = curio("run", "--agent", "random", "--points", 3, "--pixels", 32, "--no-figure")
    assert "3 measured of 3 planned" in printed
    assert f"thought at {place.address} (" in " ".join(printed.split())
    assert "3/3 decisions identical" in curio("replay")
    environment["CURIO_THINK_KEY"] = "another key"
    assert "CURIO_THINK_KEY" in curio("run", code=2, stderr=subprocess.STDOUT)


def test_a_place_that_others_can_reach_needs_a_key():
    told = command(*CURIO, "think", "--host", "0.0.0.0", "--port", 0, code=2, stderr=subprocess.STDOUT)
    assert "expected a key (CURIO_THINK_KEY)" in told
    told = command(*CURIO, "think", "--key", "short", code=2, stderr=subprocess.STDOUT)
    assert "at least 16 letters and digits" in told
