"""The plans through a real queueserver: its manager, its worker and its redis in processes of their own."""

import gc
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest
import zmq
from bluesky_queueserver_api import BFunc, BPlan
from bluesky_queueserver_api.zmq import REManagerAPI
from support import free_port, until

from curio_plans.documents.history import History
from curio_plans.documents.streams import Steered
from curio_plans.store.storage import Storage

STARTUP = Path(__file__).parents[2] / "profile_collection" / "startup"
REDIS = """
from fakeredis import TcpFakeServer
server = TcpFakeServer(("127.0.0.1", 0))
print(server.server_address[1], flush=True)
server.serve_forever()
"""


class Queue:
    """A queueserver with the profile, and a client."""

    def __init__(self, directory):
        control, info = free_port(), free_port()
        self.data = directory / "data"
        (directory / "curio.toml").write_text(
            'data = "data"\n[backend]\nname = "twin"\noptions = { pixels = [32, 32] }\n[page]\n'
        )
        self._redis = subprocess.Popen([sys.executable, "-c", REDIS], stdout=subprocess.PIPE, text=True)
        redis = int(self._redis.stdout.readline())
        manager = [
            Path(sys.executable).with_name("start-re-manager"), "--startup-dir", STARTUP,
            "--existing-plans-devices", directory / "plans.yaml", "--redis-addr", f"127.0.0.1:{redis}",
            "--zmq-control-addr", f"tcp://127.0.0.1:{control}", "--zmq-info-addr", f"tcp://127.0.0.1:{info}",
        ]  # fmt: skip
        self.log = (directory / "manager.log").open("w+")
        self._manager = subprocess.Popen(
            manager, cwd=directory, stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True
        )
        self.client = REManagerAPI(
            zmq_control_addr=f"tcp://127.0.0.1:{control}", zmq_info_addr=f"tcp://127.0.0.1:{info}"
        )

    def open(self):
        self.until(self.client.ping)
        self.client.environment_open()
        self.client.wait_for_idle(timeout=120)
        assert self.client.status()["worker_environment_exists"], Path(self.log.name).read_text()[-3000:]

    def submit(self, *args, **kwargs):
        return self.client.item_add(BPlan(*args, **kwargs))

    def until(self, condition):
        def answered():
            with suppress(self.client.RequestTimeoutError):
                return condition()

        try:
            until(answered, 120)
        except AssertionError as error:
            raise AssertionError(Path(self.log.name).read_text()[-3000:]) from error

    def run(self):
        """Run what is in the queue; return what became of each plan."""
        self.client.history_clear()
        self.client.queue_start()
        self.client.wait_for_idle(timeout=120)
        return [item["result"] for item in self.client.history_get()["items"]]

    def pause(self):
        self.client.re_pause("immediate")
        self.client.wait_for_idle_or_paused(timeout=60)
        assert self.client.status()["re_state"] == "paused"

    def close(self):
        try:
            self.client.environment_close()
            self.client.wait_for_idle(timeout=60)
            self.client.send_request(method="manager_stop")
            assert self._manager.wait(60) == 0
        finally:
            self.client.close()
            # It leaves the contexts of ZeroMQ open, which Python tells much later, in somebody else's test.
            for context in [found for found in gc.get_objects() if issubclass(type(found), zmq.Context)]:
                context.destroy(linger=0)
            with suppress(ProcessLookupError):
                os.killpg(self._manager.pid, signal.SIGKILL)
            self._manager.wait()
            self._redis.kill()
            self._redis.communicate()
            self.log.close()


@pytest.fixture(scope="module")
def queue(empty, tmp_path_factory):
    directory = tmp_path_factory.mktemp("queue")
    shutil.copytree(empty, directory / "data")
    queue = Queue(directory)
    try:
        queue.open()
        yield queue
    finally:
        queue.close()


def stored(queue, uid):
    with Storage.local(queue.data) as storage:
        return storage.catalog[uid].metadata


def test_runs_of_the_queue_land_in_tiled(queue):
    queue.submit("image", "afm", md={"operator": "Ada"})
    queue.submit("grid_spectroscopy", "afm", 2, 2, area=[0, 500, 0, 500])
    queue.submit("curiosity", "afm", "random", 9, options={"seed": 5}, until={"loops": 4})
    results = queue.run()
    assert [result["exit_status"] for result in results] == ["completed"] * 3, results
    image, grid, curiosity = (stored(queue, result["run_uids"][0]) for result in results)
    assert image["start"]["operator"] == "Ada"
    assert grid["stop"]["num_events"]["primary"] == 4
    assert curiosity["start"]["agent"] == {"agent": "random", "seed": 5}
    assert curiosity["stop"]["num_events"]["agent"] == 4
    assert curiosity["stop"]["reason"] == "until loops 4: 4 taken"
    assert {run["stop"]["exit_status"] for run in (image, grid, curiosity)} == {"success"}


def test_a_run_of_the_queue_is_watched_and_steered_from_the_page_beside_it(queue):
    queue.until(lambda: "page: http" in Path(queue.log.name).read_text())
    page = re.search(r"page: (http\S+)", Path(queue.log.name).read_text())[1]
    key = (queue.data / "tiled" / "key").read_text().strip()

    def ask(path, body=None):
        data = None if body is None else json.dumps({**body, "by": "ann"}).encode()
        headers = {"Authorization": f"Apikey {key}", "Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(f"{page}api/{path}", data, headers), timeout=20) as answer:
            return json.loads(answer.read())

    def running():
        return [run["uid"] for run in ask("runs")["runs"] if run["state"] == "running"]

    queue.client.history_clear()
    queue.submit("curiosity", "afm", "random", 800, window=3, stride=1)
    queue.client.queue_start()
    queue.until(running)
    (uid,) = running()
    for body in ({"act": "pick", "values": {"x": 1000, "y": 1000}}, {"act": "end"}):
        name = ask(f"runs/{uid}/acts", body)["name"]
        queue.until(lambda name=name: ask(f"runs/{uid}/acts/{name}"))
        assert ask(f"runs/{uid}/acts/{name}")["done"]
    queue.client.wait_for_idle(timeout=60)
    with Storage.local(queue.data, writable=False) as storage:
        history = History(storage.documents(uid))
    assert [(act.act, act.by) for act in history.of(Steered)] == [("pick", "ann"), ("end", "ann")]
    assert history.ending.reason == "ann ended the run"
    assert 0 < len(history.observations) < 800
    assert ask(f"runs/{uid}")["state"] == "ended"


@pytest.mark.parametrize(
    ("name", "args", "kwargs", "words"),
    [
        ("picture", ["afm"], {}, "'picture' is not in the list of allowed plans"),
        ("image", ["microscope"], {}, "Input should be 'afm'"),
        ("curiosity", ["afm", "bold"], {}, "input_value='bold'"),
        ("curiosity", ["afm", {"agent": "random"}], {}, "input_type=dict"),
        ("curiosity", ["afm", "random"], {"options": {"sed": 3}}, "options.sed"),
        ("curiosity", ["afm", "random"], {"options": {"seed": [3]}}, "options.seed"),
        ("curiosity", ["afm", "random", "ten"], {}, "valid integer"),
        ("curiosity", ["afm", "random", 2.5], {}, "valid integer"),
        ("curiosity", ["afm", "random", 0], {}, "Value 0 is out of range"),
        ("curiosity", ["afm", "random"], {"window": 1}, "Value 1 is out of range"),
        ("curiosity", ["afm", "random"], {"lookahead": 2}, "Value 2 is out of range"),
        ("curiosity", ["afm", "random"], {"learn_from": "latest"}, "'str' instances are not allowed"),
        ("curiosity", ["afm", "random"], {"build": "x"}, "unexpected keyword argument 'build'"),
        ("curiosity", ["afm"], {}, "missing a required argument: 'agent'"),
        ("grid_spectroscopy", ["afm", 3, 0], {}, "Value 0 is out of range"),
        ("grid_spectroscopy", ["afm"], {"area": [0, 100, 0]}, "Field required"),
        ("grid_spectroscopy", ["afm"], {"area": [0, 100, 0, 9e9]}, "out of range [0, 2000]"),
        ("spectra_at", ["afm", [[1, 2], [3, -1]]], {}, "out of range [0, 2000]"),
    ],
)
def test_what_is_wrong_is_refused_when_it_is_submitted(queue, name, args, kwargs, words):
    with pytest.raises(queue.client.RequestFailedError) as refused:
        queue.submit(name, *args, **kwargs)
    assert words in str(refused.value)
    assert queue.client.status()["items_in_queue"] == 0


def test_an_agent_refuses_another_agents_option_before_anything_moves(queue):
    queue.submit("curiosity", "afm", "grid", options={"filters": 4})
    (result,) = queue.run()
    queue.client.queue_clear()  # a plan that failed goes back into the queue
    assert result["exit_status"] == "failed"
    assert "the agent 'grid' has no option filters" in result["msg"]
    assert result["run_uids"] == []


def test_an_earlier_run_to_learn_from_is_looked_for_in_the_store_of_the_queue(queue):
    queue.submit("curiosity", "afm", "random", learn_from=["nowhere"])
    (result,) = queue.run()
    queue.client.queue_clear()
    assert "run nowhere cannot be learned from: there" in result["msg"]
    assert result["run_uids"] == []


def test_a_run_can_be_paused_resumed_and_aborted(queue):
    queue.client.history_clear()
    queue.submit("grid_spectroscopy", "afm", 60, 60)
    queue.client.queue_start()
    queue.until(lambda: queue.client.re_runs()["run_list"])
    queue.pause()
    (run,) = queue.client.re_runs()["run_list"]
    queue.client.re_resume()
    queue.until(lambda: queue.client.status()["re_state"] == "running")
    queue.pause()
    queue.client.re_abort()
    queue.client.wait_for_idle(timeout=60)
    (item,) = queue.client.history_get()["items"]
    assert queue.client.status()["items_in_queue"] == 1  # it went back into the queue
    queue.client.queue_clear()
    assert item["result"]["exit_status"] == "aborted"
    assert item["result"]["run_uids"] == [run["uid"]]
    stop = stored(queue, run["uid"])["stop"]
    assert stop["exit_status"] == "abort"
    assert 0 < stop["num_events"]["primary"] < 3600


def test_a_question_of_an_agent_can_be_answered(queue):
    function = BFunc("answer", "continue")
    # In the background, as the run is paused, not over, when it is needed.
    answered = queue.client.function_execute(function, run_in_background=True, user="somebody", user_group="primary")
    task = answered["task_uid"]
    queue.client.wait_for_completed_task(task, timeout=60)
    told = queue.client.task_result(task)["result"]
    assert not told["success"]
    assert "no run waits for an answer" in told["traceback"]
