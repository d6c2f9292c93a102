"""Where logs and documents go: a file, JSON lines, a 0MQ proxy."""

import json
import logging
import subprocess
import sys
import threading

from bluesky import RunEngine
from support import free_port
from terminal import curio

from curio_plans.plans import image
from curio_plans.session import close_log, open_log, publish


def test_a_log_has_one_json_object_a_line(tmp_path):
    logger = logging.getLogger("curio_plans.store.journal")
    handler = open_log(tmp_path / "curio.log", "INFO", json_lines=True)
    try:
        logger.info("made %s", "µ")
        logger.debug("not this")
        try:
            raise ValueError("bad")
        except ValueError:
            logger.exception("failed")
    finally:
        close_log(handler)
    logger.warning("nor this")
    first, second = [json.loads(line) for line in (tmp_path / "curio.log").read_text(encoding="utf-8").splitlines()]
    assert (first["logger"], first["level"], first["message"]) == ("curio_plans.store.journal", "INFO", "made µ")
    assert first["time"].endswith("+00:00")
    assert "ValueError: bad" in second["traceback"]


def test_every_command_takes_a_log(tmp_path):
    said = curio("--log-file", tmp_path / "no" / "curio.log", "agents", code=2)
    assert "cannot write" in said
    said = curio("--log-file", tmp_path / "curio.log", "--log-level", "LOUD", "agents", code=2)
    assert "expected DEBUG, INFO, WARNING or ERROR" in " ".join(said.replace("│", " ").split())


LISTEN = """
import sys
from bluesky.callbacks.zmq import RemoteDispatcher
dispatcher = RemoteDispatcher(sys.argv[1])
dispatcher.subscribe(lambda name, doc: print(name, doc.get("plan_name", ""), flush=True))
dispatcher.start()
"""


def test_documents_are_published_through_the_proxy_of_bluesky(afm):
    into, out = free_port(), free_port()
    proxy = subprocess.Popen([sys.executable, "-m", "bluesky.commandline.zmq_proxy", str(into), str(out)])
    command = [sys.executable, "-c", LISTEN, f"localhost:{out}"]
    listener = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    engine, heard, over = RunEngine({}), [], threading.Event()
    publisher = publish(engine, f"localhost:{into}")

    def listen():
        for line in listener.stdout:
            heard.append(tuple(line.split()))
            if "stop" in heard[-1] and ("start", "image") in heard:
                over.set()

    thread = threading.Thread(target=listen)
    thread.start()
    try:
        for _ in range(200):  # a publisher drops what nobody listens to yet
            engine(image(afm))
            if over.wait(0.5):
                break
    finally:
        for process in (listener, proxy):
            process.kill()
            process.wait()
        thread.join()
        listener.stdout.close()
        publisher.close()
    first = heard.index(("start", "image"))
    kinds = [name for name, *_ in heard[first:]]
    assert kinds[: kinds.index("stop")].count("event") == 1
